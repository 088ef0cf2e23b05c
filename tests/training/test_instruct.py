"""The second editor's objective, without training anything."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor
from training.config import load_config
from training.data import Photo
from training.denoiser import Pairs, draw_pairs
from training.instruct import begun, velocity_loss, without_source
from training.latents import Cache

from brittle.models.loading import EMBEDDED_INSTRUCT
from brittle.networks.prompt_classes import prompt_class
from tests.training.recipe import CONFIG

SHAPE = (4, 2, 3, 3)


def pairs() -> Pairs:
    generator = torch.Generator().manual_seed(0)
    source, target = (torch.randn(SHAPE, generator=generator) for _ in range(2))
    return Pairs(source, target, np.ones(4, bool), ["snow"] * 4)


def test_the_true_velocity_has_no_loss_and_leads_to_the_target() -> None:
    drawn, noise = pairs(), torch.randn(SHAPE, generator=torch.Generator().manual_seed(1))
    level = torch.tensor([0.01, 0.3, 0.7, 1.0])
    seen: dict[str, Tensor] = {}

    def knows(latents: Tensor, timestep: Tensor, encoder_hidden_states: Tensor) -> SimpleNamespace:
        seen.update(latents=latents, timestep=timestep)
        return SimpleNamespace(sample=noise - drawn.target)

    assert velocity_loss(knows, drawn, torch.zeros(4, 1, 1), level, noise) == 0
    noisy, source = seen["latents"].chunk(2, dim=1)
    share = (seen["timestep"] / 1000).view(-1, 1, 1, 1)
    assert torch.allclose(noisy - share * (noise - drawn.target), drawn.target, atol=1e-6)
    assert torch.equal(source, drawn.source)


def test_what_sees_no_photo_sees_no_prompt() -> None:
    drawn = pairs()
    blind = without_source(drawn, 0.5, np.random.default_rng(1))
    hidden = [caption == "" for caption in blind.captions]
    assert 0 < sum(hidden) < 4
    for number, is_hidden in enumerate(hidden):
        assert torch.equal(blind.source[number], drawn.source[number] * (not is_hidden))
    assert torch.equal(blind.target, drawn.target)


def test_training_may_begin_with_what_was_exported() -> None:
    folder = EMBEDDED_INSTRUCT / "unet"
    found = begun(load_config(CONFIG, [f"instruct.start={folder}"])).state_dict()
    shipped = load_file(folder / "diffusion_pytorch_model.safetensors")
    assert found.keys() == shipped.keys()
    assert all(torch.equal(found[name], shipped[name].float()) for name in found)


@pytest.mark.parametrize("part", ["denoiser", "instruct"])
def test_only_pairs_that_are_edits_name_a_look(part: str) -> None:
    settings = getattr(load_config(CONFIG), part)
    latents = torch.arange(6.0).half().view(1, 3, 2, 1, 1)
    cache = Cache(latents, np.array([[0, 2, 5]]), np.array([0]))
    photo = Photo("0", "invented", "tulip", "a photo of a tulip", "CC0-1.0", "", b"")
    drawn = draw_pairs(cache, [photo], settings, 200, np.random.default_rng(0))
    assert 0.6 < drawn.edits.mean() < 0.95
    for number, is_edit in enumerate(drawn.edits):
        named = prompt_class(drawn.captions[number])
        assert (named is not None) == is_edit
        if not is_edit:
            assert torch.equal(drawn.source[number], drawn.target[number])
