"""Trials with known truth: does each interval cover, and does each verdict keep its promise?

    OMP_NUM_THREADS=1 nice python benchmarks/inference_simulations.py [--trials 2000] [--only WORD]

Designs are drawn as arrays (trials, photos, rows a photo). Coverages are computed on the arrays at
once, by the very functions that `summarise` calls; words, flags and verdicts come from `summarise`
itself, fed through the text of a results.csv. tests/analysis/ runs the same designs with fewer
trials, and holds both ways to the same numbers.
"""

import argparse
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray
from scipy.special import betaincinv, ndtr, ndtri

from brittle.analysis import Scope, Summary, summarise
from brittle.analysis.effects import chosen_by_others
from brittle.analysis.evidence import ThresholdErrors, UsableFrom
from brittle.analysis.half_life import ALPHA, walk, window
from brittle.analysis.intervals import (
    bootstrap_t_bounds,
    doubtful_low,
    fieller_bounds,
    mean_bounds,
    share_bounds,
    share_difference_bounds,
    strong_keep_more,
    t_quantile,
)
from brittle.analysis.randomization_test import DRAWS, placebo_tests
from brittle.analysis.sampling_units import groups_of
from brittle.analysis.table import Table
from brittle.analysis.usable import UsableEdits
from brittle.analysis.verdicts import RISES
from brittle.analysis.worst_case import cross_fit
from brittle.declaration.primary import Primary
from brittle.record.rows import Row, format_results, parse_results

Array = NDArray[np.float64]
Bounds = tuple[Array, Array, Array]

EFFECT = 0.15
"""Mean effect without a transform."""
LEFT = {95: 0.95, 85: 0.75, 75: 0.5, 65: 0.25, 50: 0.1, 30: 0.0}
"""True share that is left after JPEG at each quality."""
LOG_SCALE = float(np.sqrt(np.log(1 + 0.8**2)))
"""Of a lognormal variable with a coefficient of variation of 0.8."""
LEVEL = 0.025
PRIMARY = ("jpeg:quality=95", "jpeg:quality=85", "jpeg:quality=75", "jpeg:quality=65")
ARM, PLACEBO, SPECTRUM = "shield", "noise(shield)", "noise-spectrum(shield)"
LIFT = 1.0
"""Added to every distance in a results.csv: distances are never negative, differences stay."""
SCOPE = Scope(model="embedded", models=("embedded",), resolution=128, white_box=True)
DESIGNS: dict[str, Callable[[np.random.Generator, int], "Iterator[Found]"]] = {}


@dataclass(frozen=True)
class Found:
    """One line of the table: a rate or a mean, and the range in which it must or must not lie."""

    design: str
    setting: str
    method: str
    value: float
    low: float
    high: float
    trials: int
    must_fail: bool = False
    is_rate: bool = True

    @property
    def margin(self) -> float:
        """Three standard errors of a rate at its nearer limit, beyond those of 2,000 trials."""
        if not self.is_rate or self.trials >= 2000:
            return 0.0
        limit = min((self.low, self.high), key=lambda limit: abs(limit - self.value))
        return float(3 * np.sqrt(max(limit * (1 - limit), 0.0) / self.trials))

    @property
    def as_promised(self) -> bool:
        """Whether what must hold holds, or what must fail fails."""
        margin = 0.0 if self.must_fail else self.margin
        inside = self.low - margin <= self.value <= self.high + margin
        return inside != self.must_fail


def design(
    name: str,
) -> Callable[
    [Callable[[np.random.Generator, int], Iterator[Found]]],
    Callable[[np.random.Generator, int], Iterator[Found]],
]:
    """Register a design under its name; it takes a generator and the number of trials."""

    def register(
        function: Callable[[np.random.Generator, int], Iterator[Found]],
    ) -> Callable[[np.random.Generator, int], Iterator[Found]]:
        DESIGNS[name] = function
        return function

    return register


# Drawing trials ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class Draw:
    """Distances of many trials, each (trials, photos, rows), by transform."""

    arm: dict[str, Array]
    placebo: dict[str, Array]
    gray: dict[str, Array]

    def effects(self, transform: str) -> Array:
        """One number a photo: (trials, photos)."""
        return (self.arm[transform] - self.placebo[transform]).mean(-1)

    def room(self, transform: str) -> Array:
        """What the gray picture does beyond the placebo: (trials, photos)."""
        return (self.gray[transform] - self.placebo[transform]).mean(-1)


def factors(rng: np.random.Generator, u: Array, *, skewed: bool, correlation: float) -> Array:
    """Each photo's strength, of mean 1; ``u``, standard normal, is what transforms share."""
    score = correlation * u + np.sqrt(1 - correlation**2) * rng.standard_normal(u.shape)
    return np.exp(LOG_SCALE * score - LOG_SCALE**2 / 2) if skewed else 1 + 0.4 * score


def draw(
    rng: np.random.Generator,
    trials: int,
    photos: int,
    left: dict[str, float],
    *,
    rows: int = 4,
    skewed: bool = False,
    effect: float = EFFECT,
    ceiling: float = 1.0,
) -> Draw:
    """The base design: ``left`` gives the true share after each transform.

    The gray picture's distance exceeds the placebo's by ``ceiling`` on average, and scatters
    over photos as the strengths do.
    """
    shape = (trials, photos)
    u, w = rng.standard_normal(shape), rng.standard_normal(shape)
    base = 0.10 * (1 + 0.3 * w)

    def noisy(mean: Array) -> Array:
        return mean[..., None] + rng.normal(0, 0.05, (*shape, rows))

    shares = {"none": 1.0, **left}
    strengths = {
        name: factors(rng, u, skewed=skewed, correlation=1.0 if name == "none" else 0.7)
        for name in shares
    }
    return Draw(
        arm={t: noisy(base + shares[t] * effect * strengths[t]) for t in shares},
        placebo={t: noisy(base) for t in shares},
        gray={
            t: noisy(base + ceiling * factors(rng, u, skewed=skewed, correlation=0.7))
            for t in shares
        },
    )


