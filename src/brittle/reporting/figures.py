"""Figures over JPEG quality: usable edits, reach and retention."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from brittle.analysis.finished import Finished
from brittle.analysis.summary import Effect, Interval, Summary, Usable
from brittle.record.manifest import Manifest
from brittle.reporting.charts import Axis, Chart, steps
from brittle.reporting.formatting import (
    arm_name,
    bounds,
    count,
    hundred,
    number,
    spread,
    transform_name,
)

LINES = {"original": "circle", "placebo": "square", "protection": "triangle"}
KEYS = {"original": "unprotected", "placebo": "placebo", "protection": "protected"}


@dataclass(frozen=True)
class Figure:
    """A chart with its caption, and its numbers as a table for whoever can't see it."""

    chart: Markup
    caption: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Quality:
    """The JPEG qualities of a trial, harsher to the right, after the untransformed photo."""

    transforms: dict[str, float]
    """Place on the axis by transform, ``none`` first."""
    axis: Axis


def qualities(manifest: Manifest) -> Quality | None:
    """The JPEG qualities that the trial tried; None where it tried none."""
    found: dict[float, str] = {}
    for transform in manifest.transforms:
        quality = transform.fields.get("quality")
        if transform.name == "jpeg" and isinstance(quality, (int, float)):
            found.setdefault(float(quality), transform.label)
    if not found:
        return None
    best, worst = max(found), min(found)
    gap = max(8.0, (best - worst) / 9)
    places = {"none": best + gap}
    places |= {found[quality]: quality for quality in sorted(found, reverse=True)}
    ticks = [(best + gap, "none")]
    for quality in sorted(found, reverse=True):
        # On a phone two digits and a gap need about 25 of the axis's 410 units.
        if not ticks[1:] or (ticks[-1][0] - quality) / (best - worst + gap) > 0.06:
            ticks.append((quality, f"{quality:g}"))
    edge = gap / 2.5
    axis = Axis(best + gap + edge, worst - edge, tuple(ticks), "JPEG quality, harsher to the right")
    return Quality(places, axis)


def usable_over_quality(trial: Finished, arm: str, name: str) -> Figure | None:
    """Usable edits a hundred over JPEG quality: original, placebo, protected."""
    quality, summary = qualities(trial.manifest), trial.summary
    arms = trial.compared(arm)
    rates = {
        (kind, transform): found
        for kind, label in arms.items()
        for transform in (quality.transforms if quality else ())
        if (found := summary.usable_of(label, transform)) and found.rate
    }
    if quality is None or not rates:
        return None
    said = {kind: arm_name(label, kind) for kind, label in arms.items()}
    chart = Chart(
        name,
        "Usable edits over JPEG quality",
        _describe_rates(quality, rates, said),
        quality.axis,
        Axis(0, 1, tuple((one / 4, str(25 * one)) for one in range(5)), "usable edits per 100"),
        [(kind, LINES[kind], KEYS[kind]) for kind in said],
    )
    for shift, kind in zip((-4, 0, 4), LINES, strict=True):
        points = [
            (place, rates[kind, transform])
            for transform, place in quality.transforms.items()
            if (kind, transform) in rates
        ]
        _draw_rates(chart, points, kind, shift, said.get(kind, ""))
    rows = tuple(
        (
            transform_name(transform),
            *(_rate_text(rates.get((kind, transform))) for kind in said),
        )
        for transform in quality.transforms
    )
    some = next(iter(rates.values()))
    marks = "a dot is a photo" if summary.illustration else "bars are 95 % intervals over photos"
    caption = (
        f"Usable edits per 100 over JPEG quality, {count(some.n, 'photo')}, "
        f"{count(some.rows, 'edit')} a point; {marks}. Protected: {arm}; placebo: "
        f"{said.get('placebo', 'none')}."
    )
    return Figure(chart.render(), caption, ("transform", *said.values()), rows)


