"""Many photos, one after another: where the pictures go, what was done before, and what failed."""

import os
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from math import prod
from pathlib import Path
from typing import Any

from torch import Tensor

from brittle.api.reports import Report, Say
from brittle.appearance import Visibility
from brittle.component import key
from brittle.decoding import size_of
from brittle.errors import UserError, out_of_memory, printable
from brittle.images import (
    LOSSY,
    Photo,
    check_side,
    file_bytes,
    names_a_file,
    writable_suffix,
    write_bytes,
)
from brittle.progress import Advance, Progress, overall
from brittle.record.made import Note, Notes
from brittle.record.whole import sha256
from brittle.reporting.formatting import count
from brittle.reporting.terminal import as_columns
from brittle.sources.folders import folders_below, holds_photos, left_out, photo_files

Photos = str | Path | Iterable[str | Path]
"""Photo files, and folders of them."""
COLUMNS = {
    "PSNR": ("dB", "{:.1f}"),
    "largest change": ("levels", "{:.0f}"),
    "perceptual": ("perceptual", "{:.3g}"),
    "budget": ("budget", "{:.0%}"),
}
"""What the table says of each picture: numbers by their name, as head and format."""


@dataclass(frozen=True)
class Piece:
    """A photo and the file that is made of it; ``name`` is the photo's, from what was given.

    The file depends on ``beside`` too: a mask, or the other pictures of a collection. It is None
    where nothing is written.
    """

    photo: Path
    file: Path | None
    name: str
    beside: tuple[Path, ...] = ()


@dataclass(frozen=True)
class Result:
    """What was made of a photo: the file's bytes, numbers by their name, what to say of it."""

    data: bytes | None
    found: Visibility = field(default_factory=dict)
    said: str = ""
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class MadePicture:
    """A picture that was made of a photo, in how many seconds, and the numbers found of it.

    ``photo`` is the photo's name from the folder that was given, ``before`` says whether the file
    was there, made by the same command of the same photo.
    """

    photo: str
    file: Path | None
    seconds: float
    found: Visibility
    before: bool = False


@dataclass(frozen=True)
class Batch:
    """The pictures that were made of photos, and by a photo's name why none was made of it.

    >>> batch = brittle.transform_files(["me.png", "protected.png"], "flipped", "flip").found
    >>> [one.photo for one in batch.made], batch.failed
    (['me.png', 'protected.png'], {})
    """

    made: tuple[MadePicture, ...]
    failed: Mapping[str, str]

    @property
    def files(self) -> list[Path]:
        """The files that were written, now or before."""
        return [one.file for one in self.made if one.file is not None]


@dataclass(frozen=True)
class Destination:
    """Where pictures go, and how: a file for one photo, or a folder, which gets a PNG for each.

    In a folder, folders of photos stay folders. It also keeps, in a hidden file, how each picture
    was made, so that the same command goes on where it was stopped.

    >>> at = brittle.Destination("rainy", overwrite=True)
    >>> brittle.transform_files("me.png", at, "flip").found.files
    [PosixPath('rainy/me.png')]

    Args:
        path: a file (it has a suffix that begins with a letter) or a folder.
        overwrite: what is there; an input never is.
        lossy: allow .jpg, .webp and .avif, which undo protections.
        keep_metadata: keep EXIF, GPS position included.
    """

    path: str | Path
    overwrite: bool = False
    lossy: bool = False
    keep_metadata: bool = False

    @property
    def folder(self) -> Path | None:
        """The folder, or None where it is a file."""
        path = Path(self.path)
        ending = path.name.lower() in {".png", *LOSSY} and not path.is_dir()  # which is refused
        return None if ending or names_a_file(path) else path

    def file_for(self, photo: Path) -> Path:
        """The file to write for a photo, by its path below the folder that was given."""
        folder = self.folder
        return Path(self.path) if folder is None else (folder / photo).with_suffix(".png")

    def pieces(self, photos: Photos, say: Say) -> list[Piece]:
        """Each photo with the file to write for it; `say` what folders hold beside photos.

        Raises:
            UserError: no such photo, several of them for one file, two of one name, an output that
                is an input.
        """
        every = [one for path in _paths(photos) for one in self._below(path, say)]
        found = [*{os.path.abspath(one.photo): one for one in every}.values()]
        if self.folder is None:
            if len(found) > 1:
                raise UserError(
                    f"{len(found)} photos don't fit into {self.path}: name a folder with -o."
                )
            writable_suffix(Path(self.path), lossy=self.lossy)
        owners: dict[Path | None, Piece] = {}
        for one in found:
            if (other := owners.setdefault(one.file, one)) is not one:
                raise UserError(
                    f"{other.photo} and {one.photo} have the same name and would share one output "
                    "file: rename one."
                )
        self.check_inputs(found)
        return found

    def encoded(self, piece: Piece, image: Tensor, photo: Photo) -> bytes:
        """The file for a picture (1, 3, H, W) made from a photo."""
        assert piece.file is not None, "something is written"
        return file_bytes(piece.file, image, exif=photo.exif if self.keep_metadata else None)

    def _below(self, source: Path, say: Say) -> Iterator[Piece]:
        """The photos of a path, at any depth, without those in the destination."""
        if not source.is_dir():
            photos, top = photo_files(source), source.parent
        else:
            folder = self.folder
            if folder is not None and folder.is_dir() and folder.samefile(source):
                raise UserError(f"{source} holds the photos: name another folder with -o.")
            folders, top = folders_below(source, folder), source
            photos = [p for one in folders if holds_photos(one) for p in photo_files(one)]
            photos = photos or photo_files(source)  # which says what it holds instead
            for note in left_out(source, folders):
                say(note)
        for photo in photos:
            name = photo.relative_to(top)
            yield Piece(photo, self.file_for(name), name.as_posix())

    def check_inputs(self, pieces: Collection[Piece]) -> None:
        """Refuse a file to write that is a photo or lies beside one, as a mask does.

        Raises:
            UserError: so it is.
        """
        check_outputs(
            (one.file for one in pieces if one.file is not None),
            (path for one in pieces for path in (one.photo, *one.beside)),
        )


