"""The command that calibrates the thresholds that make an edit usable."""

from pathlib import Path
from typing import Annotated

import typer

import brittle
from brittle.cli.app import Device, Dtype, Force, Model, app, tell, to_stderr
from brittle.progress import on_stderr


@app.command()
def calibrate(
    photos: Annotated[
        Path, typer.Argument(help="A folder of photos that no trial uses.", show_default=False)
    ],
    out: Annotated[Path, typer.Option("-o", "--out", help="A .json file.")] = Path(
        "calibration.json"
    ),
    model: Model = "embedded",
    sizes: Annotated[
        list[int] | None,
        typer.Option(
            "--size", min=16, help="As in the trial. Repeatable; default: the model's own."
        ),
    ] = None,
    prompts: Annotated[
        list[str] | None,
        typer.Option(
            "--prompt", help="As in the trial. Repeatable; the embedded model has its own."
        ),
    ] = None,
    editors: Annotated[
        list[str] | None,
        typer.Option("--editor", help="As in the trial. Repeatable; default: img2img."),
    ] = None,
    clip: Annotated[
        str | None, typer.Option(help="A CLIP to judge by: a folder or a downloaded hub id.")
    ] = None,
    keep_clip: Annotated[
        str | None,
        typer.Option(help="Another judge for `keep`: a CLIP, or SD 1.x's safety checker."),
    ] = None,
    mask: Annotated[str, typer.Option(help="As in the trial, for inpainting.")] = "auto",
    device: Device = None,
    dtype: Dtype = None,
    force: Force = False,
) -> None:
    """Calibrate the thresholds that make an edit usable, for a trial's `calibration:`.

    Example: brittle calibrate photos/ --model sd/ --clip clip/ --prompt "heavy rain" -o sd.json
    """
    with on_stderr(to_stderr) as progress:
        found = brittle.calibrate(
            photos,
            out,
            model=brittle.load_model(model, device=device, dtype=dtype),
            sizes=sizes or (),
            prompts=prompts or (),
            editors=editors or ["img2img"],
            clip=clip,
            keep_clip=keep_clip,
            mask=mask,
            overwrite=force,
            progress=progress,
        )
    tell(
        f"{found.text}\n\n"
        f"Written to {out}. Use it in a trial as `calibration: {out}`, or with "
        f"--set calibration={out}."
    )
