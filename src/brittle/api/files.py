"""From photos to files: what is made of each, and what is said of it."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from math import prod
from pathlib import Path

from torch import Tensor

from brittle import appearance
from brittle.api import pictures
from brittle.api.batches import Batch, BatchJob, Destination, Photos, Piece, Result, Work
from brittle.api.pictures import read_protection
from brittle.api.reports import Report, Say, quiet
from brittle.appearance import Visibility, essentials, looks, spent
from brittle.budgets import BEYOND, STRENGTHS, Budget
from brittle.decoding import size_of
from brittle.editors import Editor
from brittle.errors import UserError
from brittle.images import Photo, from_file, named_mask, read_photo
from brittle.models import EditModel, load_model
from brittle.models.memory import check_edit
from brittle.models.prompts import check_prompts, cut_note, cut_prompts
from brittle.progress import Advance, Progress, silent
from brittle.protections import Protection, Trace
from brittle.sources.pairs import pairs_below
from brittle.sources.photos import masks_of
from brittle.transforms import Transform


def protect_files(
    photos: Photos,
    out: str | Path | Destination,
    protection: str | Protection = "photoguard-encoder",
    *,
    budget: str | Budget | None = None,
    model: EditModel | None = None,
    mask: str | None = None,
    seed: int = 0,
    say: Say = quiet,
    progress: Progress = silent,
) -> Report[Batch]:
    """Protect photos at their own size; returns each file, and how visible its protection is.

    Each photo by itself; all of them together where the protection is one of collections.

    >>> report = brittle.protect_files("me.png", "mine", "photoguard-encoder:steps=2")
    >>> [(one.file, one.found["PSNR"] > 25) for one in report.found.made]
    [(PosixPath('mine/me.png'), True)]

    Into a folder the same call resumes: pictures that it made of the same
    photos by the same setting are kept. Of several photos one that can't be used is listed among
    ``failed``, and the others are protected.

    Args:
        photos: files, or folders of them, which keep the folders in them.
        out: a .png file, a folder, or a `Destination`, which knows more.
        protection: a protection or its text; `describe` lists them.
        budget: how visible it may be, in place of the protection's own: "mild", "8/255" ….
        model: the edit model to protect against; the embedded one if none is given.
        mask: a file (white: may be edited), a folder of them by the photos' names, ``alpha``, or
            ``auto``: an ellipse.
        seed: of what the protection draws.
        say: told how visible each protection is before it is written, and then where it was.
        progress: told of the steps.

    Raises:
        UserError: as `protect`; photos that aren't there, or the only one can't be read or would
            not be protected at all; a file that is there or can't be written.
    """
    to = _destination(out)
    pieces = _with_masks(to, to.pieces(photos, say), mask)
    component, model = read_protection(protection, budget), model or load_model()
    component.check_model(model)
    say(f"{component} on {model}")
    if model.why_no_edits:
        say(f"Note: only the autoencoder is used. {model.why_no_edits}")

    def protected(group: Sequence[Piece], advance: Advance) -> list[Result]:
        component.check_memory(model, [size_of(one.photo) for one in group])
        read = [read_photo(one.photo) for one in group]
        made = component.together(
            model,
            [photo.image for photo in read],
            masks=[_mask(one, photo, mask) for one, photo in zip(group, read, strict=True)]
            if mask
            else None,
            seeds=[seed] * len(read),
            trace=Trace(on_step=lambda *_: advance(1)),
        )
        return [_protected(component, to, *one) for one in zip(group, read, made, strict=True)]

    if component.needs_collection:
        everything = tuple(one.photo for one in pieces)
        pieces = [replace(one, beside=(*one.beside, *everything)) for one in pieces]
    how = ["protect", component, _named(mask), seed, *model.in_keys]
    work = Work(protected, how, component.total_steps, together=component.needs_collection)
    return BatchJob(pieces, to, work, say).run(progress)


def _protected(
    protection: Protection, to: Destination, piece: Piece, photo: Photo, image: Tensor
) -> Result:
    """What is written of a protected photo, with the numbers that the file itself has."""
    if image.equal(photo.image):
        raise UserError(
            f"{piece.photo}: {protection} moves no pixel by a whole level, so this photo would not "
            f"be protected and is not written: allow more (--epsilon), or longer or more steps."
        )
    data = to.encoded(piece, image, photo)
    saved, notes = from_file(data), photo.notes
    found = essentials(photo.image, image)
    said = _spent(found)
    if not saved.equal(image):
        found = essentials(photo.image, saved)
        notes = (*notes, f"saved with loss, which undoes protections: {spent(found)}")
    budget = protection.budget
    found["budget"] = float(budget.spent(photo.image, saved)) / budget.radius
    return Result(data, found, said, notes)


def _spent(found: Visibility) -> str:
    """What a protection spends, how visible it is, and a milder strength where it is plain."""
    distance = found["perceptual"]
    if not isinstance(distance, float) or looks(distance) != BEYOND:
        return spent(found)
    mild = STRENGTHS["mild"]
    return f"{spent(found)}; --epsilon mild is {mild.looks}, about {mild.decibels} dB at 512 px"


def transform_files(
    photos: Photos,
    out: str | Path | Destination,
    transform: str | Transform,
    *,
    load: Callable[[], EditModel] = load_model,
    seed: int = 0,
    say: Say = quiet,
    progress: Progress = silent,
) -> Report[Batch]:
    """Pass photos through a transform, and write what would be received; returns the files.

    >>> report = brittle.transform_files(["me.png", "paintings"], "received", "jpeg:quality=75")
    >>> report.found.files[:2]
    [PosixPath('received/me.png'), PosixPath('received/a.png')]

    Arguments and errors are those of `transform` and of `protect_files`, and so is what happens to
    a photo that can't be used and to a job that is stopped; ``say`` is told each file, and ``load``
    is asked for a model only by transforms that run one.
    """
    to = _destination(out)
    pieces, component = to.pieces(photos, say), Transform.read(transform)
    model = load() if component.capabilities.needs_model else None

    def received(piece: Piece) -> tuple[Photo, Tensor]:
        component.check_memory(size_of(piece.photo))
        photo = read_photo(piece.photo)
        return photo, pictures.transform(photo.image, component, model=model, seed=seed)

    how = ["transform", component, seed, *([] if model is None else model.in_keys)]
    return BatchJob(pieces, to, Work(_one_by_one(to, received), how), say).run(progress)


def edit_files(
    photos: Photos,
    out: str | Path | Destination,
    prompt: str,
    *,
    editor: str | Editor = "img2img",
    model: EditModel | None = None,
    mask: str | None = None,
    seed: int = 0,
    say: Say = quiet,
    progress: Progress = silent,
) -> Report[Batch]:
    """Edit photos with a prompt, and write the edits at the model's size; returns the files.

    >>> mild = "img2img:strength=0.1"
    >>> report = brittle.edit_files("me.png", "rain.png", "heavy rain", editor=mild)
    >>> report.found.files
    [PosixPath('rain.png')]

    Arguments and errors are those of `edit` and of `protect_files`, and so is what happens to
    a photo that can't be used and to a job that is stopped; ``say`` is told each file.
    """
    if not prompt.strip():
        raise UserError("The prompt is empty: say what the edit should show, as --prompt rain.")
    to = _destination(out)
    pieces = _with_masks(to, to.pieces(photos, say), mask)
    model = model or load_model()
    component = Editor.read(editor).resolve(model)
    check_prompts(model, [prompt])
    check_edit(model, 0)
    for cut in cut_prompts(model, [prompt]) if model.edits else ():
        say(f"Note: {cut_note(model, cut)}")

    def edited(piece: Piece) -> tuple[Photo, Tensor]:
        check_edit(model, prod(size_of(piece.photo)))
        photo = read_photo(piece.photo)
        return photo, pictures.edit(
            photo.image,
            prompt,
            editor=component,
            model=model,
            mask=_mask(piece, photo, mask) if mask else None,
            seed=seed,
        )

    how = ["edit", component, prompt, _named(mask), seed, *model.in_keys]
    return BatchJob(pieces, to, Work(_one_by_one(to, edited), how), say).run(progress)


def visibility_files(
    originals: str | Path,
    protected: str | Path,
    out: str | Path | None = None,
    *,
    gain: float = 10,
    overwrite: bool = False,
    say: Say = quiet,
    progress: Progress = silent,
) -> Report[Batch]:
    """How visible protections are on the photos of two folders, which share their names.

    >>> report = brittle.visibility_files("paintings", "cloaked")
    >>> [(one.photo, round(one.found["largest change"])) for one in report.found.made]
    [('a.png', 4), ('b.png', 4)]

    Args:
        originals: a folder of photos, and of folders of them.
        protected: the folder of their protected files.
        out: a folder for the differences, as `visibility` draws them.
        gain: how much to amplify them.
        overwrite: the files of the differences.
        say: told of each photo, and of files without a partner.
        progress: told of the photos.

    Raises:
        UserError: folders that aren't there or share no name; a file that is there or can't be
            written.
    """
    to = None if out is None else Destination(out, overwrite)
    pairs, alone = pairs_below(Path(originals), Path(protected))
    if alone:
        say(f"Without a partner, and left out: {'; '.join(alone)}.")
    partners = {pair.protected: pair.original for _, pair in pairs}
    pieces = [
        Piece(
            pair.protected,
            None if out is None else Path(out) / folder / f"{pair.protected.stem}.png",
            (folder / pair.protected.name).as_posix(),
            beside=(pair.original,),
        )
        for folder, pair in pairs
    ]

    def looked_at(group: Sequence[Piece], advance: Advance) -> list[Result]:
        (piece,) = group
        original, published = read_photo(partners[piece.photo]), read_photo(piece.photo)
        found = appearance.measure(original.image, published.image)
        data = None
        if to is not None:
            added = appearance.difference(original.image, published.image, gain)
            data = to.encoded(piece, added, published)
        advance(1)
        return [Result(data, found, spent(found))]

    return BatchJob(pieces, to, Work(looked_at, ["visibility", gain]), say).run(progress)


def _destination(out: str | Path | Destination) -> Destination:
    return out if isinstance(out, Destination) else Destination(out)


def _one_by_one(
    to: Destination, make: Callable[[Piece], tuple[Photo, Tensor]]
) -> Callable[[Sequence[Piece], Advance], list[Result]]:
    """Work on one photo after another, of which nothing is said but the file."""

    def made(group: Sequence[Piece], advance: Advance) -> list[Result]:
        (piece,) = group
        photo, image = make(piece)
        advance(1)
        return [Result(to.encoded(piece, image, photo))]

    return made


def _named(mask: str | None) -> str | None:
    """A mask that is no file, whose content would count."""
    return mask if mask in ("auto", "alpha") else None


def _with_masks(to: Destination, pieces: Iterable[Piece], mask: str | None) -> list[Piece]:
    """The pieces, each with the file of its mask, if it has one, which can be read."""
    if mask is None or _named(mask):
        return [*pieces]
    inside = {one.photo: str(Path(one.name).parent) for one in pieces}
    masks = masks_of(inside, mask)
    masked = [replace(one, beside=(Path(masks[one.photo]),)) for one in pieces]
    for path in {path for one in masked for path in one.beside}:
        size_of(path)
    to.check_inputs(masked)
    return masked


def _mask(piece: Piece, photo: Photo, mask: str) -> Tensor:
    return named_mask(mask if _named(mask) else str(piece.beside[0]), photo)
