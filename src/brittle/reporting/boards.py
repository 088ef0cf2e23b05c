"""The pictures of a trial over collections: originals, what models learned from and generated."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from typing import Any

from brittle.analysis.finished import Finished
from brittle.record.arms import BASE_MODEL, ORIGINAL
from brittle.record.manifest import Collection
from brittle.record.record import Point
from brittle.reporting.formatting import arm_name, number, transform_name
from brittle.reporting.pictures import Picture, ReportPictures, embed


@dataclass(frozen=True)
class BoardLine:
    """One arm's pictures, by transform."""

    name: str
    kind: str
    pictures: list[Picture]


@dataclass(frozen=True)
class Board:
    """Rows of pictures by arm under columns of transforms."""

    title: str
    lines: list[BoardLine]

    def pictures(self) -> Iterator[Picture]:
        """Row by row."""
        for line in self.lines:
            yield from line.pictures


@dataclass(frozen=True)
class Shelf:
    """A collection: its originals, what was learned from, and what was generated."""

    name: str
    originals: list[Picture]
    learned_from: Board
    boards: list[Board]

    def first(self) -> Iterator[Picture]:
        """What a reader sees first: the originals, and the first board."""
        yield from self.originals
        for board in self.boards[:1]:
            yield from board.pictures()

    def others(self) -> Iterator[Picture]:
        """What is folded away at first."""
        for board in (self.learned_from, *self.boards[1:]):
            yield from board.pictures()


def collections_page(trial: Finished, limit: int) -> dict[str, Any]:
    """What the template for collections is given: pictures of at most ``limit`` characters."""
    gallery = Shelves(trial)
    shelves = [gallery.shelf(one) for one in trial.manifest.collections]
    first = [picture for one in shelves for picture in one.first()]
    others = [picture for one in shelves for picture in one.others()]
    return {
        "shelves": shelves,
        "names": [transform_name(one.label) for one in trial.manifest.transforms],
        "room": embed(first, others, gallery.album, limit),
    }


class Shelves:
    """What the report shows of collections; generated pictures are of each first fine-tune."""

    def __init__(self, trial: Finished) -> None:
        self.record, self.album = trial.record, ReportPictures(trial.record)
        self.metric = f"{trial.summary.primary.metric}.distance"
        self.seeds = trial.summary.style.seeds if trial.summary.style else ()
        compared = [label for arm in trial.protections for label in trial.compared(arm).values()]
        self.compared = list(dict.fromkeys([ORIGINAL, *compared]))

    def shelf(self, collection: Collection) -> Shelf:
        """A collection, with a board for each seed and prompt."""
        manifest, first = self.record.manifest, collection.pictures[0]
        at = Point(collection.name, "", "", manifest.editors[0].label, "", 0)
        return Shelf(
            collection.name,
            [self._original(name) for name in collection.pictures],
            self._board(_short(first), self.compared, Point(first, "", "", "", "", 0)),
            [
                self._board(
                    f"“{prompt}”, seed {seed}",
                    [BASE_MODEL, *self.compared],
                    at._replace(prompt=prompt, seed=seed),
                )
                for seed, prompt in product(self.seeds, manifest.prompts)
            ],
        )

    def _original(self, name: str) -> Picture:
        row = self.record.by_point.get(Point(name, ORIGINAL, "none", "", "", 0))
        return self.album.picture(row.released if row else None, _short(name), [_short(name)])

    def _board(self, title: str, arms: list[str], at: Point) -> Board:
        lines = []
        for arm in arms:
            kind = self.record.manifest.arm(arm).kind
            name = arm_name(arm, kind)
            points = [
                at._replace(arm=arm, transform=one.label) for one in self.record.manifest.transforms
            ]
            lines.append(BoardLine(name, kind, [self._picture(point, name) for point in points]))
        return Board(title, lines)

    def _picture(self, point: Point, name: str) -> Picture:
        row = self.record.by_point.get(point)
        score = self.record.scores.get(point, {}).get(self.metric)
        return self.album.picture(
            (row.edited or row.received) if row else None,
            f"{name}, {transform_name(point.transform)}",
            [] if score is None else [number(score)],
        )


def _short(name: str) -> str:
    return name.rpartition("/")[2]
