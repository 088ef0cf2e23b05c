"""Intervals over photos, on arrays whose last axis is the photos.

What is said of photos holds for every sampling unit. Bounds take ``alpha``, the error on one side,
and return (estimate, low, high) with the photos' axis gone: vectorised over whatever axes stand in
front, so that simulations run the very code that trials do. Where there is no bound, low is -inf
and high inf. Formulas: docs/inference.md.
"""

from collections.abc import Callable
from functools import lru_cache, partial

import numpy as np
from numpy.typing import NDArray
from scipy.special import betaincinv, ndtri, stdtrit

from brittle.analysis.phrases import count
from brittle.analysis.sampling_units import PHOTO, Unit
from brittle.analysis.summary import Interval

Array = NDArray[np.float64]
Bounds = tuple[Array, Array, Array]

BOOTSTRAP_DRAWS = 2000
STRONG, FAR = 3.0, 4.0
"""Times the mean effect, and standard deviations above it: the nearer is a photo that few draw."""


@lru_cache
def t_quantile(degrees: float, alpha: float) -> float:
    """The value that a t variable exceeds with probability ``alpha``."""
    return float(-stdtrit(degrees, alpha))


def mean_bounds(values: Array, alpha: float) -> Bounds:
    """Student's t for a mean; two photos at least."""
    n = values.shape[-1]
    mean = values.mean(-1)
    margin = t_quantile(n - 1, alpha) * values.std(-1, ddof=1) / np.sqrt(n)
    return mean, mean - margin, mean + margin


def doubtful_low(values: Array, alpha: float) -> Array:
    """A mean's lower bound with the smallest value counted twice: robust to a long tail below.

    Few photos show too little of a tail: what speaks most against a mean above 0 may have company
    among the photos that were not drawn.
    """
    n = values.shape[-1]
    more = np.concatenate([values, values.min(-1, keepdims=True)], axis=-1)
    margin = t_quantile(n - 1, alpha) * more.std(-1, ddof=1) / np.sqrt(n + 1)
    low: Array = more.mean(-1) - margin
    return low


def strong_keep_more(after: Array, before: Array, share: float, alpha: float) -> NDArray[np.bool_]:
    """Whether a share rises with the effect for sure, so that strong effects would keep more of it.

    Fits after = a before + b before^2 by least squares; b must be above 0 for sure, one-sided, and
    a photo of `STRONG` times the mean keep ``share`` or more; or of `FAR` standard deviations above
    it, where that is less. Photos on the last axis.
    """
    n = before.shape[-1]

    def product_sum(one: Array, other: Array) -> Array:
        total: Array = (one * other).sum(-1, keepdims=True)
        return total

    square, norm = before * before, product_sum(before, before)
    with np.errstate(divide="ignore", invalid="ignore"):
        bend = product_sum(before, square) / norm
        straight = product_sum(before, after) / norm
        bent, rest = square - bend * before, after - straight * before
        slope = product_sum(bent, rest) / product_sum(bent, bent)
        left = rest - slope * bent
        error = np.sqrt(product_sum(left, left) / (n - 2) / product_sum(bent, bent))
        rises = slope / error > t_quantile(n - 2, alpha)
        mean, scatter = before.mean(-1, keepdims=True), before.std(-1, ddof=1, keepdims=True)
        kept = straight - slope * bend + slope * np.minimum(STRONG * mean, mean + FAR * scatter)
    differ = product_sum(bent, bent) > 1e-12 * product_sum(square, square)  # else only rounding
    found: NDArray[np.bool_] = (differ & rises & (kept >= share))[..., 0]
    return found


def fieller_bounds(numerator: Array, denominator: Array, alpha: float) -> Bounds:
    """Fieller's set for a ratio of means: all m for which mean(numerator - m denominator) may be 0.

    Where the denominator's mean may itself be 0, the set is no interval, and there is no bound.
    """
    n = numerator.shape[-1]
    top, bottom = numerator.mean(-1), denominator.mean(-1)
    off_top, off_bottom = numerator - top[..., None], denominator - bottom[..., None]
    factor = t_quantile(n - 1, alpha) ** 2 / (n * (n - 1))
    square = bottom * bottom - factor * (off_bottom * off_bottom).sum(-1)
    mixed = top * bottom - factor * (off_top * off_bottom).sum(-1)
    constant = top * top - factor * (off_top * off_top).sum(-1)
    root = np.sqrt(np.maximum(mixed * mixed - square * constant, 0))
    bounded = square > 0
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = top / bottom
        low = np.where(bounded, (mixed - root) / square, -np.inf)
        high = np.where(bounded, (mixed + root) / square, np.inf)
    return ratio, low, high


def share_bounds(shares: Array, rows: Array | float, alpha: float) -> Bounds:
    """Korn and Graubard's interval for a share: Clopper-Pearson at the effective number of edits.

    ``shares`` holds each photo's share, ``rows`` (shape without the photos' axis) all edits judged.
    The variance counts one pseudo-photo at 1/2 in, since few photos near 0 or 1 show too little of
    it; a photo is worth one edit at least, since its edits can't be more alike than equal.
    """
    n = shares.shape[-1]
    share = shares.mean(-1)
    half = np.full((*shares.shape[:-1], 1), 0.5)
    variance = np.concatenate([shares, half], axis=-1).var(-1, ddof=1) / n
    small_sample = (ndtri(alpha) / t_quantile(n - 1, alpha)) ** 2
    with np.errstate(divide="ignore", invalid="ignore"):
        effective = np.clip(share * (1 - share) / variance * small_sample, n, rows)
    effective = np.where(np.ptp(shares, axis=-1) > 0, effective, float(n))
    hits, misses = share * effective, (1 - share) * effective
    low = np.where(hits > 0, betaincinv(np.maximum(hits, 1e-300), misses + 1, alpha), 0.0)
    high = np.where(misses > 0, betaincinv(hits + 1, np.maximum(misses, 1e-300), 1 - alpha), 1.0)
    return share, low, high


