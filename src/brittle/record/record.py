"""A trial's record, read once: its manifest, the scores, and which pictures belong to which cell.

Whatever draws conclusions from a trial or shows it takes a `Record`, from a folder or as it was
just made, and nothing else; a path that leads out of the folder is never followed, and what was
damaged is told from what brittle wrote.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple, Self, TypeVar

from pydantic import ConfigDict, TypeAdapter, ValidationError

from brittle.errors import UserError
from brittle.record import whole
from brittle.record.arms import FORMER
from brittle.record.manifest import MANIFEST, Manifest, read_manifest
from brittle.record.rows import Row, decode_results
from brittle.record.store import INDEX, MEND, RESULTS
from brittle.record.whole import Damaged

ARTIFACT = re.compile(r"artifacts/[0-9a-z]{1,8}/[0-9A-Za-z_-]{1,128}\.png")


class Point(NamedTuple):
    """Where in the grid a cell lies; ``image`` is a photo or a collection."""

    image: str
    arm: str
    transform: str
    editor: str
    prompt: str
    seed: int


@dataclass(frozen=True, slots=True)
class IndexEntry:
    """One point of the grid and its pictures, as paths relative to the folder.

    A picture that a model learned from has no editor and no prompt. ``cell`` is the file of the
    point's scores, where it has any.
    """

    __pydantic_config__ = ConfigDict(extra="forbid")

    image: str
    arm: str
    transform: str
    editor: str
    prompt: str
    seed: int
    released: str | None = None
    received: str | None = None
    edited: str | None = None
    cell: str | None = None

    @property
    def point(self) -> Point:
        """Where in the grid it lies."""
        return Point(self.image, self.arm, self.transform, self.editor, self.prompt, self.seed)


INDEX_ENTRIES = TypeAdapter(list[IndexEntry])
T = TypeVar("T", Row, IndexEntry)


@dataclass(frozen=True)
class Record:
    """What a trial left behind.

    ``directory`` is None where nothing was written: then there are no pictures to show.
    """

    directory: Path | None
    manifest: Manifest
    rows: Sequence[Row]
    index: Sequence[IndexEntry]
    lacking: set[str] = field(default_factory=set, compare=False)
    """Pictures that were asked for, and are damaged or missing."""

    @classmethod
    def open(cls, directory: Path) -> Self:
        """Read a trial's folder.

        Raises:
            UserError: the folder holds no finished trial, or files that brittle did not write or
                that were changed since.
        """
        for name in (MANIFEST, RESULTS, INDEX):
            if not (directory / name).is_file():
                raise UserError(
                    f"{directory} holds no finished trial ({name} is missing): run one into it "
                    "with `brittle run`, or name another folder."
                )
        try:
            manifest = read_manifest(directory / MANIFEST)
        except Damaged as error:
            path = directory / MANIFEST
            raise UserError(f"{path} is no whole manifest ({error}): {MEND}.") from None
        rows = decode_results(
            read_made(directory, manifest, RESULTS), where=str(directory / RESULTS)
        )
        index = parse_index(read_made(directory, manifest, INDEX), directory / INDEX)
        return cls(
            directory,
            manifest,
            [_with_label_of_today(row) for row in rows],
            [_with_label_of_today(entry) for entry in index],
        )

    def path(self, relative: str | None) -> Path | None:
        """A picture's file, if it lies in this folder; None otherwise."""
        if relative is None or self.directory is None or not ARTIFACT.fullmatch(relative):
            return None
        path = self.directory / relative
        inside = path.resolve().is_relative_to(self.directory.resolve())
        return path if inside and path.is_file() else None

    def picture(self, relative: str | None) -> bytes | None:
        """A picture's file; None, and among the `lacking`, where that is damaged or missing."""
        if relative is None or self.directory is None:
            return None
        try:
            if self.path(relative) is not None:
                noted = self.manifest.noted
                return whole.read_picture(self.directory, relative, noted=noted)[0]
        except (Damaged, OSError):
            pass
        self.lacking.add(relative)
        return None

    def note(self, relative: str | None) -> dict[str, Any]:
        """What was noted of a picture's making; empty where nothing was, or that is damaged."""
        if relative is None or self.path(relative) is None:
            return {}
        assert self.directory is not None, "the picture is in it"
        try:
            return whole.read_note(self.directory, relative, noted=self.manifest.noted)
        except (Damaged, OSError):
            self.lacking.add(relative)
            return {}

    @cached_property
    def by_point(self) -> dict[Point, IndexEntry]:
        """The index by point."""
        return {entry.point: entry for entry in self.index}

    @cached_property
    def scores(self) -> dict[Point, dict[str, float]]:
        """The scores of single edits: of each metric the first with a number."""
        scores: dict[Point, dict[str, float]] = {}
        for row in self.rows:
            if row.value is not None and row.reference in ("photo", "control", "originals"):
                point = Point(*row.key[:6])
                scores.setdefault(point, {}).setdefault(row.metric, row.value)
        return scores

    @cached_property
    def judged(self) -> frozenset[Point]:
        """The points that `usable` is asked about, with a number or without."""
        return frozenset(Point(*row.key[:6]) for row in self.rows if row.metric == "usable")


def _with_label_of_today(part: T) -> T:
    return replace(part, arm=FORMER[part.arm]) if part.arm in FORMER else part


def read_made(directory: Path, manifest: Manifest, name: str) -> bytes:
    """One of the files that were made of the store, such as the table.

    Raises:
        UserError: it is not as it was made.
    """
    try:
        data = (directory / name).read_bytes()
    except OSError as error:
        raise UserError(f"{directory / name} can't be read: {error.strerror}.") from None
    if manifest.files.get(name, whole.sha256(data)) != whole.sha256(data):
        raise UserError(f"{directory / name} was changed after it was written: {MEND}.")
    return data


def parse_index(data: bytes, path: Path) -> list[IndexEntry]:
    """Read what ``index.json`` holds.

    Raises:
        UserError: it is none.
    """
    try:
        return INDEX_ENTRIES.validate_json(data)
    except ValidationError:
        raise UserError(f"{path} is not what brittle writes there: {MEND}.") from None


def index_json(index: Iterable[IndexEntry]) -> Iterator[dict[str, Any]]:
    """The index as plain data, without what is not there."""
    for entry in index:
        yield {name: value for name, value in asdict(entry).items() if value is not None}
