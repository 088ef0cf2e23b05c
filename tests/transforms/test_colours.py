import numpy as np
import pytest
import torch
from PIL import Image, ImageEnhance, ImageOps
from pydantic import ValidationError
from skimage import exposure

from brittle.images import to_bytes
from brittle.transforms import Brightness, Contrast, Gamma, Grayscale, Levels


def pillow(function, real) -> np.ndarray:
    return np.stack([np.array(function(Image.fromarray(levels))) for levels in to_bytes(real)])


def apart(received: torch.Tensor, theirs: np.ndarray) -> int:
    return int(np.abs(to_bytes(received).astype(int) - theirs).max())


def test_grayscale_is_pillows(real):
    theirs = pillow(lambda picture: picture.convert("L").convert("RGB"), real)
    assert apart(Grayscale().apply(real), theirs) <= 1


@pytest.mark.parametrize("factor", [0.3, 0.8, 1.2, 3])
def test_brightness_and_contrast_are_pillows(real, factor):
    brightness = pillow(lambda picture: ImageEnhance.Brightness(picture).enhance(factor), real)
    assert apart(Brightness(factor=factor).apply(real), brightness) <= 1
    contrast = pillow(lambda picture: ImageEnhance.Contrast(picture).enhance(factor), real)
    # Pillow rounds the mean gray to a level, which the factor then multiplies.
    assert apart(Contrast(factor=factor).apply(real), contrast) <= 1 + abs(factor - 1)


@pytest.mark.parametrize("exponent", [0.3, 0.8, 1.5, 3])
def test_gamma_is_scikit_images(real, exponent):
    theirs = exposure.adjust_gamma(real.numpy().astype(np.float64), exponent)
    received = Gamma(exponent=exponent).apply(real).numpy()
    assert np.abs(received - theirs).max() < 0.5001 / 255
    assert (Gamma(exponent=exponent).apply(torch.zeros(1, 3, 16, 16)) == 0).all()


@pytest.mark.parametrize("bits", [1, 3, 5])
def test_levels_are_evenly_spaced(real, bits):
    received = to_bytes(Levels(count=2**bits).apply(real))
    steps = np.rint(np.arange(2**bits) * 255 / (2**bits - 1))
    assert set(np.unique(received)) <= set(steps.astype(int))
    assert apart(Levels(count=2**bits).apply(real), to_bytes(real)) <= 255 / (2**bits - 1) / 2 + 1
    # As many as Pillow's posterise leaves, which cuts instead of rounding.
    assert len(np.unique(received)) == len(
        np.unique(pillow(lambda picture: ImageOps.posterize(picture, bits), real))
    )


@pytest.mark.parametrize("exponent", [0.3, 1, 3])
def test_a_gradient_passes_through_gamma_at_black(exponent):
    image = torch.zeros(1, 3, 2, 2, dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad(Gamma(exponent=exponent).surrogate(image).sum(), image)
    assert (gradient == (0.5 / 255) ** (exponent - 1)).all()


@pytest.mark.parametrize(
    "transform", [Grayscale(), Brightness(factor=1.3), Contrast(factor=0.7), Gamma(exponent=0.7)]
)
def test_gradients(transform):
    image = torch.rand(1, 3, 5, 4, dtype=torch.float64) * 0.9 + 0.05
    assert torch.autograd.gradcheck(transform.surrogate, image.requires_grad_())


@pytest.mark.parametrize("value", [0, -1, 11, float("nan")])
def test_impossible_factors(value):
    for kind, field in ((Brightness, "factor"), (Contrast, "factor"), (Gamma, "exponent")):
        with pytest.raises(ValidationError):
            kind(**{field: value})


@pytest.mark.parametrize("count", [1, 256, 16.0, "16"])
def test_impossible_counts(count):
    with pytest.raises(ValidationError):
        Levels(count=count)
