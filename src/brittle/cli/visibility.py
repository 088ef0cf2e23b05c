"""The command that says what the eye may see of a protection."""

from pathlib import Path
from typing import Annotated

import typer

import brittle
from brittle.cli.app import Force, app, tell


@app.command()
def visibility(
    original: Annotated[Path, typer.Argument(help="The photo as it was.", show_default=False)],
    protected: Annotated[Path, typer.Argument(help="Its protected file.", show_default=False)],
    out: Annotated[
        Path | None, typer.Option("-o", "--out", help="A .png file for the difference.")
    ] = None,
    gain: Annotated[float, typer.Option(min=1, help="How much to amplify the difference.")] = 10,
    force: Force = False,
) -> None:
    """Say how visible a protection is on one photo, and show what it added.

    Example: brittle visibility me.png protected/me.png -o added.png
    """
    tell(brittle.visibility(original, protected, out=out, gain=gain, overwrite=force).text)
    if out is not None:
        tell(f"{out}: the difference on gray, {gain:g} times as strong")
