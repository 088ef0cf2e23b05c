"""One photo against several kinds of noise: what is called stronger, and how often."""

from itertools import pairwise

import numpy as np
import pytest

from brittle.analysis.randomization_test import (
    CERTAIN,
    holm,
    p_values,
    placebo_tests,
    together,
    unsettled,
)

import audit_errors as errors  # isort: skip  (benchmarks/, put on the path by tests/conftest.py)

NEAR = (1.0, 1.02, 0.98)
KINDS = ("noise", "noise-spectrum", "noise-local")


def of_each(draws):
    return dict.fromkeys(KINDS, draws)


def test_stronger_than_19_of_each_kind_is_counted():
    (found,) = placebo_tests([(2.0, of_each([1.0] * 19))])
    assert (found.p, found.p_of_lines, found.stronger) == (0.05, 0.05, True)
    assert found.words == "acts more strongly than all 57 random perturbations of its size"


@pytest.mark.parametrize("as_far", [1, 10, 19])
def test_one_placebo_of_one_kind_as_far_is_enough_to_be_noise(as_far):
    draws = {**of_each([1.0] * 19), "noise-local": [2.0] * as_far + [1.0] * (19 - as_far)}
    (found,) = placebo_tests([(2.0, draws)])
    assert found.p == (1 + as_far) / 20
    assert (found.at_least_as_far, found.closest) == (as_far, "noise-local")
    assert not found.stronger
    assert found.words == "no more than noise of its size"


def test_many_draws_allow_a_smaller_p_and_some_as_far():
    draws = {**of_each([1.0] * 199), "noise": [1.0] * 196 + [3.0] * 3}
    (found,) = placebo_tests([(2.0, draws)])
    assert found.p == 4 / 200
    assert found.words == "acts more strongly than 594 of 597 random perturbations of its size"
    assert placebo_tests([(2.0, of_each([1.0] * 199))])[0].p == 1 / 200


def test_a_few_draws_tell_by_their_spread():
    far, close = placebo_tests([(3.0, of_each(NEAR)), (1.03, of_each(NEAR))])
    assert far.stronger
    assert far.p <= CERTAIN
    assert not close.stronger
    assert close.words == "with too few random perturbations (9) to tell it from noise"
    assert placebo_tests([(3.0, of_each([0.0, 0.0, 1e-9]))])[0].p == 1
    assert placebo_tests([(3.0, {**of_each(NEAR), "noise": (1.0,)})])[0].stronger
    assert together([(0.0, of_each(NEAR)), (1.0, of_each(NEAR))]) > 0.9


def test_drawing_stops_once_the_answer_is_plain():
    assert unsettled(9.0, of_each(NEAR[:1])) == list(KINDS)
    assert unsettled(3.0, of_each(NEAR)) == []
    assert unsettled(1.1, {**of_each(NEAR), "noise": [0.5, 0.51, 0.49]}) == list(KINDS[1:])
    assert unsettled(1.1, {**of_each(NEAR), "noise": [0.9, 1.1, 1.0]}) == []
    assert unsettled(1.1, of_each([1.0, 1.05] * 10)) == []


def test_lines_count_only_where_the_first_is_stronger():
    noise, far = (1.0, of_each(NEAR)), (3.0, of_each(NEAR))
    first, after = placebo_tests([noise, far])
    assert not first.stronger
    assert (after.stronger, after.p <= CERTAIN) == (False, True)
    assert after.words == "not counted: without a transform it is not told from noise"
    assert placebo_tests([noise, (1.06, of_each(NEAR))])[1].words == after.words
    assert all(one.stronger for one in placebo_tests([far, far]))


def test_holm_multiplies_the_smallest_by_their_number():
    assert holm([0.04, 0.01, 0.02]) == pytest.approx([0.04, 0.03, 0.04])
    assert holm([]) == []


def at_most(rate, trials):
    """An upper bound for a share of trials that comes up at a rate: three standard errors above."""
    return rate + 3 * (rate * (1 - rate) / trials) ** 0.5


def rate(of, name, wider, trials):
    draw = np.random.default_rng(7)
    return np.mean([np.any(of(draw, name, wider)) for _ in range(trials)])


@pytest.mark.parametrize(
    ("name", "wider"), [("normal", 1), *((name, 4) for name in errors.LOGARITHMS)]
)
def test_a_photo_with_noise_has_a_stronger_line_in_one_of_20_cases(name, wider):
    """Nine lines: the answer is that of the first."""
    promised = 0.08 if "one in ten" in name else 0.05
    found = rate(lambda *design: errors.any_line(*design)[0], name, wider, 300)
    assert found <= at_most(promised, 300)


def test_a_line_that_is_noise_takes_few_draws():
    draw = np.random.default_rng(7)
    assert np.mean([errors.any_line(draw, "normal", 1)[1] for _ in range(50)]) < 15  # of 57


@pytest.mark.parametrize(
    ("name", "wider", "promised"),
    [("normal", 1, 0.05), ("normal", 4, 0.05), ("Student's t, 3 degrees", 1, 0.12)],
)
def test_transforms_that_leave_nothing_are_called_stronger_as_rarely_as_documented(
    name, wider, promised
):
    assert rate(errors.any_null_line, name, wider, 300) <= at_most(promised, 300)


@pytest.mark.parametrize("name", errors.LOGARITHMS)
def test_twenty_photos_with_noise_are_told_from_it_in_one_of_20_folders(name):
    assert rate(errors.null_folder, name, 1, 400) <= at_most(0.05, 400)


def test_a_folder_sees_what_single_photos_do_not():
    draw = np.random.default_rng(5)
    photos = [errors.first_draws(errors.null_line(draw, "normal")) for _ in range(20)]
    moved = [(1.1 * file, draws) for file, draws in photos]
    assert together(moved) < min(placebo_tests([line])[0].p for line in moved)


def test_p_falls_with_the_distance():
    found = [max(p_values(1 + step / 10, of_each(NEAR)).values()) for step in range(1, 6)]
    assert all(left > right or right < 0.001 for left, right in pairwise(found))
