"""Trains the second editor: it sees the photo beside the noise and is told what to change.

    python -m training.instruct --config training/config.yaml

Flow matching on the first editor's latents and text encoder, which stay as they are: the noised
input is (1 - s) * target + s * noise at a level s drawn from [0, 1], and the UNet, which takes the
source photo's latents as further channels (InstructPix2Pix), learns the velocity noise - target.
Without a prompt the target is the source itself; without either, any photo. So prompt and photo can
be guided apart. The weights start at random: the two editors share latents and words, nothing else.
"""

from __future__ import annotations

import numpy as np
import torch
from diffusers import UNet2DConditionModel
from diffusers.models.attention_processor import AttnProcessor
from safetensors.torch import load_file
from torch import Tensor
from transformers import CLIPTextModel, CLIPTokenizer

from training.config import Config, from_command_line, mixed_precision
from training.data import load_photos
from training.denoiser import Pairs, draw_pairs, encode_captions, make_unet
from training.latents import Cache
from training.loop import Run
from training.teacher import LATENT_CHANNELS

LEVELS = 1000
"""The UNet's timestep at noise level 1, as flow-matching schedulers count."""


def make_instructed(config: Config) -> UNet2DConditionModel:
    """The UNet, untrained: latents and the source photo's, side by side."""
    return make_unet(config.instruct, config, in_channels=2 * LATENT_CHANNELS)


def begun(config: Config) -> UNet2DConditionModel:
    """The UNet as training begins: random, or as it was exported to ``instruct.start``."""
    unet = make_instructed(config)
    if start := config.instruct.start:
        unet.load_state_dict(load_file(start / "diffusion_pytorch_model.safetensors"))
    return unet


class Words:
    """The first editor's tokenizer and text encoder, frozen."""

    def __init__(self, config: Config) -> None:
        self.tokenizer = CLIPTokenizer.from_pretrained(config.export / "tokenizer")
        self.text = CLIPTextModel.from_pretrained(config.export / "text_encoder").eval()
        self.device = config.device
        self.text.to(self.device)

    @torch.no_grad()
    def __call__(self, captions: list[str]) -> Tensor:
        """Their states, (N, T, D); each wording is encoded once."""
        unique = sorted(set(captions))
        tokens = encode_captions(self.tokenizer, unique).to(self.device)
        states = self.text(tokens).last_hidden_state
        return states[[unique.index(caption) for caption in captions]]


def without_source(pairs: Pairs, share: float, rng: np.random.Generator) -> Pairs:
    """The same, but a ``share`` of the samples sees neither photo nor prompt."""
    blind = rng.random(len(pairs.captions)) < share
    seen = torch.from_numpy(~blind).view(-1, 1, 1, 1)
    captions = ["" if hidden else c for hidden, c in zip(blind, pairs.captions, strict=True)]
    return Pairs(pairs.source * seen, pairs.target, pairs.edits, captions)


def velocity_loss(
    unet: UNet2DConditionModel, pairs: Pairs, states: Tensor, level: Tensor, noise: Tensor
) -> Tensor:
    """Squared error of the velocity at the noise ``level`` (N,) in [0, 1]."""
    device = states.device
    source, target, noise, level = (
        x.to(device) for x in (pairs.source, pairs.target, noise, level)
    )
    share = level.view(-1, 1, 1, 1)
    noisy = (1 - share) * target + share * noise
    seen = torch.cat([noisy, source], 1)
    found = unet(seen, level * LEVELS, encoder_hidden_states=states).sample.float()
    return (found - (noise - target)).square().mean()


def train(config: Config) -> None:
    """Trains, or goes on training, the second editor's UNet."""
    settings = config.instruct
    folder = config.work / "latents"
    cache, held_out = Cache.load(folder, "train"), Cache.load(folder, "validation")
    photos = load_photos(config.photos, "train")
    held_out_photos = load_photos(config.photos, "validation")
    words = Words(config)
    unet = begun(config).to(config.device)
    unet.set_attn_processor(AttnProcessor())  # a fifth faster on CPUs than the fused one
    run = Run(
        config.work / "instruct.safetensors",
        unet,
        settings,
        seed=config.seed + 5,
        muon=True,
        decay=0.01,
        bfloat16=config.bfloat16,
    )
    run.resume()
    batch = settings.batch // run.workers

    def loss(step: int, rng: np.random.Generator) -> Tensor:
        pairs = draw_pairs(cache, photos, settings, batch, rng)
        pairs = without_source(pairs, settings.no_source, rng)
        noise = torch.randn(pairs.target.shape)
        with mixed_precision(config):
            return velocity_loss(unet, pairs, words(pairs.captions), torch.rand(batch), noise)

    fresh = make_instructed(config).eval()

    @torch.no_grad()
    def look() -> None:
        fresh.load_state_dict(run.average)
        rng = np.random.default_rng(config.seed)
        pairs = draw_pairs(held_out, held_out_photos, settings, 64, rng)
        noise = torch.randn(pairs.target.shape, generator=torch.Generator().manual_seed(0))
        level = torch.linspace(0.01, 1, 64)
        value = float(velocity_loss(fresh, pairs, words(pairs.captions), level, noise))
        print(f"  held out {value:.4f}", flush=True)
        run.note(loss=value)

    run.run(loss, then=look)


if __name__ == "__main__":
    train(from_command_line(__doc__ or ""))
