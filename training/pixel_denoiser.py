"""Trains the denoiser of pictures' pixels that the purifiers `diffpure` and `gridpure` run.

    python -m training.pixel_denoiser --config training/config.yaml

Squares of the training photos are noised to a level that is drawn for each, as DDPM does, and the
network learns to give back the noise (the mean squared error, all levels alike). The digest that is
printed goes into ``networks/pixel_denoiser.py``, and the transforms' versions are raised with it.
At the end the PSNR of what it takes for the clean picture is printed, on photos of the validation
split and at a few levels, beside that of the noised picture.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from brittle.networks.pixel_denoiser import LEVELS, PixelDenoiser, signal
from training.config import Config, from_command_line
from training.data import crop, load_photos, to_tensor
from training.loop import Run


def noised(clean: Tensor, noise: Tensor, levels: Tensor) -> Tensor:
    """Pictures in [-1, 1] at their noise levels (N,)."""
    kept = signal()[levels].view(-1, 1, 1, 1)
    return kept.sqrt() * clean + (1 - kept).sqrt() * noise


def train(config: Config) -> None:
    """Trains, or goes on training; the averaged weights go to their file at the end."""
    settings, photos = config.pixel_denoiser, load_photos(config.photos, "train")
    network = PixelDenoiser().to(memory_format=torch.channels_last)
    run = Run(
        config.work / "pixel-denoiser.safetensors",
        network,
        settings,
        seed=config.seed + 5,
        muon=True,
    )
    run.resume()

    def loss(step: int, rng: np.random.Generator) -> Tensor:
        rows = rng.integers(len(photos), size=settings.batch)
        clean = squares([crop(photos[row], rng, settings.side) for row in rows])
        levels = torch.from_numpy(rng.integers(LEVELS, size=settings.batch))
        noise = torch.randn_like(clean)
        return (network(noised(clean, noise, levels), levels) - noise).square().mean()

    run.run(loss)
    run.publish(settings.export)
    measure(config, network)


def squares(pixels: list[np.ndarray]) -> Tensor:
    """Pictures (H, W, 3) of 8 bits as the network wants them, in [-1, 1]."""
    return to_tensor(np.stack(pixels)) * 2 - 1


@torch.no_grad()
def measure(config: Config, network: PixelDenoiser) -> None:
    """Prints, for a few levels, the mean PSNR of the noised and of the denoised pictures."""
    photos = load_photos(config.photos, "validation")[: config.pixel_denoiser.held_out]
    clean = squares([crop(photo) for photo in photos])
    noise = torch.randn(clean.shape, generator=torch.Generator().manual_seed(config.seed))
    for level in (9, 19, 49, 99, 149, LEVELS - 1):
        levels = torch.full((len(clean),), level)
        noisy, kept = noised(clean, noise, levels), signal()[level]
        found = (noisy - (1 - kept).sqrt() * network(noisy, levels)) / kept.sqrt()
        before, after = (_psnr(one, clean) for one in (noisy / kept.sqrt(), found))
        print(f"after {level + 1} levels: noised {before:.2f} dB, denoised {after:.2f} dB")


def _psnr(found: Tensor, clean: Tensor) -> float:
    error = (found.clamp(-1, 1) - clean).square().flatten(1).mean(1) / 4
    return float(-10 * error.log10().mean())


if __name__ == "__main__":
    train(from_command_line(__doc__ or ""))
