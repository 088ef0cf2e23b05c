"""Pictures and the teacher's latents of them: what the student's encoder learns from.

    python -m training.teacher_set --config training/config.yaml

Each chunk holds untouched crops, crops under random signs, crops attacked on the teacher (every
PGD step's picture: strong and weak perturbations for the price of one attack) and attacked crops
after real JPEG. Attacks move on the 8-bit grid, so the stored bytes are what the teacher saw.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from training.config import Config, TeacherSet, from_command_line
from training.data import Photo, crop, jpeg, load_photos, to_tensor
from training.files import write_tensors
from training.teacher import load_teacher

KINDS = ("plain", "signs", "clean", "attacked", "jpeg")
GRAY = 128


@torch.no_grad()
def latents(encoder: nn.Module, pixels: np.ndarray) -> Tensor:
    """(N, H, W, 3) uint8 -> (N, C, H/8, W/8) float16, in batches of 16."""
    device = next(encoder.parameters()).device
    parts = [encoder(to_tensor(pixels[i : i + 16]).to(device)) for i in range(0, len(pixels), 16)]
    return torch.cat(parts).half().cpu()


def attack_steps(
    encoder: nn.Module, clean: np.ndarray, target: Tensor, radius: np.ndarray, steps: int
) -> tuple[list[np.ndarray], list[Tensor]]:
    """Sign PGD toward ``target`` latents on the 8-bit grid.

    ``clean`` is (N, H, W, 3) uint8, ``radius`` (N,) whole levels. Returns the pictures before the
    first and after every step, and the latents of all of them (the last costs one more forward).
    """
    device = target.device
    start = to_tensor(clean).to(device) * 255
    limit = torch.from_numpy(radius).float().to(device).view(-1, 1, 1, 1)
    # Two and a half radii in all: every pixel can cross its interval once.
    stride = (limit * 2.5 / steps).round().clamp(min=1)
    low, high = (start - limit).clamp(min=0), (start + limit).clamp(max=255)
    levels, pictures, codes = start, [], []
    for step in range(steps + 1):
        image = (levels / 255).requires_grad_(step < steps)
        with torch.set_grad_enabled(step < steps):
            code = encoder(image)
            loss = (code - target).square().sum()
        pictures.append(levels.byte().permute(0, 2, 3, 1).cpu().numpy())
        codes.append(code.detach().half().cpu())
        if step < steps:
            (gradient,) = torch.autograd.grad(loss, image)
            levels = (levels - stride * gradient.sign()).clamp(low, high)
    return pictures, codes


def targets(encoder: nn.Module, others: np.ndarray, rng: np.random.Generator) -> Tensor:
    """One target latent a crop: of a flat gray picture, of another photo, or zero."""
    gray = latents(encoder, np.full((1, *others.shape[1:]), GRAY, np.uint8)).float()
    found = latents(encoder, others).float()
    for i, draw in enumerate(rng.random(len(others))):
        if draw < 0.4:
            found[i] = gray[0]
        elif draw < 0.65:
            found[i] = 0
    return found.to(next(encoder.parameters()).device)


def make_chunk(
    encoder: nn.Module, photos: list[Photo], settings: TeacherSet, seed: int, number: int
) -> dict[str, Tensor]:
    """Chunk ``number``: ``pixels`` (N, H, W, 3), ``latents`` (N, C, h, w), ``kinds`` (N,)."""
    rng = np.random.default_rng([seed, number])

    def crops(count: int) -> np.ndarray:
        return np.stack([crop(photos[i], rng) for i in rng.integers(0, len(photos), count)])

    def compress(pictures: np.ndarray) -> np.ndarray:
        low, high = settings.quality
        return np.stack([jpeg(picture, int(rng.integers(low, high + 1))) for picture in pictures])

    pixels: list[np.ndarray] = []
    codes: list[Tensor] = []
    kinds: list[int] = []

    def add(kind: str, pictures: np.ndarray, code: Tensor | None = None) -> None:
        pixels.append(pictures)
        codes.append(latents(encoder, pictures) if code is None else code)
        kinds.extend([KINDS.index(kind)] * len(pictures))

    low, high = settings.radius
    clean = crops(settings.attacked)
    radius = rng.integers(low, high + 1, settings.attacked)
    goal = targets(encoder, crops(settings.attacked), rng)
    pictures, found = attack_steps(encoder, clean, goal, radius, settings.steps)
    add("clean", pictures[0], found[0])
    for picture, code in zip(pictures[1:], found[1:], strict=True):
        add("attacked", picture, code)
    add("jpeg", compress(pictures[-1]))
    add("jpeg", compress(pictures[len(pictures) // 2]))

    signed = crops(settings.signs).astype(np.int16)
    sizes = rng.integers(2, high + 1, (settings.signs, 1, 1, 1))
    signs = rng.integers(0, 2, signed.shape) * 2 - 1
    add("signs", (signed + sizes * signs).clip(0, 255).astype(np.uint8))
    add("plain", crops(settings.plain))
    return {
        "pixels": torch.from_numpy(np.concatenate(pixels)),
        "latents": torch.cat(codes),
        "kinds": torch.tensor(kinds, dtype=torch.uint8),
    }


def make_set(config: Config, folder: Path | None = None) -> None:
    """Computes every chunk that ``folder`` lacks."""
    folder = folder or config.work / "teacher_set"
    encoder = load_teacher(config.teacher).to(config.device)
    photos = load_photos(config.photos, "train")
    for number in range(config.teacher_set.chunks):
        file = folder / f"chunk-{number:04d}.safetensors"
        if not file.exists():
            chunk = make_chunk(encoder, photos, config.teacher_set, config.seed, number)
            write_tensors(file, chunk)
            print(f"chunk {number}: {len(chunk['kinds'])} pictures", flush=True)


if __name__ == "__main__":
    make_set(from_command_line(__doc__ or ""))
