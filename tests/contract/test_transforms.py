"""What every transform promises, checked for each that is registered, plugins among them."""

import json
from functools import partialmethod

import pytest
import torch
from torch.nn import functional

from brittle.component import key, registry
from brittle.errors import UserError
from brittle.images import around, quantise
from brittle.networks.efficientnet import SMALLEST
from brittle.transforms import Transform

SHAPES = [(16, 16), (17, 40), (64, 48)]
SEEDS = (3, 4)


@pytest.fixture(params=registry("transform").names())
def transform(request) -> Transform:
    known = registry("transform")
    preset = request.param in known.presets
    return Transform.parse(request.param if preset else known.components[request.param].example)


@pytest.fixture
def image(photos) -> torch.Tensor:
    return photos[..., 20:84, 30:78]


@pytest.fixture(autouse=True)
def _every_transform_has_a_model(monkeypatch, embedded):
    """Those that run one are given the embedded one; to the others it makes no difference."""
    monkeypatch.setattr(Transform, "apply", partialmethod(Transform.apply, model=embedded))


@pytest.mark.parametrize("shape", SHAPES)
def test_what_is_received_is_an_8_bit_image(transform, photos, shape):
    if transform.name == "impress" and min(shape) < SMALLEST:
        pytest.skip("its perceptual distance needs larger pictures, and it says so")
    image = photos[..., : shape[0], : shape[1]].clone()
    before = image.clone()
    received = transform.apply(image, seeds=SEEDS)
    assert torch.equal(image, before)
    assert received.shape[:2] == (2, 3)
    assert min(received.shape[-2:]) >= 1
    assert received.dtype == torch.float32
    assert torch.equal(received, quantise(received))
    assert transform.undo(received).shape == image.shape


def test_it_repeats_itself(transform, image):
    received = transform.apply(image, seeds=SEEDS)
    torch.manual_seed(99)
    assert torch.equal(received, transform.apply(image, seeds=SEEDS))


def test_a_row_never_depends_on_the_batch(transform, image):
    received = transform.apply(image, seeds=SEEDS)
    alone = transform.apply(image[1:], seeds=SEEDS[1:])
    turned = transform.apply(image.flip(0), seeds=SEEDS[::-1])
    assert torch.equal(received[1:], alone)
    assert torch.equal(received.flip(0), turned)
    assert torch.equal(
        torch.cat([received, alone]),
        transform.apply(torch.cat([image, image[1:]]), seeds=(*SEEDS, SEEDS[1])),
    )


def test_only_none_leaves_the_image_alone(transform, image):
    received = transform.apply(image, seeds=SEEDS)
    unchanged = received.shape == image.shape and torch.equal(received, image)
    assert unchanged == (transform.name == "none")


def test_seeds_have_to_be_one_an_image(transform, image):
    with pytest.raises(ValueError, match="zip"):
        transform.apply(image, seeds=(1, 2, 3))


def test_no_gradients_pass_through_the_real_thing(transform, image):
    assert not transform.apply(image.clone().requires_grad_(), seeds=SEEDS).requires_grad


def test_records_and_text_are_read_back(transform):
    again = Transform.from_record(json.loads(json.dumps(transform.record())))
    assert again == transform
    assert Transform.parse(str(transform)) == transform
    assert key(again) == key(transform)


def test_masks_and_validity(transform, image):
    received = transform.apply(image, seeds=SEEDS)
    valid = transform.valid(received)
    assert valid.shape == (2, 1, *received.shape[-2:])
    assert set(valid.unique().tolist()) <= {0.0, 1.0}
    assert valid.mean() > 0.5
    mask = torch.zeros(2, 1, *image.shape[-2:])
    mask[..., 20:40, 10:30] = 1
    moved = transform.move_mask(mask)
    assert moved.shape == valid.shape
    assert set(moved.unique().tolist()) == {0.0, 1.0}
    # Where the mask goes, the pixels under it go.
    marked = torch.where(mask.bool(), torch.ones(1), torch.zeros(1)).expand(2, 3, -1, -1)
    arrived = transform.apply(marked, seeds=SEEDS).mean(1, keepdim=True) > 0.5
    assert (arrived == moved.bool()).float().mean() > 0.95


def likeness(image: torch.Tensor, other: torch.Tensor) -> float:
    """The correlation of two pictures' gray levels, away from the border."""
    grays = [picture.mean(1)[..., 16:-16, 12:-12].flatten() for picture in (image, other)]
    return torch.corrcoef(torch.stack(grays))[0, 1].item()


def test_undo_brings_pixels_back(transform, image):
    smooth = Transform.parse("gaussian-blur:sigma=3").apply(image)
    back = transform.undo(transform.apply(smooth, seeds=SEEDS))
    assert likeness(back, smooth) > 0.97
    assert likeness(smooth.flip(-1), smooth) < 0.8


@pytest.mark.parametrize("shape", [(64, 48), (40, 56)])
def test_edits_of_any_size_are_turned_back(transform, image, shape):
    smooth = Transform.parse("gaussian-blur:sigma=3").apply(image)
    edited = functional.interpolate(
        transform.apply(smooth, seeds=SEEDS), shape, mode="bilinear", antialias=True
    )
    restored = transform.restore(edited, size=(64, 48), shape=(64, 48))
    assert likeness(restored, smooth) > 0.95
    valid = transform.valid_of(edited, size=(64, 48))
    assert valid.shape == (2, 1, *shape)
    shown = transform.restore(valid, size=(64, 48), shape=(64, 48))
    assert shown.shape == (2, 1, 64, 48)
    assert around(shown[:1], image[:1]).numel() > 0.7 * image[:1].numel()


def test_surrogates_are_near_and_pass_gradients(transform, image):
    image = image.clone().requires_grad_()
    if not transform.differentiable:
        with pytest.raises(UserError, match="no differentiable form"):
            transform.surrogate(image)
        return
    near = transform.surrogate(image)
    real = transform.apply(image, seeds=SEEDS)
    assert near.shape == real.shape
    assert (near - real).square().mean() < 10**-2.5
    near.square().sum().backward()
    assert image.grad.isfinite().all()
    assert (image.grad != 0).float().mean() > 0.5


def test_every_transform_says_what_it_is(transform):
    assert transform.missing() is None
    assert type(transform).__doc__
    assert transform.example.startswith(transform.name) or transform.name == "chain"
