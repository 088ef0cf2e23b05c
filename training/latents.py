"""Latents of photos in looks, computed once with the frozen student's encoder.

    python -m training.latents --config training/config.yaml

A shard holds the untouched crop and some looks of 100 photos. Crops and looks are a function of
(seed, photo), so pictures can be made again where they are wanted beside their latents.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from brittle.networks.prompt_classes import NO_CLASS, PROMPT_CLASSES
from training.config import Config, from_command_line
from training.data import Photo, crop, load_photos, to_tensor
from training.encoder import Encode, load_encoder, make_vae
from training.files import write_tensors
from training.looks import apply_look
from training.loop import join_workers

NAMES = (NO_CLASS, *PROMPT_CLASSES)
SHARD = 100


def order(count: int, seed: int) -> np.ndarray:
    """The photos in the order in which they are cached."""
    return np.random.default_rng([seed, 3]).permutation(count)


def picture(photo: Photo, index: int, look: int, seed: int) -> Tensor:
    """Photo ``index`` in look number ``look`` (0: untouched), (1, 3, 128, 128) in [0, 1]."""
    rng = np.random.default_rng([seed, 5, index])
    pixels = crop(photo, rng)
    pixels = pixels[:, ::-1] if rng.random() < 0.5 else pixels
    image = to_tensor(pixels[None])
    if look == 0:
        return image
    generator = torch.Generator().manual_seed(seed * 100_000 + index * 100 + look)
    return apply_look(image, NAMES[look], generator)


def looks_of(index: int, count: int, seed: int) -> np.ndarray:
    """Numbers of the looks that are cached for photo ``index``: none, and ``count`` others."""
    others = np.random.default_rng([seed, 6, index]).permutation(np.arange(1, len(NAMES)))
    return np.concatenate([[0], np.sort(others[:count])])


@torch.no_grad()
def make_shard(
    encode: nn.Module, photos: list[Photo], indices: np.ndarray, looks: int, seed: int
) -> dict[str, Tensor]:
    """``latents`` (P, 1 + looks, C, h, w) float16, ``looks`` (P, 1 + looks), ``indices`` (P,)."""
    numbers = np.stack([looks_of(int(i), looks, seed) for i in indices])
    codes = []
    for row, index in enumerate(indices):
        images = [picture(photos[index], int(index), int(n), seed) for n in numbers[row]]
        codes.append(encode(torch.cat(images)).half())
    return {
        "latents": torch.stack(codes),
        "looks": torch.from_numpy(numbers),
        "indices": torch.from_numpy(np.asarray(indices)),
    }


def make_cache(config: Config) -> None:
    """Computes the shards that are missing; workers take turns."""
    settings = config.latents
    encode = Encode(load_encoder(config, make_vae(config.autoencoder))).eval()
    rank, workers = join_workers()
    for split, shards in (("validation", 1), ("train", settings.shards)):
        photos = load_photos(config.photos, split)
        photo_order = order(len(photos), config.seed)
        for number in range(rank, shards, workers):
            file = config.work / "latents" / f"{split}-{number:04d}.safetensors"
            indices = photo_order[number * SHARD : (number + 1) * SHARD]
            if len(indices) and not file.exists():
                shard = make_shard(encode, photos, indices, settings.looks, config.seed)
                write_tensors(file, shard)
                print(file.name, flush=True)


@dataclass
class Cache:
    """All shards of a split in memory."""

    latents: Tensor  # (P, 1 + looks, C, h, w) float16
    looks: np.ndarray  # (P, 1 + looks)
    indices: np.ndarray  # (P,), places in the list of photos

    @classmethod
    def load(cls, folder: Path, split: str) -> Cache:
        """Reads every shard of ``split`` in ``folder``."""
        shards = [load_file(file) for file in sorted(folder.glob(f"{split}-*.safetensors"))]
        if not shards:
            raise FileNotFoundError(f"no latents of {split} in {folder}: run training.latents")
        return cls(
            torch.cat([shard["latents"] for shard in shards]),
            torch.cat([shard["looks"] for shard in shards]).numpy(),
            torch.cat([shard["indices"] for shard in shards]).numpy(),
        )


if __name__ == "__main__":
    make_cache(from_command_line(__doc__ or ""))
