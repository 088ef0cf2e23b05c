"""The teacher, TAEF2, as its published weights say: nothing of it ships.

It only labels pictures with latents for the student to learn.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import torch
from torch import nn

from brittle.models.taesd import read_stack

LATENT_CHANNELS = 32


def load_teacher(
    folder: str | Path, part: Literal["encoder", "decoder"] = "encoder"
) -> nn.Sequential:
    """The frozen teacher's ``encoder`` or ``decoder`` in float32, from ``taef2_{part}.pth``.

    Images are in [0, 1], latents have 32 channels at an eighth of the size.
    """
    return read_stack(part, Path(folder) / f"taef2_{part}.pth").to(
        memory_format=torch.channels_last
    )
