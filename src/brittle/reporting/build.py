"""From a trial's folder to its report: one HTML file that needs nothing but itself."""

from pathlib import Path
from typing import Any

from brittle.analysis.store import over_collections
from brittle.record.store import Store
from brittle.reporting import figures, mimicry, scatter, tables, terminal
from brittle.reporting import formatting as words
from brittle.reporting.fair import fair_section
from brittle.reporting.gallery import Gallery
from brittle.reporting.mimicry_source import MimicrySource
from brittle.reporting.page import render_page
from brittle.reporting.pictures import PAGE_LIMIT, embed
from brittle.reporting.settings import as_yaml, mapping, settings
from brittle.reporting.source import Folder, Source

REPORT = "report.html"


def build_report(directory: Path) -> Path:
    """Write ``report.html`` into a trial's folder, from the folder alone, and return its path.

    The same folder gives the same bytes.

    Raises:
        UserError: the folder holds no finished trial, or the disk is full.
    """
    directory = Path(directory)
    folder = Folder(directory)
    if over_collections(folder.manifest):
        page = mimicry.render(MimicrySource(directory))
    else:
        page = render(Source(directory))
    Store(directory).write_file(REPORT, page.encode("utf-8", "replace"))
    return directory / REPORT


def answer(directory: Path) -> str:
    """The report's first sentence and main tables as text, for a terminal.

    Raises:
        UserError: the folder holds no finished trial.
    """
    if over_collections(Folder(directory).manifest):
        return mimicry.answer(MimicrySource(directory))
    return terminal.answer(Source(directory))


def render(source: Source, limit: int = PAGE_LIMIT) -> str:
    """The report as text, with at most ``limit`` characters of pictures in it."""
    summary = source.summary
    editor = summary.primary.editor or next(iter(source.editors), "")
    arms = _protections(source)
    placebo = summary.placebo.chosen
    gallery = Gallery(source, arms, placebo, editor)
    headline_arm = summary.headline.arm if summary.headline.arm in arms else (arms or [""])[0]
    choices = gallery.choices(headline_arm, summary.headline.transform)
    pages = gallery.pages([choice.photo for choice in choices])
    shown = [
        picture
        for choice in choices
        for card in choice.cards
        for picture in (card.received, card.edited)
        if picture
    ]
    rest = [picture for page in pages for picture in page.pictures()]
    room = embed(shown, rest, gallery.album, limit)
    return render_page(
        "template.html",
        styles=("report.css",),
        script="report.js",
        source=source,
        summary=summary,
        manifest=source.manifest,
        editor=editor,
        headline=words.scoped(summary, summary.headline.sentence),
        headline_verdict=summary.verdict(headline_arm, summary.headline.transform or ""),
        choices=choices,
        pages=pages,
        gallery=gallery,
        room=room,
        sections=[_section(source, arm, placebo, number) for number, arm in enumerate(arms)],
        fair=fair_section(source),
        declared=mapping(mapping(source.manifest.get("trial")).get("resolved")),
        settings=settings(source),
        words=words,
        as_yaml=as_yaml,
    )


def _protections(source: Source) -> list[str]:
    """The protections, those that the verdict is about first."""
    named = list(source.summary.primary.arms)
    return list(
        dict.fromkeys(
            [*named, *(arm.label for arm in source.arms.values() if arm.kind == "protection")]
        )
    )


def _section(source: Source, arm: str, placebo: str | None, number: int) -> dict[str, Any]:
    """The figures and tables of one protection."""
    label = f"{placebo}({arm})" if placebo else None
    drawn = [
        figures.usable_over_quality(source, arm, label, f"usable-{number}"),
        figures.reach_over_quality(source, arm, f"reach-{number}"),
        figures.retention_over_quality(source, arm, f"retention-{number}"),
    ]
    costs = [
        scatter.cost_against_reach(source, arm, f"cost-usable-{number}", by="usable"),
        scatter.cost_against_reach(source, arm, f"cost-distance-{number}", by="distance"),
    ]
    mine = [found for found in source.summary.verdicts if found.arm == arm]
    return {
        "arm": arm,
        "number": number,
        "quality": [figure for figure in drawn if figure],
        "cost": [figure for figure in costs if figure],
        "tables": [
            tables.transform_table(source, arm, label, editor)
            for editor in (source.editors or [source.summary.primary.editor or ""])
        ],
        "metrics": tables.other_metrics(source, arm),
        "verdicts": mine,
        "half_lives": [found for found in source.summary.half_lives if found.arm == arm],
        "comparisons": [found for found in source.summary.comparisons if found.arm == arm],
        "worst_cases": [found for found in source.summary.worst_cases if found.arm == arm],
        "why_no_retention": next(
            (
                effect.retention_reason
                for effect in source.summary.effects
                if effect.arm == arm and effect.transform != "none" and effect.retention_reason
            ),
            "",
        ),
    }
