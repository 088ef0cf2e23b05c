"""The command that learns from a collection of pictures: mimic."""

from pathlib import Path
from typing import Annotated

import typer

from brittle.cli.app import Device, Dtype, Force, Model, app


@app.command("mimic")
def mimic_(
    collection: Annotated[
        Path, typer.Argument(help="A folder of an artist's or a subject's pictures.")
    ],
    prompts: Annotated[
        list[str], typer.Option("--prompt", help="What to paint, with the rare word; repeatable.")
    ],
    out: Annotated[Path, typer.Option("-o", "--out", help="A folder; fine-tunes are kept there.")],
    editor: Annotated[
        str, typer.Option(help="finetune and its fields, such as finetune:method=full.")
    ] = "finetune",
    model: Model = "embedded",
    seeds: Annotated[list[int] | None, typer.Option("--seed", min=0, help="Repeatable.")] = None,
    tuning_seed: Annotated[int, typer.Option(min=0, help="The seed of the fine-tune.")] = 0,
    device: Device = None,
    dtype: Dtype = None,
    force: Force = False,
) -> None:
    """Fine-tune a model on a collection (DreamBooth), then paint from prompts.

    One fine-tune serves every prompt and seed. It is kept by the hash of its pictures and setting,
    and one that was stopped goes on.

    Example: brittle mimic paintings/ --prompt "a photo of sks, a boat" -o mimicry/
    """
    from brittle.models import load_model
    from brittle.progress import bars
    from brittle.trial.mimicry import mimic

    with bars() as progress:
        written = mimic(
            collection,
            prompts,
            out,
            editor=editor,
            model=load_model(model, device=device, dtype=dtype),
            seeds=seeds or [0],
            tuning_seed=tuning_seed,
            overwrite=force,
            progress=progress,
        )
    typer.echo("\n".join(map(str, written)))
