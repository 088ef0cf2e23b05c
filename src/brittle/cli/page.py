"""The command that opens the local page."""

from typing import Annotated

import typer

from brittle.cli.app import app


@app.command("app")
def open_app(
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="The port of the page; 0 takes any free one.")
    ] = 8765,
    browser: Annotated[
        bool, typer.Option("--browser/--no-browser", help="Open the page in the browser.")
    ] = True,
) -> None:
    """Open a local page: check a file, protect photos, watch JPEG break a protection.

    It needs the extra `app` (see README). Only this computer can reach the page, and the page
    contacts no other computer.

    Example: brittle app
    """
    from brittle.app import serve

    serve(port, browser=browser)
