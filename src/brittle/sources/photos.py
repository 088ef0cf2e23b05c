"""The photos of a trial: a folder of one's own, or the eight that brittle's dependencies bring."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from importlib import resources
from pathlib import Path
from typing import Any

from torch import Tensor

from brittle.component import key
from brittle.declaration.trial import Trial
from brittle.editors import Editor
from brittle.errors import UserError, printable
from brittle.images import (
    Photo,
    checked_mask,
    digest,
    middle_square,
    named_mask,
    quantise,
    read_photo,
    stretch,
)
from brittle.sources.folders import (
    collections,
    folders_of,
    holds_photos,
    left_out,
    photo_files,
)
from brittle.sources.names import match
from brittle.sources.same_photo import refuse_others

SAMPLE = {
    ("skimage", "data/astronaut.png"): "NASA, public domain (scikit-image)",
    ("skimage", "data/chelsea.png"): "Stéfan van der Walt, CC0 (scikit-image)",
    ("skimage", "data/coffee.png"): "Rachel Michetti, CC0 (scikit-image)",
    ("skimage", "data/rocket.jpg"): "SpaceX, CC0 (scikit-image)",
    ("skimage", "data/camera.png"): "Lav Varshney, CC0 (scikit-image)",
    ("skimage", "data/hubble_deep_field.jpg"): "NASA, public domain (scikit-image)",
    ("skimage", "data/motorcycle_left.png"): "Middlebury Stereo 2014, CC0 (scikit-image)",
    ("matplotlib", "mpl-data/sample_data/grace_hopper.jpg"): "US Navy, public domain (Matplotlib)",
}
"""Package, path: who made it and under which licence."""


@dataclass(frozen=True)
class TrialPhoto:
    """A photo as a trial uses it, who made it, and what of it may be edited.

    ``mask`` (1, 1, H, W) is white where an inpainting editor may paint; None without such editors.
    """

    photo: Photo
    credit: str = ""
    mask: Tensor | None = None
    group: str = ""
    """The photos that it belongs together with; empty: none."""

    @property
    def image(self) -> Tensor:
        """The photo (1, 3, H, W) on the 8-bit grid."""
        return self.photo.image

    @property
    def digest(self) -> str:
        """The identity of the photo's pixels; its noise derives from it."""
        return self.photo.digest

    @property
    def mask_key(self) -> str | None:
        """The key under which the store keeps the mask."""
        return None if self.mask is None else key("mask", digest(self.mask))


def load_photos(
    source: str, *, square: int | None = None, mask: str | None = None
) -> dict[str, TrialPhoto]:
    """Read a trial's photos by name, in the order of their files.

    ``source`` is ``sample``, a folder or a file. A folder without photos of its own may hold
    folders of them: then each is a group of photos that belong together, as of one shoot, and its
    photos are named GROUP/NAME. With ``square`` each is cropped to its centre and
    resampled to that many pixels a side. ``mask`` is ``auto``, ``alpha``, a file for all of them,
    or a folder with a mask for each, NAME.mask.png or NAME.png, or GROUP/NAME.mask.png.

    Raises:
        UserError: nothing there, two photos of one name or with the same pixels, a file that is
            no usable image, a photo without its mask, a mask of two photos.
    """
    found = _sample() if source == "sample" else _files(Path(source))
    inside = {path: path.parent.name if group else "" for path, _, group in found}
    masks = {} if mask is None else masks_of(inside, mask)
    photos: dict[str, TrialPhoto] = {}
    digests: dict[str, Path] = {}
    for path, credit, group in found:
        photo = read_photo(path)
        masked = named_mask(masks[path], photo) if masks else None
        if square is not None:
            photo, masked = centre_square(photo, square), _centre_mask(masked, square, photo.name)
        name = f"{group}/{photo.name}" if group else photo.name
        if name in photos:
            raise UserError(f"Two photos are named {name}: rename {path}.")
        if photo.digest in digests:
            raise UserError(f"{path} and {digests[photo.digest]} are the same picture: keep one.")
        photos[name] = TrialPhoto(photo, credit, masked, group)
        digests[photo.digest] = path
    return photos


def _files(source: Path) -> list[tuple[Path, str, str]]:
    """The photos, without credits, and the group of each: the folder in a folder of folders."""
    groups = [] if os.path.isfile(source) or holds_photos(source) else folders_of(source)
    if not groups:
        return [(path, "", "") for path in photo_files(source)]
    names = {folder: printable(folder.name) for folder in groups}
    return [(path, "", name) for folder, name in names.items() for path in photo_files(folder)]


def learns(trial: Trial) -> bool:
    """Whether a trial's editors learn from collections."""
    return any(Editor.parse(text).takes_collection for text in trial.editors)


def read_photos(trial: Trial) -> dict[str, TrialPhoto]:
    """A trial's photos by name; where its editors learn from collections, as COLLECTION/NAME.

    Then ``photos`` is a folder of pictures, which is one collection, or a folder of such folders.

    Raises:
        UserError: as `load_photos`; a picture that two collections share.
    """
    if not learns(trial):
        return load_photos(trial.photos, square=trial.square, mask=trial.mask)
    photos: dict[str, TrialPhoto] = {}
    owners: dict[str, str] = {}
    for folder in collections(Path(trial.photos)):
        collection = printable(folder.name or folder.resolve().name)
        for name, photo in load_photos(str(folder), square=trial.square).items():
            if owners.setdefault(photo.digest, collection) != collection:
                raise UserError(f"{owners[photo.digest]} and {collection} share {name}: keep one.")
            photos[f"{collection}/{name}"] = photo
    return photos


