"""From photos to files: where pictures are written, and what is said of them."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from math import prod
from pathlib import Path

from torch import Tensor

from brittle.api import pictures
from brittle.api.pictures import check_fits, read_protection
from brittle.api.reports import Say, quiet
from brittle.appearance import Visibility, essentials, looks, spent
from brittle.budgets import BEYOND, STRENGTHS, Budget
from brittle.decoding import size_of
from brittle.editors import Editor
from brittle.errors import UserError
from brittle.images import (
    LOSSY,
    Photo,
    check_side,
    named_mask,
    read_photo,
    writable_suffix,
    write_image,
)
from brittle.models import EditModel, load_model
from brittle.models.memory import check_edit
from brittle.models.prompts import check_prompts, cut_note, cut_prompts
from brittle.progress import Progress, silent
from brittle.protections import Protection, Trace
from brittle.sources.folders import left_out, photo_files
from brittle.transforms import Transform

Photos = str | Path | Iterable[str | Path]
"""Photo files, and folders of them."""


@dataclass(frozen=True)
class Destination:
    """Where pictures go, and how: a file for one photo, or a folder, which gets a PNG for each.

    >>> at = brittle.Destination("rainy", overwrite=True)
    >>> brittle.transform_files("me.png", at, "flip")
    [PosixPath('rainy/me.png')]

    Args:
        path: a file (it has a suffix) or a folder.
        overwrite: what is there; an input never is.
        lossy: allow .jpg, .webp and .avif, which undo protections.
        keep_metadata: keep EXIF, GPS position included.
    """

    path: str | Path
    overwrite: bool = False
    lossy: bool = False
    keep_metadata: bool = False

    def files(self, photos: Photos) -> dict[Path, Path]:
        """The file to write for each photo. All that would fail after work is refused here.

        Raises:
            UserError: no such photo, several of them for one file, two of one name, an output that
                is an input, or one that exists.
        """
        found = [file for one in _paths(photos) for file in photo_files(one)]
        path = Path(self.path)
        named = path.suffix != "" or path.name.lower() in {".png", *LOSSY}  # which is refused
        single = named and not path.is_dir()
        if single and len(found) > 1:
            raise UserError(f"{len(found)} photos don't fit into {path}: name a folder with -o.")
        files = {photo: path if single else path / f"{photo.stem}.png" for photo in found}
        if len(set(files.values())) < len(found):
            raise UserError("Two of the photos have the same name and would share one output file.")
        for file in files.values():
            self._check(file, files)
        return files

    def write(self, file: Path, image: Tensor, photo: Photo) -> Path:
        """Write a picture (1, 3, H, W) made from a photo."""
        exif = photo.exif if self.keep_metadata else None
        write_image(file, image, overwrite=self.overwrite, exif=exif, lossy=self.lossy)
        return file

    def _check(self, file: Path, photos: Iterable[Path]) -> None:
        for photo in photos:
            if file.exists() and photo.exists() and file.samefile(photo):
                raise UserError(f"{file} is an input, and inputs are never overwritten: change -o.")
        writable_suffix(file, lossy=self.lossy)
        if file.exists() and not self.overwrite:
            raise UserError(f"{file} exists; choose another -o, or say --force.")


def _paths(photos: Photos) -> list[Path]:
    return [Path(one) for one in ([photos] if isinstance(photos, (str, Path)) else photos)]


def _files(photos: Photos, to: Destination, say: Say) -> dict[Path, Path]:
    """The file to write for each photo; what a folder holds beside photos is said."""
    paths = _paths(photos)
    files = to.files(paths)
    for path in paths:
        for note in left_out(path):
            say(note)
    return files


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
) -> dict[Path, Visibility]:
    """Protect photos at their own size; returns how visible that is on each file written.

    Each photo by itself; all of them together where the protection is one of collections.

    >>> files = brittle.protect_files("me.png", "mine", "photoguard-encoder:steps=2", budget="mild")
    >>> [(file, seen["PSNR"] > 30) for file, seen in files.items()]
    [(PosixPath('mine/me.png'), True)]

    Args:
        photos: files, or folders of them.
        out: a .png file, a folder, or a `Destination`, which knows more.
        protection: a protection or its text; `describe` lists them.
        budget: how visible it may be, in place of the protection's own: "mild", "8/255" ….
        model: the edit model to protect against; the embedded one if none is given.
        mask: a file (white: may be edited), ``alpha``, or ``auto``: an ellipse.
        seed: of what the protection draws.
        say: told how visible each protection is before it is written, and then where it was.
        progress: told of the steps.

    Raises:
        UserError: as `protect`; photos that can't be read or a file that can't be written, before
            any work where that can be known; a photo that would not be protected at all.
    """
    to = out if isinstance(out, Destination) else Destination(out)
    files = _files(photos, to, say)
    component, model = read_protection(protection, budget), model or load_model()
    say(f"{component} on {model}")
    if model.why_no_edits:
        say(f"Note: only the autoencoder is used. {model.why_no_edits}")
    calls = [[*files]] if component.needs_collection else [[path] for path in files]
    sizes = {path: size_of(path) for path in files}
    for path, file in files.items():
        check_side(sizes[path], LOSSY.get(file.suffix.lower(), "PNG"))
    for paths in calls:
        check_fits(component, model, [sizes[path] for path in paths])
    visible = {}
    for paths in calls:
        read = {path: read_photo(path) for path in paths}
        made = _protect_together(component, model, read, mask, seed, progress)
        for path, protected in made.items():
            if protected.equal(read[path].image):
                raise UserError(
                    f"{path}: {component} moves no pixel by a whole level, so this photo would not "
                    f"be protected and is not written: allow more (--epsilon), or longer or more "
                    f"steps."
                )
            found = essentials(read[path].image, protected)
            say(f"{path.name}: {_spent(found)}")
            file = to.write(files[path], protected, read[path])
            visible[file] = _as_saved(file, read[path], protected, found, say)
    return visible


def _protect_together(
    protection: Protection,
    model: EditModel,
    photos: dict[Path, Photo],
    mask: str | None,
    seed: int,
    progress: Progress,
) -> dict[Path, Tensor]:
    """One call of a protection: photos of a collection, or one."""
    name = next(iter(photos)).name if len(photos) == 1 else f"{len(photos)} photos"
    masks = [named_mask(mask, photo) for photo in photos.values()] if mask else None
    with progress(name, protection.total_steps) as advance:
        made = protection.together(
            model,
            [photo.image for photo in photos.values()],
            masks=masks,
            seeds=[seed] * len(photos),
            trace=Trace(on_step=lambda *_: advance(1)),
        )
    return dict(zip(photos, made, strict=True))


def _spent(found: Visibility) -> str:
    """What a protection spends, how visible it is, and a milder strength where it is plain."""
    distance = found["perceptual"]
    if not isinstance(distance, float) or looks(distance) != BEYOND:
        return spent(found)
    mild = STRENGTHS["mild"]
    return f"{spent(found)}; --epsilon mild is {mild.looks}, about {mild.decibels} dB at 512 px"


def _as_saved(
    file: Path, photo: Photo, protected: Tensor, found: Visibility, say: Say
) -> Visibility:
    """How visible a protection is on the file that was written, which may hold other pixels."""
    notes = [f"  written to {file}", *photo.notes]
    saved = read_photo(file).image
    if not saved.equal(protected):
        found = essentials(photo.image, saved)
        notes.append(f"saved with loss, which undoes protections: {spent(found)}")
    say("; ".join(notes))
    return found


def transform_files(
    photos: Photos,
    out: str | Path | Destination,
    transform: str | Transform,
    *,
    load: Callable[[], EditModel] = load_model,
    seed: int = 0,
    say: Say = quiet,
) -> list[Path]:
    """Pass photos through a transform, and write what would be received; returns the files.

    >>> brittle.transform_files(["me.png", "paintings"], "received", "jpeg:quality=75")[:2]
    [PosixPath('received/me.png'), PosixPath('received/a.png')]

    Arguments and errors are those of `transform` and of `protect_files`; ``say`` is told each file,
    and ``load`` is asked for a model only by transforms that run one.
    """
    to = out if isinstance(out, Destination) else Destination(out)
    files, component = _files(photos, to, say), Transform.read(transform)
    for path in files:
        component.check_memory(size_of(path))
    model = load() if component.capabilities.needs_model else None

    def received(photo: Photo) -> Tensor:
        return pictures.transform(photo.image, component, model=model, seed=seed)

    return [*_write_each(files, to, received, say)]


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
) -> list[Path]:
    """Edit photos with a prompt, and write the edits at the model's size; returns the files.

    >>> brittle.edit_files("me.png", "rain.png", "heavy rain", editor="img2img:strength=0.1")
    [PosixPath('rain.png')]

    Arguments and errors are those of `edit` and of `protect_files`; ``say`` is told each file.
    """
    if not prompt.strip():
        raise UserError("The prompt is empty: say what the edit should show, as --prompt rain.")
    to = out if isinstance(out, Destination) else Destination(out)
    files, component = _files(photos, to, say), Editor.read(editor)
    model = model or load_model()
    check_prompts(model, [prompt])
    check_edit(model, max(prod(size_of(path)) for path in files))
    for cut in cut_prompts(model, [prompt]) if model.edits else ():
        say(f"Note: {cut_note(model, cut)}")

    def edited(photo: Photo) -> Tensor:
        mask_of = named_mask(mask, photo) if mask else None
        return pictures.edit(
            photo.image, prompt, editor=component, model=model, mask=mask_of, seed=seed
        )

    return [*_write_each(files, to, edited, say)]


def _write_each(
    files: dict[Path, Path], to: Destination, make: Callable[[Photo], Tensor], say: Say
) -> Iterator[Path]:
    for path, file in files.items():
        photo = read_photo(path)
        yield to.write(file, make(photo), photo)
        say(str(file))