def reach_over_quality(trial: Finished, arm: str, name: str) -> Figure | None:
    """Reach over JPEG quality, with a thin line for each photo."""
    quality = qualities(trial.manifest)
    effects = _effects(trial.summary, arm, quality.transforms if quality else ())
    effects = {label: effect for label, effect in effects.items() if effect.reach}
    if quality is None or not effects:
        return None
    reaches = {label: effect.reach for label, effect in effects.items() if effect.reach}
    photos = {label: effect.per_photo_reach for label, effect in effects.items()}
    margins = trial.summary.primary.margins
    some = next(iter(effects.values()))
    chart = Chart(
        name,
        "Reach over JPEG quality",
        "Reach: 0 is like noise of the same size, 1 is a photo that is gone. " + describe(reaches),
        quality.axis,
        ratio_axis(reaches.values(), photos.values(), "reach"),
        [("protection", "triangle", "mean"), ("photo", "dot", "one photo")],
    )
    chart.level(margins.protected, f"protected: above {number(margins.protected)}")
    _draw_shares(chart, quality, reaches, photos, dots=trial.summary.illustration)
    rows = tuple(
        (
            transform_name(label),
            interval_text(interval),
            spread(photos[label]) if photos[label] else "",
            str(interval.n),
        )
        for label, interval in reaches.items()
    )
    caption = (
        f"Reach: how far the protection moves edits beyond its placebo, as a share of what a gray "
        f"picture does. {count(some.n, 'photo')}, {count(some.rows, 'edit')} a point; "
        "a thin line is a photo."
    )
    return Figure(
        chart.render(), caption, ("transform", "reach", "range over photos", "photos"), rows
    )


def retention_over_quality(trial: Finished, arm: str, name: str) -> Figure | None:
    """Retention over JPEG quality, beside reach and never without it."""
    quality = qualities(trial.manifest)
    effects = _effects(trial.summary, arm, quality.transforms if quality else ())
    kept = {label: effect.retention for label, effect in effects.items() if effect.retention}
    clean = effects.get("none")
    if quality is None or not kept or clean is None or clean.effect is None:
        return None
    whole = clean.effect.estimate
    reference = Interval(estimate=1, method="none", n=clean.n, note="by definition")
    kept = {"none": reference, **kept}
    photos = {
        label: {photo: value / whole for photo, value in effects[label].per_photo.items()}
        for label in kept
    }
    margins = trial.summary.primary.margins
    chart = Chart(
        name,
        "Retention over JPEG quality",
        "Retention: the share of the effect without a transform that is left. " + describe(kept),
        quality.axis,
        ratio_axis(kept.values(), photos.values(), "retention"),
        [("protection", "triangle", "mean"), ("photo", "dot", "one photo")],
    )
    half_life = next(
        (
            found
            for found in trial.summary.half_lives
            if (found.arm, found.parameter) == (arm, "jpeg quality") and found.single
        ),
        None,
    )
    if half_life and half_life.low is not None and half_life.high is not None:
        chart.band(half_life.low, half_life.high, "half-life")
    chart.level(margins.survived, f"survived: above {number(margins.survived)}")
    chart.level(margins.broken, f"broken: below {number(margins.broken)}")
    _draw_shares(chart, quality, kept, photos, dots=trial.summary.illustration)
    rows = tuple(
        (transform_name(label), interval_text(interval), str(interval.n))
        for label, interval in kept.items()
    )
    caption = (
        "Retention: the share of the untransformed effect that is left; the thin lines are each "
        "photo's effect over the mean untransformed effect, so that their mean is the retention. "
        f"{count(clean.n, 'photo')}." + (f" {half_life.sentence}" if half_life else "")
    )
    return Figure(chart.render(), caption, ("transform", "retention", "photos"), rows)


