"""The report of a trial over collections: what was generated, and how near it comes."""

from dataclasses import dataclass
from typing import Any

from brittle.analysis.mimicry_summary import Mimicked, MimicrySummary
from brittle.analysis.summary import Interval
from brittle.record.arms import ORIGINAL, placebo_label
from brittle.record.record import Record
from brittle.reporting.boards import Shelves
from brittle.reporting.charts import round_axis
from brittle.reporting.figures import KEYS, Figure, OverQuality, Series, hundred_axis, over_quality
from brittle.reporting.formatting import bounds, count, estimated, hundred, number, transform_name
from brittle.reporting.glossary import glossary
from brittle.reporting.page import render_page
from brittle.reporting.pictures import PAGE_LIMIT, embed
from brittle.reporting.settings import facts, settings
from brittle.reporting.tables import Cell, TransformRow, TransformTable
from brittle.reporting.terminal import as_text


@dataclass(frozen=True)
class FinishedMimicry:
    """A finished trial over collections."""

    record: Record
    summary: MimicrySummary

    def compared(self, protection: str) -> dict[str, str]:
        """The arms that a protection is compared with, by kind, and itself as the last."""
        kind = self.summary.placebo
        placebo = {"placebo": placebo_label(kind, protection)} if kind else {}
        return {"original": ORIGINAL, **placebo, "protection": protection}

    def results(self, protection: str) -> list[Mimicked]:
        """A protection's results in the primary metric, by transform."""
        metric = self.summary.metric
        return [
            one for one in self.summary.results if (one.arm, one.metric) == (protection, metric)
        ]


def render(trial: FinishedMimicry, limit: int = PAGE_LIMIT) -> str:
    """The report as text, with at most ``limit`` characters of pictures in it."""
    summary, manifest = trial.summary, trial.record.manifest
    protections = manifest.protections
    compared = [label for arm in protections for label in trial.compared(arm).values()]
    gallery = Shelves(trial.record, list(dict.fromkeys(compared)), summary.metric)
    shelves = [gallery.shelf(one, summary.seeds) for one in manifest.collections]
    first = [picture for one in shelves for picture in one.first()]
    others = [picture for one in shelves for picture in one.others()]
    return render_page(
        "style.html",
        script="report.js",
        glossary=glossary("collections"),
        summary=summary,
        manifest=manifest,
        facts=[
            *(
                count(len(summary.collections), "collection"),
                f"{count(summary.tunings, 'fine-tune')} each",
                count(len(summary.seeds), "seed"),
            ),
            *facts(manifest),
        ],
        headline=summary.headline,
        unit=_sentence(summary.unit_words),
        metric=summary.metric,
        placebo=f"The placebo is {summary.placebo}." if summary.placebo else "",
        shelves=shelves,
        transforms=[transform_name(one.label) for one in manifest.transforms],
        room=embed(first, others, gallery.album, limit),
        sections=[_section(trial, arm, place) for place, arm in enumerate(protections)],
        ends=[
            (
                one.metric,
                transform_name(one.transform),
                number(one.originals, 3),
                number(one.clean, 3),
                number(one.base_model, 3),
                estimated(one.learned),
            )
            for one in summary.ends
        ],
        missing=summary.missing,
        settings=settings(manifest),
    )


def answer(trial: FinishedMimicry) -> str:
    """The first sentence, the tables and the flags as text, for a terminal."""
    summary = trial.summary
    parts = [summary.headline, _sentence(summary.unit_words)]
    parts += [as_text(transform_table(trial, arm)) for arm in trial.record.manifest.protections]
    parts += [f"Flag: {flag.name} ({flag.where})." for flag in summary.flags]
    return "\n\n".join(parts)


def transform_table(trial: FinishedMimicry, arm: str) -> TransformTable:
    """A protection's results in the primary metric: how often as close, reach, retention."""
    tries = count(len(trial.summary.seeds), "picture")
    return TransformTable(
        arm=arm,
        editor=trial.record.manifest.editors[0].label,
        outcome="As close as unprotected, per 100",
        columns=(
            "protected",
            "placebo",
            "best of the tries",
            "best, placebo",
            "best, unprotected",
        ),
        counted="pairs",
        rows=tuple(_row(one) for one in trial.results(arm)),
        caption=f"{_sentence(trial.summary.unit_words)} Best of the tries: of {tries} a prompt",
    )


def _row(one: Mimicked) -> TransformRow:
    tries = (one.best_of, one.best_of_placebo, one.best_of_clean)
    return TransformRow(
        name=transform_name(one.transform),
        label=one.transform,
        outcomes=(
            _cell(one.preference, per_hundred=True),
            _cell(one.preference_placebo, per_hundred=True),
            *(Cell(hundred(shares[-1]) if shares else "–") for shares in tries),
        ),
        reach=_cell(one.reach, one.reach_reason),
        retention=_cell(one.retention, one.retention_reason),
        n=Cell(str(one.pairs)),
    )


