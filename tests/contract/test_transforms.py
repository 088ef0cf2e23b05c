"""What every transform promises, checked for each that is registered, plugins among them."""

import json

import pytest
import torch
from torch.nn import functional

from brittle.component import key, registry
from brittle.errors import UserError
from brittle.images import around, quantise
from brittle.networks.efficientnet import SMALLEST
from brittle.transforms import Impress, NoisyUpscaling, Transform

SHAPES = [(16, 16), (17, 40), (64, 48)]
SEEDS = (3, 4)
FASTER = {
    Impress.example: Impress(steps=3),
    NoisyUpscaling.example: NoisyUpscaling(sigma="8/255", upscaler="realesr-animevideov3"),
}


@pytest.fixture(scope="module", params=registry("transform").names())
def transform(request) -> Transform:
    known = registry("transform")
    preset = request.param in known.presets
    text = request.param if preset else known.components[request.param].example
    transform = FASTER.get(text) or Transform.parse(text)
    if transform.capabilities.missing:
        pytest.skip(transform.capabilities.missing)
    return transform


@pytest.fixture(scope="module")
def image(photos) -> torch.Tensor:
    return photos[..., 20:84, 30:78]


@pytest.fixture(scope="module")
def receive(transform, embedded):
    """What is received under seeds; transforms that run a model are given the embedded one."""
    model = embedded if transform.capabilities.needs_model else None
    return lambda image, seeds=SEEDS: transform.apply(image, seeds=seeds, model=model)


@pytest.fixture(scope="module")
def received(receive, image):
    return receive(image)


@pytest.mark.parametrize("shape", SHAPES)
def test_what_is_received_is_an_8_bit_image(transform, receive, photos, shape):
    if transform.name == "impress" and min(shape) < SMALLEST:
        pytest.skip("its perceptual distance needs larger pictures, and it says so")
    image = photos[..., : shape[0], : shape[1]].clone()
    before = image.clone()
    received = receive(image)
    assert torch.equal(image, before)
    assert received.shape[:2] == (2, 3)
    assert min(received.shape[-2:]) >= 1
    assert received.dtype == torch.float32
    assert torch.equal(received, quantise(received))
    assert transform.geometry.undo(received).shape == image.shape


@pytest.mark.numerical
def test_it_repeats_itself_and_a_row_never_depends_on_the_batch(receive, received, image):
    torch.manual_seed(99)
    alone = receive(image[1:], SEEDS[1:])
    turned = receive(image.flip(0), SEEDS[::-1])
    assert torch.equal(received[1:], alone)
    assert torch.equal(received.flip(0), turned)
    assert torch.equal(
        torch.cat([received, alone]),
        receive(torch.cat([image, image[1:]]), (*SEEDS, SEEDS[1])),
    )


def test_only_none_leaves_the_image_alone(transform, received, image):
    unchanged = received.shape == image.shape and torch.equal(received, image)
    assert unchanged == (transform.name == "none")


def test_seeds_have_to_be_one_an_image(transform, receive, image):
    with pytest.raises(ValueError, match="zip"):
        receive(image, (1, 2, 3))


def test_only_those_that_need_a_model_ask_for_one(transform, image):
    if transform.capabilities.needs_model:
        with pytest.raises(UserError, match="none was given"):
            transform.apply(image, seeds=SEEDS)
    else:
        transform.check(None)


def test_no_gradients_pass_through_the_real_thing(transform, receive, image):
    assert not receive(image.clone().requires_grad_()).requires_grad


def test_records_and_text_are_read_back(transform):
    again = Transform.from_record(json.loads(json.dumps(transform.record())))
    assert again == transform
    assert Transform.parse(str(transform)) == transform
    assert key(again) == key(transform)


def test_masks_and_validity(transform, receive, received, image):
    valid = transform.geometry.valid(received)
    assert valid.shape == (2, 1, *received.shape[-2:])
    assert set(valid.unique().tolist()) <= {0.0, 1.0}
    assert valid.mean() > 0.5
    mask = torch.zeros(2, 1, *image.shape[-2:])
    mask[..., 20:40, 10:30] = 1
    moved = transform.geometry.move_mask(mask)
    assert moved.shape == valid.shape
    assert set(moved.unique().tolist()) == {0.0, 1.0}
    # Where the mask goes, the pixels under it go.
    marked = torch.where(mask.bool(), torch.ones(1), torch.zeros(1)).expand(2, 3, -1, -1)
    arrived = receive(marked).mean(1, keepdim=True) > 0.5
    assert (arrived == moved.bool()).float().mean() > 0.95


def likeness(image: torch.Tensor, other: torch.Tensor) -> float:
    """The correlation of two pictures' gray levels, away from the border."""
    grays = [picture.mean(1)[..., 16:-16, 12:-12].flatten() for picture in (image, other)]
    return torch.corrcoef(torch.stack(grays))[0, 1].item()


def test_undo_brings_pixels_back(transform, receive, image):
    smooth = Transform.parse("gaussian-blur:sigma=3").apply(image)
    back = transform.geometry.undo(receive(smooth))
    assert likeness(back, smooth) > 0.97
    assert likeness(smooth.flip(-1), smooth) < 0.8


@pytest.mark.parametrize("shape", [(64, 48), (40, 56)])
def test_edits_of_any_size_are_turned_back(transform, receive, image, shape):
    smooth = Transform.parse("gaussian-blur:sigma=3").apply(image)
    edited = functional.interpolate(receive(smooth), shape, mode="bilinear", antialias=True)
    restored = transform.geometry.restore(edited, size=(64, 48), shape=(64, 48))
    assert likeness(restored, smooth) > 0.95
    valid = transform.geometry.valid_of(edited, size=(64, 48))
    assert valid.shape == (2, 1, *shape)
    shown = transform.geometry.restore(valid, size=(64, 48), shape=(64, 48))
    assert shown.shape == (2, 1, 64, 48)
    assert around(shown[:1], image[:1]).numel() > 0.7 * image[:1].numel()


@pytest.mark.numerical
def test_surrogates_are_near_and_pass_gradients(transform, received, image):
    image = image.clone().requires_grad_()
    if not transform.capabilities.differentiable:
        with pytest.raises(UserError, match="no differentiable form"):
            transform.surrogate(image)
        return
    near = transform.surrogate(image)
    assert near.shape == received.shape
    assert (near - received).square().mean() < 10**-2.5
    near.square().sum().backward()
    assert image.grad.isfinite().all()
    assert (image.grad != 0).float().mean() > 0.5


def test_every_transform_says_what_it_is(transform):
    assert type(transform).__doc__
    assert transform.example.startswith(transform.name) or transform.name == "chain"
