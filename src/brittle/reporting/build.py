"""From a finished trial to its report: one HTML file that needs nothing but itself."""

from pathlib import Path
from typing import Any

from brittle.analysis.finished import Finished
from brittle.record.store import FolderStore
from brittle.reporting import figures, mimicry, scatter, tables, terminal
from brittle.reporting.fair import fair_section
from brittle.reporting.formatting import scoped
from brittle.reporting.gallery import Gallery
from brittle.reporting.mimicry_source import FinishedMimicry
from brittle.reporting.page import render_page
from brittle.reporting.pictures import PAGE_LIMIT, embed
from brittle.reporting.settings import as_yaml, settings

REPORT = "report.html"


def build_report(trial: Finished | FinishedMimicry) -> Path:
    """Write ``report.html`` into a trial's folder and return its path.

    The same folder gives the same bytes.

    Raises:
        UserError: the disk is full.
    """
    directory = trial.record.directory
    assert directory is not None, "a trial in memory has no folder"
    page = mimicry.render(trial) if isinstance(trial, FinishedMimicry) else render(trial)
    FolderStore(directory).write_file(REPORT, page.encode("utf-8", "replace"))
    return directory / REPORT


def answer(trial: Finished | FinishedMimicry) -> str:
    """The report's first sentence and main tables as text, for a terminal."""
    return mimicry.answer(trial) if isinstance(trial, FinishedMimicry) else terminal.answer(trial)


def render(trial: Finished, limit: int = PAGE_LIMIT) -> str:
    """The report as text, with at most ``limit`` characters of pictures in it."""
    summary, arms = trial.summary, trial.protections
    gallery = Gallery(trial)
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
        summary=summary,
        manifest=trial.manifest,
        editor=trial.editor,
        headline=scoped(summary, summary.headline.sentence),
        headline_verdict=summary.verdict(headline_arm, summary.headline.transform or ""),
        choices=choices,
        pages=pages,
        gallery=gallery,
        room=room,
        sections=[_section(trial, arm, number) for number, arm in enumerate(arms)],
        fair=fair_section(summary),
        settings=settings(trial.manifest),
        as_yaml=as_yaml,
    )


def _section(trial: Finished, arm: str, number: int) -> dict[str, Any]:
    """The figures and tables of one protection."""
    summary = trial.summary
    drawn = [
        figures.usable_over_quality(trial, arm, f"usable-{number}"),
        figures.reach_over_quality(trial, arm, f"reach-{number}"),
        figures.retention_over_quality(trial, arm, f"retention-{number}"),
    ]
    costs = [
        scatter.cost_against_reach(trial, arm, f"cost-usable-{number}", by="usable"),
        scatter.cost_against_reach(trial, arm, f"cost-distance-{number}", by="distance"),
    ]
    editors = [one.label for one in trial.manifest.editors] or [trial.editor]
    return {
        "arm": arm,
        "number": number,
        "quality": [figure for figure in drawn if figure],
        "cost": [figure for figure in costs if figure],
        "tables": [tables.transform_table(trial, arm, editor) for editor in editors],
        "metrics": tables.other_metrics(trial, arm),
        "verdicts": [found for found in summary.verdicts if found.arm == arm],
        "half_lives": [found for found in summary.half_lives if found.arm == arm],
        "comparisons": [found for found in summary.comparisons if found.arm == arm],
        "worst_cases": [found for found in summary.worst_cases if found.arm == arm],
        "why_no_retention": next(
            (
                effect.retention_reason
                for effect in summary.effects
                if effect.arm == arm and effect.transform != "none" and effect.retention_reason
            ),
            "",
        ),
    }
