import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from skimage.metrics import peak_signal_noise_ratio

from brittle.errors import Unavailable
from brittle.metrics import PSNR


def noisy(image, deviation=0.1, seed=0):
    noise = torch.randn(image.shape, generator=torch.Generator().manual_seed(seed))
    return (image + deviation * noise).clamp(0, 1)


def test_agrees_with_scikit_image(photos):
    edited = noisy(photos)
    expected = [
        peak_signal_noise_ratio(a.numpy().astype(float), b.numpy().astype(float), data_range=1)
        for a, b in zip(photos, edited, strict=True)
    ]
    assert PSNR().score(edited, photos).tolist() == pytest.approx(expected, abs=1e-9)


@given(st.floats(0.002, 1))
def test_distance_is_the_root_mean_square_error(step):
    image = torch.zeros(1, 3, 8, 8)
    score = PSNR().score(image + step, image)
    assert PSNR().as_distance(score).item() == pytest.approx(step, rel=1e-6)


def test_one_level_in_one_value_still_has_a_distance(photos):
    edited = photos[:1].clone()
    edited[0, 0, 5, 5] += 1 / 255
    score = PSNR().score(edited, photos[:1])
    assert 90 < score.item() < 100
    assert PSNR().as_distance(score).item() == pytest.approx(
        1 / 255 / (3 * 128 * 128) ** 0.5, rel=1e-4
    )


def test_identical_images_have_100_db_and_no_distance(photos):
    score = PSNR().score(photos, photos)
    assert score.tolist() == [100.0, 100.0]
    assert PSNR().as_distance(score).tolist() == [0.0, 0.0]


def test_only_valid_pixels_count(photos):
    edited = noisy(photos)
    valid = torch.zeros(2, 1, 128, 128)
    valid[..., :40, 20:] = 1
    part = PSNR().score(edited[..., :40, 20:], photos[..., :40, 20:])
    assert torch.equal(PSNR().score(edited, photos, valid=valid), part)


def test_what_was_pushed_out_of_the_picture_is_not_judged(photos):
    photo, nothing = photos[:1], torch.zeros_like(photos[:1, :1])
    assert PSNR().judge(photo, photo) == 100
    with pytest.raises(Unavailable, match="pushed out of the picture"):
        PSNR().judge(photo, photo, shown=nothing)
