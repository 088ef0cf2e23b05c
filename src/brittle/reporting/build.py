"""From a finished trial to its report: one HTML file that needs nothing but itself."""

from pathlib import Path
from typing import Any

from brittle.analysis.finished import Finished
from brittle.analysis.summary import Summary, WorstCase
from brittle.record.arms import ORIGINAL
from brittle.record.store import FolderStore
from brittle.reporting import style, terminal
from brittle.reporting.equal_distortion import equal_distortion
from brittle.reporting.figures import (
    over_quality,
    reach_over_quality,
    retention_over_quality,
    usable_over_quality,
)
from brittle.reporting.formatting import count, scoped
from brittle.reporting.gallery import Gallery
from brittle.reporting.glossary import glossary
from brittle.reporting.page import render_page
from brittle.reporting.pictures import PAGE_LIMIT, embed
from brittle.reporting.scatter import cost_against_reach
from brittle.reporting.settings import facts, settings
from brittle.reporting.tables import other_metrics, transform_table

REPORT = "report.html"


def build_report(trial: Finished) -> Path:
    """Write ``report.html`` into a trial's folder and return its path.

    The same folder gives the same bytes.

    Raises:
        UserError: the disk is full.
    """
    directory = trial.record.directory
    assert directory is not None, "a trial in memory has no folder"
    page = style.render(trial) if trial.summary.style else render(trial)
    FolderStore(directory).write_file(REPORT, page.encode("utf-8", "replace"))
    return directory / REPORT


def answer(trial: Finished) -> str:
    """The report's first sentence and main tables as text, for a terminal."""
    return style.answer(trial) if trial.summary.style else terminal.answer(trial)


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
        "photos.html",
        script="report.js",
        glossary=glossary("photos", margins=summary.primary.margins),
        summary=summary,
        manifest=trial.manifest,
        facts=[count(summary.n_photos, "photo"), *facts(trial.manifest)],
        headline=scoped(summary, summary.headline.sentence),
        headline_verdict=summary.verdict(headline_arm, summary.headline.transform or ""),
        metric=summary.primary.metric,
        placebo=summary.placebo.sentence,
        star="what carries a verdict"
        if gallery.only_edits
        else "what the trial declared beforehand",
        choices=choices,
        pages=pages,
        gallery=gallery,
        room=room,
        sections=[_section(trial, arm, place) for place, arm in enumerate(arms)],
        distortion=equal_distortion(summary),
        settings=settings(trial.manifest),
    )


def _worst_cases(summary: Summary, arm: str) -> list[tuple[WorstCase, WorstCase]]:
    """Each line of the search, with the same line of the unprotected photo."""
    unprotected = {one.line: one for one in summary.worst_cases if one.arm == ORIGINAL}
    return [(one, unprotected[one.line]) for one in summary.worst_cases if one.arm == arm]


def _section(trial: Finished, arm: str, place: int) -> dict[str, Any]:
    """The figures and tables of one protection."""
    summary = trial.summary
    over = over_quality(trial.manifest, dots=summary.illustration)
    drawn = (
        [
            usable_over_quality(over, trial, arm, f"usable-{place}"),
            reach_over_quality(over, trial, arm, f"reach-{place}"),
            retention_over_quality(over, trial, arm, f"retention-{place}"),
        ]
        if over
        else []
    )
    costs = [
        cost_against_reach(trial, arm, f"cost-{by}-{place}", by=by) for by in ("usable", "distance")
    ]
    further = {
        "verdicts": [found for found in summary.verdicts if found.arm == arm],
        "half_lives": [found for found in summary.half_lives if found.arm == arm],
        "comparisons": [found for found in summary.comparisons if found.arm == arm],
        "worst_cases": _worst_cases(summary, arm),
        "metrics": other_metrics(trial, arm),
    }
    editors = [one.label for one in trial.manifest.editors] or [trial.editor]
    return {
        "arm": arm,
        "number": place,
        "quality": [figure for figure in drawn if figure],
        "cost": [figure for figure in costs if figure],
        "tables": [transform_table(trial, arm, editor) for editor in editors],
        "why_no_retention": next(
            (
                effect.retention_reason
                for effect in summary.effects
                if effect.arm == arm and effect.transform != "none" and effect.retention_reason
            ),
            "",
        ),
        "further": any(further.values()),
        **further,
    }
