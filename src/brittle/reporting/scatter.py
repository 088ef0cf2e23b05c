"""The figure that asks whether JPEG is special: what a transform costs against what it leaves."""

from collections.abc import Sequence

from brittle.analysis.finished import Finished
from brittle.analysis.summary import Effect, Interval, TransformCost
from brittle.record.manifest import Manifest
from brittle.reporting.charts import Axis, Chart, steps
from brittle.reporting.figures import (
    Figure,
    describe,
    interval_text,
    qualities,
    ratio_axis,
)
from brittle.reporting.formatting import bounds, count, hundred, number, short_name, transform_name

FAMILIES = {
    "JPEG": ("jpeg", "circle", ("jpeg",)),
    "other codecs": ("codec", "circle", ("webp", "avif", "jpeg2000")),
    "filters": ("filter", "square", ("gaussian-blur", "median-blur", "bilateral")),
    "geometry": ("geometry", "triangle", ("rotate", "flip", "shift", "resize")),
}
"""Style, marker and transforms of each family in the legend."""
OTHER = ("other", "diamond", "others")


def cost_against_reach(trial: Finished, arm: str, name: str, *, by: str) -> Figure | None:
    """Is JPEG special? What each transform costs, against what it leaves of the protection.

    ``by`` is ``usable`` (edits lost a hundred) or ``distance`` (to the untransformed edit).
    """
    summary = trial.summary
    points: list[tuple[str, Interval, Effect, TransformCost]] = []
    for cost in summary.transform_costs:
        effect = summary.effect(arm, cost.transform)
        value: Interval | None = getattr(cost, by)
        mine = (cost.editor, cost.metric) == (
            summary.primary.editor or cost.editor,
            summary.primary.metric,
        )
        if mine and cost.transform != "none" and value and effect and effect.reach:
            points.append((cost.transform, value, effect, cost))
    if not points:
        return None
    x_axis = _cost_axis([value.estimate for _, value, _, _ in points], by, summary.primary.metric)
    reaches = {label: effect.reach for label, _, effect, _ in points if effect.reach}
    families = {label: _family(trial.manifest, label) for label in reaches}
    chart = Chart(
        name,
        "What a transform costs against what it leaves of the protection",
        "Each point is a transform. Left: it costs an honest edit little. Low: it leaves little of "
        "the protection. " + describe(reaches),
        x_axis,
        ratio_axis(reaches.values(), [], "reach left"),
        [(style, shape, said) for style, shape, said in dict.fromkeys(families.values())],
        plot_height=280,
    )
    floor = next((cost.seed_floor for *_, cost in points if cost.seed_floor), None)
    if by == "distance" and floor:
        chart.band(x_axis.low, floor.estimate, "moves less than another seed does")
    by_quality = qualities(trial.manifest)
    walk = [
        (value.estimate, reaches[label].estimate)
        for place in (by_quality.transforms if by_quality else ())
        for label, value, *_ in points
        if label == place
    ]
    chart.trail(walk, "jpeg")
    places = []
    for label, value, effect, _ in points:
        reach = reaches[label]
        style, shape, _ = families[label]
        if reach.low is not None and reach.high is not None:
            chart.whisker(value.estimate, reach.low, reach.high, f"faint {style}")
        note = f"{transform_name(label)}: reach {interval_text(reach)}, {effect.n} photos"
        chart.mark(value.estimate, reach.estimate, shape, style, note)
        short = short_name(label)
        places.append((value.estimate, reach.estimate, short))
    chart.labels(places)
    write = hundred if by == "usable" else number
    rows = tuple(
        (
            transform_name(label),
            f"{write(value.estimate)} {bounds(value, per_hundred=by == 'usable')}",
            interval_text(reaches[label]),
            str(effect.n),
        )
        for label, value, effect, _ in points
    )
    what = (
        "usable edits lost per 100 by the unprotected photo"
        if by == "usable"
        else f"distance of the unprotected photo's edit to the one without a transform "
        f"({summary.primary.metric})"
    )
    caption = (
        f"Is JPEG special? Across: {what}; up: the reach that is left. A transform low and to the "
        f"left removes the protection and costs nothing. {count(points[0][2].n, 'photo')}."
    )
    return Figure(chart.render(), caption, ("transform", "cost", "reach", "photos"), rows)


def _cost_axis(values: Sequence[float], by: str, metric: str) -> Axis:
    step = 0.1 if by == "usable" else _nice(max(values) / 4)
    low = min(0.0, step * (min(values) // step))
    high = max(step * -(-max(values) // step), low + 2 * step)
    if by == "usable":
        step = 0.2 if high - low > 0.7 else 0.1
        low, high = step * (low // step), step * -(-high // step)
        ticks = tuple((value, hundred(value)) for value in steps(low, high, step))
        label = "usable edits lost per 100, unprotected photo"
    else:
        digits = 2 if step >= 0.01 else 4
        ticks = tuple((value, number(value, digits)) for value in steps(low, high, step))
        label = f"distance to the untransformed edit ({metric})"
    edge = (high - low) / 30
    return Axis(low - edge, high + edge, ticks, label)


def _nice(step: float) -> float:
    for magnitude in range(-6, 6):
        for lead in (1, 2, 5):
            if lead * 10.0**magnitude >= step:
                return lead * 10.0**magnitude
    return 1e6


def _family(manifest: Manifest, label: str) -> tuple[str, str, str]:
    name = next(one.name for one in manifest.transforms if one.label == label)
    for said, (style, shape, members) in FAMILIES.items():
        if name in members:
            return style, shape, said
    return OTHER
