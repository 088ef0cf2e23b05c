import numpy as np
import pytest
import torch
from PIL import Image, ImageFilter
from pydantic import ValidationError
from scipy import ndimage
from skimage.restoration import denoise_bilateral

from brittle.images import to_bytes
from brittle.transforms import Bilateral, GaussianBlur, MedianBlur


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


@pytest.mark.parametrize(("size", "colour"), [(5, 0.1), (7, 0.03), (3, 0.5)])
def test_bilateral_is_scikit_images(real, size, colour):
    gray = real[:1, :1, :60, :80].double()
    # On gray alone and without weights of places, where its tables (0.26) are off by one. Equal
    # channels are √3 times as far apart as one.
    blur = Bilateral(size=size, sigma_colour=colour * 3**0.5, sigma_space=100)
    theirs = denoise_bilateral(
        gray[0, 0].numpy(),
        win_size=size,
        sigma_color=colour,
        sigma_spatial=1e6,
        bins=100_000,
        mode="edge",
    )
    ours = blur.surrogate(gray.expand(-1, 3, -1, -1))[0]
    assert np.abs(ours.numpy() - theirs).max() < 1e-3


def test_bilateral_is_its_formula(real):
    image = real[:1, :, 20:40, 30:50].double()
    ours = Bilateral(size=5, sigma_colour=0.1, sigma_space=1.5).surrogate(image)
    pixels = image[0].permute(1, 2, 0).numpy()
    down, across = np.mgrid[-2:3, -2:3]
    for row, column in ((2, 2), (9, 14), (17, 5)):
        around = pixels[row - 2 : row + 3, column - 2 : column + 3]
        unlike = ((around - pixels[row, column]) ** 2).sum(-1) / 0.1**2
        weights = np.exp(-((down**2 + across**2) / 1.5**2 + unlike) / 2)
        expected = (weights[..., None] * around).sum((0, 1)) / weights.sum()
        assert ours[0, :, row, column].numpy() == pytest.approx(expected, abs=1e-12)


def test_bilateral_twice_is_one_after_the_other(real):
    once = Bilateral(size=5)
    twice = Bilateral(size=5, times=2).surrogate(real)
    assert torch.allclose(twice, once.surrogate(once.surrogate(real)))


def test_bilaterals_gradient():
    image = torch.rand(1, 3, 7, 6, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(Bilateral(size=3).surrogate, image)
