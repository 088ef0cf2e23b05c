"""What the comparison of sizes says, where the answer is known."""

import numpy as np
import pytest

from sizes import difference  # isort: skip  (benchmarks/, put on the path by tests/conftest.py)


def test_shares_that_every_photo_has_differ_by_as_much():
    effects = np.array([1.0, 2.0, 4.0, 3.0, 2.5, 1.5, 2.2, 0.7])
    found = difference((0.4 * effects, effects), (0.15 * effects[::-1], effects[::-1]))
    assert found.estimate == pytest.approx(0.25)
    assert (found.low, found.high) == pytest.approx((0.25, 0.25))


def test_intervals_hold_the_truth_as_often_as_they_say():
    random, held = np.random.default_rng(0), []
    for _ in range(400):
        before, before_other = random.normal(2, 0.4, (2, 24))
        shared = random.normal(0, 0.1, 24)  # what both sizes see of a photo
        after = 0.4 * before + shared + random.normal(0, 0.1, 24)
        after_other = 0.3 * before_other + shared + random.normal(0, 0.1, 24)
        found = difference((after, before), (after_other, before_other))
        held.append(found.low <= 0.1 <= found.high)
    assert 0.92 <= np.mean(held) <= 0.98
