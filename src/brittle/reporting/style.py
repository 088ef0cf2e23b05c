"""What only a trial over collections finds: figures over JPEG quality, and tables of tries."""

from collections.abc import Mapping
from typing import Any

from brittle.analysis.finished import Finished
from brittle.analysis.summary import Interval
from brittle.reporting.charts import round_axis
from brittle.reporting.figures import KEYS, Figure, OverQuality, Series, hundred_axis
from brittle.reporting.formatting import count, estimated, hundred, known, number, transform_name


def distance_over_quality(over: OverQuality, trial: Finished, arm: str, name: str) -> Figure | None:
    """Mimicry's distance from the originals by arm, with both ends as levels."""
    style, metric = trial.summary.style, trial.summary.primary.metric
    if style is None:
        return None
    ends = [end for label in over.places if (end := style.end(label, metric))]
    effects = [one for label in over.places if (one := trial.summary.effect(arm, label))]
    distances = {
        "original": {one.transform: one.clean for one in ends},
        "placebo": {one.transform: one.placebo for one in effects},
        "protection": {one.transform: one.distance for one in effects},
    }
    series = [_of_numbers(kind, distances[kind]) for kind in trial.compared(arm)]
    scale = {"originals from each other": ends[0].originals, "base model": ends[0].base_model}
    levels = {text: level for text, level in scale.items() if level is not None}
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


def preference_over_quality(
    over: OverQuality, trial: Finished, arm: str, name: str
) -> Figure | None:
    """The share of generated pictures as close as without protection."""
    style, metric = trial.summary.style, trial.summary.primary.metric
    if style is None:
        return None
    twins = [one for label in over.places if (one := style.preference(arm, label, metric))]
    shares = {
        "placebo": {one.transform: one.preference_placebo for one in twins},
        "protection": {one.transform: one.preference for one in twins},
    }
    series = []
    for kind, found in shares.items():
        known = {label: share for label, share in found.items() if share}
        texts = {label: estimated(share, per_hundred=True) for label, share in known.items()}
        if known:
            series.append(Series(kind, KEYS[kind], known, texts))
    bars = "no intervals" if style.unit == "none" else f"bars are 95 % intervals over {style.unit}"
    return over.figure(
        name,
        "Pictures as close as without protection, over JPEG quality",
        hundred_axis("as close, per 100 pairs"),
        series,
        "Of 100 pairs of pictures with the same prompt and seeds, after the same transform: how "
        f"many are at least as close to the originals as without protection; {bars}.",
        levels={"as good as without protection": 0.5},
    )


def found_in_style(trial: Finished, arm: str) -> dict[str, Any]:
    """Tables of a protection: the best of K tries, other metrics, the best of all transforms."""
    style = trial.summary.style
    if style is None:
        return {}
    mine = [one for one in style.preferences if one.arm == arm]
    return {
        "best_of": [
            (
                transform_name(one.transform),
                tries,
                hundred(share),
                hundred(one.best_of_placebo[tries - 1]) if one.best_of_placebo else "–",
                hundred(one.best_of_clean[tries - 1]),
            )
            for one in mine
            if one.metric == trial.summary.primary.metric
            for tries, share in enumerate(one.best_of, 1)
        ],
        "in_every_metric": [
            (
                one.metric,
                transform_name(one.transform),
                *(known(value) for value in (end.clean, effect.placebo, effect.distance)),
                f"{one.preferred:g} of {one.pairs}",
                "–" if one.preferred_placebo is None else f"{one.preferred_placebo:g}",
            )
            for one in mine
            if (effect := trial.summary.effect(arm, one.transform, metric=one.metric))
            and (end := style.end(one.transform, one.metric))
        ],
        "best_transforms": [
            (
                one.metric,
                str(one.transforms),
                *(known(share, per_hundred=True) for share in (one.share, one.placebo, one.clean)),
            )
            for one in style.best_transforms
            if one.arm == arm
        ],
    }


def _of_numbers(kind: str, values: Mapping[str, float | None]) -> Series:
    """A series of numbers without intervals."""
    known = {label: value for label, value in values.items() if value is not None}
    return Series(
        kind,
        KEYS[kind],
        {label: Interval(estimate=value, method="none", n=0) for label, value in known.items()},
        {label: number(value) for label, value in known.items()},
    )
