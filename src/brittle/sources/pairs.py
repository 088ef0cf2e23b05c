"""From paths to pairs of pictures: which belongs to which, and both at one size."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from brittle.data import Data
from brittle.errors import UserError, printable
from brittle.images import LOSSY, Photo, digest, quantise, read_photo, stretch
from brittle.places import shown
from brittle.protections.placebo import Change
from brittle.sources import names
from brittle.sources.alignment import aligned
from brittle.sources.folders import folders_below, holds_photos, photo_files
from brittle.sources.same_photo import doubts, refuse_others

SHOWN = 6
"""How many files a sentence names."""


class PictureFile(Data):
    """One file, as it was read."""

    path: str
    """Where it lies, as it may be published: from the current folder, or its name."""
    format: str
    """The file's format: ``PNG``, ``JPEG`` …"""
    width: int
    """Pixels across, as a person sees the picture: turned upright."""
    height: int
    """Pixels down."""
    jpeg_traces: bool
    """Whether the file is a JPEG, or holds a picture that was one at quality 90 or below."""
    notes: tuple[str, ...]
    """What was done on reading: turned upright, transparency on white, 16 bits to 8 …"""

    @property
    def long_side(self) -> int:
        """Pixels of the longer side."""
        return max(self.width, self.height)


@dataclass(frozen=True)
class Pair:
    """Two files that belong together."""

    name: str
    original: Path
    protected: Path


@dataclass(frozen=True)
class PairPictures:
    """A pair as read, both at one size."""

    pair: Pair
    photos: tuple[Photo, Photo]
    """The original, resampled where the protected file has another size, and the protected one."""
    files: tuple[PictureFile, PictureFile]
    flags: tuple[str, ...]
    doubts: tuple[str, ...]

    @property
    def unchanged(self) -> bool:
        """Whether both hold the same pixels."""
        return torch.equal(self.original, self.protected)

    @property
    def flat(self) -> bool:
        """Whether the original is of one colour everywhere."""
        return torch.equal(self.original, self.original[..., :1, :1].expand_as(self.original))

    @property
    def original(self) -> Tensor:
        """The original (1, 3, H, W) on the 8-bit grid."""
        return self.photos[0].image

    @property
    def protected(self) -> Tensor:
        """The protected file (1, 3, H, W) on the 8-bit grid."""
        return self.photos[1].image

    @property
    def change(self) -> Change:
        """What was done to the photo, as the random perturbations of its size see it."""
        return _change(*self.photos)


def find_pairs(original: Path, protected: Path) -> tuple[list[Pair], tuple[str, ...]]:
    """The pairs of two files or of two folders, by name, and the files without a partner.

    See `names.match`; of each file without, the nearest names are told.

    Raises:
        UserError: nothing there, a file and a folder, the same twice, no name in common.
    """
    for path in (original, protected):
        if not path.exists():
            raise UserError(f"{path} doesn't exist.")
    if original.is_dir() != protected.is_dir():
        raise UserError(
            f"{original} and {protected} are a file and a folder: name two files, or two folders."
        )
    if original.samefile(protected):
        raise UserError(
            f"{original} and {protected} are the same {'folder' if original.is_dir() else 'file'}: "
            "name the original first and then the protected one."
        )
    if not original.is_dir():
        return [Pair(protected.stem, original, protected)], ()
    pairs, alone = _named_alike(original, protected)
    if not pairs:
        raise UserError(
            f"{original} and {protected} have no file name in common: a protected photo is found "
            "by its original's name, which its own begins or ends with (x.png, x_protected.png): "
            f"{'; '.join(alone[:SHOWN])}."
        )
    return pairs, alone


def _named_alike(original: Path, protected: Path) -> tuple[list[Pair], tuple[str, ...]]:
    """As `find_pairs` of two folders, which may have no name in common."""
    left, right = (_by_stem(photo_files(folder)) for folder in (original, protected))
    partners = names.match(left, right)
    rest = (
        {stem: left[stem] for stem in left.keys() - partners.keys()},
        {stem: right[stem] for stem in right.keys() - partners.values()},
    )
    alone = tuple(sorted([*_alone(rest[0], rest[1]), *_alone(rest[1], rest[0])]))
    return [Pair(name, left[name], right[partners[name]]) for name in sorted(partners)], alone


def pairs_below(original: Path, protected: Path) -> tuple[list[tuple[Path, Pair]], tuple[str, ...]]:
    """As `find_pairs`, of two folders and all that are in both; each pair with its folder in them.

    Raises:
        UserError: as `find_pairs`.
    """
    pairs, alone = list[tuple[Path, Pair]](), list[str]()
    for folder in folders_below(original, without=protected) if original.is_dir() else ():
        inner = folder.relative_to(original)
        if holds_photos(folder) and holds_photos(protected / inner):
            found, rest = _named_alike(folder, protected / inner)
            pairs += [(inner, pair) for pair in found]
            alone += rest
    if not pairs:
        return [(Path(), pair) for pair in find_pairs(original, protected)[0]], ()
    return pairs, tuple(alone)


def _alone(files: dict[str, Path], others: dict[str, Path]) -> Iterator[str]:
    """Files without a partner, each with the names that come nearest."""
    for stem, path in files.items():
        near = [others[other].name for other in names.nearest(stem, others)]
        told = f"{shown(path.parent)}/{path.name}"
        yield printable(f"{told} (nearest: {', '.join(near)})" if near else told)


def _by_stem(paths: Iterable[Path]) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for path in paths:
        if path.stem in found:
            raise UserError(f"{found[path.stem]} and {path} share a name: keep one of them.")
        found[path.stem] = path
    return found


