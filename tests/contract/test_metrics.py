"""What every registered metric promises."""

import shutil

import pytest
import torch

from brittle.component import Component, registry
from brittle.errors import Unavailable, UserError
from brittle.metrics import Metric
from brittle.models import load_model
from tests.metrics import files

NAMES = registry("metric").names()
PROMPTS = ["dog in the snow", "a city at night"]


@pytest.fixture(scope="module")
def score(small_sd, tmp_path_factory):
    """Scores by name, with all that the metrics ask for: random, but of the true layout."""
    folder = tmp_path_factory.mktemp("model")
    shutil.copytree(small_sd / "vae", folder, dirs_exist_ok=True)
    files.save_prompt_classifier(folder)
    torch_home = tmp_path_factory.mktemp("torch")
    files.save_checkpoint(
        torch_home / "hub" / "checkpoints" / "alexnet-owt-7be5be79.pth", files.alexnet()
    )
    model = load_model(folder, device="cpu", dtype="float32")

    def run(name, image, reference, *, prompts=PROMPTS, valid=None):
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("TORCH_HOME", str(torch_home))
            return Metric.parse(name).score(
                image, reference, valid=valid, prompts=prompts, model=model
            )

    return run


def compares_images(name):
    try:
        Metric.parse(name).as_distance(torch.zeros(1))
    except Unavailable:
        return False
    return True


COMPARING = [name for name in NAMES if compares_images(name)]


def damaged(photos, strength):
    noise = torch.randn(photos.shape, generator=torch.Generator().manual_seed(3))
    return (photos + strength * noise).clamp(0, 1)


def test_all_metrics_are_there():
    assert {"psnr", "ssim", "latent", "perceptual", "lpips", "follow", "keep"} <= set(NAMES)
    assert set(NAMES) - set(COMPARING) == {"follow"}


@pytest.mark.parametrize("name", NAMES)
def test_one_finite_number_an_image(name, photos, score):
    scores = score(name, damaged(photos, 0.1), photos)
    assert scores.shape == (2,)
    assert scores.dtype == torch.float64
    assert torch.isfinite(scores).all()
    assert scores[0] != scores[1]


@pytest.mark.numerical
@pytest.mark.parametrize("name", NAMES)
def test_neither_batch_nor_order_matter(name, photos, score):
    images = damaged(photos, 0.1)
    together = score(name, images, photos)
    alone = [
        score(name, images[i : i + 1], photos[i : i + 1], prompts=PROMPTS[i : i + 1])
        for i in range(2)
    ]
    turned = score(name, images.flip(0), photos.flip(0), prompts=PROMPTS[::-1])
    assert together.tolist() == [a.item() for a in alone] == turned.flip(0).tolist()


@pytest.mark.numerical
@pytest.mark.parametrize("name", COMPARING)
def test_identical_images_are_best_and_have_no_distance(name, photos, score):
    metric = Metric.parse(name)
    same, other = score(name, photos, photos), score(name, damaged(photos, 0.02), photos)
    distances = metric.as_distance(same)
    assert distances.tolist() == pytest.approx([0, 0], abs=1e-6)
    assert (distances >= 0).all()
    assert ((same > other) if metric.higher_means == "closer" else (same < other)).all()


@pytest.mark.parametrize("name", COMPARING)
def test_points_the_way_it_says(name, photos, score):
    metric = Metric.parse(name)
    scores = torch.stack([score(name, damaged(photos, s), photos) for s in (0.01, 0.05, 0.25)])
    steps = scores.diff(dim=0)
    assert ((steps < 0) if metric.higher_means == "closer" else (steps > 0)).all()
    distances = metric.as_distance(scores)
    assert (distances.diff(dim=0) > 0).all()
    assert torch.isfinite(distances).all()
    assert (distances >= 0).all()


@pytest.mark.parametrize("name", COMPARING)
def test_extremes_have_finite_distances(name, score):
    black, white = torch.zeros(1, 3, 64, 64), torch.ones(1, 3, 64, 64)
    distance = Metric.parse(name).as_distance(score(name, black, white, prompts=PROMPTS[:1]))
    assert torch.isfinite(distance).all()
    assert (distance > 0).all()


@pytest.mark.numerical
@pytest.mark.parametrize("name", NAMES)
def test_what_is_not_valid_does_not_count(name, photos, score):
    valid = torch.ones(2, 1, 128, 128)
    valid[..., :, 90:] = 0
    edited = damaged(photos, 0.1)
    elsewhere = edited.clone()
    elsewhere[..., 90:] = 1 - elsewhere[..., 90:]
    assert torch.equal(
        score(name, edited, photos, valid=valid), score(name, elsewhere, photos, valid=valid)
    )
    assert not torch.equal(score(name, edited, photos), score(name, elsewhere, photos))


@pytest.mark.numerical
@pytest.mark.parametrize("name", NAMES)
def test_a_mask_of_ones_changes_nothing(name, photos, score):
    edited = damaged(photos, 0.1)
    valid = torch.ones(2, 1, 128, 128)
    assert torch.equal(score(name, edited, photos, valid=valid), score(name, edited, photos))


@pytest.mark.parametrize("name", NAMES)
def test_bad_input_is_refused_in_a_sentence(name, photos):
    metric = Metric.parse(name)
    with pytest.raises(UserError, match="one shape"):
        metric.score(photos, photos[..., :64])
    with pytest.raises(UserError, match="not finite"):
        metric.score(photos * float("nan"), photos)
    with pytest.raises(Unavailable, match="no pixel"):
        metric.score(photos, photos, valid=torch.zeros(2, 1, 128, 128))


@pytest.mark.parametrize("name", NAMES)
def test_record_round_trip(name):
    metric = Metric.parse(name)
    assert isinstance(metric, Component)
    assert Metric.from_record(metric.record()) == metric
    assert Metric.parse(str(metric)) == metric
    assert metric.higher_means in ("closer", "farther")
    assert type(metric).__doc__
