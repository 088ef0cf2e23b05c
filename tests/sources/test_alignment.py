"""Files that were shifted or cropped are laid on their originals again."""

import pytest
import torch

from brittle.images import quantise
from brittle.sources.alignment import aligned, moved, place_of


def changed(image, levels=12):
    sign = torch.rand(image.shape, generator=torch.Generator().manual_seed(1)).sub(0.5).sign()
    return quantise((image + sign * levels / 255).clamp(0, 1))


@pytest.mark.parametrize("row", [0, 1])
@pytest.mark.parametrize("place", [(-2, -3), (1, 0), (0, 7), (-12, 5)])
def test_a_shift_is_found_and_taken_back(photos, row, place):
    original = photos[row : row + 1]
    file = moved(changed(original), place, (128, 128))
    found, where = aligned(file, original, original)
    assert where == place
    inside = (..., slice(12, -12), slice(12, -12))
    assert torch.equal(found[inside], moved(original, place, (128, 128))[inside])


@pytest.mark.parametrize(("place", "shape"), [((4, 4), (120, 120)), ((0, 9), (128, 100))])
def test_a_crop_is_found(photos, place, shape):
    original = photos[:1]
    file = moved(changed(original), place, shape)
    found, where = aligned(file, original, None)
    assert where == place
    assert torch.equal(found, moved(original, place, shape))


def test_what_lies_on_its_original_stays(photos):
    original = photos[:1]
    assert place_of(changed(original), original) == (0, 0)
    assert aligned(changed(original), original, original) is None


def test_another_photo_and_a_padded_one_are_no_parts(photos):
    original = photos[:1]
    assert aligned(photos[1:, :, 4:-4, 9:], original, None) is None
    assert aligned(moved(original, (-8, -8), (144, 144)), original, None) is None
