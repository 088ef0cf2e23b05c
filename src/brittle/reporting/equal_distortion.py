"""The section that compares protections at equal distortion."""

from typing import Any

from brittle.analysis.phrases import when
from brittle.analysis.summary import Fair, FairPoint, Summary
from brittle.reporting.charts import Axis, Chart, round_axis
from brittle.reporting.figures import Figure, draw, ratio_axis
from brittle.reporting.formatting import count, estimated, hundred, number

STYLES = (("protection", "triangle"), ("original", "circle"), ("placebo", "square"))


def equal_distortion(summary: Summary) -> dict[str, Any] | None:
    """Curves of protection against imperceptibility, and the rankings; None without a comparison.

    Curves are drawn without a transform and after the last primary one.
    """
    fair = summary.fair
    if fair is None:
        return None
    transforms = dict.fromkeys(["none", summary.primary.transforms[-1]])
    drawn = [
        _curve(fair, ruler, transform, f"distortion-{ruler}-{place}")
        for place, transform in enumerate(transforms)
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
    after = when(transform)
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
        mine = {
            point.distortion: point.reach
            for point in points
            if point.protection == protection and point.reach
        }
        chart.line([(place, reach.estimate) for place, reach in mine.items()], style)
        for place, reach in mine.items():
            draw(chart, place, reach, shape, style, f"{protection}: {estimated(reach)}")
    rows = tuple(
        (
            point.protection,
            f"{point.distortion:.1f} dB" if ruler == "psnr" else number(point.distortion, 3),
            estimated(point.reach),
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
    unit = ", dB" if ruler == "psnr" else ""
    axis = round_axis([one.distortion for one in points], f"{ruler} of the published file{unit}")
    # A larger psnr is a smaller distortion.
    return Axis(axis.high, axis.low, axis.ticks, axis.label) if unit else axis
