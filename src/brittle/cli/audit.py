"""The command that audits protected files of any tool."""

from pathlib import Path
from typing import Annotated

import typer

import brittle
from brittle.cli.app import Device, Dtype, Size, app, tell, to_stderr
from brittle.errors import UserError
from brittle.progress import on_stderr


@app.command()
def audit(
    files: Annotated[
        list[Path],
        typer.Argument(
            metavar="[ORIGINAL] PROTECTED",
            help="Two files, or two folders whose files share names; or the protected one alone.",
            show_default=False,
        ),
    ],
    quick: Annotated[
        bool, typer.Option("--quick", help="Compare what the encoder sees; make no edits.")
    ] = False,
    thorough: Annotated[
        bool,
        typer.Option(
            "--thorough", help="Edit after every transform, with every random perturbation."
        ),
    ] = False,
    transforms: Annotated[
        list[str] | None,
        typer.Option("--with", help="A transform to try; repeat it. Default: JPEG, blur …"),
    ] = None,
    prompts: Annotated[
        list[str] | None,
        typer.Option("--prompt", help="What edits are asked for; repeat it."),
    ] = None,
    models: Annotated[
        list[str] | None,
        typer.Option("--model", help="An edit model, `embedded` if not given; repeat it."),
    ] = None,
    editor: Annotated[str, typer.Option(help="An editor without a mask.")] = "img2img",
    draws: Annotated[
        int | None,
        typer.Option(
            help="Random perturbations of each kind, 19 to 999, that the encoder sees without a "
            "transform: p is then counted, and as small as 1 / (1 + draws).",
            show_default=False,
        ),
    ] = None,
    seed: Annotated[int, typer.Option(min=0)] = 0,
    json: Annotated[bool, typer.Option("--json", help="Print everything as JSON.")] = False,
    out: Annotated[
        Path | None,
        typer.Option("-o", "--out", help="A folder, or an .html file, for a report with pictures."),
    ] = None,
    show_paths: Annotated[
        bool,
        typer.Option("--show-paths", help="Name files by whole paths, in JSON and report too."),
    ] = False,
    size: Size = None,
    device: Device = None,
    dtype: Dtype = None,
) -> None:
    """Say whether a protected file, of any tool, acts beyond noise, and what undoes it.

    Example: brittle audit me.jpg me-protected.png --quick
    """
    if len(files) > 2:
        raise UserError(f"{len(files)} paths were named: name ORIGINAL and PROTECTED.")
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