def check_outputs(outputs: Iterable[Path], inputs: Iterable[Path]) -> None:
    """Refuse to write a file that is read.

    Raises:
        UserError: so it is.
    """
    read = set(map(_identity, inputs))
    for one in outputs:
        if one.exists() and _identity(one) in read:
            raise UserError(f"{one} is an input, and inputs are never overwritten: change -o.")


def _paths(photos: Photos) -> list[Path]:
    return [Path(one) for one in ([photos] if isinstance(photos, (str, Path)) else photos)]


def _identity(path: Path) -> tuple[int, int]:
    stat = os.stat(path)
    return stat.st_dev, stat.st_ino


@dataclass(frozen=True)
class Work:
    """What is made of each photo: `make` takes one, or all of them where they go ``together``.

    ``how`` is all that a picture depends on beside files, and ``steps`` how far `make` advances.
    """

    make: Callable[[Sequence[Piece], Advance], Sequence[Result]]
    how: Sequence[Any] = ()
    steps: int = 1
    together: bool = False


class BatchJob:
    """The same work on photos: what of it was done before, what is made now, and what fails.

    Each picture is written as soon as it is made. A photo that can't be used is left out and the
    others go on, unless it is the only one or all of them go together.
    """

    def __init__(
        self, pieces: Sequence[Piece], to: Destination | None, work: Work, say: Say
    ) -> None:
        self.pieces, self.to, self.work, self.say = pieces, to, work, say
        self.many = len(pieces) > 1
        self._number = {one: number for number, one in enumerate(pieces, 1)}
        self.made: dict[Piece, MadePicture] = {}
        self.failed: dict[str, str] = {}
        self._notes = Notes(to.folder) if to is not None and to.folder is not None else None
        self._digests: dict[Path, str] = {}

    def run(self, progress: Progress) -> Report[Batch]:
        """Do what is not done yet; the whole batch in the end, with its table in words.

        Raises:
            UserError: as `Work.make` of one photo; an output that exists and is none of this
                job's, a file that can't be written.
        """
        self.made = self._made_before()
        rest = [one for one in self.pieces if one not in self.made]
        self._check_free(rest)
        if self.made and self.many:
            self.say(f"{len(self.made)} of {len(self.pieces)} photos are done already.")
        elif self.made:
            self.say(f"{self.pieces[0].file} is done already, by the same command.")
        together = [[*self.pieces]] if rest else []
        groups = together if self.work.together else [[one] for one in rest]
        weights = {self._label(group): float(sum(map(_pixels, group))) for group in groups}
        weights = weights if len(groups) > 1 else {}  # one stage alone is all of them
        with self._at_work(), overall(progress, weights) as shown:
            for group in groups:
                start = time.perf_counter()
                results = self._results(group, shown)
                seconds = (time.perf_counter() - start) / len(group)
                for one, result in results:
                    if one not in self.made:
                        self._keep(one, result, seconds)
        batch = Batch(tuple(self.made[one] for one in self.pieces if one in self.made), self.failed)
        return Report(batch, in_words(batch), None if self.to is None else Path(self.to.path))

    def _made_before(self) -> dict[Piece, MadePicture]:
        found = {}
        for one in self.pieces if self._notes is not None else ():
            if (note := self._note(one)) is not None:
                found[one] = MadePicture(
                    one.name, one.file, note.seconds, dict(note.found), before=True
                )
        return found

    def _note(self, one: Piece) -> Note | None:
        if self._notes is None or one.file is None or not one.file.is_file():
            return None
        try:
            return self._notes.find(one.file, self._key(one))
        except OSError:  # it is said of the photo when it is read, and of the file where it stays
            return None

    def _check_free(self, rest: Iterable[Piece]) -> None:
        """Refuse to overwrite what is there, before any work."""
        if self.to is None or self.to.overwrite:
            return
        taken = [one.file for one in rest if one.file is not None and os.path.lexists(one.file)]
        if taken:
            raise UserError(f"{self._why_taken(taken)}: choose another -o, or say --force.")

    def _why_taken(self, taken: Sequence[Path]) -> str:
        if self._notes is None:  # nobody knows what made the file
            return f"{taken[0]} exists"
        if len(taken) == 1:
            return f"{taken[0]} exists, and isn't what this command makes of that photo"
        others = count(len(taken) - 1, "other file")
        return f"{taken[0]} and {others} exist, and aren't what this command makes of those photos"

    def _results(self, group: Sequence[Piece], progress: Progress) -> list[tuple[Piece, Result]]:
        """What is made of a photo, or of all of them; nothing where one of many fails."""
        label = self._label(group)
        try:
            for one in group:
                _check_format(one)
            with progress(label, self.work.steps) as advance:
                return [*zip(group, self.work.make(group, advance), strict=True)]
        except (UserError, MemoryError, RuntimeError) as error:
            if not self.many or self.work.together:
                raise
            self.failed[group[0].name] = _reason(error)
            self.say(f"{label}: failed")
            return []

    def _keep(self, one: Piece, result: Result, seconds: float) -> None:
        """Write a picture, and say what it is."""
        label = self._label([one]) if not self.work.together else one.name
        if result.said:
            self.say(f"{label}: {result.said}")
        if one.file is not None and result.data is not None:
            assert self.to is not None, "there is a file"
            if self._notes is not None:
                self._notes.add(one.file, self._key(one), result.data, seconds, result.found)
            write_bytes(one.file, result.data, overwrite=self.to.overwrite)
            if result.said:
                self.say("; ".join([f"  written to {one.file}", *result.notes]))
            else:
                self.say(f"{label}: {one.file}" if self.many else str(one.file))
        self.made[one] = MadePicture(one.name, one.file, seconds, result.found)

    def _label(self, group: Sequence[Piece]) -> str:
        """How a person is told of a photo, or of all of them."""
        if len(group) > 1:
            return f"{len(group)} photos"
        if not self.many:
            return group[0].name
        first = group[0]
        return f"photo {self._number[first]} of {len(self.pieces)}, {printable(first.name)}"

    def _key(self, one: Piece) -> str:
        """The key of all that a picture depends on."""
        assert self.to is not None, "there is a file"
        assert one.file is not None, "there is a file"
        return key(
            "made",
            *self.work.how,
            self._digest(one.photo),
            sorted(map(self._digest, one.beside)),
            one.file.suffix.lower(),
            self.to.keep_metadata,
        )

    def _digest(self, path: Path) -> str:
        # Of the file and not of its pixels: nothing is decoded, and metadata count where they stay.
        if path not in self._digests:
            self._digests[path] = sha256(path.read_bytes())
        return self._digests[path]

    @contextmanager
    def _at_work(self) -> Iterator[None]:
        if self._notes is None:
            yield
            return
        folders = {one.file.parent for one in self.pieces if one.file is not None}
        with self._notes.at_work(folders):
            yield


