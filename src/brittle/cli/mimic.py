"""The command that learns from a collection of pictures: mimic."""

from pathlib import Path
from typing import Annotated

import typer

import brittle
from brittle.cli.app import MOST, Device, Dtype, Force, Model, Size, app, tell, to_stderr
from brittle.progress import on_stderr


@app.command()
def mimic(
    collection: Annotated[
        Path, typer.Argument(help="A folder of an artist's or a subject's pictures.")
    ],
    prompts: Annotated[
        list[str],
        typer.Option("--prompt", help="What to generate, with the rare word. Repeatable."),
    ],
    out: Annotated[
        Path, typer.Option("-o", "--out", help="A folder; it keeps the fine-tunes too.")
    ],
    editor: Annotated[
        str, typer.Option(help="finetune with its fields, such as finetune:method=full.")
    ] = "finetune",
    model: Model = "embedded",
    size: Size = None,
    seeds: Annotated[
        list[int] | None, typer.Option("--seed", min=0, max=MOST, help="A seed. Repeatable.")
    ] = None,
    originals: Annotated[
        Path | None,
        typer.Option(help="Measure distances to these pictures instead of the collection's."),
    ] = None,
    device: Device = None,
    dtype: Dtype = None,
    force: Force = False,
) -> None:
    """Fine-tune a model on a collection (DreamBooth), then generate pictures from prompts.

    One fine-tune serves every prompt and seed; an interrupted one resumes. The command prints each
    picture's distance from the collection, beside the distances within the collection and those
    of the base model's pictures.

    Example: brittle mimic paintings/ --prompt "a photo of sks, a boat" -o mimicry/
    """
    with on_stderr(to_stderr) as progress:
        found = brittle.mimic(
            collection,
            prompts,
            out,
            editor=editor,
            model=brittle.load_model(model, size=size, device=device, dtype=dtype),
            seeds=seeds or [0],
            originals=originals,
            overwrite=force,
            say=to_stderr,
            progress=progress,
        )
    tell(found.text)
