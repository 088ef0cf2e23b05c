"""A trial's record, read once: its manifest, the scores, and which pictures belong to which cell.

Whatever draws conclusions from a trial or shows it takes a `Record`, from a folder or as it was
just made, and nothing else; a path that leads out of the folder is never followed.
"""

import json
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple, Self, TypeVar

from brittle.errors import UserError
from brittle.record.arms import FORMER
from brittle.record.manifest import Manifest, read_manifest
from brittle.record.rows import Row, read_results
from brittle.record.store import INDEX, MANIFEST, RESULTS

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

    A picture that a model learned from has no editor and no prompt.
    """

    image: str
    arm: str
    transform: str
    editor: str
    prompt: str
    seed: int
    released: str | None = None
    received: str | None = None
    edited: str | None = None

    @property
    def point(self) -> Point:
        """Where in the grid it lies."""
        return Point(self.image, self.arm, self.transform, self.editor, self.prompt, self.seed)


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

    @classmethod
    def open(cls, directory: Path) -> Self:
        """Read a trial's folder.

        Raises:
            UserError: the folder holds no finished trial, or files that brittle did not write.
        """
        for name in (MANIFEST, RESULTS, INDEX):
            if not (directory / name).is_file():
                raise UserError(
                    f"{directory} holds no finished trial ({name} is missing): run one into it "
                    "with `brittle run`, or name another folder."
                )
        return cls(
            directory,
            read_manifest(directory / MANIFEST),
            [_with_label_of_today(row) for row in read_results(directory / RESULTS)],
            [_with_label_of_today(entry) for entry in read_index(directory / INDEX)],
        )

    def path(self, relative: str | None) -> Path | None:
        """A picture's file, if it lies in this folder; None otherwise."""
        if relative is None or self.directory is None or not ARTIFACT.fullmatch(relative):
            return None
        path = self.directory / relative
        inside = path.resolve().is_relative_to(self.directory.resolve())
        return path if inside and path.is_file() else None

    def note(self, relative: str | None) -> dict[str, Any]:
        """What was noted of a picture's making; empty where nothing was, or it can't be read."""
        path = self.path(relative) if relative in self._noted else None
        if path is None:
            return {}
        try:
            note = json.loads(path.with_suffix(".json").read_bytes())
        except ValueError:
            return {}
        return note if isinstance(note, dict) else {}

    @cached_property
    def _noted(self) -> frozenset[str]:
        """The pictures of which something was noted: few of many, so that others cost nothing."""
        if self.directory is None:
            return frozenset()
        found = self.directory.glob("artifacts/*/*.json")
        return frozenset(
            path.relative_to(self.directory).with_suffix(".png").as_posix() for path in found
        )

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


def read_index(path: Path) -> list[IndexEntry]:
    """Read an ``index.json``.

    Raises:
        UserError: it is none.
    """
    try:
        return [IndexEntry(**entry) for entry in json.loads(path.read_bytes())]
    except (ValueError, TypeError):
        raise UserError(
            f"{path} is not what brittle writes there; run the trial again to write it anew."
        ) from None


def index_json(index: Sequence[IndexEntry]) -> list[dict[str, Any]]:
    """The index as plain data, without what is not there."""
    return [
        {name: value for name, value in asdict(entry).items() if value is not None}
        for entry in index
    ]
