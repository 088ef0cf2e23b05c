"""The command that says how visible a protection is."""

from pathlib import Path
from typing import Annotated

import typer

import brittle
from brittle.cli.app import Force, app, tell, tell_batch, to_stderr
from brittle.progress import on_stderr


@app.command()
def visibility(
    original: Annotated[
        Path, typer.Argument(help="The original photo, or a folder of photos.", show_default=False)
    ],
    protected: Annotated[
        Path, typer.Argument(help="The protected file, or a folder of them.", show_default=False)
    ],
    out: Annotated[
        Path | None,
        typer.Option("-o", "--out", help="A .png file or a folder for the differences."),
    ] = None,
    gain: Annotated[float, typer.Option(min=1, help="Amplification of the difference.")] = 10,
    force: Force = False,
) -> None:
    """Measure how visible a protection is, and show what it changed.

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
    report = brittle.visibility(original, protected, out=out, gain=gain, overwrite=force)
    tell(report.text)
    if report.path is not None:
        tell(f"{report.path}: the difference on gray, {gain:g} times as strong")
