"""The report of a trial over collections: what was generated, and how near it comes."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from brittle.analysis.finished import Finished
from brittle.analysis.summary import Effect, Ends, Interval, Preference, Style
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
class Outcome:
    """All that was found of one protection after one transform, in one metric."""

    transform: str
    metric: str
    effect: Effect
    preference: Preference
    end: Ends


class Learned(Finished):
    """A finished trial over collections."""

    @property
    def style(self) -> Style:
        """What only such a trial finds."""
        assert self.summary.style is not None, "a trial over photos has another report"
        return self.summary.style

    def outcomes(self, protection: str) -> Iterator[Outcome]:
        """What was found of a protection, by metric and transform."""
        for twins in self.style.preferences:
            effect = self.summary.effect(twins.arm, twins.transform, metric=twins.metric)
            end = self.style.end(twins.transform, twins.metric)
            if twins.arm == protection and effect and end:
                yield Outcome(twins.transform, twins.metric, effect, twins, end)

    def results(self, protection: str) -> list[Outcome]:
        """The same in the primary metric, by transform."""
        metric = self.summary.primary.metric
        return [one for one in self.outcomes(protection) if one.metric == metric]


def render(finished: Finished, limit: int = PAGE_LIMIT) -> str:
    """The report as text, with at most ``limit`` characters of pictures in it."""
    trial = Learned(finished.record, finished.summary)
    summary, style, manifest = trial.summary, trial.style, trial.manifest
    protections = manifest.protections
    compared = [label for arm in protections for label in trial.compared(arm).values()]
    gallery = Shelves(trial.record, list(dict.fromkeys(compared)), summary.primary.metric)
    shelves = [gallery.shelf(one, style.seeds) for one in manifest.collections]
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
                count(len(style.collections), "collection"),
                f"{count(style.fine_tunes, 'fine-tune')} each",
                count(len(style.seeds), "seed"),
            ),
            *facts(manifest),
        ],
        headline=summary.headline.sentence,
        unit=style.unit,
        unit_words=_sentence(style.unit_words),
        metric=summary.primary.metric,
        placebo=summary.placebo.sentence if summary.placebo.chosen else "",
        shelves=shelves,
        transforms=[transform_name(one.label) for one in manifest.transforms],
        room=embed(first, others, gallery.album, limit),
        sections=[_section(trial, arm, place) for place, arm in enumerate(protections)],
        ends=[
            (
                one.metric,
                transform_name(one.transform),
                *(_known(value) for value in (one.originals, one.clean, one.base_model)),
                estimated(one.learned) if one.learned else "–",
            )
            for one in style.ends
        ],
        settings=settings(manifest),
    )


def answer(finished: Finished) -> str:
    """The first sentence, the tables and the flags as text, for a terminal."""
    trial, summary = Learned(finished.record, finished.summary), finished.summary
    parts = [summary.headline.sentence, _sentence(trial.style.unit_words)]
    parts += [as_text(transform_table(trial, arm)) for arm in trial.manifest.protections]
    parts += [f"Flag: {flag.name} ({flag.where})." for flag in summary.flags]
    return "\n\n".join(parts)


def transform_table(trial: Learned, arm: str) -> TransformTable:
    """A protection's results in the primary metric: how often as close, reach, retention."""
    tries = count(len(trial.style.seeds), "picture")
    return TransformTable(
        arm=arm,
        editor=trial.editor,
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
        caption=f"{_sentence(trial.style.unit_words)} Best of the tries: of {tries} a prompt",
    )


def _row(one: Outcome) -> TransformRow:
    twins, effect = one.preference, one.effect
    tries = (twins.best_of, twins.best_of_placebo, twins.best_of_clean)
    return TransformRow(
        name=transform_name(one.transform),
        label=one.transform,
        outcomes=(
            _cell(twins.preference, per_hundred=True),
            _cell(twins.preference_placebo, per_hundred=True),
            *(Cell(hundred(shares[-1]) if shares else "–") for shares in tries),
        ),
        reach=_cell(effect.reach, one.end.reason),
        retention=_cell(effect.retention, effect.retention_reason),
        n=Cell(str(twins.pairs)),
    )


