import numpy as np
import pytest
import torch
from PIL import Image, ImageFilter
from pydantic import ValidationError
from scipy import ndimage
from skimage.restoration import denoise_bilateral, denoise_nl_means, denoise_tv_chambolle

from brittle.images import to_bytes
from brittle.transforms import (
    Bilateral,
    GaussianBlur,
    Guided,
    MedianBlur,
    NonLocalMeans,
    TotalVariation,
    Transform,
)


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


def guided_by_hand(guide, pixels, radius, eps):
    """He, Sun and Tang's equations 19 to 21, window by window; (H, W, 3) each."""
    height, width, _ = guide.shape

    def window(row, column):
        return (
            slice(max(row - radius, 0), row + radius + 1),
            slice(max(column - radius, 0), column + radius + 1),
        )

    slopes, offsets = np.empty((height, width, 3, 3)), np.empty((height, width, 3))
    for row, column in np.ndindex(height, width):
        seen = guide[window(row, column)].reshape(-1, 3)
        wanted = pixels[window(row, column)].reshape(-1, 3)
        centred = seen - seen.mean(0)
        covariance = centred.T @ centred / len(seen)
        shared = centred.T @ (wanted - wanted.mean(0)) / len(seen)
        slopes[row, column] = np.linalg.inv(covariance + eps * np.eye(3)) @ shared
        offsets[row, column] = wanted.mean(0) - seen.mean(0) @ slopes[row, column]
    made = np.empty_like(guide)
    for row, column in np.ndindex(height, width):
        around = window(row, column)
        made[row, column] = guide[row, column] @ slopes[around].mean((0, 1))
        made[row, column] += offsets[around].mean((0, 1))
    return made


def test_guided_is_its_formula_window_by_window(real):
    image = real[:1, :, 20:36, 30:48].double()
    first = Bilateral(size=3)
    guide, found = (one[0].permute(1, 2, 0).numpy() for one in (image, first.surrogate(image)))
    for _ in range(2):
        found = guided_by_hand(guide, found, 3, (8 / 255) ** 2)
    ours = Guided(radius=3, sigma_colour=8 / 255, times=2, first=first).surrogate(image)
    assert np.abs(ours[0].permute(1, 2, 0).numpy() - found).max() < 1e-10


def test_guided_levels_out_what_is_faint_and_keeps_edges():
    image = torch.full((1, 3, 24, 24), 0.2)
    image[..., 12:] = 0.8
    noisy = image + 0.01 * torch.randn(image.shape, generator=torch.Generator().manual_seed(0))
    filtered = Guided(radius=4).surrogate(noisy)
    assert (filtered - image).std() < 0.5 * (noisy - image).std()


def test_guideds_gradient():
    image = torch.rand(1, 3, 7, 6, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(Guided(radius=2, sigma_colour=0.1).surrogate, image)


def test_adverse_cleaner_has_its_settings():
    cleaner = Transform.parse("adverse-cleaner")
    assert (cleaner.radius, cleaner.times, cleaner.first.times) == (4, 4, 64)
    assert cleaner.sigma_colour**2 * 255**2 == pytest.approx(16)
    assert cleaner.first.sigma_colour * 255 == pytest.approx(cleaner.first.sigma_space) == 8


def test_total_variation_and_nl_means_are_scikit_images(real):
    cases = {
        TotalVariation(weight=0.05): lambda one: denoise_tv_chambolle(
            one, weight=0.05, eps=2e-4, max_num_iter=200, channel_axis=-1
        ),
        NonLocalMeans(h=0.05, patch_size=3, patch_distance=4): lambda one: denoise_nl_means(
            one, patch_size=3, patch_distance=4, h=0.05, fast_mode=True, channel_axis=-1
        ),
    }
    for transform, expected in cases.items():
        received = transform.apply(real)
        for ours, photo in zip(received, real, strict=True):
            theirs = expected(photo.permute(1, 2, 0).numpy())
            assert np.abs(ours.permute(1, 2, 0).numpy() - theirs).max() < 0.501 / 255
        assert (received - real).abs().mean() > 1 / 255


@pytest.mark.parametrize("shape", [(1, 1), (1, 24), (24, 1)])
@pytest.mark.parametrize("transform", [TotalVariation(weight=0.05), NonLocalMeans(h=0.05)])
def test_a_picture_of_one_pixel_a_side_keeps_its_shape(transform, shape, real):
    thin = real[:1, :, : shape[0], : shape[1]]
    assert transform.apply(thin).shape == thin.shape


def test_total_variation_lowers_its_objective(real):
    photo = real[:1]

    def objective(image):
        down, across = (image.diff(dim=dim)[..., :-1, :] if dim == -1 else
                        image.diff(dim=dim)[..., :-1] for dim in (-2, -1))  # fmt: skip
        lengths = (down.square() + across.square()).sqrt().sum()
        return float(0.1 * lengths + (image - photo).square().sum() / 2)

    values = {w: objective(TotalVariation(weight=w).apply(photo)) for w in (0.01, 0.1, 0.5)}
    assert min(values, key=values.get) == 0.1
    assert values[0.1] < objective(photo)
