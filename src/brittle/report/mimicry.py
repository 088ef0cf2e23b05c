"""The report of a trial over collections: what was painted, how near it comes, and for whom."""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import product
from pathlib import Path

from brittle.inference.mimicry_summary import Mimicked, MimicrySummary
from brittle.inference.summary import Interval
from brittle.inference.table import placebo_arm
from brittle.report import words
from brittle.report.charts import Axis, Chart
from brittle.report.figures import KEYS, LINES, Figure, Quality, interval_text, qualities
from brittle.report.page import render_page
from brittle.report.pictures import PAGE_LIMIT, Album, Picture, embed
from brittle.report.settings import as_yaml, settings
from brittle.report.source import Folder, Point
from brittle.report.tables import Cell
from brittle.report.text import as_columns, short_cell

KINDS = ("original", "placebo", "protection")
UNTAUGHT = "untaught"


class MimicrySource(Folder):
    """The folder of a trial over collections.

    Raises:
        UserError: as `Folder`; no summary.
    """

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self.summary = self.conclusions(MimicrySummary)
        self.pictures = {
            (row.image, row.arm, row.transform, row.editor, row.prompt, row.seed): row
            for row in self.rows
        }

    @property
    def protections(self) -> list[str]:
        """The labels of the protections."""
        return [arm.label for arm in self.arms.values() if arm.kind == "protection"]

    def arms_of(self, protection: str) -> dict[str, str]:
        """The arms that a protection is compared with, itself the last, by kind."""
        kind = self.summary.placebo
        placebo = {"placebo": placebo_arm(kind, protection)} if kind else {}
        return {"original": "original", **placebo, "protection": protection}


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


@dataclass(frozen=True)
class Shelf:
    """A collection: its originals, what was learned from, and what was painted."""

    name: str
    originals: list[Picture]
    learned_from: Board
    boards: list[Board]

    def all_pictures(self) -> Iterable[Picture]:
        """Those of the first board first."""
        yield from self.originals
        for board in (*self.boards[:1], self.learned_from, *self.boards[1:]):
            for line in board.lines:
                yield from line.pictures


def render(source: MimicrySource, limit: int = PAGE_LIMIT) -> str:
    """The report as text, with at most ``limit`` characters of pictures in it."""
    album = Album(source)
    shelves = [_shelf(source, album, one.name) for one in source.summary.collections]
    outside = embed([one for shelf in shelves for one in shelf.all_pictures()], album, limit)
    return render_page(
        "mimicry.html",
        styles=("report.css",),
        source=source,
        summary=source.summary,
        manifest=source.manifest,
        shelves=shelves,
        outside=outside,
        sections=[_section(source, arm, number) for number, arm in enumerate(source.protections)],
        transforms=[words.transform_name(label) for label in source.transforms],
        settings=settings(source),
        as_yaml=as_yaml,
        words=words,
    )


def answer(source: MimicrySource) -> str:
    """The first sentence, the tables and the flags as text, for a terminal."""
    summary = source.summary
    parts = [summary.headline, f"{summary.unit_words}.".capitalize()]
    for arm in source.protections:
        head, *lines = table(source, arm)
        rows = [[short_cell(cell) for cell in line] for line in lines]
        parts.append(f"{arm}\n" + as_columns([[cell.main for cell in head], *rows]))
    parts += [f"Flag: {flag.name} ({flag.where})." for flag in summary.flags]
    return "\n\n".join(parts)


def table(source: MimicrySource, arm: str) -> list[list[Cell]]:
    """A protection's results in the primary metric, a line a transform, the head first."""
    heads = (
        "Transform", "As close as unprotected, per 100", "with noise of its size",
        "best of the tries", "with noise", "unprotected", "Reach", "Retention", "n",
    )  # fmt: skip
    return [[Cell(head) for head in heads]] + [
        [
            Cell(words.transform_name(one.transform)),
            _share(one.preference),
            _share(one.preference_placebo),
            *(
                Cell(words.hundred(shares[-1]) if shares else "–")
                for shares in (one.best_of, one.best_of_placebo, one.best_of_clean)
            ),
            _number(one.reach, one.reach_reason),
            _number(one.retention, one.retention_reason),
            Cell(words.count(one.pairs, "pair")),
        ]
        for one in _results(source, arm)
    ]


def _share(interval: Interval | None) -> Cell:
    if interval is None:
        return Cell("–")
    return Cell(words.hundred(interval.estimate), words.bounds(interval, per_hundred=True))


def _number(interval: Interval | None, reason: str) -> Cell:
    if interval is None:
        return Cell("–", reason)
    return Cell(words.number(interval.estimate), words.bounds(interval))


def _results(source: MimicrySource, arm: str) -> list[Mimicked]:
    metric = source.summary.metric
    return [one for one in source.summary.results if (one.arm, one.metric) == (arm, metric)]


def _section(source: MimicrySource, arm: str, number: int) -> dict[str, object]:
    quality = qualities(source)
    figures = [
        draw(source, arm, quality, f"{draw.__name__.strip('_')}-{number}")
        for draw in (_distance_figure, _preference_figure)
        if quality
    ]
    summary = source.summary
    others = [one for one in summary.results if one.arm == arm and one.metric != summary.metric]
    return {
        "arm": arm,
        "number": number,
        "figures": figures,
        "table": table(source, arm),
        "tries": len(summary.seeds),
        "others": others,
        "results": _results(source, arm),
        "best_transforms": [one for one in summary.best_transforms if one.arm == arm],
    }