def _cell(interval: Interval | None, reason: str = "", *, per_hundred: bool = False) -> Cell:
    if interval is None:
        return Cell("–", reason, "missing wordy" if reason else "missing")
    main = hundred(interval.estimate) if per_hundred else number(interval.estimate)
    return Cell(main, bounds(interval, per_hundred=per_hundred))


def _section(trial: FinishedMimicry, arm: str, place: int) -> dict[str, Any]:
    """The figures and tables of one protection."""
    summary, results = trial.summary, trial.results(arm)
    over = over_quality(trial.record.manifest)
    return {
        "arm": arm,
        "number": place,
        "quality": [
            _distances(over, trial, arm, f"distance-{place}"),
            _preferences(over, trial, arm, f"preference-{place}"),
        ]
        if over
        else [],
        "cost": [],
        "why_no_retention": "",
        "tables": [transform_table(trial, arm)],
        "further": True,
        "best_of": [
            (
                transform_name(one.transform),
                tries,
                hundred(share),
                hundred(one.best_of_placebo[tries - 1]) if one.best_of_placebo else "–",
                hundred(one.best_of_clean[tries - 1]),
            )
            for one in results
            for tries, share in enumerate(one.best_of, 1)
        ],
        "others": [
            (
                one.metric,
                transform_name(one.transform),
                number(one.clean, 3),
                "–" if one.placebo is None else number(one.placebo, 3),
                number(one.distance, 3),
                f"{one.preferred:g} of {one.pairs}",
                "–" if one.preferred_placebo is None else f"{one.preferred_placebo:g}",
            )
            for one in summary.results
            if one.arm == arm and one.metric != summary.metric
        ],
        "best_transforms": [one for one in summary.best_transforms if one.arm == arm],
    }


def _distances(over: OverQuality, trial: FinishedMimicry, arm: str, name: str) -> Figure:
    """Mimicry's distance over JPEG quality by arm, with both ends as levels."""
    summary, results = trial.summary, trial.results(arm)
    end = next(one for one in summary.ends if one.metric == summary.metric)
    distances = {
        "original": {one.transform: one.clean for one in results},
        "placebo": {one.transform: one.placebo for one in results if one.placebo is not None},
        "protection": {one.transform: one.distance for one in results},
    }
    series = [_series(kind, distances[kind]) for kind in trial.compared(arm)]
    levels = {"originals from each other": end.originals, "base model": end.base_model}
    every = [value.estimate for one in series for value in one.values.values()]
    return over.figure(
        name,
        "Distance of mimicry from the originals over JPEG quality",
        round_axis([*every, *levels.values()], f"{summary.metric} distance"),
        series,
        f"Mean distance ({summary.metric}) of the generated pictures from the originals: lower is "
        f"better mimicry. The ends: originals from each other {number(end.originals)}, the base "
        f"model {number(end.base_model)}. {count(len(summary.seeds), 'seed')}, "
        f"{count(len(summary.prompts), 'prompt')}, {count(summary.tunings, 'fine-tune')} a point.",
        levels=levels,
    )


def _series(kind: str, values: dict[str, float]) -> Series:
    intervals = {
        label: Interval(estimate=value, method="none", n=0) for label, value in values.items()
    }
    return Series(
        kind, KEYS[kind], intervals, {label: number(value) for label, value in values.items()}
    )


def _preferences(over: OverQuality, trial: FinishedMimicry, arm: str, name: str) -> Figure:
    """The share of generated pictures as close as without protection, over JPEG quality."""
    results, unit = trial.results(arm), trial.summary.unit
    shares: dict[str, dict[str, Interval | None]] = {
        "placebo": {one.transform: one.preference_placebo for one in results},
        "protection": {one.transform: one.preference for one in results},
    }
    series = []
    for kind, found in shares.items():
        known = {label: share for label, share in found.items() if share}
        texts = {label: estimated(share, per_hundred=True) for label, share in known.items()}
        if known:
            series.append(Series(kind, KEYS[kind], known, texts))
    bars = "no intervals" if unit == "none" else f"bars are 95 % intervals over {unit}"
    return over.figure(
        name,
        "Pictures as close as without protection, over JPEG quality",
        hundred_axis("as close, per 100 pairs"),
        series,
        "Of 100 pairs of pictures with the same prompt and seeds, after the same transform: how "
        f"many are at least as close to the originals as without protection; {bars}.",
        levels={"as good as without protection": 0.5},
    )


def _sentence(words: str) -> str:
    return f"{words[:1].upper()}{words[1:]}."
