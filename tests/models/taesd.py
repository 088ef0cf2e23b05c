"""Random weights in TAESD's format: an independent statement of its names and shapes."""

from pathlib import Path

import torch
from torch import Tensor

# Numbers of plain convolutions, of blocks and of blocks that may be pooled, as published.
ENCODER = {"convolutions": (2, 6, 10), "blocks": (1, 3, 4, 5, 7, 8, 9), "deepest": (11, 12, 13)}
DECODER = {
    "convolutions": (7, 12, 17),
    "blocks": (8, 9, 10, 13, 14, 15, 18),
    "deepest": (3, 4, 5),
}


def weights(side: str, *, channels: int, pooled: bool, width: int = 8) -> dict[str, Tensor]:
    """A side's weights by name; ``channels`` are the latent's."""
    torch.manual_seed(0)
    plan = ENCODER if side == "encoder" else DECODER
    first, last = ("0", "14") if side == "encoder" else ("1", "19")
    ends = (3, channels) if side == "encoder" else (channels, 3)
    found = {f"{first}.weight": (width, ends[0], 3, 3), f"{first}.bias": (width,)}
    for number in plan["convolutions"]:
        found[f"{number}.weight"] = (width, width, 3, 3)
    for number in (*plan["blocks"], *plan["deepest"]):
        for layer in (0, 2, 4):
            found[f"{number}.conv.{layer}.weight"] = (width, width, 3, 3)
            found[f"{number}.conv.{layer}.bias"] = (width,)
        if pooled and number in plan["deepest"]:
            found[f"{number}.pool.0.weight"] = (4 * width, width, 1, 1)
            found[f"{number}.pool.1.weight"] = (4 * width,)
            found[f"{number}.pool.1.bias"] = (4 * width,)
            found[f"{number}.pool.3.weight"] = (width, 4 * width, 1, 1)
    found |= {f"{last}.weight": (ends[1], width, 3, 3), f"{last}.bias": (ends[1],)}
    scale = {name: (2 / max(torch.Size(s[1:]).numel(), 1)) ** 0.5 for name, s in found.items()}
    return {name: torch.randn(shape) * scale[name] * 0.5 for name, shape in found.items()}


def write(folder: Path, name: str, *, channels: int, pooled: bool, width: int = 8) -> Path:
    """Encoder and decoder as .pth files in ``folder``; returns it."""
    folder.mkdir(parents=True, exist_ok=True)
    for side in ("encoder", "decoder"):
        found = weights(side, channels=channels, pooled=pooled, width=width)
        torch.save(found, folder / f"{name}_{side}.pth")
    return folder