def _effects(summary: Summary, arm: str, transforms: Iterable[str]) -> dict[str, Effect]:
    found = {label: summary.effect(arm, label) for label in transforms}
    return {label: effect for label, effect in found.items() if effect}


def _draw_rates(
    chart: Chart, points: Sequence[tuple[float, Usable]], kind: str, shift: float, said: str
) -> None:
    rates = [(place, found, found.rate) for place, found in points]
    chart.line([(place, rate.estimate) for place, _, rate in rates if rate], kind)
    for place, found, rate in rates:
        if rate is None:
            continue
        if rate.low is not None and rate.high is not None:
            chart.whisker(place, rate.low, rate.high, kind, shift)
        else:
            for photo, value in found.per_photo.items():
                chart.mark(place, value, "dot", f"photo {kind}", photo, shift)
        note = f"{said}: {_rate_text(found)}"
        chart.mark(place, rate.estimate, LINES[kind], kind, note)


def _draw_shares(
    chart: Chart,
    quality: Quality,
    means: Mapping[str, Interval],
    photos: Mapping[str, Mapping[str, float]],
    *,
    dots: bool,
) -> None:
    places = {label: quality.transforms[label] for label in means}
    names = list(dict.fromkeys(name for values in photos.values() for name in values))
    for photo in names:
        points = [(place, photos[label].get(photo)) for label, place in places.items()]
        chart.line([(place, value) for place, value in points if value is not None], "photo", photo)
    chart.line([(place, means[label].estimate) for label, place in places.items()], "protection")
    for label, place in places.items():
        mean = means[label]
        if mean.low is not None and mean.high is not None:
            chart.whisker(place, mean.low, mean.high, "protection")
        elif dots:
            for photo, value in photos[label].items():
                chart.mark(place, value, "dot", "photo", photo)
        chart.mark(place, mean.estimate, "triangle", "protection", interval_text(mean))


def ratio_axis(
    means: Iterable[Interval], photos: Iterable[Mapping[str, float]], label: str
) -> Axis:
    """From 0 to 1, and further where the numbers go; far bounds are cut rather than followed."""
    values = [value for one in photos for value in one.values()]
    for mean in means:
        values += [mean.estimate]
        values += [
            min(max(bound, -0.5), 1.5) for bound in (mean.low, mean.high) if bound is not None
        ]
    low, high = min(0.0, *values), max(1.0, *values)
    step = 0.25 if high - low <= 2 else 0.5 if high - low <= 4 else 2.0
    high = step * -(-high // step)
    values = list(steps(-step * (-low // step), high, step))
    ticks = tuple((value, number(value)) for value in values)
    # A little room below, so that zero and what scatters around it are both seen.
    return Axis(low - 0.04 * (high - low), high, ticks, label)


def interval_text(interval: Interval) -> str:
    """An estimate with its interval."""
    return f"{number(interval.estimate)} {bounds(interval)}"


def _rate_text(found: Usable | None) -> str:
    if found is None or found.rate is None:
        return found.reason if found else "not measured"
    text = f"{hundred(found.rate.estimate)} {bounds(found.rate, per_hundred=True)}"
    return f"{text}, {count(found.n, 'photo')}, {count(found.rows, 'edit')}"


def describe(intervals: Mapping[str, Interval]) -> str:
    """A figure's estimates by transform, for whoever can't see it."""
    return "; ".join(
        f"{transform_name(label)} {number(interval.estimate)}"
        for label, interval in intervals.items()
    )


def _describe_rates(
    quality: Quality,
    rates: Mapping[tuple[str, str], Usable],
    said: Mapping[str, str],
) -> str:
    parts = []
    for kind, name in said.items():
        values = [
            f"{transform_name(transform)} {hundred(found.rate.estimate)}"
            for transform in quality.transforms
            if (found := rates.get((kind, transform))) and found.rate
        ]
        parts.append(f"{name}: {', '.join(values)}")
    return "Usable edits per 100. " + "; ".join(parts)
