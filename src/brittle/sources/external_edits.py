"""Pictures that were made elsewhere: read, brought to the size of comparison, and kept."""

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from torch import Tensor

from brittle.component import key
from brittle.errors import UserError
from brittle.images import Photo, digest, model_shape, quantise, read_photo, stretch
from brittle.models import EditModel
from brittle.record.arms import ORIGINAL
from brittle.record.manifest import ELSEWHERE
from brittle.record.store import Store
from brittle.sources.edits_table import TableEdit
from brittle.sources.photos import TrialPhoto

SIDE = 512
"""Longest side, in pixels, at which edits are compared without an edit model."""
RATIO = 0.01
"""How far the sides' ratio of a photo and of its edits may differ."""
LOSSY = ("JPEG", "MPO", "WEBP", "AVIF")


class PictureReader:
    """Reads pictures, brings each to the size at which it is compared, and keeps it."""

    def __init__(self, store: Store, model: EditModel | None) -> None:
        self.store = store
        self.size, self.multiple = (SIDE, 1) if model is None else (model.size, model.factor)
        self.sizes: dict[str, tuple[tuple[int, int], TableEdit]] = {}
        self.lossy = 0
        self.longest = 0
        """Longest side, in pixels, of a picture as it is compared."""
        self.read: set[Path] = set()
        self.digests: dict[str, str] = {}
        """By key, the identity of an edit's pixels as they are compared."""

    def edit(self, entry: TableEdit) -> str:
        """Keep an entry's edit; returns its key."""
        photo = _read(entry.edit, entry)
        height, width = photo.image.shape[-2:]
        known, first = self.sizes.setdefault(entry.photo, ((height, width), entry))
        if known != (height, width):
            raise UserError(
                f"{entry.where}: {entry.edit.name} is {width} × {height} px, and "
                f"{first.edit.name} of the same photo {known[1]} × {known[0]} px: bring a photo's "
                "edits to one size."
            )
        if entry.edit not in self.read:
            self.read.add(entry.edit)
            self.lossy += photo.source_format in LOSSY
        identity = key("edit", ELSEWHERE, photo.digest, [self.size, self.multiple])
        fitted = quantise(self._fit(photo.image, height, width))
        self.digests[identity] = digest(fitted)
        if not self.store.has(identity):
            self.store.write(identity, fitted)
        return identity

    def photos(self, entries: Iterable[TableEdit]) -> dict[str, TrialPhoto]:
        """The untouched photos that were given, in the shape of their edits."""
        found, owners = {}, dict[str, str]()
        for entry in entries:
            if entry.original is None or entry.photo in found:
                continue
            photo = _read(entry.original, entry)
            if (other := owners.setdefault(photo.digest, entry.photo)) != entry.photo:
                raise UserError(
                    f"{entry.where}: {entry.original.name} is the original of {other}, too: give "
                    f"{entry.photo} its own."
                )
            height, width = self.sizes[entry.photo][0]
            own_height, own_width = photo.image.shape[-2:]
            if abs(own_width * height / (own_height * width) - 1) > RATIO:
                raise UserError(
                    f"{entry.where}: {entry.original.name} is {own_width} × {own_height} px and "
                    f"its edits are {width} × {height} px: crop them alike."
                )
            fitted = quantise(self._fit(photo.image, height, width))
            self.store.write(original_key(photo), fitted)
            found[entry.photo] = TrialPhoto(replace(photo, name=entry.photo, image=fitted))
        return found

    def notes(self) -> list[str]:
        """What is to be said of the files."""
        if not self.lossy:
            return []
        return [
            f"{self.lossy} of {len(self.read)} edits came in files with loss (JPEG and such): "
            "what that does to them counts as if the editor had done it."
        ]

    def _fit(self, image: Tensor, height: int, width: int) -> Tensor:
        shape = model_shape(height, width, size=self.size, multiple=self.multiple)
        self.longest = max(self.longest, *shape)
        return stretch(image, shape)


def _read(path: Path, entry: TableEdit) -> Photo:
    try:
        return read_photo(path)
    except UserError as error:
        raise UserError(f"{entry.where}: {error}") from None


def original_key(photo: Photo) -> str:
    """The key under which the store keeps an untouched photo."""
    return key("release", ORIGINAL, ELSEWHERE, photo.digest)
