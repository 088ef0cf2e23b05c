"""Files in TAESD's format: an encoder's weights, and the decoder's beside them."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import torch
from torch import nn

from brittle.errors import UserError
from brittle.models.edit_model import Part
from brittle.models.taesd import TaesdAutoencoder, channels, read_stack

SUFFIXES = (".safetensors", ".pth")


class TaesdFiles:
    """An encoder's file in TAESD's format, and the decoder's where it lies beside it."""

    directory = None

    def __init__(self, path: Path) -> None:
        """``path`` is the encoder's file, or a folder with one named ``*encoder*``."""
        self.encoder = _encoder_in(path)
        self.name = self.encoder.stem
        other = self.encoder.with_name(self.encoder.name.replace("encoder", "decoder"))
        self.decoder = other if other != self.encoder and other.is_file() else None
        network = read_stack("encoder", self.encoder)
        halvings = sum(layer.stride[0] == 2 for layer in network if isinstance(layer, nn.Conv2d))
        self._config = {
            "_class_name": "TaesdAutoencoder",
            "latent_channels": channels(network)[1],
            "encoder_block_out_channels": [network[0].out_channels] * (halvings + 1),
        }

    def config(self, part: Part | Literal["scheduler"]) -> Mapping[str, Any]:
        """As `ModelFiles.config`: an autoencoder's alone."""
        if part == "vae":
            return self._config
        raise UserError(
            f"{self.name} is an autoencoder alone, without a {part}: it serves encoder "
            f"protections; to edit, name a whole model."
        )

    def load(self, part: Part, dtype: torch.dtype) -> Any:
        """As `ModelFiles.load`."""
        self.config(part)
        decoder = read_stack("decoder", self.decoder) if self.decoder else None
        return TaesdAutoencoder(read_stack("encoder", self.encoder), decoder).to(dtype).eval()

    def count(self, part: Part) -> int:
        """As `ModelFiles.count`."""
        return sum(weight.numel() for weight in self.load(part, torch.float32).parameters())

    def paths(self) -> list[Path]:
        """As `ModelFiles.paths`."""
        return [self.encoder, *([self.decoder] if self.decoder else [])]

    def recommended(self) -> Mapping[str, Any]:
        """As `ModelFiles.recommended`: none."""
        return {}

    def stated_size(self) -> None:
        """As `ModelFiles.stated_size`: such files state none."""

    def read_as(self) -> list[str]:
        """As `ModelFiles.read_as`: nothing."""
        return []


def holds_taesd(folder: Path) -> bool:
    """Whether a folder has an encoder's file in it, by its name."""
    return any(_encoders(folder))


def in_taesd_format(path: Path) -> bool:
    """Whether a file of weights can be nothing else: a .pth, or one whose first layer is named so.

    A damaged .safetensors file isn't; others say what is wrong with it.
    """
    if path.suffix != ".safetensors":
        return path.suffix == ".pth"
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            names = set(file.keys())
    except (SafetensorError, OSError):
        return False
    return any(re.fullmatch(r"((en|de)coder\.)?(layers\.)?1\.(conv\.0\.)?weight", n) for n in names)


def _encoders(folder: Path) -> list[Path]:
    return sorted(
        path for path in folder.glob("*encoder*") if path.suffix in SUFFIXES and path.is_file()
    )


def _encoder_in(path: Path) -> Path:
    if path.is_file():
        if "decoder" in path.name and "encoder" not in path.name:
            raise UserError(f"{path} is a decoder: name the encoder's file, or their folder.")
        return path
    found = _encoders(path)
    if len(found) > 1:
        names = ", ".join(one.name for one in found)
        raise UserError(f"{path} holds several encoders ({names}): name one of them.")
    return found[0]
