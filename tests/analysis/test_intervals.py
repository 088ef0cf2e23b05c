import numpy as np
import pytest
from scipy import optimize, stats

from brittle.analysis.intervals import (
    bootstrap_t_bounds,
    doubtful_low,
    fieller_bounds,
    mean_bounds,
    mean_interval,
    ratio_interval,
    share_bounds,
    share_difference_bounds,
    share_interval,
    strong_keep_more,
)

RNG = np.random.default_rng(3)
BOTTOM = 1 + 0.4 * RNG.standard_normal(12)
TOP = 0.4 * BOTTOM + 0.2 * RNG.standard_normal(12)


def test_t_is_scipys():
    mean, low, high = mean_bounds(TOP, 0.025)
    expected = stats.ttest_1samp(TOP, 0).confidence_interval(0.95)
    assert (low, high) == pytest.approx((expected.low, expected.high), rel=1e-12)
    assert mean == TOP.mean()


@pytest.mark.parametrize("alpha", [0.025, 0.00625])
def test_fieller_is_the_inverted_t_test(alpha):
    def p_value_beyond(m):
        return stats.ttest_1samp(TOP - m * BOTTOM, 0).pvalue - 2 * alpha

    ratio, low, high = fieller_bounds(TOP, BOTTOM, alpha)
    assert low == pytest.approx(optimize.brentq(p_value_beyond, -3, ratio), rel=1e-8)
    assert high == pytest.approx(optimize.brentq(p_value_beyond, ratio, 3), rel=1e-8)


def test_fieller_has_no_bound_where_the_denominator_may_be_zero():
    bottom = BOTTOM - BOTTOM.mean() + 0.01
    _, low, high = fieller_bounds(TOP, bottom, 0.025)
    assert (low, high) == (-np.inf, np.inf)
    interval = ratio_interval(TOP, bottom, 0.025)
    assert interval.low is None
    assert interval.high is None
    assert interval.note == "no bound"


def test_fieller_bounds_agree_with_the_linear_test_on_either_side():
    for m in np.linspace(-0.5, 1.5, 41):
        _, linear_low, linear_high = mean_bounds(TOP - m * BOTTOM, 0.025)
        _, low, high = fieller_bounds(TOP, BOTTOM, 0.025)
        assert (high < m) == (linear_high < 0)
        assert (low > m) == (linear_low > 0)


def test_equal_numerator_and_denominator_have_a_share_of_exactly_one():
    assert [float(bound) for bound in fieller_bounds(BOTTOM, BOTTOM, 0.025)] == [1, 1, 1]


def test_bounds_of_many_trials_are_those_of_each():
    tops, bottoms = RNG.normal(1, 0.3, (2, 5, 9))
    shares = RNG.integers(0, 5, (5, 9)) / 4
    for bounds, one in (
        (mean_bounds(tops, 0.01), lambda i: mean_bounds(tops[i], 0.01)),
        (fieller_bounds(tops, bottoms, 0.01), lambda i: fieller_bounds(tops[i], bottoms[i], 0.01)),
        (share_bounds(shares, 36, 0.01), lambda i: share_bounds(shares[i], 36, 0.01)),
        (share_difference_bounds(tops - bottoms, 0.01),
         lambda i: share_difference_bounds(tops[i] - bottoms[i], 0.01)),
    ):  # fmt: skip
        for i in range(5):
            assert [b[i] for b in bounds] == pytest.approx([float(b) for b in one(i)], rel=1e-12)


@pytest.mark.parametrize("hits", [0, 12])
def test_where_all_photos_agree_a_photo_is_one_edit(hits):
    shares = np.full(12, hits / 12)
    _, low, high = share_bounds(shares, 48, 0.025)
    expected = stats.binomtest(hits, 12).proportion_ci(0.95, method="exact")
    assert (low, high) == pytest.approx((expected.low, expected.high), rel=1e-12)


def test_shares_as_scattered_as_can_be_are_clopper_pearson_on_photos():
    shares = np.array([1.0] * 5 + [0.0] * 15)
    _, low, high = share_bounds(shares, 80, 0.025)
    expected = stats.binomtest(5, 20).proportion_ci(0.95, method="exact")
    assert (low, high) == pytest.approx((expected.low, expected.high), rel=1e-12)


