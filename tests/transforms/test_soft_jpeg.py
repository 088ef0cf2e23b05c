import io

import numpy as np
import pytest
import torch
from PIL import Image

from brittle.transforms import Jpeg
from brittle.transforms.soft_jpeg import HALVED, quantisation, soft_jpeg, soften, straight

QUALITIES = (100, 90, 75, 30, 1)


def whole(value: torch.Tensor) -> torch.Tensor:
    """Rounded as libjpeg does it, with a slope of 1."""
    return straight(value, value.sign() * (value.abs() + 0.5).floor())


def psnr(image: torch.Tensor, other: torch.Tensor) -> float:
    return -10 * np.log10((image - other).square().mean().item() + 1e-12)


@pytest.mark.parametrize("subsampling", list(HALVED))
@pytest.mark.parametrize("quality", QUALITIES)
def test_its_steps_are_pillows(real, quality, subsampling):
    jpeg = Jpeg(quality=quality, subsampling=subsampling)
    received = jpeg.apply(real)
    # What is left are coefficients near a half, which libjpeg calculates in whole numbers.
    assert psnr(soft_jpeg(real, quality, subsampling, whole), received) > 48
    # Soft rounding keeps a part of what the codec drops.
    soft = (jpeg.surrogate(real) - received).square().mean()
    assert soft < 0.5 * (real - received).square().mean()


def test_soft_rounding_holds_whole_numbers_still():
    value = torch.tensor([-2.0, -0.5, 0.0, 0.25, 0.5, 3.0], requires_grad=True)
    rounded = soften(value)
    rounded.sum().backward()
    assert torch.allclose(rounded, torch.tensor([-2, -0.5, 0, 0.25 - 0.5 / torch.pi, 0.5, 3]))
    assert torch.allclose(value.grad, torch.tensor([0.0, 2, 0, 1, 2, 0]), atol=1e-5)


@pytest.mark.parametrize("subsampling", list(HALVED))
@pytest.mark.parametrize(
    ("height", "width"), [(1, 1), (1, 40), (40, 1), (2, 5), (5, 4), (8, 16), (17, 33), (16, 31)]
)
def test_edges_are_pillows_at_any_size(real, height, width, subsampling):
    small = real[..., 60 : 60 + height, 80 : 80 + width]
    jpeg = Jpeg(quality=100, subsampling=subsampling)
    near, received = soft_jpeg(small, 100, subsampling, whole), jpeg.apply(small)
    assert near.shape == received.shape
    # Coefficients at a half that fall to the other side move a block by a few levels.
    assert (near - received).abs().max() * 255 < 4.5


def test_tables_are_those_in_pillows_files():
    for quality in range(1, 101):
        file = io.BytesIO()
        Image.new("RGB", (8, 8)).save(file, "JPEG", quality=quality)
        with Image.open(file) as picture:
            theirs = [picture.quantization[0], picture.quantization[1]]
        ours = quantisation(torch.tensor([quality]))[:, 0].tolist()
        assert [list(table) for table in theirs] == ours


def test_each_image_may_have_its_own_quality(real):
    both = soft_jpeg(real, torch.tensor([90, 20]), "4:2:0")
    assert torch.equal(both[:1], soft_jpeg(real[:1], 90, "4:2:0"))
    assert torch.equal(both[1:], soft_jpeg(real[1:], 20, "4:2:0"))


@pytest.mark.parametrize("subsampling", list(HALVED))
def test_slopes_are_those_of_the_real_codec_over_large_steps(real, subsampling):
    image = (0.2 + 0.6 * real[:1, :, :96, :96]).requires_grad_()
    jpeg = Jpeg(quality=95, subsampling=subsampling)
    generator = torch.Generator().manual_seed(0)
    coarse = torch.randn(2, 1, 3, 12, 12, generator=generator)
    direction, weights = torch.nn.functional.interpolate(coarse.flatten(1, 2), scale_factor=8)[
        :, None
    ]
    (slope,) = torch.autograd.grad(
        (soft_jpeg(image, 95, subsampling, whole) * weights).sum(), image
    )
    step = 0.05 * direction
    with torch.no_grad():
        found = ((jpeg.apply(image + step) - jpeg.apply(image - step)) * weights).sum() / 2
    assert (slope * step).sum().item() == pytest.approx(found.item(), rel=0.05)


def test_it_keeps_dtype_and_what_lies_outside_the_range_is_clipped(real):
    far = torch.stack([real[0] * 3 - 1, real[1]])
    assert torch.equal(soft_jpeg(far, 75, "4:2:0"), soft_jpeg(far.clamp(0, 1), 75, "4:2:0"))
    double = soft_jpeg(real.double(), 75, "4:2:0")
    assert double.dtype == torch.float64
    assert psnr(double, soft_jpeg(real, 75, "4:2:0").double()) > 50
