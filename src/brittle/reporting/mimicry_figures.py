"""Figures of a trial over collections over JPEG quality: distance of mimicry, and preference."""

from brittle.analysis.mimicry_summary import Mimicked
from brittle.analysis.summary import Interval
from brittle.reporting.charts import Axis, Chart, steps
from brittle.reporting.figures import KEYS, LINES, Figure, Quality, interval_text
from brittle.reporting.formatting import bounds, count, hundred, number, transform_name
from brittle.reporting.mimicry_source import FinishedMimicry


def distance(source: FinishedMimicry, arm: str, quality: Quality, name: str) -> Figure:
    """Mimicry's distance over JPEG quality by arm, with both ends as levels."""
    summary = source.summary
    results = {one.transform: one for one in source.results(arm)}
    end = next(one for one in summary.ends if one.metric == summary.metric)
    kinds = list(source.arms_of(arm))
    values = {
        (kind, label): value
        for label in quality.transforms
        if label in results
        for kind, value in zip(
            LINES, (results[label].clean, results[label].placebo, results[label].distance),
            strict=True,
        )
        if value is not None
    }  # fmt: skip
    every = [*values.values(), end.originals, end.base_model]
    said = "; ".join(
        f"{KEYS[kind]}: "
        + ", ".join(
            f"{transform_name(label)} {number(value)}"
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
    chart.level(end.base_model, "without learning")
    for kind in kinds:
        points = [
            (place, values[kind, label])
            for label, place in quality.transforms.items()
            if (kind, label) in values
        ]
        chart.line(points, kind)
        for place, value in points:
            chart.mark(place, value, LINES[kind], kind, f"{KEYS[kind]}: {number(value)}")
    rows = tuple(
        (
            transform_name(label),
            *(number(values[kind, label]) for kind in kinds),
        )
        for label in quality.transforms
        if label in results
    )
    caption = (
        f"Mean distance ({summary.metric}) from the originals of what was painted: lower is better "
        f"mimicry. The ends: originals from each other {number(end.originals)}, without "
        f"learning {number(end.base_model)}. {count(len(summary.seeds), 'seed')}, "
        f"{count(len(summary.prompts), 'prompt')}, "
        f"{count(summary.tunings, 'fine-tune')} a point."
    )
    return Figure(chart.render(), caption, ("transform", *(KEYS[kind] for kind in kinds)), rows)


def preference(source: FinishedMimicry, arm: str, quality: Quality, name: str) -> Figure:
    """The share of paintings as close as without protection, over JPEG quality."""
    results = {one.transform: one for one in source.results(arm)}
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
                f"{transform_name(label)} {hundred(share.estimate)}"
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
            transform_name(label),
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
    return f"{hundred(share.estimate)} {bounds(share, per_hundred=True)}"


def _axis(low: float, high: float, label: str) -> Axis:
    """An axis that holds both values, with round numbers at four to nine ticks."""
    wide = high - low or 1.0
    step = next(one for one in (0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0) if wide / one <= 7)
    values = steps(step * (low // step), step * (high // step + 1), step)
    ticks = tuple((value, number(value)) for value in values)
    return Axis(values[0], values[-1], ticks, label)
