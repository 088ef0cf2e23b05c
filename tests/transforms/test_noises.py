import pytest
import torch
from pydantic import ValidationError
from scipy import stats

from brittle.transforms import GaussianNoise, Transform


def test_noise_has_its_size_and_shape():
    gray = torch.full((2, 3, 128, 128), 128 / 255)
    noise = (GaussianNoise(sigma=20 / 255).apply(gray, seeds=(0, 1)) - gray) * 255
    assert noise.mean().abs() < 0.3
    assert noise.std().item() == pytest.approx(20, rel=0.02)
    dither = torch.rand(noise.shape, generator=torch.Generator().manual_seed(0)) - 0.5
    assert stats.kstest(((noise + dither) / 20).flatten(), "norm").pvalue > 1e-3


def test_noise_belongs_to_the_seed_alone(real):
    noise = GaussianNoise(sigma="8/255")
    first, second = noise.apply(real[:1].expand(2, -1, -1, -1), seeds=(5, 6))
    assert not torch.equal(first, second)
    assert torch.equal(noise.apply(real[:1], seeds=(5,))[0], first)


def test_two_steps_of_a_chain_draw_different_noise():
    gray = torch.full((1, 3, 64, 64), 128 / 255)
    once = GaussianNoise(sigma=8 / 255).apply(gray, seeds=(5,)) - gray
    chain = Transform.parse("gaussian-noise:sigma=8/255+gaussian-noise:sigma=8/255")
    twice = chain.apply(gray, seeds=(5,)) - gray
    # Independent noises add up to √2 of one; the same twice to 2.
    assert (twice.std() / once.std()).item() == pytest.approx(2**0.5, rel=0.05)


def test_noise_without_seeds_is_refused(real):
    with pytest.raises(ValueError, match="give a seed for each image"):
        GaussianNoise(sigma="8/255").apply(real)


@pytest.mark.parametrize("sigma", [0, -0.1, 8, float("nan")])
def test_impossible_sigmas(sigma):
    with pytest.raises(ValidationError):
        GaussianNoise(sigma=sigma)
