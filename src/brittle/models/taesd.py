"""Autoencoders in TAESD's format: two plain stacks of convolutions, one file of weights each.

The layout is read off the weights' names, so one builder serves TAESD (4 latent channels) and its
relatives; those for FLUX.2 (32 channels) have a pooled branch in their blocks, which diffusers'
AutoencoderTiny lacks. Written from the names and shapes of the published weights
(madebyollin/taesd, MIT).
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from brittle.errors import UserError
from brittle.models.edit_model import Part

Side = Literal["encoder", "decoder"]
SUFFIXES = (".safetensors", ".pth")
_NORM_GROUPS = 4


class Block(nn.Module):
    """Three 3x3 convolutions with a skip; ``pooled`` adds a group-normed 1x1 branch before it.

    The group norm takes statistics over the whole picture, which is how this branch sees far.
    """

    def __init__(self, width: int, pooled: bool = False) -> None:
        super().__init__()
        convolutions: list[nn.Module] = []
        for _ in range(3):
            convolutions += [nn.Conv2d(width, width, 3, padding=1), nn.ReLU()]
        self.conv = nn.Sequential(*convolutions[:-1])
        self.pool: nn.Sequential | None = None
        if pooled:
            self.pool = nn.Sequential(
                nn.Conv2d(width, 4 * width, 1, bias=False),
                nn.GroupNorm(_NORM_GROUPS, 4 * width),
                nn.ReLU(),
                nn.Conv2d(4 * width, width, 1, bias=False),
            )

    def forward(self, x: Tensor) -> Tensor:
        """(N, width, h, w) -> the same shape."""
        if self.pool is not None:
            x = x + self.pool(x)
        return torch.relu(self.conv(x) + x)


class SoftClamp(nn.Module):
    """Keeps latents in (-3, 3)."""

    def forward(self, x: Tensor) -> Tensor:
        """Any shape."""
        return torch.tanh(x / 3) * 3


def build(side: Side, weights: Mapping[str, Tensor]) -> nn.Sequential:
    """The stack that these weights belong to, frozen: images in [0, 1] to latents, or back.

    Numbered layers without weights are the decoder's clamp, rectifier and upsamplings; in the
    encoder a convolution without bias halves the size.

    Raises:
        ValueError: the names or shapes are of another format.
    """
    numbers = [int(name.partition(".")[0]) for name in weights if name[:1].isdigit()]
    if len(numbers) != len(weights) or not numbers:
        raise ValueError("its tensors don't have the names 0.weight, 1.conv.0.weight …")
    layers = [_layer(side, number, weights) for number in range(max(numbers) + 1)]
    network = nn.Sequential(*layers)
    network.load_state_dict(dict(weights))
    ends = (3, None) if side == "encoder" else (None, 3)
    for channels, wanted in zip(_channels(network), ends, strict=True):
        if wanted not in (None, channels):
            raise ValueError(f"it isn't the {side} of an autoencoder of RGB images")
    return network.requires_grad_(False).eval()


def _layer(side: Side, number: int, weights: Mapping[str, Tensor]) -> nn.Module:
    weight = weights.get(f"{number}.weight")
    if weight is not None:
        if weight.ndim != 4:
            raise ValueError(f"{number}.weight is no convolution's")
        bias = f"{number}.bias" in weights
        stride = 2 if side == "encoder" and not bias else 1
        return nn.Conv2d(weight.shape[1], weight.shape[0], 3, stride, padding=1, bias=bias)
    first = weights.get(f"{number}.conv.0.weight")
    if first is not None:
        return Block(first.shape[1], pooled=f"{number}.pool.0.weight" in weights)
    if side == "decoder":
        return {0: SoftClamp(), 2: nn.ReLU()}.get(number, nn.Upsample(scale_factor=2))
    raise ValueError(f"its layer {number} has no weights")


def _channels(network: nn.Sequential) -> tuple[int, int]:
    convolutions = [layer for layer in network if isinstance(layer, nn.Conv2d)]
    return convolutions[0].in_channels, convolutions[-1].out_channels


class TaesdAutoencoder(nn.Module):
    """The interface of diffusers' AutoencoderTiny over the two stacks; images in [-1, 1]."""

    def __init__(self, encoder: nn.Sequential, decoder: nn.Sequential | None) -> None:
        super().__init__()
        self.encoder = encoder
        self.decoder = decoder
        self.config = _Config()

    def encode(self, image: Tensor) -> "_Encoded":
        """Images (N, 3, H, W) -> latents."""
        return _Encoded(self.encoder((image + 1) / 2))

    def decode(self, latents: Tensor, return_dict: bool = False) -> tuple[Tensor]:
        """Latents -> images (N, 3, H, W).

        Raises:
            UserError: the decoder's file isn't there.
        """
        if self.decoder is None:
            raise UserError(
                "This autoencoder came without its decoder: put the file beside the encoder's."
            )
        return (self.decoder(latents) * 2 - 1,)


class _Config:
    scaling_factor = 1.0


class _Encoded:
    def __init__(self, latents: Tensor) -> None:
        self.latents = latents


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
            "latent_channels": _channels(network)[1],
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

    def paths(self) -> list[Path]:
        """As `ModelFiles.paths`."""
        return [self.encoder, *([self.decoder] if self.decoder else [])]

    def recommended(self) -> Mapping[str, Any]:
        """As `ModelFiles.recommended`: none."""
        return {}


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


def read_stack(side: Side, path: Path) -> nn.Sequential:
    """One side from its file of weights, frozen, in float32: images in [0, 1] to latents, or back.

    Raises:
        UserError: the file holds anything but such weights.
    """
    from pickle import UnpicklingError

    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        if path.suffix == ".safetensors":
            weights = load_file(path)
        else:
            weights = torch.load(path, weights_only=True, map_location="cpu")
        named = {re.sub(r"^(encoder|decoder)\.(layers\.)?", "", k): v for k, v in weights.items()}
        return build(side, {name: value.float() for name, value in named.items()})
    except (
        OSError,
        ValueError,
        RuntimeError,
        AttributeError,
        UnpicklingError,
        SafetensorError,
    ) as error:
        reason = [*str(error).strip().splitlines(), type(error).__name__][0].rstrip(".:")
        raise UserError(
            f"{path} is no {side} in TAESD's format ({reason}); a pickle of anything but weights "
            f"is never read."
        ) from error
