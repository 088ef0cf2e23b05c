"""The command that measures from which scores on an edit counts as usable."""

from pathlib import Path
from typing import Annotated

import typer

import brittle
from brittle.cli.app import Device, Dtype, Force, Model, app, tell, to_stderr
from brittle.progress import on_stderr


@app.command()
def calibrate(
    photos: Annotated[
        Path, typer.Argument(help="A folder of photos that are in no trial.", show_default=False)
    ],
    out: Annotated[Path, typer.Option("-o", "--out", help="A .json file.")] = Path(
        "calibration.json"
    ),
    model: Model = "embedded",
    sizes: Annotated[
        list[int] | None,
        typer.Option(
            "--size", min=16, help="As in the trial; repeatable. The model's own if none."
        ),
    ] = None,
    prompts: Annotated[
        list[str] | None,
        typer.Option("--prompt", help="As in the trial; the embedded has classes."),
    ] = None,
    editors: Annotated[
        list[str] | None, typer.Option("--editor", help="As in the trial; img2img if not given.")
    ] = None,
    clip: Annotated[
        str | None, typer.Option(help="A folder or downloaded hub id of a CLIP, to judge by.")
    ] = None,
    keep_clip: Annotated[
        str | None, typer.Option(help="Another for `keep`: a CLIP, or SD 1.x's safety checker.")
    ] = None,
    mask: Annotated[str, typer.Option(help="As in the trial, for inpainting.")] = "auto",
    device: Device = None,
    dtype: Dtype = None,
    force: Force = False,
) -> None:
    """Measure from which scores on an edit counts as usable, for a trial's `calibration:`.

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
        f"Written to {out}: name it in a trial as `calibration`, or --set calibration=…"
    )
