"""The command that audits protected files of any tool."""

from pathlib import Path
from typing import Annotated

import typer

import brittle
from brittle.cli.app import Device, Dtype, Seed, Size, app, tell, to_stderr
from brittle.errors import UserError
from brittle.progress import on_stderr


@app.command()
def audit(
    files: Annotated[
        list[Path],
        typer.Argument(
            metavar="[ORIGINAL] PROTECTED",
            help="Two files, two folders whose files share names, or the protected file alone.",
            show_default=False,
        ),
    ],
    quick: Annotated[
        bool, typer.Option("--quick", help="Compare latents only; make no edits.")
    ] = False,
    thorough: Annotated[
        bool,
        typer.Option("--thorough", help="Edit after every transform, with every noise draw."),
    ] = False,
    transforms: Annotated[
        list[str] | None,
        typer.Option(
            "--with", help="A transform to try. Repeatable; default: JPEG, blur, resizing, flip."
        ),
    ] = None,
    prompts: Annotated[
        list[str] | None,
        typer.Option("--prompt", help="A prompt for the edits. Repeatable."),
    ] = None,
    models: Annotated[
        list[str] | None,
        typer.Option("--model", help="An edit model. Repeatable; default: `embedded`."),
    ] = None,
    editor: Annotated[str, typer.Option(help="An editor that takes no mask.")] = "img2img",
    draws: Annotated[
        int | None,
        typer.Option(
            help="Noise draws of each kind on latents, 19 to 999: p is then counted, down to "
            "1 / (1 + draws).",
            show_default=False,
        ),
    ] = None,
    seed: Seed = 0,
    json: Annotated[bool, typer.Option("--json", help="Print everything as JSON.")] = False,
    out: Annotated[
        Path | None,
        typer.Option("-o", "--out", help="A folder or an .html file for a report with pictures."),
    ] = None,
    show_paths: Annotated[
        bool,
        typer.Option("--show-paths", help="Show full paths, also in JSON and in the report."),
    ] = False,
    size: Size = None,
    device: Device = None,
    dtype: Dtype = None,
) -> None:
    """Test whether a protected file does more than noise, and which transforms undo it.

    Example: brittle audit me.jpg me-protected.png --quick
    """
    if len(files) > 2:
        raise UserError(f"audit takes ORIGINAL and PROTECTED, and got {len(files)} paths.")
    chosen = [
        brittle.load_model(name, size=size, device=device, dtype=dtype)
        for name in models or ["embedded"]
    ]
    with on_stderr(to_stderr) as progress:
        report = brittle.audit(
            files[0] if len(files) == 2 else None,
            files[-1],
            models=chosen,
            transforms=transforms or None,
            prompts=prompts or None,
            editor=editor,
            quick=quick,
            thorough=thorough,
            draws=draws,
            seed=seed,
            out=out,
            show_paths=show_paths,
            say=to_stderr,
            progress=progress,
        )
    if json:
        tell(report.found.document.model_dump_json(indent=1))
    else:
        tell(report.text + (f"\n\nReport: {report.path}" if report.path else ""))