def read_pair(pair: Pair) -> PairPictures:
    """Read both files; the original is moved, cropped or resampled to where the protected one lies.

    Raises:
        UserError: a file that can't be read, two pictures of different proportions that are no
            crops, or two different pictures.
    """
    first, second = read_photo(pair.original), read_photo(pair.protected)
    files = describe(pair.original, first), describe(pair.protected, second)
    first, flags = _laid_under(pair, first, second)
    # What was drawn over the photo says nothing of whether it is the same, at the same place.
    change = _change(first, second)
    under = torch.where(change.covered, second.image, first.image)
    refuse_others(under, second.image, f"{pair.original} and {pair.protected}")
    flags += [*_overlay_flags(change.covered), *_jpeg_flags(first, second), *_lossy_flags(second)]
    flags += _processing_flags(change)
    return PairPictures(pair, (first, second), files, tuple(flags), doubts(under, second.image))


def _change(original: Photo, protected: Photo) -> Change:
    return Change.between(original.image[0], protected.image[0], given=True)


def describe(path: Path, photo: Photo) -> PictureFile:
    """A file's facts."""
    height, width = photo.image.shape[-2:]
    return PictureFile(
        path=str(path),
        format=photo.source_format,
        width=width,
        height=height,
        jpeg_traces=photo.jpeg_traces,
        notes=photo.notes,
    )


def _laid_under(pair: Pair, original: Photo, protected: Photo) -> tuple[Photo, list[str]]:
    """The original where the protected file lies, in its size, and what was done to it.

    Raises:
        UserError: two pictures of different proportions, neither of which is a part of the other.
    """
    before, after = original.image, protected.image
    resampled, said, refusal = before, "", None
    if before.shape != after.shape:
        try:
            said = _resampling(pair, before, after)
            resampled = quantise(stretch(before, tuple(after.shape[-2:]), "bicubic"))
        except UserError as error:
            refusal = error
    found = aligned(after, before, None if refusal else resampled)
    if found is not None:
        resampled, (down, right) = found
        said = _moving(before, after, down, right)
    elif refusal:
        raise refusal
    if not said:
        return original, []
    return replace(original, image=resampled, digest=digest(resampled)), [said]


def _moving(original: Tensor, protected: Tensor, down: int, right: int) -> str:
    if original.shape == protected.shape:
        return (
            f"The protected file was shifted against the original, by {-right} px to the right and "
            f"{-down} px down: the original was shifted in the same way."
        )
    height, width = protected.shape[-2:]
    return (
        f"The protected file is a part of the original: the {width} × {height} px from {right} px "
        f"of its left and {down} px of its upper edge were taken of the original too."
    )


def _resampling(pair: Pair, original: Tensor, protected: Tensor) -> str:
    """Say that sizes differ, if one is the other made larger or smaller.

    Raises:
        UserError: it isn't.
    """
    before, after = (tuple(image.shape[-2:]) for image in (original, protected))
    sizes = f"{before[1]} × {before[0]} px and {after[1]} × {after[0]} px"
    # A tool rounds either side to whole pixels: is there a factor that explains both?
    lowest = max((new - 1) / old for old, new in zip(before, after, strict=True))
    highest = min((new + 1) / old for old, new in zip(before, after, strict=True))
    if lowest >= highest:
        turned = after[::-1] == before
        what = "turned on its side" if turned else "cropped, padded or stretched"
        raise UserError(
            f"{pair.original} and {pair.protected} are {sizes}: one of them was {what}, and only "
            "pictures of the same proportions can be compared."
        )
    return (
        f"The files are {sizes}: the original was resampled to the protected file's size. A part "
        "of the difference measured comes from the two ways of resampling, and the random "
        "perturbations are as large as all of it."
    )


def _overlay_flags(covered: Tensor) -> list[str]:
    if not covered.any():
        return []
    share = max(100 * float(covered.float().mean()), 0.1)
    return [
        f"In {share:.2g} % of the picture the files differ so strongly that it was taken for "
        "something drawn over the photo (a frame, a caption, a logo): the random perturbations "
        "have it too, so the answer is about the rest."
    ]


def _processing_flags(change: Change) -> list[str]:
    if not change.explained:
        return []
    return [
        f"{100 * change.explained:.0f} % of the change, by its energy, is what a processing of the "
        "photo would do (tones, sharpening, smoothing), or looks like it: the random perturbations "
        "have it too, so the answer is about the rest."
    ]


def _jpeg_flags(original: Photo, protected: Photo) -> list[str]:
    flags = []
    is_jpeg = protected.source_format in ("JPEG", "MPO")
    if is_jpeg or (protected.jpeg_traces and not original.jpeg_traces):
        what = "is a JPEG" if is_jpeg else "is no JPEG, but its pixels show that it was one"
        flags.append(
            f"The protected file {what}: JPEG undoes protections, so it may be damaged already. "
            "If you have it in a lossless format (PNG), audit that."
        )
    elif protected.jpeg_traces:
        flags.append(
            "Original and protected file both show that they were JPEGs: the protected one's "
            "traces may well come from the original."
        )
    if original.jpeg_traces and not protected.jpeg_traces:
        flags.append(
            "The original is a JPEG, or was one, and the protected file shows no trace of it: it "
            "was changed strongly or resized, or made from another copy of the photo."
        )
    return flags


def _lossy_flags(protected: Photo) -> list[str]:
    if protected.source_format not in set(LOSSY.values()) - {"JPEG"}:
        return []
    return [
        f"The protected file is {protected.source_format}, which is mostly saved with loss; "
        "that undoes protections as JPEG does."
    ]
