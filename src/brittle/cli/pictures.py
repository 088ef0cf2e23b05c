"""Commands that make pictures of photos: protect, transform, edit."""

from pathlib import Path
from typing import Annotated

import typer

from brittle.cli.app import (
    Device,
    Dtype,
    Force,
    KeepMetadata,
    Lossy,
    Mask,
    Model,
    Out,
    Photos,
    Size,
    app,
)
from brittle.errors import UserError


@app.command()
def protect(
    photos: Photos,
    out: Out,
    protection: Annotated[
        str, typer.Option("--with", help="A protection; see `brittle list protections`.")
    ] = "photoguard-encoder",
    epsilon: Annotated[
        str | None,
        typer.Option(
            help="How visible it may be: mild, medium or strong; or a budget as 8/255 (of [0, 1]), "
            "l2:8@512, perceptual:0.5. Without it, the protection's own."
        ),
    ] = None,
    model: Model = "embedded",
    size: Size = None,
    mask: Mask = None,
    seed: Annotated[int, typer.Option(min=0)] = 0,
    device: Device = None,
    dtype: Dtype = None,
    force: Force = False,
    lossy: Lossy = False,
    keep_metadata: KeepMetadata = False,
) -> None:
    """Protect photos at their own size, and say how visible that is before they are written.

    anti-dreambooth takes all of them as one collection.

    Example: brittle protect me.jpg --with encoder-away-jpeg --epsilon mild -o protected/
    """
    from brittle import api
    from brittle.batch import Destination, spent, written
    from brittle.decoding import size_of
    from brittle.images import named_mask, read_photo
    from brittle.progress import bars
    from brittle.protections import Trace

    to = Destination(photos, out, force=force, lossy=lossy, keep_metadata=keep_metadata)
    component = api.protection(protection, epsilon)
    loaded = api.load_model(model, size=size, device=device, dtype=dtype)
    typer.echo(f"{component} on {loaded}")
    together = [photos] if component.needs_collection else [[path] for path in photos]
    for paths in together:
        component.check_memory(loaded, [size_of(path) for path in paths])
    for paths in together:
        read = [read_photo(path) for path in paths]
        masks = [named_mask(mask, photo) for photo in read] if mask else None
        name = paths[0].name if len(paths) == 1 else f"{len(paths)} photos"
        with bars() as progress, progress(name, component.total_steps) as advance:
            trace = Trace(on_step=lambda *_, advance=advance: advance(1))
            protected = component.together(
                loaded,
                [photo.image for photo in read],
                masks=masks,
                seeds=[seed] * len(read),
                trace=trace,
            )
        for path, photo, one in zip(paths, read, protected, strict=True):
            if one.equal(photo.image):
                raise UserError(
                    f"{path}: {component} moves no pixel by a whole level, so this photo would not "
                    f"be protected and is not written: allow more (--epsilon), or longer or more "
                    f"steps."
                )
            typer.echo(f"{spent(path, photo, one)}; ", nl=False)
            typer.echo(written(to.write(path, photo, one), photo, one))


@app.command()
def transform(
    photos: Photos,
    out: Out,
    transform: Annotated[str, typer.Option("--with", help="A transform, or several joined by +.")],
    model: Model = "embedded",
    size: Size = None,
    seed: Annotated[int, typer.Option(min=0)] = 0,
    device: Device = None,
    dtype: Dtype = None,
    force: Force = False,
    lossy: Lossy = False,
    keep_metadata: KeepMetadata = False,
) -> None:
    """Pass photos through a transform, and keep what would be received as PNG.

    A model is read only for transforms that run one (denoise, autoencode, impress).

    Example: brittle transform protected/me.png --with jpeg:quality=65+flip -o received/
    """
    from brittle import api
    from brittle.batch import Destination
    from brittle.images import read_photo
    from brittle.transforms import Transform

    to = Destination(photos, out, force=force, lossy=lossy, keep_metadata=keep_metadata)
    component = Transform.parse(transform)
    loaded = None
    if component.capabilities.needs_model:
        loaded = api.load_model(model, size=size, device=device, dtype=dtype)
    for path in photos:
        photo = read_photo(path)
        received = api.transform(photo.image, component, model=loaded, seed=seed)
        typer.echo(to.write(path, photo, received))


@app.command()
def edit(
    photo: Annotated[Path, typer.Argument(help="A photo file.", show_default=False)],
    prompt: Annotated[str, typer.Option(help="What the edit should show.")],
    out: Out,
    editor: Annotated[str, typer.Option(help="An editor; see `brittle list editors`.")] = "img2img",
    model: Model = "embedded",
    size: Size = None,
    mask: Mask = None,
    seed: Annotated[int, typer.Option(min=0, help="As diffusers uses it.")] = 0,
    device: Device = None,
    dtype: Dtype = None,
    force: Force = False,
    lossy: Lossy = False,
    keep_metadata: KeepMetadata = False,
) -> None:
    """Edit a photo with a prompt.

    Example: brittle edit me.png --prompt "heavy rain" --editor img2img:strength=0.4 -o rain.png
    """
    from brittle import api
    from brittle.batch import Destination
    from brittle.images import named_mask, read_photo

    if not prompt.strip():
        raise UserError("The prompt is empty: say what the edit should show, as --prompt rain.")
    to = Destination([photo], out, force=force, lossy=lossy, keep_metadata=keep_metadata)
    read = read_photo(photo)
    edited = api.edit(
        read.image,
        prompt,
        editor=editor,
        model=api.load_model(model, size=size, device=device, dtype=dtype),
        mask=named_mask(mask, read) if mask else None,
        seed=seed,
    )
    typer.echo(to.write(photo, read, edited))
