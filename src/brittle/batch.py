"""Files in, files out: where a command writes, and what it says of a result."""

from collections.abc import Sequence
from pathlib import Path

from torch import Tensor

from brittle import appearance
from brittle.budgets import BEYOND, STRENGTHS
from brittle.errors import UserError
from brittle.images import Photo, read_photo, writable_suffix, write_image


class Destination:
    """Where a command's pictures go: one file for one photo, or a folder.

    Everything that would fail after minutes of work is refused before it.

    Raises:
        UserError: several photos for one file, two of one name, an output that is an input, or one
            that exists without ``force``.
    """

    def __init__(
        self, photos: Sequence[Path], out: Path, *, force: bool, lossy: bool, keep_metadata: bool
    ) -> None:
        self.force, self.lossy, self.keep_metadata = force, lossy, keep_metadata
        single = out.suffix != "" and not out.is_dir()
        if single and len(photos) > 1:
            raise UserError(f"{len(photos)} photos don't fit into {out}: name a folder with -o.")
        self.paths = {photo: out if single else out / f"{photo.stem}.png" for photo in photos}
        if len(set(self.paths.values())) < len(self.paths):
            raise UserError("Two of the photos have the same name and would share one output file.")
        for path in self.paths.values():
            self._check(path)

    def write(self, source: Path, photo: Photo, image: Tensor) -> Path:
        """Write the picture made from ``source``; returns where."""
        exif = photo.exif if self.keep_metadata else None
        path = self.paths[source]
        write_image(path, image, overwrite=self.force, exif=exif, lossy=self.lossy)
        return path

    def _check(self, path: Path) -> None:
        for photo in self.paths:
            if path.exists() and photo.exists() and path.samefile(photo):
                raise UserError(f"{path} is an input, and inputs are never overwritten: change -o.")
        writable_suffix(path, lossy=self.lossy)
        if path.exists() and not self.force:
            raise UserError(f"{path} exists; choose another -o, or say --force.")


def spent(path: Path, photo: Photo, protected: Tensor) -> str:
    """What the protection of a photo spends and how visible it is, before it is written."""
    found = appearance.essentials(photo.image, protected)
    said = f"{path.name}: {appearance.spent(found)}"
    distance = found["perceptual"]
    if isinstance(distance, float) and appearance.looks(distance) == BEYOND:
        mild = STRENGTHS["mild"]
        said += f"; --epsilon mild is {mild.looks}, about {mild.decibels} dB at 512 px"
    return said


def written(path: Path, photo: Photo, protected: Tensor) -> str:
    """Where a protected photo was written, and what its file holds if not these very pixels."""
    saved = read_photo(path).image
    notes = [f"written to {path}", *photo.notes]
    if not saved.equal(protected):
        found = appearance.essentials(photo.image, saved)
        notes.append(f"saved with loss, which undoes protections: {appearance.spent(found)}")
    return "; ".join(notes)
