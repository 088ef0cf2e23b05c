import numpy as np
import pytest

from brittle.analysis.randomization_test import DRAWS, FIRST, is_settled, placebo_test


def test_stronger_than_all_19():
    found = placebo_test(2.0, [1.0] * 19)
    assert (found.p, found.stronger) == (0.05, True)
    assert found.words == "acts more strongly than all 19 random perturbations of its size"


@pytest.mark.parametrize("as_far", [1, 10, 19])
def test_one_placebo_as_far_is_enough_to_be_noise(as_far):
    found = placebo_test(2.0, [2.0] * as_far + [1.0] * (19 - as_far))
    assert found.p == (1 + as_far) / 20
    assert found.at_least_as_far == as_far
    assert not found.stronger
    assert found.words == "no more than noise of its size"


def test_fewer_than_19_say_nothing():
    found = placebo_test(2.0, [1.0] * 18)
    assert not found.stronger
    assert found.words.startswith("too few random perturbations (18 of 19)")


def test_drawing_stops_once_the_answer_is_plain():
    near, far = [1.0, 1.02, 0.98, 1.01, 0.99], [0.9, 1.0, 1.1, 1.0, 0.95]
    assert not is_settled(9.0, near[:2])
    assert is_settled(3.0, near)
    assert not is_settled(1.2, far)
    assert is_settled(1.2, [*far[:2], 1.2])
    early = placebo_test(3.0, near)
    assert (early.p, early.placebos, early.stronger) == (0.05, 5, True)
    assert early.words == "acts more strongly than all 5 random perturbations of its size"
    assert not is_settled(3.0, [0.0, 0.0, 1e-9, 0.0, 0.0])


DISTANCES = {
    "lognormal": lambda draw: np.exp(0.1 * draw.standard_normal(20)),
    "normal": lambda draw: 1 + 0.1 * draw.standard_normal(20),
    "exponential": lambda draw: draw.exponential(size=20),
    "heavy tails": lambda draw: np.exp(0.1 * draw.standard_t(3, 20)),
}


@pytest.mark.parametrize("name", DISTANCES)
def test_noise_is_called_stronger_than_noise_in_one_of_20_cases(name):
    """The file is one of 20 draws of one kind: stopping early must not make it seem stronger."""
    draw, wrong, early, draws, trials = np.random.default_rng(1), 0, 0, 0, 3000
    for _ in range(trials):
        protected, *placebos = DISTANCES[name](draw).tolist()
        number = FIRST
        while not is_settled(protected, placebos[:number]):
            number += 2
        found = placebo_test(protected, placebos[:number])
        wrong += found.stronger
        early += found.stronger and max(placebos) >= protected
        draws += number
    assert early / trials <= 0.003
    assert wrong / trials <= 0.05 + 3 * (0.05 * 0.95 / trials) ** 0.5
    assert draws / trials < 6  # of 19
    assert number <= DRAWS
