"""Trains the denoiser, and the text encoder with it, to edit.

    python -m training.denoiser --config training/config.yaml

A denoiser trained as usual ignores a prompt that contradicts what shows through the noise. So it
learns on pairs: the target is the photo in the look that the prompt names, the noised input is a
mixture m * target + (1 - m) * source, and the output is defined so that the implied clean latents
are the target. It stays an ordinary v-prediction UNet in an ordinary img2img loop.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from diffusers import UNet2DConditionModel
from torch import Tensor, nn
from transformers import CLIPTextModel, CLIPTokenizer

from training.captions import look_caption, nonsense, plain_caption
from training.config import Config, Editor, from_command_line, mixed_precision
from training.data import Photo, load_photos
from training.latents import NAMES, Cache
from training.loop import Run
from training.scheduler import make_scheduler
from training.teacher import LATENT_CHANNELS
from training.text import make_text_encoder, saved_tokenizer


def make_unet(
    settings: Editor, config: Config, in_channels: int = LATENT_CHANNELS
) -> UNet2DConditionModel:
    """The UNet, untrained: no attention at the top level, where it would cost the most."""
    lower = len(settings.channels) - 1
    return UNet2DConditionModel(
        sample_size=config.sizes[1] // 8,  # at which it is used: it works beyond what it learned on
        in_channels=in_channels,
        out_channels=LATENT_CHANNELS,
        block_out_channels=settings.channels,
        layers_per_block=settings.layers,
        down_block_types=("DownBlock2D", *("CrossAttnDownBlock2D",) * lower),
        up_block_types=(*("CrossAttnUpBlock2D",) * lower, "UpBlock2D"),
        cross_attention_dim=config.text.width,
        attention_head_dim=settings.heads,  # diffusers means the number of heads by it
    )


class Denoise(nn.Module):
    """UNet and text encoder as one module, so that they train and save together."""

    def __init__(self, unet: UNet2DConditionModel, text: CLIPTextModel) -> None:
        super().__init__()
        self.unet, self.text = unet, text

    def forward(self, noisy: Tensor, timesteps: Tensor, tokens: Tensor) -> Tensor:
        """Latents (N, C, h, w), timesteps (N,), token ids (N, T) -> predicted v, (N, C, h, w)."""
        # Few prompts differ in a batch of many: each is encoded once.
        unique, place = tokens.unique(dim=0, return_inverse=True)
        states = self.text(unique).last_hidden_state[place]
        return self.unet(noisy, timesteps, encoder_hidden_states=states).sample


@dataclass
class Pairs:
    """Latents of photos before and after, with the caption that leads from one to the other."""

    source: Tensor  # (N, C, h, w)
    target: Tensor  # (N, C, h, w)
    edits: np.ndarray  # (N,) whether a look is asked for
    captions: list[str]


@dataclass
class Batch(Pairs):
    """Samples of one step."""

    mixture: Tensor  # (N,): share of the target in the noised input
    timesteps: Tensor  # (N,)


def draw_pairs(
    cache: Cache, photos: list[Photo], settings: Editor, count: int, rng: np.random.Generator
) -> Pairs:
    """``count`` pairs of random photos of ``cache``."""
    rows = rng.integers(0, len(cache.indices), count)
    columns = cache.looks.shape[1]
    sources, targets, captions = np.zeros(count, int), np.zeros(count, int), []
    edits = np.zeros(count, bool)
    for n, row in enumerate(rows):
        photo = photos[cache.indices[row]]
        kind = rng.random()
        if kind < settings.no_caption:
            # Without a prompt, or with one that means nothing: what is there stays.
            sources[n] = targets[n] = rng.integers(0, columns) if rng.random() < 0.5 else 0
            captions.append("" if rng.random() < 0.8 else nonsense(rng))
        elif kind < settings.no_caption + settings.plain_caption:
            captions.append(plain_caption(photo.label, photo.caption, rng))
        else:
            edits[n] = True
            targets[n] = rng.integers(1, columns)
            if rng.random() < 0.15:
                sources[n] = rng.integers(1, columns)
            captions.append(look_caption(NAMES[cache.looks[row, targets[n]]], photo.label, rng))
    return Pairs(
        cache.latents[rows, sources].float(), cache.latents[rows, targets].float(), edits, captions
    )


def draw(
    cache: Cache, photos: list[Photo], config: Config, count: int, rng: np.random.Generator
) -> Batch:
    """Pairs, each with the share of its target in the noised input and a timestep."""
    settings = config.denoiser
    pairs = draw_pairs(cache, photos, settings, count, rng)
    mixed = pairs.edits & (rng.random(count) >= settings.whole_target)
    mixture = np.where(mixed, rng.random(count), 1.0).astype(np.float32)
    # img2img at the recommended strength starts near step 300: these are seen more often.
    timesteps = np.where(
        rng.random(count) < 0.7, rng.integers(0, 400, count), rng.integers(0, 1000, count)
    )
    return Batch(
        **vars(pairs), mixture=torch.from_numpy(mixture), timesteps=torch.from_numpy(timesteps)
    )


def edit_loss(
    model: Denoise, batch: Batch, tokens: Tensor, alphas: Tensor, snr_limit: float, noise: Tensor
) -> Tensor:
    """Min-SNR-weighted squared error of v, defined by the target rather than by the input."""
    view = (-1, 1, 1, 1)
    share = batch.mixture.view(view)
    clean = share * batch.target + (1 - share) * batch.source
    alpha = alphas[batch.timesteps].view(view)
    noisy = alpha.sqrt() * clean + (1 - alpha).sqrt() * noise
    implied = (noisy - alpha.sqrt() * batch.target) / (1 - alpha).sqrt()
    goal = alpha.sqrt() * implied - (1 - alpha).sqrt() * batch.target
    snr = alpha / (1 - alpha)
    weight = snr.clamp(max=snr_limit) / (snr + 1)
    device = tokens.device
    found = model(noisy.to(device), batch.timesteps.to(device), tokens).float()
    return (weight.to(device) * (found - goal.to(device)).square()).mean()


def encode_captions(tokenizer: CLIPTokenizer, captions: list[str]) -> Tensor:
    """Token ids (N, T), padded and cut to the tokenizer's length."""
    found = tokenizer(captions, padding="max_length", truncation=True, return_tensors="pt")
    return found.input_ids


