"""Trains the student's decoder on the frozen encoder's latents.

    python -m training.decoder --config training/config.yaml

Photos untouched and in looks, so that edits decode as well as photos: L1 at four scales and a
perceptual term.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from training.config import Config, from_command_line, mixed_precision
from training.data import crop, load_photos, to_tensor
from training.encoder import Encode, load_encoder, make_vae
from training.latents import Cache, picture
from training.loop import Run
from training.perceptual import Perceptual


class Decode(nn.Module):
    """The student's decoder with pictures in [0, 1]."""

    def __init__(self, decoder: nn.Module) -> None:
        super().__init__()
        self.decoder = decoder

    def forward(self, code: Tensor) -> Tensor:
        """Latents (N, C, h, w) -> pictures (N, 3, 8h, 8w), about [0, 1]."""
        return (self.decoder(code) + 1) / 2


def difference(image: Tensor, goal: Tensor) -> Tensor:
    """Mean absolute difference at full size and at 1/2, 1/4 and 1/8, weighted alike."""
    total = (image - goal).abs().mean()
    for scale in (2, 4, 8):
        total = total + (F.avg_pool2d(image, scale) - F.avg_pool2d(goal, scale)).abs().mean()
    return total / 2


def psnr(image: Tensor, reference: Tensor) -> Tensor:
    """PSNR (N,) in dB of pictures in [0, 1], after clamping."""
    error = (image.clamp(0, 1) - reference).square().mean((1, 2, 3))
    return -10 * error.clamp(min=1e-10).log10()


def train(config: Config) -> None:
    """Trains, or goes on training, the student's decoder."""
    settings = config.decoder
    vae = load_encoder(config, make_vae(config.autoencoder))
    encode, decode = Encode(vae).requires_grad_(False).eval(), Decode(vae.decoder)
    cache = Cache.load(config.work / "latents", "train")
    photos = load_photos(config.photos, "train")
    held_out = load_photos(config.photos, "validation")[::12]
    check = to_tensor(np.stack([crop(photo) for photo in held_out]))
    perceptual = Perceptual().to(config.device)
    decode.to(config.device)
    run = Run(
        config.work / "decoder.safetensors", decode, settings, seed=config.seed + 1, muon=True
    )
    run.resume()
    batch = settings.batch // run.workers

    def loss(step: int, rng: np.random.Generator) -> Tensor:
        rows = rng.integers(0, len(cache.indices), batch)
        # Half of the pictures untouched: column 0.
        columns = rng.integers(0, cache.looks.shape[1], batch) * (rng.random(batch) < 0.5)
        goal = torch.cat(
            [
                picture(photos[i], int(i), int(look), config.seed)
                for i, look in zip(cache.indices[rows], cache.looks[rows, columns], strict=True)
            ]
        )
        goal = goal.to(config.device)
        with mixed_precision(config):
            image = decode(cache.latents[rows, columns].float().to(config.device)).float()
        return difference(image, goal) + settings.perceptual * perceptual(image, goal)

    @torch.no_grad()
    def look() -> None:
        fresh = Decode(make_vae(config.autoencoder).decoder)
        fresh.load_state_dict(run.average)
        found = psnr(fresh(encode(check)), check)
        print(f"  PSNR {found.mean():.2f} dB", flush=True)
        run.note(psnr=float(found.mean()))

    run.run(loss, then=look)


if __name__ == "__main__":
    train(from_command_line(__doc__ or ""))