def _cell(interval: Interval | None, reason: str = "", *, per_hundred: bool = False) -> Cell:
    if interval is None:
        return Cell("–", reason, "missing wordy" if reason else "missing")
    main = hundred(interval.estimate) if per_hundred else number(interval.estimate)
    return Cell(main, bounds(interval, per_hundred=per_hundred))


def _section(trial: Learned, arm: str, place: int) -> dict[str, Any]:
    """The figures and tables of one protection."""
    metric, results = trial.summary.primary.metric, trial.results(arm)
    over = over_quality(trial.manifest)
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
                hundred(twins.best_of_placebo[tries - 1]) if twins.best_of_placebo else "–",
                hundred(twins.best_of_clean[tries - 1]),
            )
            for one in results
            for twins in [one.preference]
            for tries, share in enumerate(twins.best_of, 1)
        ],
        "others": [
            (
                one.metric,
                transform_name(one.transform),
                *map(_known, (one.end.clean, one.effect.placebo, one.effect.distance)),
                f"{twins.preferred:g} of {twins.pairs}",
                "–" if twins.preferred_placebo is None else f"{twins.preferred_placebo:g}",
            )
            for one in trial.outcomes(arm)
            for twins in [one.preference]
            if one.metric != metric
        ],
        "best_transforms": [one for one in trial.style.best_transforms if one.arm == arm],
    }


def _distances(over: OverQuality, trial: Learned, arm: str, name: str) -> Figure:
    """Mimicry's distance over JPEG quality by arm, with both ends as levels."""
    style, metric, results = trial.style, trial.summary.primary.metric, trial.results(arm)
    end = next(one for one in style.ends if one.metric == metric)
    distances = {
        "original": {one.transform: one.end.clean for one in results},
        "placebo": {one.transform: one.effect.placebo for one in results},
        "protection": {one.transform: one.effect.distance for one in results},
    }
    series = [_series(kind, distances[kind]) for kind in trial.compared(arm)]
    ends = {"originals from each other": end.originals, "base model": end.base_model}
    levels = {text: level for text, level in ends.items() if level is not None}
    every = [value.estimate for one in series for value in one.values.values()]
    return over.figure(
        name,
        "Distance of mimicry from the originals over JPEG quality",
        round_axis([*every, *levels.values()], f"{metric} distance"),
        series,
        f"Mean distance ({metric}) of the generated pictures from the originals: lower is better "
        f"mimicry. The ends: {', '.join(f'{text} {number(at)}' for text, at in levels.items())}. "
        f"{count(len(style.seeds), 'seed')}, {count(len(style.prompts), 'prompt')}, "
        f"{count(style.fine_tunes, 'fine-tune')} a point.",
        levels=levels,
    )


def _series(kind: str, values: dict[str, float | None]) -> Series:
    known = {label: value for label, value in values.items() if value is not None}
    intervals = {
        label: Interval(estimate=value, method="none", n=0) for label, value in known.items()
    }
    return Series(
        kind, KEYS[kind], intervals, {label: number(value) for label, value in known.items()}
    )


def _preferences(over: OverQuality, trial: Learned, arm: str, name: str) -> Figure:
    """The share of generated pictures as close as without protection, over JPEG quality."""
    twins, unit = [one.preference for one in trial.results(arm)], trial.style.unit
    shares: dict[str, dict[str, Interval | None]] = {
        "placebo": {one.transform: one.preference_placebo for one in twins},
        "protection": {one.transform: one.preference for one in twins},
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


def _known(value: float | None) -> str:
    return "–" if value is None else number(value, 3)


def _sentence(words: str) -> str:
    return f"{words[:1].upper()}{words[1:]}."
