"""Commands that make pictures from photos: protect, transform, edit, placebo."""

from pathlib import Path
from typing import Annotated

import typer

import brittle
from brittle.cli.app import (
    MOST,
    Device,
    Dtype,
    Force,
    KeepMetadata,
    Lossy,
    Mask,
    Model,
    Out,
    Photos,
    Seed,
    Size,
    app,
    tell,
    tell_batch,
    to_stderr,
)
from brittle.progress import on_stderr


@app.command()
def protect(
    photos: Photos,
    out: Out,
    protection: Annotated[
        str, typer.Option("--with", help="A protection: see `brittle list protections`.")
    ] = "photoguard-encoder",
    epsilon: Annotated[
        str | None,
        typer.Option(
            help="How visible the perturbation may be: mild, medium, strong, or a budget such as "
            "8/255, l2:8@512 or perceptual:0.5. Default: the protection's own."
        ),
    ] = None,
    model: Model = "embedded",
    size: Size = None,
    mask: Mask = None,
    seed: Seed = 0,
    device: Device = None,
    dtype: Dtype = None,
    force: Force = False,
    lossy: Lossy = False,
    keep_metadata: KeepMetadata = False,
) -> None:
    """Protect photos at their own size; says how visible the perturbation is before it writes.

    With a folder as output, the same command resumes after an interruption. Protections that train
    a surrogate, such as anti-dreambooth, treat all photos as one collection.

    Example: brittle protect holiday/ --with encoder-away-jpeg --epsilon mild -o protected/
    """
    with on_stderr(to_stderr) as progress:
        made = brittle.protect_files(
            photos,
            brittle.Destination(out, force, lossy, keep_metadata),
            protection,
            budget=epsilon,
            model=brittle.load_model(model, size=size, device=device, dtype=dtype),
            mask=mask,
            seed=seed,
            say=tell,
            progress=progress,
        )
    tell_batch(made)


@app.command()
def transform(
    photos: Photos,
    out: Out,
    transform: Annotated[str, typer.Option("--with", help="A transform, or several joined by +.")],
    model: Model = "embedded",
    size: Size = None,
    seed: Seed = 0,
    device: Device = None,
    dtype: Dtype = None,
    force: Force = False,
    lossy: Lossy = False,
    keep_metadata: KeepMetadata = False,
) -> None:
    """Apply a transform to photos and save what a recipient would get, as PNG.

    With a folder as output, the same command resumes after an interruption. Only transforms that
    run a model read one.

    Example: brittle transform protected/me.png --with jpeg:quality=65+flip -o received/
    """
    with on_stderr(to_stderr) as progress:
        made = brittle.transform_files(
            photos,
            brittle.Destination(out, force, lossy, keep_metadata),
            transform,
            load=lambda: brittle.load_model(model, size=size, device=device, dtype=dtype),
            seed=seed,
            say=tell,
            progress=progress,
        )
    tell_batch(made)


@app.command()
def edit(
    photos: Photos,
    prompt: Annotated[str, typer.Option(help="What the edit should show.")],
    out: Out,
    editor: Annotated[str, typer.Option(help="An editor: see `brittle list editors`.")] = "img2img",
    model: Model = "embedded",
    size: Size = None,
    mask: Mask = None,
    seed: Annotated[
        int, typer.Option(min=0, max=MOST, help="The generator's seed, as in diffusers.")
    ] = 0,
    device: Device = None,
    dtype: Dtype = None,
    force: Force = False,
    lossy: Lossy = False,
    keep_metadata: KeepMetadata = False,
) -> None:
    """Edit photos with a prompt.

    With a folder as output, the same command resumes after an interruption.

    Example: brittle edit me.png --prompt "heavy rain" --editor img2img:strength=0.4 -o rain.png
    """
    with on_stderr(to_stderr) as progress:
        made = brittle.edit_files(
            photos,
            brittle.Destination(out, force, lossy, keep_metadata),
            prompt,
            editor=editor,
            model=brittle.load_model(model, size=size, device=device, dtype=dtype),
            mask=mask,
            seed=seed,
            say=tell,
            progress=progress,
        )
    tell_batch(made)


@app.command()
def placebo(
    original: Annotated[
        Path, typer.Argument(help="The photo, or a folder of photos.", show_default=False)
    ],
    protected: Annotated[
        Path, typer.Argument(help="The protected file, or a folder of them.", show_default=False)
    ],
    out: Annotated[Path, typer.Option("-o", "--out", help="A folder.")],
    kinds: Annotated[
        list[str] | None,
        typer.Option(
            "--kind",
            help="noise, noise-spectrum, noise-local or transplant. Repeatable; default: the "
            "three kinds of noise.",
        ),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, max=MOST, help="The seed of the noise.")] = 0,
    force: Force = False,
) -> None:
    """Write placebos of a protected file (noise of its size), as controls for your own experiment.

    Example: brittle placebo me.png protected.png -o noise
    """
    for path in brittle.placebo_files(
        original, protected, out, kinds=kinds or (), seed=seed, force=force
    ):
        tell(str(path))
