"""The report of a trial over collections: what was painted, how near it comes, and for whom."""

from typing import Any

from brittle.analysis.summary import Interval
from brittle.reporting import mimicry_figures
from brittle.reporting.figures import qualities
from brittle.reporting.formatting import bounds, count, hundred, number, transform_name
from brittle.reporting.mimicry_pictures import shelf
from brittle.reporting.mimicry_source import FinishedMimicry
from brittle.reporting.page import render_page
from brittle.reporting.pictures import PAGE_LIMIT, Album, embed
from brittle.reporting.settings import as_yaml, settings
from brittle.reporting.tables import Cell
from brittle.reporting.terminal import as_columns, short_cell


def render(source: FinishedMimicry, limit: int = PAGE_LIMIT) -> str:
    """The report as text, with at most ``limit`` characters of pictures in it."""
    album = Album(source.record)
    shelves = [shelf(source, album, one.name) for one in source.summary.collections]
    first = [picture for one in shelves for picture in one.first()]
    others = [picture for one in shelves for picture in one.others()]
    room = embed(first, others, album, limit)
    return render_page(
        "mimicry.html",
        styles=("report.css",),
        script="report.js",
        summary=source.summary,
        manifest=source.record.manifest,
        shelves=shelves,
        room=room,
        sections=[
            _section(source, arm, number)
            for number, arm in enumerate(source.record.manifest.protections)
        ],
        transforms=[transform_name(label) for label in source.transforms],
        settings=settings(source.record.manifest),
        as_yaml=as_yaml,
    )


def answer(source: FinishedMimicry) -> str:
    """The first sentence, the tables and the flags as text, for a terminal."""
    summary = source.summary
    parts = [summary.headline, f"{summary.unit_words}.".capitalize()]
    for arm in source.record.manifest.protections:
        head, *lines = table(source, arm)
        rows = [[short_cell(cell) for cell in line] for line in lines]
        parts.append(f"{arm}\n" + as_columns([[cell.main for cell in head], *rows]))
    parts += [f"Flag: {flag.name} ({flag.where})." for flag in summary.flags]
    return "\n\n".join(parts)


def table(source: FinishedMimicry, arm: str) -> list[list[Cell]]:
    """A protection's results in the primary metric, a line a transform, the head first."""
    heads = (
        "Transform", "As close as unprotected, per 100", "with noise of its size",
        "best of the tries", "with noise", "unprotected", "Reach", "Retention", "n",
    )  # fmt: skip
    return [[Cell(head) for head in heads]] + [
        [
            Cell(transform_name(one.transform)),
            _share(one.preference),
            _share(one.preference_placebo),
            *(
                Cell(hundred(shares[-1]) if shares else "–")
                for shares in (one.best_of, one.best_of_placebo, one.best_of_clean)
            ),
            _number(one.reach, one.reach_reason),
            _number(one.retention, one.retention_reason),
            Cell(count(one.pairs, "pair")),
        ]
        for one in source.results(arm)
    ]


def _share(interval: Interval | None) -> Cell:
    if interval is None:
        return Cell("–")
    return Cell(hundred(interval.estimate), bounds(interval, per_hundred=True))


def _number(interval: Interval | None, reason: str) -> Cell:
    if interval is None:
        return Cell("–", reason)
    return Cell(number(interval.estimate), bounds(interval))


def _section(source: FinishedMimicry, arm: str, number: int) -> dict[str, Any]:
    quality = qualities(source.record.manifest)
    figures = [] if quality is None else [
        mimicry_figures.distance(source, arm, quality, f"distance-{number}"),
        mimicry_figures.preference(source, arm, quality, f"preference-{number}"),
    ]  # fmt: skip
    summary = source.summary
    others = [one for one in summary.results if one.arm == arm and one.metric != summary.metric]
    return {
        "arm": arm,
        "number": number,
        "figures": figures,
        "table": table(source, arm),
        "tries": len(summary.seeds),
        "others": others,
        "results": source.results(arm),
        "best_transforms": [one for one in summary.best_transforms if one.arm == arm],
    }