def given_files(trial: Trial, photos: dict[str, TrialPhoto]) -> dict[tuple[str, str], TrialPhoto]:
    """The protected files that a trial names folders of, by photo and arm.

    A file belongs to the photo whose name its own begins or ends with (`names.match`), and shows it
    at its size. Those of a group or a collection lie in a folder of its name, where there is one.

    Raises:
        UserError: a photo without its file, or with one of another size, of another picture, or of
            another photo too.
    """
    found: dict[tuple[str, str], TrialPhoto] = {}
    for label, folder in trial.files.items():
        partners = _partners(photos, Path(folder))
        _refuse_shared(partners, "the protected file")
        for name, original in photos.items():
            if name not in partners:
                raise UserError(f"{folder} has no file for the photo {name}: expected {name}.png.")
            path = partners[name]
            protected = read_photo(path)
            sizes = [
                f"{one.shape[-1]} x {one.shape[-2]} px" for one in (protected.image, original.image)
            ]
            if protected.image.shape != original.image.shape:
                raise UserError(f"{path} is {sizes[0]}, and the photo is {sizes[1]} in this trial.")
            refuse_others(original.image, protected.image, f"{name} and {path}")
            found[name, label] = replace(original, photo=protected)
    return found


def _partners(photos: Mapping[str, TrialPhoto], folder: Path) -> dict[str, Path]:
    """By photo, its file below a folder: in one of its group's or collection's name, if there."""
    together: dict[Path, dict[str, str]] = {}
    for name, photo in photos.items():
        inside = folder / name.rpartition("/")[0]
        together.setdefault(inside if inside.is_dir() else folder, {})[name] = photo.photo.name
    found: dict[str, Path] = {}
    for place, names in together.items():
        files = {path.stem: path for path in photo_files(place)}
        partners = match([*names.values()], files)
        found |= {name: files[partners[own]] for name, own in names.items() if own in partners}
    return found


def _refuse_shared(found: Mapping[Any, Any], what: str) -> None:
    """Refuse a file that belongs to two photos."""
    owners: dict[Any, Any] = {}
    for photo, path in found.items():
        if (other := owners.setdefault(path, photo)) != photo:
            raise UserError(
                f"{path} would be {what} of {other} and of {photo}: put such files into folders "
                "that are called as those of the photos."
            )


def notes_on(trial: Trial) -> list[str]:
    """What to say of the files beside a trial's photos."""
    if trial.photos == "sample":
        return []
    source = Path(trial.photos)
    folders = collections(source) if learns(trial) or not holds_photos(source) else [source]
    return [note for folder in folders for note in left_out(folder)]


def masks_of(inside: Mapping[Path, str], mask: str) -> dict[Path, str]:
    """The mask of each photo's file, as `named_mask` takes it: in a folder, that of its name.

    ``inside`` names the folder that the photo lies in, below all of them: its mask is looked for in
    one of that name first.

    Raises:
        UserError: the folder holds none for a photo, or one for two of them.
    """
    place = Path(mask)
    if mask in ("auto", "alpha") or not place.is_dir():
        return dict.fromkeys(inside, mask)
    found = {path: _mask_in(place, within, path) for path, within in inside.items()}
    _refuse_shared(found, "the mask")
    return found


def _mask_in(place: Path, inside: str, photo: Path) -> str:
    for folder in (place / inside, place):
        for candidate in (folder / f"{photo.stem}.mask.png", folder / f"{photo.stem}.png"):
            if candidate.is_file() and not candidate.samefile(photo):
                return str(candidate)
    raise UserError(
        f"{place} holds no mask for {photo.stem}: expected {photo.stem}.mask.png there."
    )


def centre_square(photo: Photo, side: int) -> Photo:
    """The photo's centre as a square of ``side`` pixels: cropped, then resampled and rounded."""
    image = quantise(_centre(photo.image, side))
    short = min(photo.image.shape[-2:])
    notes = [f"cropped to its centre, {side} px a side"]
    if short < side:
        notes.append(f"enlarged from {short} px")
    return replace(
        photo,
        image=image,
        alpha=None,
        notes=(*photo.notes, *notes),
        # What a JPEG left in the pixels does not outlast being resampled.
        jpeg_traces=photo.jpeg_traces and short == side,
        digest=digest(image),
    )


def _centre_mask(mask: Tensor | None, side: int, name: str) -> Tensor | None:
    if mask is None:
        return None
    return checked_mask((_centre(mask, side) >= 0.5).float(), f"of {name}, cut to its centre,")


def _centre(image: Tensor, side: int) -> Tensor:
    return stretch(middle_square(image), (side, side), "bicubic")


def _sample() -> list[tuple[Path, str, str]]:
    return [
        (Path(str(resources.files(package) / path)), credit, "")
        for (package, path), credit in SAMPLE.items()
    ]
