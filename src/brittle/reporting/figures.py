"""Figures over JPEG quality: usable edits, reach and retention; and what all figures share."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from markupsafe import Markup

from brittle.analysis.finished import Finished
from brittle.analysis.summary import Effect, Interval, Usable
from brittle.reporting.charts import Axis, Chart, steps
from brittle.reporting.formatting import arm_name, count, estimated, number, spread, transform_name

FEWEST = 3
"""Transforms from which on a chart shows more than the table does."""
SHAPES = {"original": "circle", "placebo": "square", "protection": "triangle"}
KEYS = {"original": "unprotected", "placebo": "placebo", "protection": "protected"}


@dataclass(frozen=True)
class Figure:
    """A chart with its caption, and its numbers as a table for whoever can't see it."""

    chart: Markup
    caption: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Series:
    """One line over JPEG quality."""

    kind: str
    """Colour and marker: ``original``, ``placebo`` or ``protection``."""
    name: str
    values: Mapping[str, Interval]
    """By transform."""
    texts: Mapping[str, str]
    """The same in words, and why a value is missing."""
    photos: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    """By transform, the value of each photo."""


@dataclass(frozen=True)
class OverQuality:
    """What draws over the JPEG qualities of a trial, harsher to the right."""

    places: dict[str, float]
    """Place on the axis by transform, ``none`` first."""
    axis: Axis
    unit: str
    """What intervals are over: ``photo``, ``collection`` or ``fine-tune``."""
    dots: bool
    """Whether each of them is a dot where there is no interval."""

    def figure(
        self,
        name: str,
        title: str,
        y: Axis,
        series: Sequence[Series],
        caption: str,
        *,
        levels: Mapping[str, float] | None = None,
        band: tuple[float, float, str] | None = None,
        trace: bool = False,
    ) -> Figure:
        """The lines of several series; ``trace`` draws each photo's as well."""
        legend = [(one.kind, SHAPES[one.kind], KEYS[one.kind]) for one in series]
        if trace:
            legend = [("protection", "triangle", "mean"), ("photo", "dot", f"one {self.unit}")]
        chart = Chart(
            name,
            title,
            f"{y.label}, {self.axis.label}; the table below the figure has the numbers",
            self.axis,
            y,
            legend,
        )
        if band:
            chart.band(*band)
        for words, level in (levels or {}).items():
            chart.level(level, words)
        for place, one in enumerate(series):
            if trace:
                self._trace(chart, one)
            self._draw(chart, one, shift=4 * place - 2 * (len(series) - 1))
        rows = tuple(
            (transform_name(label), *(one.texts.get(label, "not measured") for one in series))
            for label in self.places
            if any(label in one.texts for one in series)
        )
        return Figure(chart.render(), caption, ("transform", *(one.name for one in series)), rows)

    def _draw(self, chart: Chart, one: Series, shift: float) -> None:
        found = {label: one.values[label] for label in self.places if label in one.values}
        line = [(self.places[label], value.estimate) for label, value in found.items()]
        chart.line(line, one.kind, shift=shift)
        for label, value in found.items():
            place, note = self.places[label], f"{one.name}: {one.texts[label]}"
            if self.dots and value.low is None:
                for photo, own in one.photos.get(label, {}).items():
                    chart.mark(place, own, "dot", f"photo {one.kind}", photo, shift)
            draw(chart, place, value, SHAPES[one.kind], one.kind, note, shift=shift)

    def _trace(self, chart: Chart, one: Series) -> None:
        for photo in dict.fromkeys(name for values in one.photos.values() for name in values):
            points = [
                (place, one.photos[label][photo])
                for label, place in self.places.items()
                if photo in one.photos.get(label, {})
            ]
            chart.line(points, "photo", photo)


def over_quality(trial: Finished) -> OverQuality | None:
    """What draws over the JPEG qualities that the trial tried; None where it tried none."""
    found: dict[float, str] = {}
    for transform in trial.manifest.transforms:
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
    return OverQuality(places, axis, _unit(trial), trial.summary.illustration)


def usable_over_quality(over: OverQuality, trial: Finished, arm: str, name: str) -> Figure | None:
    """Usable edits a hundred over JPEG quality: original, placebo, protected."""
    found = {
        kind: {
            transform: one
            for transform in over.places
            if (one := trial.summary.usable_of(label, transform))
        }
        for kind, label in trial.compared(arm).items()
    }
    some = next((one for rates in found.values() for one in rates.values() if one.rate), None)
    if some is None:
        return None
    names = {kind: arm_name(label, kind) for kind, label in trial.compared(arm).items()}
    series = [
        Series(
            kind,
            names[kind],
            {label: one.rate for label, one in rates.items() if one.rate},
            {label: _rate_text(one) for label, one in rates.items()},
            {label: one.per_photo for label, one in rates.items()},
        )
        for kind, rates in found.items()
    ]
    marks = "a dot is a photo" if over.dots else "bars are 95 % intervals over photos"
    caption = (
        f"Usable edits per 100 over JPEG quality, {count(some.n, 'photo')}, "
        f"{count(some.rows, 'edit')} a point; {marks}. Protected: {arm}; placebo: "
        f"{names.get('placebo', 'none')}."
    )
    axis = hundred_axis("usable edits per 100")
    return over.figure(name, "Usable edits over JPEG quality", axis, series, caption)


