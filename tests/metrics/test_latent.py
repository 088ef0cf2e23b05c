import pytest
import torch

from brittle.errors import Unavailable
from brittle.metrics import Latent
from brittle.models import load_model
from tests.metrics.test_psnr import noisy


@pytest.fixture(scope="module")
def model(tiny_sd):
    return load_model(tiny_sd / "vae", device="cpu", dtype="float32")


def test_is_the_root_mean_square_between_latents(photos, model):
    images = photos[..., :64, :64]
    edited = noisy(images)
    with torch.no_grad():
        latents = [model.vae.encode(x * 2 - 1).latent_dist.mean for x in (images, edited)]
    expected = (latents[0] - latents[1]).square().mean((1, 2, 3)).sqrt()
    expected *= model.vae.config.scaling_factor
    scores = Latent().score(edited, images, model=model)
    assert scores.tolist() == pytest.approx(expected.tolist(), rel=1e-4)


def test_another_model_has_other_latents(photos, model, tmp_path):
    from tests.models import tiny

    pipeline = tiny.build(seed=1)
    pipeline.vae.save_pretrained(tmp_path)
    other = load_model(tmp_path, device="cpu", dtype="float32")
    images, edited = photos[..., :64, :64], noisy(photos[..., :64, :64])
    first = Latent().score(edited, images, model=model)
    assert not torch.allclose(first, Latent().score(edited, images, model=other), rtol=1e-3)


def test_a_model_that_sees_photos_smaller_has_other_latents(photos, embedded):
    larger = load_model("embedded", device="cpu", dtype="float32", size=256)
    wide, edited = (one.repeat(1, 1, 1, 2) for one in (photos, noisy(photos)))
    whole, reduced = (Latent().score(edited, wide, model=one) for one in (larger, embedded))
    assert not torch.allclose(whole, reduced, rtol=1e-2)


def test_needs_a_model(photos):
    with pytest.raises(Unavailable, match="needs the edit model"):
        Latent().score(photos, photos)
