import numpy as np
import pytest
import torch
from PIL import Image
from pydantic import ValidationError
from skimage.transform import downscale_local_mean

from brittle.images import to_bytes
from brittle.transforms import Resize, Transform
from brittle.transforms.resampling import PILLOWS, resample

KERNELS = ["nearest", "bilinear", "bicubic", "lanczos", "area"]


def test_area_is_the_mean_of_what_a_pixel_covers(real):
    real = real[..., :150, :202]
    received = to_bytes(Resize(factor=0.5, kernel="area", back=False).apply(real))
    theirs = downscale_local_mean(to_bytes(real).astype(float), (1, 2, 2, 1))
    # Pillow rounds twice: after rows and after columns.
    assert np.abs(received - theirs).max() <= 1


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("factor", [0.5, 0.37, 1.5])
def test_the_surrogate_is_pillows(real, kernel, factor):
    resize = Resize(factor=factor, kernel=kernel, back=False)
    received = resize.apply(real)
    assert received.shape[-2:] == (round(150 * factor), round(203 * factor))
    apart = (received - resize.surrogate(real).clamp(0, 1)).abs() * 255
    # Pillow rounds and clips to levels after rows and after columns.
    assert apart.mean() <= (0 if kernel == "nearest" else 0.5)
    assert apart.max() <= {"nearest": 0, "area": 1.1, "bilinear": 1.6}.get(kernel, 20)


@pytest.mark.parametrize("kernel", ["bilinear", "bicubic", "lanczos", "area"])
@pytest.mark.parametrize("size", [(71, 97), (190, 260)])
def test_kernels_are_pillows_on_floats(real, kernel, size):
    gray = real[0, 0].numpy()
    theirs = np.asarray(Image.fromarray(gray, mode="F").resize(size[::-1], PILLOWS[kernel]))
    ours = resample(real[:1, :1].double(), size, kernel)[0, 0].numpy()
    assert np.abs(ours - theirs).max() < 1e-5


def test_a_long_side_is_never_enlarged(real):
    resize = Resize(long_side=101, back=False)
    received = resize.apply(real)
    assert received.shape[-2:] == (75, 101)
    theirs = Image.fromarray(to_bytes(real)[0]).resize((101, 75), Image.Resampling.BICUBIC)
    assert np.array_equal(np.asarray(theirs), to_bytes(received)[0])
    assert torch.equal(Resize(long_side=203).apply(real), real)
    assert torch.equal(Resize(long_side=2048, back=False).apply(real), real)
    assert Resize(long_side=101).apply(real).shape == real.shape


def test_undo_brings_the_size_back(real):
    for factor in (0.5, 1.25):
        resize = Resize(factor=factor, back=False)
        undone = resize.geometry.undo(resize.apply(real))
        assert abs(undone.shape[-1] - 203) <= 1
    chain = Transform.parse("shift:right=3+resize:factor=2,back=false+flip")
    received = chain.apply(real)
    assert chain.geometry.valid(received).shape[-2:] == received.shape[-2:]
    assert (chain.geometry.valid(received)[..., -6:] == 0).all()
    assert (chain.geometry.valid(received)[..., :-6] == 1).all()


def test_a_size_has_to_be_given_once():
    for fields in ({}, {"factor": 0.5, "long_side": 100}):
        with pytest.raises(ValidationError, match="either a factor or a long_side"):
            Resize(**fields)


@pytest.mark.parametrize("kernel", KERNELS)
def test_there_and_back_keeps_the_size_and_loses_detail(real, kernel):
    received = Resize(factor=0.5, kernel=kernel).apply(real)
    assert received.shape == real.shape
    assert 1e-5 < (received - real).square().mean() < 0.02


def test_masks_follow_where_the_size_changes():
    mask = torch.zeros(1, 1, 40, 60)
    mask[..., 10:20, 30:60] = 1
    assert torch.equal(Resize(factor=0.5).geometry.move_mask(mask), mask)
    assert torch.equal(Resize(factor=0.5, back=False).geometry.move_mask(mask), mask[..., ::2, ::2])


@pytest.mark.parametrize("kernel", ["bilinear", "bicubic", "lanczos", "area"])
def test_gradients(kernel):
    image = torch.rand(1, 3, 8, 10, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(Resize(factor=0.5, kernel=kernel).surrogate, image)


def test_tiny_factors_leave_a_pixel(real):
    assert Resize(factor=0.001, back=False).apply(real).shape[-2:] == (1, 1)


@pytest.mark.parametrize("factor", [0, -1, 9, float("nan")])
def test_impossible_factors(factor):
    with pytest.raises(ValidationError):
        Resize(factor=factor)
