"""From a trial's folder to its report: one HTML file that needs nothing but itself."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from brittle.report import figures, scatter, tables, words
from brittle.report.fair import fair_section
from brittle.report.gallery import Gallery
from brittle.report.page import render_page
from brittle.report.pictures import PAGE_LIMIT, embed
from brittle.report.source import Source
from brittle.trial.store import Store

REPORT = "report.html"


def build_report(directory: Path) -> Path:
    """Write ``report.html`` into a trial's folder, from the folder alone, and return its path.

    The same folder gives the same bytes.

    Raises:
        UserError: the folder holds no finished trial, or the disk is full.
    """
    directory = Path(directory)
    source = Source(directory)
    Store(directory).write_file(REPORT, render(source).encode("utf-8", "replace"))
    return directory / REPORT


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
    outside = embed([*shown, *rest], gallery.album, limit)
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
        outside=outside,
        sections=[_section(source, arm, placebo, number) for number, arm in enumerate(arms)],
        fair=fair_section(source),
        declared=_mapping(_mapping(source.manifest.get("trial")).get("resolved")),
        settings=_settings(source),
        words=words,
        as_yaml=as_yaml,
    )


def as_yaml(data: Any) -> str:
    """Plain data as one would write it by hand."""
    return yaml.safe_dump(json.loads(json.dumps(data)), sort_keys=False, allow_unicode=True)


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


def _settings(source: Source) -> list[tuple[str, str]]:
    """The manifest's short facts, in words."""
    manifest, model = source.manifest, _mapping(source.manifest.get("model"))
    code = _mapping(manifest.get("code"))
    facts = [
        ("Edit model", str(model.get("name", ""))),
        ("Model's content hash", str(model.get("content_hash", ""))),
        ("Model's resolution", f"{model['size']} px" if "size" in model else ""),
        ("Model's licence", str(model.get("license") or model.get("license_note") or "")),
        ("Device, number format", _joined(manifest.get("device"), manifest.get("dtype"))),
        ("Rows a model call", str(manifest.get("batch") or "")),
        ("brittle", _joined(code.get("version"), code.get("git") and f"git {code['git']}")),
        ("Safety checker", str(model.get("safety_checker") or "")),
        ("Begun", words.moment(manifest.get("created") or "")),
    ]
    return [(name, value) for name, value in facts if value]


def _joined(*parts: Any) -> str:
    return ", ".join(str(part) for part in parts if part)


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