def shares_of(
    rng: np.random.Generator, rate: float, trials: int, photos: int, rows: int, icc: float = 0.4
) -> Array:
    """Beta-binomial shares of usable edits, (trials, photos)."""
    scale = 1 / icc - 1
    chance = rng.beta(rate * scale, (1 - rate) * scale, (trials, photos))
    return rng.binomial(rows, chance) / rows


def rows_of(
    drawn: Draw,
    trial: int,
    usable: dict[tuple[str, str], Array] | None = None,
    spectrum: dict[str, Array] | None = None,
) -> list[Row]:
    """One trial as the rows of a results.csv.

    ``usable`` holds 0 or 1 by (arm, transform), ``spectrum`` a second placebo's distances by
    transform, each (trials, photos, rows).
    """
    arms = {ARM: drawn.arm, PLACEBO: drawn.placebo, SPECTRUM: spectrum or {}, "gray": drawn.gray}
    blocks = [
        (arm, transform, "perceptual.distance", "control", values[trial] + LIFT)
        for arm, distances in arms.items()
        for transform, values in distances.items()
    ] + [
        (arm, transform, "usable", "photo", values[trial])
        for (arm, transform), values in (usable or {}).items()
    ]
    return [
        Row(f"p{photo:03}", arm, transform, "img2img", "a prompt", point, metric, reference, value)
        for arm, transform, metric, reference, values in blocks
        for (photo, point), value in np.ndenumerate(values.astype(float))
    ]


def judge(rows: list[Row], primary: Primary) -> Summary:
    """Judge the rows as a trial's are: written to the text of a results.csv and read back."""
    return summarise(parse_results(format_results(rows)), primary, scope=SCOPE)


def covers(bounds: Bounds, truth: float) -> float:
    """How often the interval contains the truth."""
    return float(((bounds[1] <= truth + 1e-12) & (truth - 1e-12 <= bounds[2])).mean())


# Methods that must fail -------------------------------------------------------------------------


def percentile_ratio(rng: np.random.Generator, top: Array, bottom: Array, draws: int) -> Bounds:
    """The percentile bootstrap over photos of a ratio of means."""
    trials, n = top.shape
    low, high = np.empty(trials), np.empty(trials)
    for i in range(trials):
        picks = rng.integers(0, n, (draws, n))
        ratios = top[i][picks].mean(1) / bottom[i][picks].mean(1)
        low[i], high[i] = np.quantile(ratios, [LEVEL, 1 - LEVEL])
    return top.mean(-1) / bottom.mean(-1), low, high


def row_bootstrap(rng: np.random.Generator, values: Array, draws: int) -> Bounds:
    """The percentile bootstrap that takes every row for a photo of its own."""
    flat = values.reshape(len(values), -1)
    n = flat.shape[1]
    low, high = np.empty(len(flat)), np.empty(len(flat))
    for i, sample in enumerate(flat):
        means = sample[rng.integers(0, n, (draws, n))].mean(1)
        low[i], high[i] = np.quantile(means, [LEVEL, 1 - LEVEL])
    return flat.mean(-1), low, high


def plain_korn_graubard(shares: Array, rows: int) -> Bounds:
    """Clopper-Pearson at p (1 - p) / var edits, without the two corrections that brittle makes."""
    share, variance = shares.mean(-1), shares.var(-1, ddof=1) / shares.shape[-1]
    with np.errstate(divide="ignore", invalid="ignore"):
        effective = np.clip(share * (1 - share) / variance, 1, rows)
    effective = np.where(variance > 0, effective, float(shares.shape[-1]))
    hits, misses = share * effective, (1 - share) * effective
    low = betaincinv(np.maximum(hits, 1e-300), misses + 1, LEVEL)
    high = betaincinv(hits + 1, np.maximum(misses, 1e-300), 1 - LEVEL)
    return share, np.where(hits > 0, low, 0.0), np.where(misses > 0, high, 1.0)


def isotonic(shares: Array) -> Array:
    """Least squares fit that never rises along the last axis, by pooling neighbours."""
    fitted = np.empty_like(shares)
    for i, row in enumerate(shares):
        blocks: list[tuple[float, int]] = []
        for value in row:
            blocks.append((float(value), 1))
            while len(blocks) > 1 and blocks[-2][0] < blocks[-1][0]:
                (a, n), (b, m) = blocks[-2:]
                blocks[-2:] = [((a * n + b * m) / (n + m), n + m)]
        fitted[i] = np.repeat([value for value, _ in blocks], [count for _, count in blocks])
    return fitted


# The designs ------------------------------------------------------------------------------------


@design("share that is left")
def share_left(rng: np.random.Generator, trials: int) -> Iterator[Found]:
    """Fieller's interval covers; the percentile bootstrap doesn't on few photos."""
    for skewed in (False, True):
        for n in (8, 10, 20, 50):
            drawn = draw(rng, trials, n, {"t": 0.5}, skewed=skewed)
            top, bottom = drawn.effects("t"), drawn.effects("none")
            setting = f"{'skewed' if skewed else 'base'}, n = {n}"
            value = covers(fieller_bounds(top, bottom, LEVEL), 0.5)
            yield Found("share that is left", setting, "Fieller", value, 0.935, 0.965, trials)
            if n == 10:
                draws = 1000 if trials >= 2000 else 200
                value = covers(percentile_ratio(rng, top, bottom, draws), 0.5)
                yield Found(
                    "share that is left", setting, "percentile", value, 0.935, 0.965, trials, True
                )


@design("12 rows a photo")
def many_rows(rng: np.random.Generator, trials: int) -> Iterator[Found]:
    """Rows of one photo are no further photos."""
    name, drawn = "12 rows a photo", draw(rng, trials, 20, {}, rows=12)
    value = covers(mean_bounds(drawn.effects("none"), LEVEL), EFFECT)
    yield Found(name, "n = 20", "t over photos", value, 0.935, 0.965, trials)
    rows = drawn.arm["none"] - drawn.placebo["none"]
    value = covers(row_bootstrap(rng, rows, 500 if trials >= 2000 else 200), EFFECT)
    yield Found(name, "n = 20", "row bootstrap", value, 0.935, 0.965, trials, True)


