import numpy as np
import pytest
import torch
from pydantic import ValidationError
from skimage.transform import downscale_local_mean

from brittle.images import to_bytes
from brittle.transforms import Resize

KERNELS = ["nearest", "bilinear", "bicubic", "lanczos", "area"]


def test_area_is_the_mean_of_what_a_pixel_covers(real):
    real = real[..., :150, :202]
    received = to_bytes(Resize(factor=0.5, kernel="area", back=False).apply(real))
    theirs = downscale_local_mean(to_bytes(real).astype(float), (1, 2, 2, 1))
    # Pillow rounds twice: after rows and after columns.
    assert np.abs(received - theirs).max() <= 1


@pytest.mark.parametrize(
    ("kernel", "factor", "mean", "most"),
    [
        ("nearest", 0.5, 0, 0),
        # Pillow rounds to levels after rows and after columns,
        ("bilinear", 0.5, 0.5, 1.6),
        ("bilinear", 0.37, 0.5, 1.6),
        ("bilinear", 1.5, 0.5, 1.6),
        # and clips there, where bicubic overshoots.
        ("bicubic", 0.5, 0.5, 20),
        ("bicubic", 0.37, 0.5, 20),
        ("bicubic", 1.5, 0.5, 20),
        ("area", 0.5, 0.5, 1.1),
    ],
)
def test_pillow_and_torch_agree(real, kernel, factor, mean, most):
    real = real[..., :150, :202]
    resize = Resize(factor=factor, kernel=kernel, back=False)
    received = resize.apply(real)
    assert received.shape[-2:] == (round(150 * factor), round(202 * factor))
    apart = (received - resize.surrogate(real).clamp(0, 1)).abs() * 255
    assert apart.mean() <= mean
    assert apart.max() <= most


@pytest.mark.parametrize("kernel", KERNELS)
def test_there_and_back_keeps_the_size_and_loses_detail(real, kernel):
    received = Resize(factor=0.5, kernel=kernel).apply(real)
    assert received.shape == real.shape
    assert 1e-5 < (received - real).square().mean() < 0.02


def test_masks_follow_where_the_size_changes():
    mask = torch.zeros(1, 1, 40, 60)
    mask[..., 10:20, 30:60] = 1
    assert torch.equal(Resize(factor=0.5).move_mask(mask), mask)
    assert torch.equal(Resize(factor=0.5, back=False).move_mask(mask), mask[..., ::2, ::2])


@pytest.mark.parametrize("kernel", ["bilinear", "bicubic", "area"])
def test_gradients(kernel):
    image = torch.rand(1, 3, 8, 10, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(Resize(factor=0.5, kernel=kernel).surrogate, image)


def test_tiny_factors_leave_a_pixel(real):
    assert Resize(factor=0.001, back=False).apply(real).shape[-2:] == (1, 1)


@pytest.mark.parametrize("factor", [0, -1, 9, float("nan")])
def test_impossible_factors(factor):
    with pytest.raises(ValidationError):
        Resize(factor=factor)
