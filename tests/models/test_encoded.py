"""A picture that was just encoded is not encoded again, and its latents have the same bytes."""

import pytest
import torch

from brittle.models import load_model


@pytest.fixture
def counting(small_sd, monkeypatch):
    model = load_model(str(small_sd), device="cpu", dtype="float32")
    calls, moments = [], model._moments

    def count(pixels):
        calls.append(len(pixels))
        return moments(pixels)

    monkeypatch.setattr(model, "_moments", count)
    return model, calls


def pictures(rows):
    return torch.rand(rows, 3, 64, 64, generator=torch.Generator().manual_seed(rows))


def test_rows_of_the_last_calls_are_remembered_in_any_order(counting):
    model, calls = counting
    image, noise = pictures(4), torch.randn(4, 4, 8, 8)
    with torch.inference_mode():
        first = model.encode(image, noise=noise)
        order = [2, 0, 3, 1]
        again = model.encode(image[order], noise=noise[order])
        twice = model.encode(image[[1, 1, 0, 0]])
    assert calls == [4]
    assert torch.equal(again, first[order])
    assert torch.equal(twice, model.encode(image[[1, 1, 0, 0]]))


def test_another_shape_a_new_picture_and_gradients_encode_anew(counting):
    model, calls = counting
    image = pictures(4)
    with torch.inference_mode():
        model.encode(image)
        model.encode(image[:2])
        model.encode(torch.cat([image[:3], 1 - image[3:]]))
    model.encode(image)
    model.encode(image.clone().requires_grad_())
    assert calls == [4, 2, 4, 4, 4]


def test_little_is_remembered(counting):
    model, calls = counting
    with torch.inference_mode():
        for seed in range(3):
            model.encode(pictures(4).roll(seed + 1, dims=-1))
        model.encode(pictures(4).roll(1, dims=-1))
    assert calls == [4] * 4
    assert len(model._last._kept) == 8
