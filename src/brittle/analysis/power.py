"""How many photos would do: at 80 % power, for declared truths, never for the observed share."""

import numpy as np
from scipy.special import gammaincinv, nctdtr, ndtri

from brittle.analysis.intervals import Array, t_quantile
from brittle.analysis.phrases import count
from brittle.analysis.summary import MIN_PHOTOS, PhotosNeeded
from brittle.declaration.primary import Primary

POWER = 0.8
MAX_PHOTOS = 10_000
TYPICAL_EFFECT = 0.15
"""Of a trial that has not run: the mean effect, and below it what scatters around it."""
TYPICAL_SPREAD = 0.4
"""Standard deviation over photos, as a share of the mean."""
TYPICAL_CORRELATION = 0.7
"""Between a photo's effect without a transform and after one."""
TYPICAL_NOISE = 0.05
"""Standard deviation of one distance, arm's and placebo's alike."""


def power(n: int, effect: float, deviation: float, alpha: float) -> float:
    """Chance that ``n`` photos show a mean ``effect`` above 0, the least photo counted twice.

    The least of n normal values lies ``least`` deviations below their mean, on average.
    """
    if deviation == 0:
        return 1.0
    least = float(ndtri((n - 0.375) / (n + 0.25)))  # Blom's approximation
    mean = effect / deviation - least / (n + 1)
    error = np.sqrt((n - 1 + least**2 * n / (n + 1)) / (n * (n + 1)))
    missed = nctdtr(n - 1, mean / error, t_quantile(n - 1, alpha))
    return float(1 - np.nan_to_num(missed))  # scipy has no number where next to nothing is missed


def photos_for(effect: float, deviation: float, alpha: float) -> int | None:
    """Fewest photos, eight at least, with 80 % power; None where ten thousand wouldn't do."""
    if effect <= 0 or power(MAX_PHOTOS, effect, deviation, alpha) < POWER:
        return None
    low, high = MIN_PHOTOS - 1, MAX_PHOTOS
    while high - low > 1:
        middle = (low + high) // 2
        if power(middle, effect, deviation, alpha) < POWER:
            low = middle
        else:
            high = middle
    return high


def photos_needed(
    after: Array, before: Array, primary: Primary, alpha: float, unit: str = "photo"
) -> PhotosNeeded:
    """From a trial's own effects, one a unit each: its strength, and its scatter's upper bound."""
    strength = float(before.mean())

    def needed(margin: float, truth: float) -> int | None:
        values = after - margin * before
        bound = values.var(ddof=1) * (len(values) - 1) / chi_square_quantile(len(values) - 1)
        return photos_for(abs(truth - margin) * strength, float(np.sqrt(bound)), alpha)

    margins = primary.margins
    return _in_words(needed(margins.broken, 0.0), needed(margins.survived, 1.0), unit)


def chi_square_quantile(degrees: int) -> float:
    """The value below which a variance's upper 80 % bound puts it."""
    return float(2 * gammaincinv(degrees / 2, 1 - POWER))


def plan_photos(primary: Primary, *, arms: int, rows_a_photo: int) -> PhotosNeeded:
    """Before a trial has run: from typical scatter (docs/inference.md says where from).

    ``arms`` counts the protections, ``rows_a_photo`` the points (prompt, seed) of one photo.
    """
    alpha = primary.alpha / (arms * len(primary.transforms))
    spread = (TYPICAL_EFFECT * TYPICAL_SPREAD) ** 2
    noise = 2 * TYPICAL_NOISE**2 / rows_a_photo

    def needed(margin: float, truth: float) -> int | None:
        scatter = truth**2 + margin**2 - 2 * truth * margin * TYPICAL_CORRELATION
        variance = spread * scatter + noise * (1 + margin**2)
        return photos_for(abs(truth - margin) * TYPICAL_EFFECT, float(np.sqrt(variance)), alpha)

    margins = primary.margins
    return _in_words(needed(margins.broken, 0.0), needed(margins.survived, 1.0))


def _in_words(broken: int | None, survived: int | None, unit: str = "photo") -> PhotosNeeded:
    def would_do(number: int | None) -> str:
        return f"about {count(number, unit)}" if number else f"more {unit}s than can be had"

    sentence = (
        f"To find it broken if nothing is left takes {would_do(broken)}; "
        f"to find that it survived if everything is left, {would_do(survived)}."
    )
    return PhotosNeeded(broken=broken, survived=survived, sentence=sentence)