def reach_over_quality(over: OverQuality, trial: Finished, arm: str, name: str) -> Figure | None:
    """Reach over JPEG quality, with a thin line for each photo."""
    effects = _effects(over, trial, arm)
    reaches = {label: effect.reach for label, effect in effects.items() if effect.reach}
    if not reaches:
        return None
    photos = {label: effects[label].per_photo_reach for label in reaches}
    texts = {
        label: f"{estimated(reach)}, {count(reach.n, over.unit)}"
        + (f" at {spread(photos[label])}" if photos[label] else "")
        for label, reach in reaches.items()
    }
    some = effects[next(iter(reaches))]
    above = trial.summary.primary.margins.protected
    return over.figure(
        name,
        "Reach over JPEG quality",
        ratio_axis(reaches.values(), photos.values(), "reach"),
        [Series("protection", "reach", reaches, texts, photos)],
        "Reach: the effect beyond the placebo’s, as a share of the ceiling’s. "
        f"{count(some.n, over.unit)}, {count(some.rows, 'edit')} a point; a thin line is one "
        f"{over.unit}.",
        levels=_where_words_begin(trial, {f"protected: above {number(above)}": above}),
        trace=True,
    )


def retention_over_quality(
    over: OverQuality, trial: Finished, arm: str, name: str
) -> Figure | None:
    """Retention over JPEG quality, beside reach and never without it."""
    effects = _effects(over, trial, arm)
    kept = {label: effect.retention for label, effect in effects.items() if effect.retention}
    clean = effects.get("none")
    if not kept or clean is None or clean.effect is None:
        return None
    whole = clean.effect.estimate
    kept = {"none": Interval(estimate=1, method="none", n=clean.n, note="by definition"), **kept}
    photos = {
        label: {photo: value / whole for photo, value in effects[label].per_photo.items()}
        for label in kept
    }
    texts = {label: f"{estimated(one)}, {count(one.n, over.unit)}" for label, one in kept.items()}
    life, band = trial.summary.jpeg_half_life(arm), None
    if life and life.low is not None and life.high is not None:
        band = (life.low, life.high, "half-life")
    margins = trial.summary.primary.margins
    return over.figure(
        name,
        "Retention over JPEG quality",
        ratio_axis(kept.values(), photos.values(), "retention"),
        [Series("protection", "retention", kept, texts, photos)],
        "Retention: the share of the untransformed effect that is left. A thin line is the effect "
        f"on one {over.unit} over the mean untransformed effect, so that their mean is the "
        f"retention. {count(clean.n, over.unit)}."
        + (f" {life.sentence}" if life and life.single else ""),
        levels=_where_words_begin(
            trial,
            {
                f"survived: above {number(margins.survived)}": margins.survived,
                f"broken: below {number(margins.broken)}": margins.broken,
            },
        ),
        band=band,
        trace=True,
    )


def draw(
    chart: Chart,
    x: float,
    interval: Interval,
    shape: str,
    style: str,
    note: str,
    *,
    shift: float = 0,
    faint: bool = False,
) -> None:
    """An estimate with its interval, where it has one."""
    if interval.low is not None and interval.high is not None:
        whisker = f"faint {style}" if faint else style
        chart.whisker(x, interval.low, interval.high, whisker, shift)
    chart.mark(x, interval.estimate, shape, style, note, shift)


def hundred_axis(label: str) -> Axis:
    """From 0 to 100 of 100."""
    return Axis(0, 1, tuple((one / 4, str(25 * one)) for one in range(5)), label)


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
    ticks = tuple((value, number(value)) for value in steps(-step * (-low // step), high, step))
    # A little room below, so that zero and what scatters around it are both seen.
    return Axis(low - 0.04 * (high - low), high, ticks, label)


def _unit(trial: Finished) -> str:
    style = trial.summary.style
    if style is None:
        return "photo"
    return "collection" if style.unit == "collections" else "fine-tune"


def _where_words_begin(trial: Finished, levels: dict[str, float]) -> dict[str, float]:
    """The levels of verdicts' words, which collections don't get."""
    return {} if trial.summary.style else levels


def _effects(over: OverQuality, trial: Finished, arm: str) -> dict[str, Effect]:
    found = {label: trial.summary.effect(arm, label) for label in over.places}
    return {label: effect for label, effect in found.items() if effect}


def _rate_text(found: Usable) -> str:
    if found.rate is None:
        return found.reason
    rate = estimated(found.rate, per_hundred=True)
    return f"{rate}, {count(found.n, 'photo')}, {count(found.rows, 'edit')}"
