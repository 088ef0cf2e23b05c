import pytest

from brittle.inference.one_photo import placebo_test


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
