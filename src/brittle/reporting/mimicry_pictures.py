"""The pictures of a trial over collections: originals, what was learned from, what was painted."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

from brittle.record.arms import BASE_MODEL, ORIGINAL
from brittle.record.record import Point
from brittle.reporting.formatting import arm_name, number, transform_name
from brittle.reporting.mimicry_source import FinishedMimicry
from brittle.reporting.pictures import Album, Picture


@dataclass(frozen=True)
class Line:
    """One arm's pictures, by transform."""

    name: str
    kind: str
    pictures: list[Picture]


@dataclass(frozen=True)
class Board:
    """Rows of pictures by arm under columns of transforms."""

    title: str
    lines: list[Line]

    def pictures(self) -> Iterator[Picture]:
        """Row by row."""
        for line in self.lines:
            yield from line.pictures


@dataclass(frozen=True)
class Shelf:
    """A collection: its originals, what was learned from, and what was painted."""

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


def shelf(source: FinishedMimicry, album: Album, name: str) -> Shelf:
    """A collection's pictures; paintings are those of the first fine-tune of each arm."""
    summary, manifest = source.summary, source.record.manifest
    members = next(one.pictures for one in manifest.collections if one.name == name)
    originals = []
    for one in members:
        row = source.record.by_point.get(Point(one, ORIGINAL, "none", "", "", 0))
        short = one.rpartition("/")[2]
        originals.append(album.picture(row.released if row else None, short, [short]))
    arms = _arms(source)

    taught = {arm: said for arm, said in arms.items() if arm != BASE_MODEL}
    learned_from = Board(members[0].rpartition("/")[2], [
        Line(said, kind, [
            _received(source, album, Point(members[0], arm, label, "", "", 0), said)
            for label in source.transforms
        ])
        for arm, (said, kind) in taught.items()
    ])  # fmt: skip
    boards = [
        _board(source, album, arms, Point(name, "", "", manifest.editors[0].label, prompt, seed))
        for seed, prompt in product(summary.seeds, manifest.prompts)
    ]
    return Shelf(name, originals, learned_from, boards)


def _received(source: FinishedMimicry, album: Album, point: Point, said: str) -> Picture:
    row = source.record.by_point.get(point)
    return album.picture(
        row.received if row else None, f"{said}, {transform_name(point.transform)}"
    )


def _arms(source: FinishedMimicry) -> dict[str, tuple[str, str]]:
    """How each arm is called, and its kind: the ends first."""
    named = {BASE_MODEL: ("without learning", "ceiling"), ORIGINAL: ("unprotected", "original")}
    for protection in source.record.manifest.protections:
        for kind, arm in source.arms_of(protection).items():
            if kind != "original":
                named[arm] = (arm_name(arm, kind), kind)
    return named


def _board(
    source: FinishedMimicry,
    album: Album,
    arms: dict[str, tuple[str, str]],
    at: Point,
) -> Board:
    metric = f"{source.summary.metric}.distance"
    lines = []
    for arm, (said, kind) in arms.items():
        pictures = []
        for label in source.transforms:
            point = at._replace(arm=arm, transform=label)
            row = source.record.by_point.get(point)
            score = source.record.scores.get(point, {}).get(metric)
            facts = [] if score is None else [number(score)]
            alt = f"{said}, {transform_name(label)}"
            pictures.append(album.picture(row.edited if row else None, alt, facts))
        lines.append(Line(said, kind, pictures))
    return Board(f"“{at.prompt}”, seed {at.seed}", lines)