def share_difference_bounds(differences: Array, alpha: float) -> Bounds:
    """Student's t for a difference of shares, with the scatter of one more photo counted in.

    That pseudo-photo lies 1 away from the mean, as a photo would whose edits all changed sides: few
    photos that agree by chance show too little scatter.
    """
    n = differences.shape[-1]
    mean = differences.mean(-1)
    squares = ((differences - mean[..., None]) ** 2).sum(-1) + 1
    margin = t_quantile(n - 1, alpha) * np.sqrt(squares / (n * (n - 1)))
    return mean, np.maximum(mean - margin, -1.0), np.minimum(mean + margin, 1.0)


def bootstrap_t_bounds(values: Array, alpha: float) -> Bounds:
    """Bootstrap-t over photos for a mean of one sample (n,): a cross-check of Student's t."""
    n = len(values)
    draws = values[np.random.default_rng(0).integers(0, n, (BOOTSTRAP_DRAWS, n))]
    errors = draws.std(-1, ddof=1) / np.sqrt(n)
    mean, error = values.mean(), values.std(ddof=1) / np.sqrt(n)
    usable = errors > 1e-12 * max(float(error), 1e-300)
    if not usable.any():
        return mean, mean, mean
    t = (draws.mean(-1)[usable] - mean) / errors[usable]
    above, below = np.quantile(t, [1 - alpha, alpha])
    return mean, mean - above * error, mean - below * error


def make_interval(bounds: Bounds, *, alpha: float, method: str, n: int) -> Interval:
    """Turn scalar bounds into the record that a summary holds; too few photos have no interval."""
    estimate, low, high = (float(bound) for bound in bounds)
    level = round(1 - 2 * alpha, 10)
    if not np.isfinite([low, high]).all():
        return Interval(estimate=estimate, level=level, method=method, n=n, note="no bound")
    return Interval(estimate=estimate, low=low, high=high, level=level, method=method, n=n)


def dots_only(estimate: float, n: int, alpha: float, unit: Unit = PHOTO) -> Interval:
    """An estimate on too few units to have an interval."""
    note = f"{count(n, unit.name)}: no interval"
    return Interval(
        estimate=estimate, level=round(1 - 2 * alpha, 10), method="none", n=n, note=note
    )


def mean_interval(values: Array, alpha: float, unit: Unit = PHOTO) -> Interval | None:
    """The mean of one number a unit, NaN where it has none; None without numbers."""
    return _interval(mean_bounds, "t", unit, alpha, values)


def ratio_interval(
    numerator: Array, denominator: Array, alpha: float, unit: Unit = PHOTO
) -> Interval | None:
    """A ratio of means over the units with both; None without, or where the divisor's is 0."""
    return _interval(fieller_bounds, "fieller", unit, alpha, numerator, denominator)


def share_interval(shares: Array, rows: int, alpha: float, unit: Unit = PHOTO) -> Interval | None:
    """A share of edits, from that of each unit (NaN: none); None without numbers."""
    bounds = partial(share_bounds, rows=rows)
    return _interval(bounds, "korn-graubard", unit, alpha, shares)


def share_difference_interval(
    differences: Array, alpha: float, unit: Unit = PHOTO
) -> Interval | None:
    """A difference of two shares, paired by photo (NaN: none); None without numbers."""
    return _interval(share_difference_bounds, "t + pseudo-photo", unit, alpha, differences)


def _interval(
    bounds: Callable[..., Bounds], method: str, unit: Unit, alpha: float, *columns: Array
) -> Interval | None:
    known = unit.means(*columns)
    n = len(known[0])
    if not n or (len(known) > 1 and known[1].mean() == 0):
        return None
    if n < unit.enough:
        means = [float(column.mean()) for column in known]
        return dots_only(means[0] / means[1] if len(means) > 1 else means[0], n, alpha, unit)
    return make_interval(bounds(*known, alpha=alpha), alpha=alpha, method=method, n=n)


def clearly_above_zero(values: Array, unit: Unit, alpha: float, *, quantiles: int = 1) -> bool:
    """Whether a mean of one number a unit lies that many t-quantiles of its error above 0.

    One is where its interval leaves 0 out and Fieller's set, with it as the divisor, has bounds.
    Of too few units it is enough to be above 0.
    """
    n = len(values)
    if n < unit.enough:
        return bool(n and values.mean() > 0)
    error = values.std(ddof=1) / np.sqrt(n)
    return bool(values.mean() > max(quantiles * t_quantile(n - 1, alpha) * error, 0))


def widened(interval: Interval, error: float, least: float) -> Interval:
    """An interval of a share, or of a difference, with a further standard error counted in.

    Its ends keep to ``least`` and 1.
    """
    if not error or interval.low is None or interval.high is None:
        return interval
    further = error * float(ndtri((1 + interval.level) / 2))
    middle = interval.estimate
    return interval.model_copy(
        update={
            "low": max(middle - float(np.hypot(middle - interval.low, further)), least),
            "high": min(middle + float(np.hypot(interval.high - middle, further)), 1.0),
            "method": f"{interval.method} + thresholds",
        }
    )


def known_mean(values: Array, unit: Unit = PHOTO) -> float | None:
    """The mean over units of what is a number; None where nothing is."""
    (known,) = unit.means(values)
    return float(known.mean()) if len(known) else None
