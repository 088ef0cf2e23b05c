"""The section that compares protections at equal distortion."""

from typing import Any

from brittle.analysis.summary import Fair, FairPoint, Summary
from brittle.reporting.charts import Axis, Chart
from brittle.reporting.figures import Figure, interval_text, ratio_axis
from brittle.reporting.formatting import count, hundred, number, transform_name

STYLES = (("protection", "triangle"), ("original", "circle"), ("placebo", "square"))


def fair_section(summary: Summary) -> dict[str, Any] | None:
    """Curves of protection against imperceptibility, and the rankings; None without a comparison.

    Curves are drawn without a transform and after the last primary one.
    """
    fair = summary.fair
    if fair is None:
        return None
    transforms = list(dict.fromkeys(["none", summary.primary.transforms[-1]]))
    drawn = [
        _curve(fair, ruler, transform, f"fair-{ruler}-{number}")
        for number, transform in enumerate(transforms)
        for ruler in fair.rulers
    ]
    return {
        "sentences": fair.sentences,
        "figures": [figure for figure in drawn if figure],
        "at_budget": [one.sentence for one in fair.rankings if one.at == "equal budget"],
    }


def _curve(fair: Fair, ruler: str, transform: str, name: str) -> Figure | None:
    points = [point for point in fair.curve if (point.ruler, point.transform) == (ruler, transform)]
    reaches = [point.reach for point in points if point.reach]
    if not reaches:
        return None
    after = "without a transform" if transform == "none" else transform_name(transform)
    styles = dict(zip(fair.protections, STYLES * len(fair.protections), strict=False))
    chart = Chart(
        name,
        f"Protection against imperceptibility, {after}",
        "Reach over what the published file costs the eye, which grows to the right.",
        _distortion_axis(points, ruler),
        ratio_axis(reaches, [], "reach"),
        [(*style, protection) for protection, style in styles.items()],
    )
    for protection, (style, shape) in styles.items():
        mine = [point for point in points if point.protection == protection and point.reach]
        chart.line([(one.distortion, one.reach.estimate) for one in mine if one.reach], style)
        for one in mine:
            if one.reach is None:
                continue
            if one.reach.low is not None and one.reach.high is not None:
                chart.whisker(one.distortion, one.reach.low, one.reach.high, style)
            note = f"{protection}: {interval_text(one.reach)}"
            chart.mark(one.distortion, one.reach.estimate, shape, style, note)
    rows = tuple(
        (
            point.protection,
            _distance(point.distortion, ruler),
            interval_text(point.reach) if point.reach else "–",
            "not judged" if point.usable is None else hundred(point.usable),
            str(point.n),
        )
        for point in points
    )
    caption = (
        f"Reach at equal distortion ({ruler} of the published file, larger distortion to the "
        f"right), {after}: read between each photo's budgets and never beyond them. "
        f"{count(max(point.n for point in points), 'photo')}; bars are 95 % intervals."
    )
    columns = ("protection", ruler, "reach", "usable per 100", "photos")
    return Figure(chart.render(), caption, columns, rows)


def _distortion_axis(points: list[FairPoint], ruler: str) -> Axis:
    values = [point.distortion for point in points]
    low, high = min(values), max(values)
    edge = 0.06 * (high - low) or 0.01
    ticks = tuple(
        (value, _distance(value, ruler))
        for value in (low + (high - low) * part / 4 for part in range(5))
    )
    ends = (high + edge, low - edge) if ruler == "psnr" else (low - edge, high + edge)
    return Axis(*ends, ticks, f"{ruler} of the published file")


def _distance(value: float, ruler: str) -> str:
    return f"{value:.1f} dB" if ruler == "psnr" else number(value, 3)
