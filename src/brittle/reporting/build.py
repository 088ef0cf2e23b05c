"""From a finished trial to its report: one HTML file that needs nothing but itself."""

from functools import partial
from pathlib import Path
from typing import Any

from brittle.analysis.finished import Finished
from brittle.analysis.summary import Summary, WorstCase
from brittle.record.arms import ORIGINAL
from brittle.record.store import REPORT, FolderStore
from brittle.reporting.black_box import black_box
from brittle.reporting.boards import collections_page
from brittle.reporting.equal_distortion import equal_distortion
from brittle.reporting.figures import (
    FEWEST,
    over_quality,
    reach_over_quality,
    retention_over_quality,
    usable_over_quality,
)
from brittle.reporting.formatting import scoped, unscoped
from brittle.reporting.gallery import photos_page
from brittle.reporting.glossary import glossary
from brittle.reporting.page import render_page
from brittle.reporting.pictures import PAGE_LIMIT
from brittle.reporting.plain import plain_answers, raw_distances
from brittle.reporting.scatter import cost_against_reach
from brittle.reporting.settings import facts, settings
from brittle.reporting.style import distance_over_quality, found_in_style, preference_over_quality
from brittle.reporting.tables import other_metrics, transform_table


def build_report(trial: Finished) -> Path:
    """Write ``report.html`` into a trial's folder and return its path.

    The same folder gives the same bytes.

    Raises:
        UserError: the disk is full.
    """
    directory = trial.record.directory
    assert directory is not None, "a trial in memory has no folder"
    page = render(trial).encode("utf-8", "replace")
    FolderStore(directory).write_results(trial.manifest, {REPORT: page})
    return directory / REPORT


def render(trial: Finished, limit: int = PAGE_LIMIT) -> str:
    """The report as text, with at most ``limit`` characters of pictures in it."""
    summary = trial.summary
    return render_page(
        "style.html" if summary.style else "photos.html",
        script="report.js",
        glossary=glossary(
            "collections" if summary.style else "photos", margins=summary.primary.margins
        ),
        summary=summary,
        manifest=trial.manifest,
        facts=facts(trial),
        plain=plain_answers(summary),
        headline=summary.headline.sentence,
        scoped=partial(scoped, summary),
        unscoped=partial(unscoped, summary),
        sections=[_section(trial, arm, place) for place, arm in enumerate(trial.protections)],
        distortion=equal_distortion(summary),
        models=black_box(trial),
        settings=settings(trial.manifest),
        **(collections_page(trial, limit) if summary.style else photos_page(trial, limit)),
    )


def _worst_cases(summary: Summary, arm: str) -> list[tuple[WorstCase, WorstCase]]:
    """Each line of the search, with the same line of the unprotected photo."""
    unprotected = {one.line: one for one in summary.worst_cases if one.arm == ORIGINAL}
    return [(one, unprotected[one.line]) for one in summary.worst_cases if one.arm == arm]


def _section(trial: Finished, arm: str, place: int) -> dict[str, Any]:
    """The figures and tables of one protection."""
    summary = trial.summary
    over = over_quality(trial)
    drawn = [
        draw(over, trial, arm, f"{name}-{place}")
        for name, draw in {
            "usable": usable_over_quality,
            "distance": distance_over_quality,
            "preference": preference_over_quality,
            "reach": reach_over_quality,
            "retention": retention_over_quality,
        }.items()
        if over and len(over.places) > FEWEST  # and one place is of the untransformed photo
    ]
    costs = [
        cost_against_reach(trial, arm, f"cost-{by}-{place}", by=by) for by in ("usable", "distance")
    ]
    further = {
        "verdicts": [found for found in summary.verdicts if found.arm == arm],
        "half_lives": [found for found in summary.half_lives if found.arm == arm],
        "comparisons": [found for found in summary.comparisons if found.arm == arm],
        "worst_cases": _worst_cases(summary, arm),
        "metrics": other_metrics(trial, arm),
        **found_in_style(trial, arm),
    }
    editors = [] if summary.style else [one.label for one in trial.manifest.editors]
    return {
        "arm": arm,
        "number": place,
        "quality": [figure for figure in drawn if figure],
        "cost": [figure for figure in costs if figure],
        "tables": [transform_table(trial, arm, editor) for editor in editors or [trial.editor]],
        "alone": raw_distances(trial, arm, trial.editor),
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
