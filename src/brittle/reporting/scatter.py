"""The figure that asks whether JPEG is special: what a transform costs against what it leaves."""

from typing import Literal, NamedTuple

from brittle.analysis.finished import Finished
from brittle.analysis.summary import Interval
from brittle.record.manifest import Manifest
from brittle.reporting.charts import Chart, round_axis
from brittle.reporting.figures import FEWEST, Figure, draw, over_quality, ratio_axis
from brittle.reporting.formatting import count, estimated, short_name, transform_name

FAMILIES = {
    "JPEG": ("jpeg", "circle", ("jpeg",)),
    "other codecs": ("codec", "circle", ("webp", "avif", "jpeg2000")),
    "filters": (
        "filter",
        "square",
        ("gaussian-blur", "median-blur", "bilateral", "guided", "nl-means", "total-variation"),
    ),
    "geometry": ("geometry", "triangle", ("rotate", "flip", "shift", "resize")),
}
"""Style, marker and transforms of each family in the legend."""
OTHER = ("other", "diamond", "others")


class _Point(NamedTuple):
    transform: str
    cost: Interval
    reach: Interval


def cost_against_reach(
    trial: Finished, arm: str, name: str, *, by: Literal["usable", "distance"]
) -> Figure | None:
    """Is JPEG special? What each transform costs, against what it leaves of the protection.

    ``by`` is ``usable`` (edits lost a hundred) or ``distance`` (to the untransformed edit).
    """
    summary, metric, per_hundred = trial.summary, trial.summary.primary.metric, by == "usable"
    costs = [
        one
        for one in summary.transform_costs
        if (one.editor, one.metric) == (trial.editor, metric) and one.transform != "none"
    ]
    points = [
        _Point(one.transform, cost, effect.reach)
        for one in costs
        if (cost := one.usable if per_hundred else one.distance)
        and (effect := summary.effect(arm, one.transform))
        and effect.reach
    ]
    if len(points) < FEWEST:
        return None
    label = (
        "usable edits lost per 100"
        if per_hundred
        else f"distance to the untransformed edit ({metric})"
    )
    families = {one.transform: _family(trial.manifest, one.transform) for one in points}
    chart = Chart(
        name,
        "What a transform costs against what it leaves of the protection",
        "Each point is a transform. Left: it costs an honest edit little. Low: it leaves little of "
        "the protection. The table below the figure has the numbers.",
        round_axis(
            [one.cost.estimate for one in points], label, per_hundred=per_hundred, zero=True
        ),
        ratio_axis((one.reach for one in points), [], "reach left"),
        list(dict.fromkeys(families.values())),
        plot_height=280,
    )
    floor = next((one.seed_floor for one in costs if one.seed_floor), None)
    if floor and not per_hundred:
        chart.band(chart.x.low, floor.estimate, "moves less than another seed does")
    over = over_quality(trial)
    by_transform = {one.transform: one for one in points}
    walk = [by_transform[label] for label in (over.places if over else ()) if label in by_transform]
    chart.trail([(one.cost.estimate, one.reach.estimate) for one in walk], "jpeg")
    for one in points:
        style, shape, _ = families[one.transform]
        note = f"{transform_name(one.transform)}: reach {estimated(one.reach)}"
        draw(chart, one.cost.estimate, one.reach, shape, style, note, faint=True)
    chart.labels(
        [(one.cost.estimate, one.reach.estimate, short_name(one.transform)) for one in points]
    )
    rows = tuple(
        (
            transform_name(one.transform),
            estimated(one.cost, per_hundred=per_hundred),
            estimated(one.reach),
            str(one.reach.n),
        )
        for one in points
    )
    caption = (
        f"Is JPEG special? Across, of the unprotected photo: {label}; up: the reach that is left. "
        "A transform low and to the left removes the protection and costs nothing. "
        f"{count(points[0].reach.n, 'photo')}."
    )
    return Figure(chart.render(), caption, ("transform", "cost", "reach", "photos"), rows)


def _family(manifest: Manifest, label: str) -> tuple[str, str, str]:
    """Style, marker and name of the family that a transform belongs to."""
    name = next(one.name for one in manifest.transforms if one.label == label)
    for said, (style, shape, members) in FAMILIES.items():
        if name in members:
            return style, shape, said
    return OTHER