def _distance_figure(source: MimicrySource, arm: str, quality: Quality, name: str) -> Figure:
    """Mimicry's distance over JPEG quality by arm, with both ends as levels."""
    summary = source.summary
    results = {one.transform: one for one in _results(source, arm)}
    end = next(one for one in summary.ends if one.metric == summary.metric)
    kinds = list(source.arms_of(arm))
    values = {
        (kind, label): value
        for label in quality.transforms
        if label in results
        for kind, value in zip(
            KINDS, (results[label].clean, results[label].placebo, results[label].distance),
            strict=True,
        )
        if value is not None
    }  # fmt: skip
    every = [*values.values(), end.originals, end.untaught]
    said = "; ".join(
        f"{KEYS[kind]}: "
        + ", ".join(
            f"{words.transform_name(label)} {words.number(value)}"
            for (other, label), value in values.items()
            if other == kind
        )
        for kind in kinds
    )
    chart = Chart(
        name,
        "Distance of mimicry from the originals over JPEG quality",
        said,
        quality.axis,
        _axis(min(every), max(every), f"{summary.metric} distance"),
        [(kind, LINES[kind], KEYS[kind]) for kind in kinds],
    )
    chart.level(end.originals, "originals from each other")
    chart.level(end.untaught, "without learning")
    for kind in kinds:
        points = [
            (place, values[kind, label])
            for label, place in quality.transforms.items()
            if (kind, label) in values
        ]
        chart.line(points, kind)
        for place, value in points:
            chart.mark(place, value, LINES[kind], kind, f"{KEYS[kind]}: {words.number(value)}")
    rows = tuple(
        (words.transform_name(label), *(words.number(values[kind, label]) for kind in kinds))
        for label in quality.transforms
        if label in results
    )
    caption = (
        f"Mean distance ({summary.metric}) from the originals of what was painted: lower is better "
        f"mimicry. The ends: originals from each other {words.number(end.originals)}, without "
        f"learning {words.number(end.untaught)}. {words.count(len(summary.seeds), 'seed')}, "
        f"{words.count(len(summary.prompts), 'prompt')}, "
        f"{words.count(summary.tunings, 'fine-tune')} a point."
    )
    return Figure(chart.render(), caption, ("transform", *(KEYS[kind] for kind in kinds)), rows)


def _preference_figure(source: MimicrySource, arm: str, quality: Quality, name: str) -> Figure:
    """The share of paintings as close as without protection, over JPEG quality."""
    results = {one.transform: one for one in _results(source, arm)}
    shares = {
        kind: {
            label: share
            for label in quality.transforms
            if label in results and (share := _preference(results[label], kind))
        }
        for kind in ("placebo", "protection")
    }
    kinds = [kind for kind, found in shares.items() if found]
    chart = Chart(
        name,
        "Pictures as close as without protection, over JPEG quality",
        "Per 100 pairs. "
        + "; ".join(
            f"{KEYS[kind]}: "
            + ", ".join(
                f"{words.transform_name(label)} {words.hundred(share.estimate)}"
                for label, share in shares[kind].items()
            )
            for kind in kinds
        ),
        quality.axis,
        Axis(0, 1, tuple((one / 4, str(25 * one)) for one in range(5)), "as close, per 100 pairs"),
        [(kind, LINES[kind], KEYS[kind]) for kind in kinds],
    )
    chart.level(0.5, "as good as without protection")
    for shift, kind in zip((-3, 3), kinds, strict=False):
        places = [(quality.transforms[label], share) for label, share in shares[kind].items()]
        chart.line([(place, share.estimate) for place, share in places], kind)
        for place, share in places:
            if share.low is not None and share.high is not None:
                chart.whisker(place, share.low, share.high, kind, shift)
            chart.mark(place, share.estimate, LINES[kind], kind, interval_text(share), shift)
    unit = source.summary.unit
    bars = "no intervals" if unit == "none" else f"bars are 95 % intervals over {unit}"
    rows = tuple(
        (
            words.transform_name(label),
            *(_share_text(shares[kind].get(label)) for kind in kinds),
        )
        for label in quality.transforms
        if label in results
    )
    caption = (
        "Of 100 pairs of pictures with the same prompt and seeds, after the same transform: how "
        f"many are at least as close to the originals as without protection; {bars}."
    )
    return Figure(chart.render(), caption, ("transform", *(KEYS[kind] for kind in kinds)), rows)


def _preference(one: Mimicked, kind: str) -> Interval | None:
    return one.preference if kind == "protection" else one.preference_placebo


def _share_text(share: Interval | None) -> str:
    if share is None:
        return "not measured"
    return f"{words.hundred(share.estimate)} {words.bounds(share, per_hundred=True)}"


def _axis(low: float, high: float, label: str) -> Axis:
    margin = 0.08 * (high - low or 1)
    low, high = max(low - margin, 0), high + margin
    ticks = tuple(
        (low + (high - low) * one / 4, words.number(low + (high - low) * one / 4))
        for one in range(5)
    )
    return Axis(low, high, ticks, label)


def _shelf(source: MimicrySource, album: Album, name: str) -> Shelf:
    summary, tuning = source.summary, next(iter(source.editors))
    members = _members(source, name)
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


def _members(source: MimicrySource, name: str) -> list[str]:
    """The names of a collection's pictures."""
    described = {one["name"]: one["pictures"] for one in source.manifest["collections"]}
    return [str(picture) for picture in described.get(name, [])]


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
