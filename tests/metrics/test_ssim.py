import pytest
import torch
from skimage.metrics import structural_similarity

from brittle.errors import Unavailable
from brittle.metrics import SSIM
from tests.metrics.test_psnr import noisy


def reference(a, b):
    return structural_similarity(
        a.permute(1, 2, 0).double().numpy(),
        b.permute(1, 2, 0).double().numpy(),
        data_range=1,
        channel_axis=2,
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
    )


@pytest.mark.parametrize("deviation", [0.004, 0.05, 0.3])
def test_agrees_with_scikit_image(photos, deviation):
    edited = noisy(photos, deviation)
    expected = [reference(a, b) for a, b in zip(photos, edited, strict=True)]
    assert SSIM().score(edited, photos).tolist() == pytest.approx(expected, abs=1e-6)


def test_only_windows_of_valid_pixels_count(photos):
    edited = noisy(photos)
    valid = torch.zeros(2, 1, 128, 128)
    valid[..., 10:60, 30:100] = 1
    part = SSIM().score(edited[..., 10:60, 30:100], photos[..., 10:60, 30:100])
    assert SSIM().score(edited, photos, valid=valid).tolist() == pytest.approx(part.tolist())


def test_says_where_no_window_fits(photos):
    with pytest.raises(Unavailable, match="at least 11 pixels"):
        SSIM().score(photos[..., :10, :], photos[..., :10, :])
    valid = torch.zeros(2, 1, 128, 128)
    valid[..., ::2, :] = 1
    with pytest.raises(Unavailable, match="no window of 11 pixels"):
        SSIM().score(photos, photos, valid=valid)
