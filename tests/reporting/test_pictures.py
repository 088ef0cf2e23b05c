"""Perturbations: amplified around mid-gray, and measured."""

import numpy as np

from brittle.reporting.pictures import perturbation


def test_perturbation_is_amplified_as_said() -> None:
    original = np.full((4, 4, 3), 100, np.uint8)
    released = original.copy()
    released[0, 0] = 112
    released[1, 1] = 88
    added = perturbation(original, released, "it")
    assert added.pixels is not None
    assert added.facts[0] == "amplified × 10"
    assert added.facts[1] == "largest 12/255, RMS 4.2/255"
    assert added.pixels[0, 0].tolist() == [248] * 3
    assert added.pixels[1, 1].tolist() == [8] * 3
    assert added.pixels[2, 2].tolist() == [128] * 3


def test_perturbation_that_is_none_or_unknown_is_said() -> None:
    photo = np.zeros((4, 4, 3), np.uint8)
    assert perturbation(photo, photo, "it").missing.startswith("nothing was added")
    assert perturbation(photo, None, "it").missing.startswith("not shown")
    assert perturbation(photo, np.zeros((5, 4, 3), np.uint8), "it").missing.startswith("not shown")
