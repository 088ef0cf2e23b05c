import numpy as np
import pytest
from scipy import stats

from brittle.analysis.intervals import doubtful_low, mean_bounds
from brittle.analysis.power import (
    chi_square_quantile,
    photos_for,
    photos_needed,
    plan_photos,
    power,
)
from brittle.declaration.primary import Primary


@pytest.mark.parametrize(("n", "effect", "alpha"), [(8, 1.4, 0.025), (20, 0.9, 0.00625)])
def test_power_is_what_simulated_trials_find(n, effect, alpha):
    values = np.random.default_rng(0).normal(effect, 1, (20_000, n))
    found = (mean_bounds(values, alpha)[1] > 0) & (doubtful_low(values, alpha) > 0)
    assert power(n, effect, 1.0, alpha) == pytest.approx(found.mean(), abs=0.025)


def test_the_second_method_takes_power_from_students_t():
    values = np.random.default_rng(0).normal(0.9, 1, (20_000, 20))
    alone = stats.ttest_1samp(values, 0, axis=1, alternative="greater").pvalue < 0.00625
    assert power(20, 0.9, 1.0, 0.00625) < alone.mean() - 0.05


def test_power_is_whole_where_nothing_is_missed():
    assert power(500, 5, 3, 0.00625) == 1


def test_photos_for_is_the_first_number_that_does():
    n = photos_for(0.5, 1.0, 0.00625)
    assert power(n, 0.5, 1.0, 0.00625) >= 0.8 > power(n - 1, 0.5, 1.0, 0.00625)
    assert photos_for(100.0, 1.0, 0.025) == 8
    assert photos_for(1e-6, 1.0, 0.025) is None
    assert photos_for(-0.1, 1.0, 0.025) is None


def test_the_variances_upper_bound_is_an_upper_bound_four_times_in_five():
    values = np.random.default_rng(1).standard_normal((20_000, 12))
    bound = values.var(-1, ddof=1) * 11 / chi_square_quantile(11)
    assert (bound > 1).mean() == pytest.approx(0.8, abs=0.01)


def test_before_a_trial_the_plan_is_about_20_and_42():
    found = plan_photos(Primary(), arms=1, rows_a_photo=4)
    assert (found.broken, found.survived) == (20, 42)
    assert found.sentence == (
        "To find it broken if nothing is left takes about 20 photos; to find that it survived if "
        "everything is left, about 42 photos."
    )
    more = plan_photos(Primary(), arms=2, rows_a_photo=4)
    assert more.survived > 42


def test_after_a_trial_its_own_scatter_counts_and_never_what_was_observed():
    rng = np.random.default_rng(2)
    before = 0.5 + 0.1 * rng.standard_normal(12)
    noise = 0.2 * rng.standard_normal(12)
    little, much = (
        photos_needed(left * before + noise, before, Primary(), 0.00625) for left in (0.25, 0.75)
    )
    assert little.broken == pytest.approx(much.broken, rel=0.25)
    quiet = photos_needed(0.25 * before + noise / 4, before, Primary(), 0.00625)
    assert quiet.broken < little.broken
    none = photos_needed(noise, -before, Primary(), 0.00625)
    assert none.broken is None
    assert "more photos than can be had" in none.sentence
