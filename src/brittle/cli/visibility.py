"""The command that says what the eye may see of a protection."""

from pathlib import Path
from typing import Annotated

import typer

import brittle
from brittle.cli.app import Force, app, tell, tell_batch, to_stderr
from brittle.progress import on_stderr


@app.command()
def visibility(
    original: Annotated[
        Path, typer.Argument(help="The photo as it was, or a folder.", show_default=False)
    ],
    protected: Annotated[
        Path, typer.Argument(help="Its protected file, or their folder.", show_default=False)
    ],
    out: Annotated[
        Path | None, typer.Option("-o", "--out", help="A .png file, or folder, for differences.")
    ] = None,
    gain: Annotated[float, typer.Option(min=1, help="How much to amplify the difference.")] = 10,
    force: Force = False,
) -> None:
    """Say how visible protections are, and show what they added.

    Example: brittle visibility me.png protected/me.png -o added.png
    """
    if original.is_dir():
        with on_stderr(to_stderr) as progress:
            found = brittle.visibility_files(
                *(original, protected, out),
                gain=gain,
                overwrite=force,
                say=tell,
                progress=progress,
            )
        return tell_batch(found)
    tell(brittle.visibility(original, protected, out=out, gain=gain, overwrite=force).text)
    if out is not None:
        tell(f"{out}: the difference on gray, {gain:g} times as strong")
