"""Files in TAESD's format: an encoder's weights, and the decoder's, beside them or among them."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import torch
from torch import nn

from brittle.errors import UserError, printable
from brittle.models.parts import Part
from brittle.models.taesd import CLASS_NAME, TaesdAutoencoder, channels, read_stack

SUFFIXES = (".safetensors", ".pth")


class TaesdFiles:
    """An encoder's file in TAESD's format, and the decoder's: beside it, or the same file."""

    directory = base_directory = None
    pipeline = ""
    index: Mapping[str, Any] = {}

    def __init__(self, path: Path, *, name: str = "", size: int | None = None) -> None:
        """``path`` is the encoder's file, or a folder with one.

        ``name`` and ``size``, the long side in pixels, are stated where somebody knows them.
        """
        self.encoder = _encoder_in(path)
        self.name = printable(name or self.encoder.stem)
        self._size = size
        other = self.encoder.with_name(self.encoder.name.replace("encoder", "decoder"))
        beside = other != self.encoder and other.is_file()
        self.decoder = other if beside or _holds_both(self.encoder) else None
        network = read_stack("encoder", self.encoder)
        halvings = sum(layer.stride[0] == 2 for layer in network if isinstance(layer, nn.Conv2d))
        self._config = {
            "_class_name": CLASS_NAME,
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
        return list(dict.fromkeys([self.encoder, *([self.decoder] if self.decoder else [])]))

    def recommended(self) -> Mapping[str, Any]:
        """As `ModelFiles.recommended`: none."""
        return {}

    def stated_size(self) -> int | None:
        """As `ModelFiles.stated_size`: such files state none themselves."""
        return self._size

    def read_as(self) -> list[str]:
        """As `ModelFiles.read_as`: nothing."""
        return []


def holds_taesd(folder: Path) -> bool:
    """Whether a folder has an encoder's file in it, and is no folder in diffusers' format."""
    return bool(_encoders(folder))


def in_taesd_format(path: Path) -> bool:
    """Whether a file of weights can be nothing else: a .pth, or one whose first layer is named so.

    A damaged .safetensors file isn't; others say what is wrong with it.
    """
    if path.suffix != ".safetensors":
        return path.suffix == ".pth"
    first = r"((en|de)coder\.)?(layers\.)?[01]\.(conv\.0\.)?weight"
    return any(re.fullmatch(first, name) for name in tensor_names(path))


def tensor_names(path: Path) -> set[str]:
    """The names of the tensors in a .safetensors file; none where it is damaged."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            return set(file.keys())
    except (SafetensorError, OSError):
        return set()


def _holds_both(path: Path) -> bool:
    sides = {"encoder", "decoder"}
    return path.suffix != ".pth" and {one.partition(".")[0] for one in tensor_names(path)} == sides


def _encoders(folder: Path) -> list[Path]:
    named = [one for one in folder.glob("*encoder*") if one.suffix in SUFFIXES and one.is_file()]
    if named or any((folder / file).is_file() for file in ("config.json", "model_index.json")):
        return sorted(named)
    return sorted(one for one in folder.glob("*.safetensors") if _holds_both(one))


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
