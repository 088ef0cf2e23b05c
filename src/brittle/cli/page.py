"""The command that opens the local page."""

from typing import Annotated

import typer

from brittle.cli.app import app


@app.command("app")
def open_app(
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Where the page is served; 0: any free port.")
    ] = 8765,
    browser: Annotated[
        bool, typer.Option("--browser/--no-browser", help="Open the page in the browser.")
    ] = True,
) -> None:
    """Open a page on this computer: check a file, protect photos, see a protection break.

    It needs `pip install 'brittle[app]'`. No other computer can reach it, and it asks none.

    Example: brittle app
    """
    from brittle.app import serve

    serve(port, browser=browser)
