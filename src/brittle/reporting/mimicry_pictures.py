"""The pictures of a trial over collections: originals, what was learned from, what was painted."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

from brittle.reporting import formatting as words
from brittle.reporting.mimicry_source import MimicrySource
from brittle.reporting.pictures import Album, Picture
from brittle.reporting.source import Point

UNTAUGHT = "untaught"


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


def shelf(source: MimicrySource, album: Album, name: str) -> Shelf:
    """A collection's pictures; paintings are those of the first fine-tune of each arm."""
    summary, tuning = source.summary, next(iter(source.editors))
    members = source.members(name)
    originals = []
    for one in members:
        row = source.pictures.get((one, "original", "none", "", "", "0"))
        short = one.rpartition("/")[2]
        originals.append(album.picture(row.released if row else None, short, [short]))
    arms = _arms(source)

    taught = {arm: said for arm, said in arms.items() if arm != UNTAUGHT}
    learned_from = Board(members[0].rpartition("/")[2], [
        Line(said, kind, [
            _received(source, album, (members[0], arm, label, "", "", "0"), said)
            for label in source.transforms
        ])
        for arm, (said, kind) in taught.items()
    ])  # fmt: skip
    boards = [
        _board(source, album, arms, (name, tuning, prompt, str(seed)))
        for seed, prompt in product(summary.seeds, source.prompts)
    ]
    return Shelf(name, originals, learned_from, boards)


def _received(source: MimicrySource, album: Album, point: Point, said: str) -> Picture:
    row = source.pictures.get(point)
    return album.picture(row.received if row else None, f"{said}, {words.transform_name(point[2])}")


def _arms(source: MimicrySource) -> dict[str, tuple[str, str]]:
    """How each arm is called, and its kind: the ends first."""
    named = {UNTAUGHT: ("without learning", "ceiling"), "original": ("unprotected", "original")}
    for protection in source.protections:
        for kind, arm in source.arms_of(protection).items():
            if kind != "original":
                named[arm] = (words.arm_name(arm, kind), kind)
    return named


def _board(
    source: MimicrySource,
    album: Album,
    arms: dict[str, tuple[str, str]],
    at: tuple[str, str, str, str],
) -> Board:
    name, tuning, prompt, seed = at
    metric = f"{source.summary.metric}.distance"
    lines = []
    for arm, (said, kind) in arms.items():
        pictures = []
        for label in source.transforms:
            point = (name, arm, label, tuning, prompt, seed)
            row = source.pictures.get(point)
            score = source.scores.get(point, {}).get(metric)
            facts = [] if score is None else [words.number(score)]
            alt = f"{said}, {words.transform_name(label)}"
            pictures.append(album.picture(row.edited if row else None, alt, facts))
        lines.append(Line(said, kind, pictures))
    return Board(f"“{prompt}”, seed {seed}", lines)
