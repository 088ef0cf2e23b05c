import numpy as np
import pytest
import torch
from PIL import Image, ImageFilter
from pydantic import ValidationError
from scipy import ndimage

from brittle.images import to_bytes
from brittle.transforms import GaussianBlur, MedianBlur


@pytest.mark.parametrize("sigma", [0.3, 1, 2.5, 6])
def test_gaussian_blur_is_scipys(real, sigma):
    ours = GaussianBlur(sigma=sigma).surrogate(real.double()).numpy()
    theirs = ndimage.gaussian_filter(
        real.double().numpy(), (0, 0, sigma, sigma), mode="nearest", truncate=4
    )
    assert np.abs(ours - theirs).max() < 1e-12
    received = GaussianBlur(sigma=sigma).apply(real).numpy()
    # Half a level of rounding, and float32.
    assert np.abs(received - theirs).max() < 0.5001 / 255


def test_gaussian_blur_is_nearly_pillows(real):
    received = to_bytes(GaussianBlur(sigma=2).apply(real)).astype(int)
    for ours, levels in zip(received, to_bytes(real), strict=True):
        theirs = np.asarray(Image.fromarray(levels).filter(ImageFilter.GaussianBlur(2)))
        # Pillow's is three box blurs: near a Gaussian, not equal to it.
        assert np.abs(ours - theirs).mean() < 1
        assert np.abs(ours.astype(int) - levels).mean() > 2


def test_gaussian_blur_keeps_flat_colours_and_works_when_wider_than_the_image():
    flat = torch.full((1, 3, 16, 16), 77 / 255)
    assert torch.equal(GaussianBlur(sigma=30).apply(flat), flat)


def test_gaussian_blurs_gradient():
    image = torch.rand(1, 3, 9, 8, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(GaussianBlur(sigma=1).surrogate, image)


@pytest.mark.parametrize("size", [3, 5, 9])
def test_median_blur_is_scipys(real, size):
    received = to_bytes(MedianBlur(size=size).apply(real))
    theirs = ndimage.median_filter(to_bytes(real), size=(1, size, size, 1), mode="nearest")
    assert np.array_equal(received, theirs)


def test_median_blur_works_when_wider_than_the_image(real):
    received = MedianBlur(size=99).apply(real[..., :16, :20])
    assert received.shape == (2, 3, 16, 20)


@pytest.mark.parametrize("sigma", [0, -1, 101, float("nan"), float("inf"), "wide"])
def test_impossible_sigmas(sigma):
    with pytest.raises(ValidationError):
        GaussianBlur(sigma=sigma)


@pytest.mark.parametrize("size", [0, 1, 2, 4, -3, 101, 3.0, "3"])
def test_impossible_sizes(size):
    with pytest.raises(ValidationError):
        MedianBlur(size=size)