@design("seed effect")
def seed_effect(rng: np.random.Generator, trials: int) -> Iterator[Found]:
    """Noise that depends on the photo as well lets intervals over photos cover."""
    for shared in (False, True):
        drawn = draw(rng, trials, 50, {})
        shape = (trials, 1 if shared else 50, 4)
        moved = rng.normal(0, 0.03, shape) - rng.normal(0, 0.03, shape)
        values = (drawn.arm["none"] - drawn.placebo["none"] + moved).mean(-1)
        method = "streams shared by photos" if shared else "nested streams"
        value = covers(mean_bounds(values, LEVEL), EFFECT)
        yield Found("seed effect", "n = 50", method, value, 0.935, 0.965, trials, shared)


@design("reach at the margin")
def reach_at_margin(rng: np.random.Generator, trials: int) -> Iterator[Found]:
    """A reach of exactly .10 is called protected no more often than declared."""
    for skewed in (False, True):
        for n in (8, 20, 50):
            drawn = draw(rng, trials, n, {}, skewed=skewed, effect=0.1, ceiling=1.0)
            low = fieller_bounds(drawn.effects("none"), drawn.room("none"), LEVEL)[1]
            setting = f"{'skewed' if skewed else 'base'}, n = {n}"
            yield Found(
                "reach at the margin", setting, "called protected", float((low > 0.1).mean()),
                0.0, 0.025 + 3 * np.sqrt(0.025 * 0.975 / 2000), trials,
            )  # fmt: skip


@design("weak effect")
def weak_effect(rng: np.random.Generator, trials: int) -> Iterator[Found]:
    """Where hardly anything was there before, the share is withheld, and the interval covers."""
    name, n = "weak effect", 10
    drawn = draw(rng, trials, n, {"t": 0.5}, effect=0.02)
    top, bottom = drawn.effects("t"), drawn.effects("none")
    ratio, _, _ = fieller_bounds(top, bottom, LEVEL)
    yield Found(
        name, "n = 10", "Fieller", fieller_set_covers(top, bottom, 0.5), 0.935, 0.965, trials
    )
    error = bottom.std(-1, ddof=1) / np.sqrt(n)
    shown = bottom.mean(-1) >= 2 * t_quantile(n - 1, LEVEL) * error
    yield Found(name, "n = 10", "share withheld", float((~shown).mean()), 0.8, 1.0, trials)
    near = float((abs(ratio - 0.5) < 0.5).mean())
    yield Found(
        name, "n = 10", "plain ratio within .5 of the truth", near,
        0.95, 1.0, trials, True,
    )  # fmt: skip


def fieller_set_covers(top: Array, bottom: Array, truth: float) -> float:
    """How often the whole set covers, its unbounded form included (printed as "no bound")."""
    _, low, high = mean_bounds(top - truth * bottom, LEVEL)
    return float(((low <= 0) & (high >= 0)).mean())


@design("four primaries")
def four_primaries(rng: np.random.Generator, trials: int) -> Iterator[Found]:
    """At the margins, any false word among four verdicts stays rare; uncorrected it doesn't."""
    for truth, word, margin in ((0.25, "broken", 0.25), (0.75, "survived", 0.75)):
        for skewed in (False, True):
            drawn = draw(rng, trials, 32, dict.fromkeys(PRIMARY, truth), skewed=skewed)
            before = drawn.effects("none")
            side = -1 if word == "broken" else 1
            for alpha, method, holds in (
                (LEVEL / 4, f"any {word}", sure),
                (LEVEL, f"any {word}, t uncorrected", sure_by_t),
            ):
                wrong = np.zeros(trials, bool)
                for transform in PRIMARY:
                    wrong |= holds(side * (drawn.effects(transform) - margin * before), alpha)
                setting = f"{'skewed' if skewed else 'base'}, R = {truth:g}, n = 32"
                yield Found(
                    "four primaries", setting, method, float(wrong.mean()), 0.0, 0.035, trials,
                    alpha == LEVEL,
                )  # fmt: skip