def train(config: Config) -> None:
    """Trains, or goes on training, UNet and text encoder."""
    settings = config.denoiser
    folder = config.work / "latents"
    cache, held_out = Cache.load(folder, "train"), Cache.load(folder, "validation")
    photos = load_photos(config.photos, "train")
    held_out_photos = load_photos(config.photos, "validation")
    tokenizer = saved_tokenizer(config)
    model = Denoise(make_unet(config.denoiser, config), make_text_encoder(tokenizer, config.text))
    model.to(config.device)
    alphas = make_scheduler().alphas_cumprod
    run = Run(
        config.work / "denoiser.safetensors",
        model,
        settings,
        seed=config.seed + 2,
        muon=True,
        decay=0.01,
    )
    run.resume()
    batch = settings.batch // run.workers

    def loss(step: int, rng: np.random.Generator) -> Tensor:
        drawn = draw(cache, photos, config, batch, rng)
        tokens = encode_captions(tokenizer, drawn.captions).to(config.device)
        noise = torch.randn(drawn.target.shape)
        with mixed_precision(config):
            return edit_loss(model, drawn, tokens, alphas, settings.snr_limit, noise)

    fresh = Denoise(
        make_unet(config.denoiser, config), make_text_encoder(tokenizer, config.text)
    ).eval()

    @torch.no_grad()
    def look() -> None:
        fresh.load_state_dict(run.average)
        drawn = draw(held_out, held_out_photos, config, 64, np.random.default_rng(config.seed))
        noise = torch.randn(drawn.target.shape, generator=torch.Generator().manual_seed(0))
        tokens = encode_captions(tokenizer, drawn.captions)
        value = float(edit_loss(fresh, drawn, tokens, alphas, settings.snr_limit, noise))
        print(f"  held out {value:.4f}", flush=True)
        run.note(loss=value)

    run.run(loss, then=look)


if __name__ == "__main__":
    train(from_command_line(__doc__ or ""))