def _check_format(one: Piece) -> None:
    """Refuse a photo that is too large for the format that it would be written in."""
    if one.file is not None:
        check_side(size_of(one.photo), LOSSY.get(one.file.suffix.lower(), "PNG"))


def _pixels(one: Piece) -> int:
    try:
        return prod(size_of(one.photo))
    except UserError:  # it is said when the photo's turn comes
        return 0


def _reason(error: Exception) -> str:
    if isinstance(error, UserError):
        return str(error)
    if not out_of_memory(error):
        raise error
    return "memory doesn't suffice for this photo: make it smaller."


def in_words(batch: Batch) -> str:
    """A batch as a table, with what failed below it."""
    columns = {
        name: column
        for name, column in COLUMNS.items()
        if any(isinstance(one.found.get(name), float) for one in batch.made)
    }
    heads = [head for head, _ in columns.values()]
    lines = [["photo", *heads, "seconds"]]
    for one in batch.made:
        numbers = [(one.found.get(name), form) for name, (_, form) in columns.items()]
        told = [form.format(value) if isinstance(value, float) else "-" for value, form in numbers]
        lines.append([printable(one.photo), *told, f"{one.seconds:.1f}"])
    total = len(batch.made) + len(batch.failed)
    before = sum(one.before for one in batch.made)
    told = [as_columns(lines)] if batch.made else []
    earlier = f", {before} of them before" if before else ""
    told.append(f"{len(batch.made)} of {count(total, 'photo')} done{earlier}.")
    if batch.failed:
        told.append(f"{count(len(batch.failed), 'photo')} failed:")
        told += [f"  {printable(name)}: {reason}" for name, reason in batch.failed.items()]
    return "\n".join(told)