@design("verdicts from the file")
def verdicts_from_file(rng: np.random.Generator, trials: int) -> Iterator[Found]:
    """Known truths through results.csv: words as they should be, wrong ones rare."""
    name, trials = "verdicts from the file", max(trials // 75, 4)
    for truth, wanted in ((0.0, "broken"), (-0.3, "broken"), (0.5, "weakened"), (1.0, "survived")):
        drawn = draw(rng, trials, 50, dict.fromkeys(PRIMARY, truth))
        words = [
            verdict.word
            for trial in range(trials)
            for verdict in judge(rows_of(drawn, trial), Primary()).verdicts
        ]
        right = sum(word == wanted for word in words) / len(words)
        wrong = sum(word not in (wanted, "inconclusive", "weakened") for word in words) / len(words)
        setting = f"R = {truth:g}, n = 50"
        yield Found(name, setting, wanted, right, 0.8, 1.0, 4 * trials)
        yield Found(name, setting, "a wrong word", wrong, 0.0, 0.0125, 4 * trials)


@design("a transform that shrinks every distance")
def shrinking_transform(rng: np.random.Generator, trials: int) -> Iterator[Found]:
    """Where T ruins everyone's edits, the share that is left says nothing: untestable."""
    name, trials = "a transform that shrinks every distance", max(trials // 20, 4)
    drawn = draw(rng, trials, 32, {PRIMARY[2]: 1.0})
    for distances in (drawn.arm, drawn.placebo, drawn.gray):
        distances[PRIMARY[2]] = 0.3 * distances[PRIMARY[2]]
    usable = {
        (arm, transform): shares_of(rng, rate, trials, 32 * 4, 1).reshape(trials, 32, 4)
        for (arm, transform), rate in {
            ("original", "none"): 0.9, ("original", PRIMARY[2]): 0.2,
            (ARM, "none"): 0.3, (ARM, PRIMARY[2]): 0.15,
            (PLACEBO, "none"): 0.85, (PLACEBO, PRIMARY[2]): 0.2,
        }.items()
    }  # fmt: skip
    summaries = [
        judge(rows_of(drawn, trial, usable), Primary(transforms=(PRIMARY[2],)))
        for trial in range(trials)
    ]
    untestable = np.mean([s.verdicts[0].word == "untestable" for s in summaries])
    yield Found(name, "A(original, T) = .2, n = 32", "untestable", untestable, 0.95, 1, trials)
    shares = [s.effects[1].retention for s in summaries]
    raw = float(np.mean([share.estimate for share in shares if share]))
    yield Found(name, "A(original, T) = .2, n = 32", "share that is left", raw, 0.9, 1.1, trials,
                must_fail=True, is_rate=False)  # fmt: skip


@design("saturating metric")
def saturating_metric(rng: np.random.Generator, trials: int) -> Iterator[Found]:
    """A metric that can't grow further overstates the share; the flag says so."""
    name, trials = "saturating metric", max(trials // 20, 4)
    drawn = draw(rng, trials, 32, {PRIMARY[2]: 0.5}, effect=0.8)
    for distances in (drawn.arm, drawn.placebo, drawn.gray):
        for transform in distances:
            distances[transform] = np.tanh(2.5 * np.maximum(distances[transform], 0))
    summaries = [
        judge(rows_of(drawn, trial), Primary(transforms=(PRIMARY[2],))) for trial in range(trials)
    ]
    flagged = np.mean([any(f.name == "saturated" for f in s.flags) for s in summaries])
    yield Found(name, "R = .5, n = 32", "flag", float(flagged), 0.95, 1.0, trials)
    shares = [s.effects[1].retention for s in summaries]
    raw = float(np.mean([share.estimate for share in shares if share]))
    yield Found(name, "R = .5, n = 32", "share that is left", raw, 0.4, 0.6, trials,
                must_fail=True, is_rate=False)  # fmt: skip


@design("worst of 17 transforms")
def worst_of_many(rng: np.random.Generator, trials: int) -> Iterator[Found]:
    """All 17 truly keep .80: choosing and scoring on the same seeds finds far less."""
    name, n, transforms = "worst of 17 transforms", 32, 17
    trials = max(trials // 4, 20)
    noise = rng.normal(0, 0.05, (trials, n, transforms, 2))
    strength = EFFECT * (1 + 0.4 * rng.standard_normal((trials, n, 1, 1)))
    effects = 0.8 * strength + noise
    before = strength[..., 0, 0] + rng.normal(0, 0.05 / np.sqrt(2), (trials, n))
    fitted, _ = cross_fit(effects, effects)
    for method, values, fails in (
        ("cross-fitted", fitted, False),
        ("plain minimum", effects.mean(-1).min(-1), True),
    ):
        share = float((values.mean(-1) / before.mean(-1)).mean())
        yield Found(name, "R = .8, n = 32", method, share, 0.78, 0.82, trials, fails, is_rate=False)


@design("usable share")
def usable_share(rng: np.random.Generator, trials: int) -> Iterator[Found]:
    """Shares near 0 and 1 on few photos: Korn-Graubard covers, plain t doesn't."""
    widths = []
    for n in (8, 20, 50):
        for rows in (4, 12):
            for rate in (0.02, 0.05, 0.2, 0.5, 0.9, 0.98):
                shares = shares_of(rng, rate, trials, n, rows)
                setting = f"n = {n}, {rows} rows, A = {rate:g}"
                bounds, plain = (
                    share_bounds(shares, rows * n, LEVEL),
                    plain_korn_graubard(shares, rows * n),
                )
                widths.append([(b[2] - b[1]).mean() for b in (bounds, plain)])
                value = covers(bounds, rate)
                yield Found("usable share", setting, "Korn-Graubard", value, 0.94, 1.0, trials)
                if (n, rows, rate) in ((8, 12, 0.2), (20, 12, 0.05), (50, 12, 0.98)):
                    value = covers(plain, rate)
                    method = "without pseudo-photo and t"
                    yield Found("usable share", setting, method, value, 0.94, 1.0, trials, True)
                if rate in (0.02, 0.98):
                    value = covers(mean_bounds(shares, LEVEL), rate)
                    yield Found("usable share", setting, "plain t", value, 0.94, 1.0, trials, True)

    mine, plain_width = np.mean(widths, axis=0)
    yield Found(
        "usable share",
        "all of these",
        "width over that without",
        float(mine / plain_width),
        1.0,
        1.25,
        trials,
        is_rate=False,
    )


@design("thresholds of few photos")
def few_calibration_photos(rng: np.random.Generator, trials: int) -> Iterator[Found]:
    """Thresholds that other photos would have moved move the share: intervals allow for that."""
    from brittle.metrics.thresholds import SHARE, threshold_error

    name, trials, n, edits = "thresholds of few photos", max(trials // 4, 100), 40, 4
    true = float(ndtri(SHARE))
    for calibrated in (24, 42):
        inside = {True: 0, False: 0}
        for _ in range(trials):
            scores = rng.standard_normal(calibrated)
            tau, error = float(np.quantile(scores, SHARE)), threshold_error([scores.tolist()])
            keep = (rng.standard_normal((n, 1)) + rng.standard_normal((n, edits))) / np.sqrt(2) - 1
            table = Table(
                Row(f"p{photo:03}", "original", "none", "img2img", "", edit, metric, "photo", value)
                for (photo, edit), score in np.ndenumerate(keep)
                for metric, value in (
                    ("usable", float(score >= tau)), ("keep", float(score)), ("follow", 1.0),
                )
            )  # fmt: skip
            errors = ThresholdErrors(follow=("follow", 0.0), keep=("keep", error))
            photos = table.units
            known = UsableFrom(
                follow="follow", keep="keep", photos=calibrated,
                least={photo: {"": (0.0, tau)} for photo in photos},
                errors={photo: {"": errors} for photo in photos},
            )  # fmt: skip
            share = 1 - float(ndtr(true + 1))
            for counted in (True, False):
                usable = UsableEdits(table, editor="img2img", thresholds=known if counted else None)
                usable.reason = ""
                interval = usable.rate("original", "none", LEVEL)
                if interval and interval.low is not None and interval.high is not None:
                    inside[counted] += interval.low <= share <= interval.high
        for counted, hits in inside.items():
            method = "thresholds counted in" if counted else "thresholds taken as known"
            yield Found(
                name, f"{calibrated} calibration photos", method, hits / trials,
                0.90, 1.0, trials, not counted,
            )  # fmt: skip


@design("difference of usable shares")
def usable_difference(rng: np.random.Generator, trials: int) -> Iterator[Found]:
    """Differences of shares, paired by photo, also where nearly all photos agree."""
    name = "difference of usable shares"
    for n in (8, 20, 50):
        for left, right in ((0.9, 0.9), (0.98, 0.98), (0.9, 0.6), (0.9, 0.15), (0.98, 0.05)):
            difference = shares_of(rng, left, trials, n, 4) - shares_of(rng, right, trials, n, 4)
            setting = f"n = {n}, {left:g} - {right:g}"
            value = covers(share_difference_bounds(difference, LEVEL), left - right)
            yield Found(name, setting, "t + pseudo-photo", value, 0.94, 1.0, trials)
            if (left, right, n) == (0.98, 0.05, 8):
                value = covers(mean_bounds(difference, LEVEL), left - right)
                yield Found(name, setting, "plain t", value, 0.94, 1.0, trials, True)


@design("open at the margin")
def open_at_margin(rng: np.random.Generator, trials: int) -> Iterator[Found]:
    """Exactly 15 of 100 usable edits fewer: called open no more often than declared."""
    name, limit, pseudo = "open at the margin", 0.035, np.broadcast_to([0.5, -0.5], (trials, 2))
    for n in (8, 20, 32):
        for clean in (0.9, 1.0):
            protected = shares_of(rng, clean - 0.15, trials, n, 2)
            original = shares_of(rng, clean, trials, n, 2) if clean < 1 else np.ones(n)
            difference = protected - original
            setting = f"n = {n}, {clean:g} - {clean - 0.15:g}"
            found = float((share_difference_bounds(difference, LEVEL)[1] > -0.15).mean())
            yield Found(name, setting, "called open", found, 0.0, limit, trials)
            if (n, clean) == (20, 1.0):
                shrunk = mean_bounds(np.concatenate([difference, pseudo], -1), LEVEL)
                method = "two pseudo-photos at +-1/2"
                found = float((shrunk[1] > -0.15).mean())
                yield Found(name, setting, method, found, 0.0, limit, trials, True)
    lost = shares_of(rng, 0.2, trials, 8, 2) - shares_of(rng, 0.95, trials, 8, 2)
    single = share_difference_bounds(lost, LEVEL)
    double = mean_bounds(np.concatenate([lost, pseudo], -1), LEVEL)
    for method, bounds, fails in (
        ("called untestable", single, False),
        ("same, two pseudo-photos at +-1/2", double, True),
    ):
        found = float((bounds[2] < -0.25).mean())
        yield Found(name, "n = 8, 0.2 - 0.95", method, found, 0.55, 1.0, trials, fails)


def ladder(
    rng: np.random.Generator, trials: int, n: int, truths: list[float], alpha: float
) -> tuple[Array, Array, Array]:
    """Bounds of E(q) - E(none)/2 along a ladder, (trials, strengths), and the shares found."""
    drawn = draw(rng, trials, n, {str(i): truth for i, truth in enumerate(truths)})
    before = drawn.effects("none")
    after = [drawn.effects(str(i)) for i in range(len(truths))]
    bounds = [mean_bounds(values - 0.5 * before, alpha) for values in after]
    shares = np.stack([values.mean(-1) for values in after], -1) / before.mean(-1)[:, None]
    return np.stack([b[1] for b in bounds], -1), np.stack([b[2] for b in bounds], -1), shares


@design("half-life")
def half_lives(rng: np.random.Generator, trials: int) -> Iterator[Found]:
    """The walk from both ends contains a monotone truth, and sees a window."""
    name = "half-life"
    truths = [0.95, 0.8, 0.65, 0.52, 0.45, 0.3, 0.1, 0.0]  # half is reached between 3 and 4
    for n in (10, 32):
        low, high, _ = ladder(rng, trials, n, truths, ALPHA)
        more, less = walk(low, high)
        inside = (more <= 4) & (len(truths) - less >= 4)
        yield Found(name, f"monotone, n = {n}", "walk contains it", float(inside.mean()),
                    0.95 - 3 * np.sqrt(0.05 * 0.95 / 2000), 1.0, trials)  # fmt: skip
        low, high, _ = ladder(rng, trials, n, truths, ALPHA / len(truths))
        seen = np.mean([window(*pair) is not None for pair in zip(low, high, strict=True)])
        yield Found(name, f"monotone, n = {n}", "window seen", float(seen), 0.0, 0.025, trials)
    truths = [0.95, 0.6, 0.1, 0.0, 0.1, 0.9, 0.95, 0.95]
    low, high, shares = ladder(rng, trials, 32, truths, ALPHA / len(truths))
    seen = np.mean([window(*pair) is not None for pair in zip(low, high, strict=True)])
    yield Found(name, "window, n = 32", "no single half-life", float(seen), 0.95, 1.0, trials)
    # Beyond the window nearly all is left; a fit that may not rise puts it near the middle.
    fitted = isotonic(shares[: min(trials, 500)])[:, -1]
    yield Found(name, "window, n = 32", "isotonic fit beyond it", float(fitted.mean()), 0.85, 1.05,
                trials, must_fail=True, is_rate=False)  # fmt: skip


@design("one photo")
def one_photo(rng: np.random.Generator, trials: int) -> Iterator[Found]:
    """A protection that is but one more placebo is called stronger in 1 photo of 20."""
    distances = rng.lognormal(0, 0.5, (trials, 1 + DRAWS))
    called = np.mean(
        [placebo_tests([(row[0], {"noise": row[1:].tolist()})])[0].p <= 0.05 for row in distances]
    )
    limit = 0.05 + 3 * np.sqrt(0.05 * 0.95 / 2000)
    yield Found("one photo", "19 placebos", "called stronger", float(called), 0.0, limit, trials)
    single = float((distances[:, 0] > distances[:, 1]).mean())
    yield Found("one photo", "1 placebo", "called stronger", single, 0.0, limit, trials, True)


@design("worse than nothing")
def worse_than_nothing(rng: np.random.Generator, trials: int) -> Iterator[Found]:
    """A share of -.3 is broken too; two one-sided tests around 0 would not say so."""
    name, setting, alpha = "worse than nothing", "R = -.3, n = 32", LEVEL / 4
    drawn = draw(rng, trials, 32, {"t": -0.3})
    after, before = drawn.effects("t"), drawn.effects("none")
    _, _, high = mean_bounds(after - 0.25 * before, alpha)
    yield Found(name, setting, "broken", float((high < 0).mean()), 0.95, 1.0, trials)
    _, low, _ = mean_bounds(after + 0.25 * before, alpha)
    both = float(((high < 0) & (low > 0)).mean())
    yield Found(name, setting, "two one-sided tests", both, 0.95, 1.0, trials, True)


def chosen_by_all_others(means: Array) -> NDArray[np.intp]:
    """Leave one out: each photo's placebo by all other photos, (placebos, photos) to (photos,)."""
    places: NDArray[np.intp] = (means.sum(1, keepdims=True) - means).argmax(0)
    return places


def taken(means: Array, choose: Callable[[Array], NDArray[np.intp]]) -> Array:
    """Distances of the chosen placebo on each photo, from (trials, placebos, photos)."""
    photos = np.arange(means.shape[-1])
    return np.stack([one[choose(one), photos] for one in means])


@dataclass(frozen=True)
class Kinds:
    """One distance a photo, (trials, photos), and of each kind of noise (trials, kinds, photos)."""

    before: Array
    after: Array
    gray: Array
    weak: Array
    """An arm whose reach is .10."""
    strong: Array
    left: dict[float, Array]
    """The strong arm after transforms that leave these shares of its effect."""

    @classmethod
    def draw(
        cls, rng: np.random.Generator, trials: int, photos: int, kinds: int, apart: float
    ) -> "Kinds":
        """Kinds of noise of which all but one are ``apart`` standard errors weaker."""
        shape = (trials, photos)
        u, base = rng.standard_normal(shape), 0.10 * (1 + 0.3 * rng.standard_normal(shape))
        weaker = apart * np.sqrt(2) * 0.025 / np.sqrt(photos) * (np.arange(kinds) > 0)

        def noisy(mean: Array) -> Array:
            return mean + rng.normal(0, 0.025, mean.shape)

        def arm(effect: float, correlation: float) -> Array:
            return noisy(base + effect * factors(rng, u, skewed=False, correlation=correlation))

        before, after = (noisy(base[:, None] - weaker[:, None]) for _ in range(2))
        return cls(
            before, after, arm(1.0, 0.7), arm(0.1, 1.0), arm(EFFECT, 1.0),
            {left: arm(left * EFFECT, 0.7) for left in (0.25, 0.75)},
        )  # fmt: skip

    def rates(
        self, choose: Callable[[Array], NDArray[np.intp]], holds: Callable[[Array], Array]
    ) -> dict[str, float]:
        """How often each word is claimed at its own margin, for one way to choose the noise."""
        none, then = taken(self.before, choose), taken(self.after, choose)
        effect = self.strong - none

        def reach(noise: Array) -> Array:
            return self.weak - noise - 0.1 * (self.gray - noise)

        def more(noise: Array) -> Array:
            return self.left[0.75] - noise - 0.75 * effect

        def acts(held: Callable[[Array], Array], chosen: Array, each: Array) -> Array:
            against = [chosen, *np.moveaxis(each, 1, 0)]
            return np.logical_and.reduce([holds(held(noise)) for noise in against])

        found = {
            "protected": acts(reach, none, self.before),
            "never protected": holds(-reach(none)),
            "broken": holds(-(self.left[0.25] - then - 0.25 * effect)),
            "weakened": holds(-more(then)),
            "survived": acts(more, then, self.after),
        }
        return {word: float(claimed.mean()) for word, claimed in found.items()}


def sure_by_t(values: Array, alpha: float = LEVEL) -> Array:
    """Whether Student's t alone finds a mean above 0, (trials,)."""
    above: Array = mean_bounds(values, alpha)[1] > 0
    return above


def sure_by_johnson(values: Array, alpha: float) -> Array:
    """The same by t and by Johnson's modified t, which allows for a skewness as in the sample."""
    n, mean = values.shape[-1], values.mean(-1, keepdims=True)
    deviation = values.std(-1, ddof=1)
    t = mean[..., 0] / deviation * np.sqrt(n)
    skewness = ((values - mean) ** 3).sum(-1) * n / ((n - 1) * (n - 2)) / deviation**3
    modified = t + skewness * (1 / (6 * np.sqrt(n)) + t**2 / (3 * np.sqrt(n)))
    return np.logical_and(sure_by_t(values, alpha), modified > t_quantile(n - 1, alpha))


def sure_by_bootstrap(values: Array, alpha: float) -> Array:
    """The same by t and by the studentised bootstrap over photos."""
    found = sure_by_t(values, alpha)
    for trial in np.flatnonzero(found):
        found[trial] = bootstrap_t_bounds(values[trial], alpha)[1] > 0
    return found


def sure(values: Array, alpha: float = LEVEL) -> Array:
    """Whether a mean is above 0 as a claim asks it: by t, and with its least photo twice."""
    return np.logical_and(sure_by_t(values, alpha), doubtful_low(values, alpha) > 0)


UNEVEN = ("share rises with strength", "share falls with strength", "effects of CV 1.5",
          "one photo in twelve")  # fmt: skip
STRONG = 0.4
"""A mean effect beside which the noise is small: then hardly anything but photos scatters."""
BEYOND = {
    (UNEVEN[0], EFFECT, "never protected"): (0.06, False),
    (UNEVEN[1], EFFECT, "never protected"): (0.06, False),
    (UNEVEN[2], EFFECT, "never protected"): (0.09, False),
    (UNEVEN[3], EFFECT, "never protected"): (0.035, True),
    (UNEVEN[0], STRONG, "any broken"): (0.14, False),
    (UNEVEN[0], EFFECT, "any weakened"): (0.14, False),
    (UNEVEN[0], STRONG, "any weakened"): (0.18, False),
    (UNEVEN[1], STRONG, "any survived"): (0.11, False),
}
"""Where the promised rate is not kept: the rate that is, or that there is none."""


def uneven(
    rng: np.random.Generator, trials: int, n: int, kind: str
) -> tuple[Array, tuple[Array, ...]]:
    """Each photo's strength without a transform and after four, of mean 1: (trials, n) each."""
    u = rng.standard_normal((trials, n))

    def lognormal(score: Array, variation: float, power: float = 1.0) -> Array:
        scale = power * np.sqrt(np.log(1 + variation**2))
        return np.exp(scale * score - scale**2 / 2)

    def another(correlation: float) -> Array:
        return correlation * u + np.sqrt(1 - correlation**2) * rng.standard_normal(u.shape)

    if kind == "effects of CV 1.5":
        return lognormal(u, 1.5), tuple(lognormal(another(0.7), 1.5) for _ in PRIMARY)
    if kind == "one photo in twelve":
        carries = np.where(rng.random(u.shape) < 1 / 12, 12.0, 0.0)
        return carries, tuple(carries * (1 + 0.2 * another(0.0)) for _ in PRIMARY)
    power = 2.0 if "rises" in kind else 0.5
    return lognormal(u, 0.8), (lognormal(u, 0.8, power),) * 4


def sure_of_less(after: Array, before: Array, share: float, alpha: float) -> Array:
    """Whether less than a share is said to be left: not if strong effects would keep more."""
    decided_by_few = strong_keep_more(after, before, share, RISES)
    return np.logical_and(sure(share * before - after, alpha), ~decided_by_few)


@design("uneven photos")
def uneven_photos(rng: np.random.Generator, trials: int) -> Iterator[Found]:
    """Words at their margins where few photos show too little of a tail, and what intervals cover.

    Any of four words; a reach of exactly .10. No method knows of photos that were not drawn.
    """
    name = "uneven photos"
    cases = [*product(UNEVEN, (EFFECT,), (8, 16, 24)), *product(UNEVEN[:2], (STRONG,), (8, 16, 24))]
    for kind, effect, n in cases:
        setting = f"{kind}, effect {effect:g}, n = {n}"
        strength, after = uneven(rng, trials, n, kind)

        def noisy(mean: Array) -> Array:
            return mean + rng.normal(0, 0.05 / np.sqrt(2), mean.shape)

        before, reach = noisy(effect * strength), noisy(0.1 * strength) - 0.1
        few, many = ([noisy(left * effect * one) for one in after] for left in (0.25, 0.75))
        alpha = LEVEL / 4
        words = {
            "any broken": [sure_of_less(one, before, 0.25, alpha) for one in few],
            "any survived": [sure(one - 0.75 * before, alpha) for one in many],
            "any weakened": [sure_of_less(one, before, 0.75, alpha) for one in many],
        }
        if effect == EFFECT:
            words |= {"never protected": [sure(-reach)], "protected": [sure(reach)]}
        for word, said in words.items():
            limit, fails = BEYOND.get((kind, effect, word), (0.035, False))
            found = float(np.logical_or.reduce(said).mean())
            yield Found(name, setting, word, found, 0.0, limit, trials, fails)
        if (kind, n) == (UNEVEN[0], 24):
            limit, _ = BEYOND.get((kind, effect, "any broken"), (0.06, False))
            for method, holds in (
                ("t alone", sure_by_t),
                ("and Johnson's t", sure_by_johnson),
                ("and bootstrap-t", sure_by_bootstrap),
            ):
                said = [holds(0.25 * before - one, alpha) for one in few]
                found = float(np.logical_or.reduce(said).mean())
                yield Found(name, setting, f"any broken, {method}", found, 0, limit, trials, True)
        if n == 8 and effect == EFFECT:
            value = covers(mean_bounds(before, LEVEL), EFFECT)
            yield Found(
                name, setting, "t over photos: the effect", value, 0.935, 0.965, trials, True
            )


@design("photos of one shoot")
def photos_of_one_shoot(rng: np.random.Generator, trials: int) -> Iterator[Found]:
    """Photos that belong together, half of the scatter theirs in common: groups are what counts."""
    for groups, size in ((8, 3), (8, 6), (16, 4)):
        shape = (trials, groups, size)
        together = np.repeat(rng.standard_normal((trials, groups, 1)), size, axis=2)
        strength = 1 + 0.4 * np.sqrt(0.5) * (together + rng.standard_normal(shape))
        values = EFFECT * strength + rng.normal(0, 0.05 / np.sqrt(2), shape)
        unit = groups_of(map(str, range(groups * size)),
                         {str(i): str(i // size) for i in range(groups * size)})  # fmt: skip
        means = np.stack([unit.means(one)[0] for one in values.reshape(trials, -1)])
        setting = f"{groups} groups of {size}"
        value = covers(mean_bounds(means, LEVEL), EFFECT)
        yield Found("photos of one shoot", setting, "t over groups", value, 0.935, 0.965, trials)
        value = covers(mean_bounds(values.reshape(trials, -1), LEVEL), EFFECT)
        yield Found(
            "photos of one shoot", setting, "t over photos", value, 0.935, 0.965, trials, True
        )


@design("two prompts")
def two_prompts(rng: np.random.Generator, trials: int) -> Iterator[Found]:
    """Prompts with an effect of their own: intervals cover photos under these, and no others."""
    for n in (8, 24, 36):
        own = EFFECT * 0.4 * rng.standard_normal((trials, 1, 2))
        photos = EFFECT * (1 + 0.4 * rng.standard_normal((trials, n, 1)))
        values = (photos + own + rng.normal(0, 0.05, (trials, n, 2))).mean(-1)
        bounds = mean_bounds(values, LEVEL)
        off = own.mean((1, 2))
        asked = covers((bounds[0], bounds[1] - off, bounds[2] - off), EFFECT)
        yield Found("two prompts", f"n = {n}", "these two prompts", asked, 0.935, 0.965, trials)
        value = covers(bounds, EFFECT)
        yield Found("two prompts", f"n = {n}", "any prompts", value, 0.935, 0.965, trials, True)


@design("kinds of noise")
def kinds_of_noise(rng: np.random.Generator, trials: int) -> Iterator[Found]:
    """At every margin, words stay true however near the kinds of noise are to each other."""
    name = "kinds of noise"
    for kinds, n, apart in ((2, 8, 0), (2, 12, 1), (3, 8, 2), (3, 20, 1), (3, 32, 0)):
        drawn = Kinds.draw(rng, trials, n, kinds, apart)
        setting = f"{kinds} kinds, {apart} s.e. apart, n = {n}"
        for word, rate in drawn.rates(chosen_by_others, sure).items():
            yield Found(name, setting, word, rate, 0.0, 0.035, trials)
        if (kinds, n) == (3, 32):
            rate = drawn.rates(chosen_by_others, sure_by_t)["weakened"]
            yield Found(name, setting, "weakened, t alone", rate, 0.0, 0.035, trials)
            rate = drawn.rates(chosen_by_all_others, sure_by_t)["weakened"]
            method = "weakened, all others choose, t"
            yield Found(name, setting, method, rate, 0.0, 0.035, trials, True)


@design("noise that a transform spares")
def noise_that_is_spared(rng: np.random.Generator, trials: int) -> Iterator[Found]:
    """Blur removes plain noise and spares noise with the arm's spectrum: no word is due to that."""
    name, trials, blur = "noise that a transform spares", max(trials // 40, 10), PRIMARY[0]
    primary = Primary(transforms=(blur,))
    for setting, effect, wanted in (("the arm is noise", 0.0, "never protected"),
                                    ("the blur leaves noise", 0.3, "broken")):  # fmt: skip
        drawn = draw(rng, trials, 20, {blur: 0.0}, effect=effect)
        spectrum = draw(rng, trials, 20, {blur: 0.0}, effect=0.0).arm
        if not effect:
            drawn.arm["none"] += spectrum["none"].mean() - drawn.arm["none"].mean()
        drawn.placebo["none"] += 0.005  # which of the two moves edits further, unblurred
        drawn.placebo[blur] = np.abs(rng.normal(0, 0.01, drawn.placebo[blur].shape))
        words = [
            judge(rows_of(drawn, trial, spectrum=spectrum), primary).verdicts[0].word
            for trial in range(trials)
        ]
        right = sum(word == wanted for word in words) / trials
        yield Found(name, setting, wanted, right, 0.95, 1.0, trials)
        wrong = sum(word in ("protects only after", "survived") for word in words) / trials
        yield Found(name, setting, "protects only after, survived", wrong, 0.0, 0.025, trials)


@design("eight photos")
def eight_photos(rng: np.random.Generator, trials: int) -> Iterator[Found]:
    """The fewest photos that carry a verdict can carry one, and don't carry wrong ones."""
    name, alpha = "eight photos", LEVEL / 4
    for effect, low in ((0.15, 0.0), (0.4, 0.6)):
        drawn = draw(rng, trials, 8, dict.fromkeys(PRIMARY, 0.0), effect=effect)
        before = drawn.effects("none")
        found = [sure(0.25 * before - drawn.effects(t), alpha).mean() for t in PRIMARY]
        setting = f"R = 0, effect {effect:g}"
        yield Found(name, setting, "broken", float(np.mean(found)), low, 1.0, trials)
    drawn = draw(rng, trials, 8, dict.fromkeys(PRIMARY, 0.25), effect=0.4)
    before = drawn.effects("none")
    wrong = np.any([sure(0.25 * before - drawn.effects(t), alpha) for t in PRIMARY], axis=0)
    yield Found(name, "R = .25, effect .4", "any broken", float(wrong.mean()), 0, 0.035, trials)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, default=2000)
    parser.add_argument("--only", default="", help="run the designs whose name contains this")
    arguments = parser.parse_args()
    print(f"| {'design':39} | {'setting':29} | {'method':34} | found | must | as promised |")
    print("|---|---|---|---|---|---|")
    start, broken = time.perf_counter(), 0
    for name, function in DESIGNS.items():
        if arguments.only not in name:
            continue
        for found in function(np.random.default_rng(20261125), arguments.trials):
            must = f"{'not ' if found.must_fail else ''}{found.low:.3f} to {found.high:.3f}"
            print(
                f"| {found.design:39} | {found.setting:29} | {found.method:34} "
                f"| {found.value:.3f} | {must} | {'yes' if found.as_promised else 'NO'} |",
                flush=True,
            )
            broken += not found.as_promised
    seconds = time.perf_counter() - start
    print(f"\n{arguments.trials} trials, {seconds:.0f} s, {broken} not as promised")


if __name__ == "__main__":
    main()