def test_shares_never_count_for_more_than_the_edits_judged():
    shares = np.array([0.5, 0.5001] * 10)
    rows = 40
    _, low, high = share_bounds(shares, rows, 0.025)
    expected = stats.binomtest(20, rows).proportion_ci(0.95, method="exact")
    assert (low, high) == pytest.approx((expected.low, expected.high), rel=1e-3)


def test_a_pseudo_photo_keeps_a_difference_honest_where_all_agree():
    estimate, low, high = share_difference_bounds(np.full(10, 0.2), 0.025)
    margin = stats.t.ppf(0.975, 9) * np.sqrt(1 / 9) / np.sqrt(10)
    assert (estimate, low, high) == pytest.approx((0.2, 0.2 - margin, 0.2 + margin))
    assert share_difference_bounds(np.ones(8), 0.025)[2] == 1.0


def test_where_photos_scatter_the_pseudo_photo_hardly_counts():
    values = RNG.uniform(-1, 1, 200)
    plain, careful = mean_bounds(values, 0.025), share_difference_bounds(values, 0.025)
    assert careful[1] == pytest.approx(plain[1], abs=0.001)
    assert careful[1] < plain[1]


def test_bootstrap_t_is_seeded_and_close_to_t():
    values = RNG.normal(1, 0.3, 30)
    first, second = (bootstrap_t_bounds(values, 0.025) for _ in range(2))
    assert first == second
    _, low, high = mean_bounds(values, 0.025)
    assert first[1] == pytest.approx(low, abs=0.03)
    assert first[2] == pytest.approx(high, abs=0.03)


def test_eight_photos_have_an_interval_and_seven_have_none():
    assert mean_interval(TOP[:8], 0.025).low is not None
    for interval in (
        mean_interval(TOP[:7], 0.025),
        ratio_interval(TOP[:7], BOTTOM[:7], 0.025),
        share_interval(np.full(7, 0.5), 14, 0.025),
    ):
        assert (interval.low, interval.high) == (None, None)
        assert interval.note == "7 photos: no interval"
        assert interval.method == "none"


def test_no_photo_has_no_interval():
    nothing = np.array([])
    assert mean_interval(nothing, 0.025) is None
    assert ratio_interval(nothing, nothing, 0.025) is None
    assert share_interval(nothing, 0, 0.025) is None


def test_the_level_says_the_error_on_both_sides():
    assert mean_interval(TOP, 0.025).level == 0.95
    assert mean_interval(TOP, 0.025 / 4).level == 0.9875


def test_the_doubtful_bound_counts_the_least_value_twice():
    more = np.append(TOP, TOP.min())
    error = more.std(ddof=1) / np.sqrt(13)
    assert doubtful_low(TOP, 0.025) == pytest.approx(more.mean() - stats.t.isf(0.025, 11) * error)
    assert doubtful_low(TOP, 0.025) < mean_bounds(TOP, 0.025)[1]
    assert doubtful_low(np.stack([TOP, BOTTOM]), 0.025).shape == (2,)


def test_strong_effects_keep_more_where_the_square_has_a_positive_slope():
    before = np.abs(BOTTOM) + 0.1
    noise = 0.01 * RNG.standard_normal((3, 12))
    after = np.stack([0.3 * before**2, 0.3 * before, 0.3 * before**0.5]) + noise
    every = np.broadcast_to(before, after.shape)
    assert strong_keep_more(after, every, 0.2, 0.05).tolist() == [True, False, False]
    exact = np.linalg.lstsq(np.stack([before, before**2], -1), after[0], rcond=None)
    error = np.sqrt(exact[1][0] / 10 * np.linalg.inv(
        np.array([[(before**2).sum(), (before**3).sum()], [(before**3).sum(), (before**4).sum()]])
    )[1, 1])  # fmt: skip
    p = stats.t.sf(exact[0][1] / error, 10)
    assert strong_keep_more(after[0], before, 0.2, p * 1.01)
    assert not strong_keep_more(after[0], before, 0.2, p * 0.99)
    far = min(3 * before.mean(), before.mean() + 4 * before.std(ddof=1))
    kept = exact[0][0] + exact[0][1] * far
    assert strong_keep_more(after[0], before, kept - 1e-6, 0.05)
    assert not strong_keep_more(after[0], before, kept + 1e-6, 0.05)
    alike = np.full(12, 0.4)  # one effect for all: there is nothing to rise with
    assert not strong_keep_more(noise[0], alike, 0.0, 0.05)
