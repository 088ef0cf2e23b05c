"""Trials with known truth: what must hold holds, and what must fail fails."""

import numpy as np
import pytest

from tests.analysis.trials import simulations

TRIALS = 300


def check(name: str, trials: int) -> None:
    function = simulations.DESIGNS[name]
    found = list(function(np.random.default_rng(20261125), trials))
    assert found
    assert [line for line in found if not line.as_promised] == []


@pytest.mark.parametrize("name", simulations.DESIGNS)
def test_reduced(name):
    check(name, TRIALS)


@pytest.mark.slow
@pytest.mark.parametrize("name", simulations.DESIGNS)
def test_in_full(name):
    check(name, 2000)


def test_designs_notice_what_is_wrong():
    line = simulations.Found("d", "s", "m", 0.90, 0.935, 0.965, 2000)
    assert not line.as_promised
    assert simulations.Found("d", "s", "m", 0.90, 0.935, 0.965, 2000, must_fail=True).as_promised
    # Few trials scatter: where something must hold, 3 standard errors are allowed.
    assert simulations.Found("d", "s", "m", 0.90, 0.935, 0.965, 300).as_promised
    assert not simulations.Found("d", "s", "m", 0.88, 0.935, 0.965, 300).as_promised
    assert not simulations.Found("d", "s", "m", 0.94, 0.935, 0.965, 300, True).as_promised
