"""The command that measures from which scores on an edit counts as usable."""

from pathlib import Path
from typing import Annotated

import typer

from brittle.cli.app import Device, Dtype, Force, Model, app
from brittle.errors import UserError


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
    from brittle.editors import Editor
    from brittle.metrics import Calibration, Follow, Keep
    from brittle.models import load_model
    from brittle.progress import bars
    from brittle.trial.calibrating import calibrate_model, describe, read_photos

    if out.exists() and not force:
        raise UserError(f"{out} exists: choose another file with --out, or say --force.")
    loaded = load_model(model, device=device, dtype=dtype)
    at_sizes = [loaded.at(size) for size in sizes or [loaded.size]]
    with bars() as progress:
        each = [
            calibrate_model(
                one,
                [Editor.parse(text) for text in editors or ["img2img"]],
                read_photos(str(photos), one, mask),
                prompts or (),
                follow=Follow(clip=clip),
                keep=Keep(clip=keep_clip or clip),
                progress=progress,
            )
            for one in at_sizes
        ]
    found = Calibration.together(each)
    found.save(out)
    for thresholds in found.thresholds:
        typer.echo(describe(thresholds))
    typer.echo(f"\nWritten to {out}: name it in a trial as `calibration`, or --set calibration=…")
