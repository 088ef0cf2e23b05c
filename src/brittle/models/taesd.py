"""Autoencoders of TAESD's kind: two plain stacks of convolutions.

The layout is read off the weights' names, so one builder serves TAESD (4 latent channels), its
relatives and diffusers' AutoencoderTiny, which is built here because importing diffusers takes
longer than all that an encoder is asked for. Relatives for FLUX.2 (32 channels) have a pooled
branch in their blocks, and those for Sana (a latent covers 32 pixels a side) begin with rectified
convolutions; diffusers' class lacks both. Written from the names and shapes of the published
weights (madebyollin/taesd, MIT).
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor, nn

from brittle.errors import UserError
from brittle.silence import silence

CLASS_NAME = "TaesdAutoencoder"
"""What brittle writes of one that comes without diffusers' configuration."""
Side = Literal["encoder", "decoder"]
_SIDES: tuple[tuple[Side, int], ...] = (("encoder", 0), ("decoder", 1))
_TINY = {"act_fn": "relu", "upsample_fn": "nearest", "upsampling_scaling_factor": 2}
_BLOCKS = {"encoder": (1, 3, 3, 3), "decoder": (3, 3, 3, 1)}  # diffusers' defaults, as are _TINY's
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

    Numbered layers without weights are the decoder's clamp, rectifier and upsamplings, and the
    rectifiers that the encoder may begin with; in the encoder a convolution without bias halves the
    size, and so does one before a rectifier.

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
    for count, wanted in zip(channels(network), ends, strict=True):
        if wanted not in (None, count):
            raise ValueError(f"it isn't the {side} of an autoencoder of RGB images")
    return network.requires_grad_(False).eval()


def _layer(side: Side, number: int, weights: Mapping[str, Tensor]) -> nn.Module:
    weight = weights.get(f"{number}.weight")
    if weight is not None:
        if weight.ndim != 4:
            raise ValueError(f"{number}.weight is no convolution's")
        bias = f"{number}.bias" in weights
        halves = not bias or _rectifies(number + 1, weights)
        stride = 2 if side == "encoder" and halves else 1
        return nn.Conv2d(weight.shape[1], weight.shape[0], 3, stride, padding=1, bias=bias)
    first = weights.get(f"{number}.conv.0.weight")
    if first is not None:
        return Block(first.shape[1], pooled=f"{number}.pool.0.weight" in weights)
    if side == "decoder":
        return {0: SoftClamp(), 2: nn.ReLU()}.get(number, nn.Upsample(scale_factor=2))
    if _rectifies(number, weights):
        return nn.ReLU()
    raise ValueError(f"its layer {number} has no weights")


def _rectifies(number: int, weights: Mapping[str, Tensor]) -> bool:
    """Whether an encoder's layer is a rectifier: between a convolution with bias and no halving.

    Where a block's weights are lost, a convolution without bias follows, or none precedes.
    """
    own = any(name.startswith(f"{number}.") for name in weights)
    follows = any(f"{number + 1}.{name}" in weights for name in ("bias", "conv.0.weight"))
    return not own and f"{number - 1}.bias" in weights and follows


def channels(network: nn.Sequential) -> tuple[int, int]:
    """How many channels go in and come out."""
    convolutions = [layer for layer in network if isinstance(layer, nn.Conv2d)]
    return convolutions[0].in_channels, convolutions[-1].out_channels


class TaesdAutoencoder(nn.Module):
    """The interface of diffusers' AutoencoderTiny over the two stacks; images in [-1, 1]."""

    def __init__(
        self, encoder: nn.Sequential, decoder: nn.Sequential | None, scaling_factor: float = 1.0
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.decoder = decoder
        self.config = _Config(scaling_factor)

    def encode(self, image: Tensor) -> "Encoded":
        """Images (N, 3, H, W) -> latents."""
        return Encoded(self.encoder((image + 1) / 2))

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


class _Config(NamedTuple):
    scaling_factor: float


class Encoded(NamedTuple):
    """What an autoencoder without a distribution gives of images."""

    latents: Tensor


def is_taesd(config: Mapping[str, Any]) -> bool:
    """Whether diffusers' configuration of an autoencoder describes one that `from_tiny` builds."""
    described = [config.get(name, value) for name, value in _TINY.items()]
    return config["_class_name"] == "AutoencoderTiny" and described == list(_TINY.values())


def from_tiny(config: Mapping[str, Any], weights: Mapping[str, Tensor]) -> TaesdAutoencoder:
    """The autoencoder that diffusers' AutoencoderTiny is with this configuration and weights.

    Raises:
        ValueError: the weights are not what the configuration says.
    """
    sides: list[nn.Sequential] = []
    for side, clamp in _SIDES:  # the clamp has no number in diffusers
        prefix = f"{side}.layers."
        names = [name.removeprefix(prefix) for name in weights if name.startswith(prefix)]
        network = build(side, {_later(name, clamp): weights[prefix + name] for name in names})
        levels = len(config.get(f"{side}_block_out_channels", [0] * 4))
        blocks = config.get(f"num_{side}_blocks", _BLOCKS[side])
        if _counts(network) != (sum(blocks), levels - 1):
            raise ValueError(f"the weights of its {side} are incomplete")
        sides.append(network)
    encoder, decoder = sides
    return TaesdAutoencoder(encoder, decoder, float(config.get("scaling_factor", 1.0)))


def _of_side(side: Side, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A side's weights by number, from a file of its own or one of both sides."""
    other = "decoder" if side == "encoder" else "encoder"
    own = {name: value for name, value in weights.items() if not name.startswith(f"{other}.")}
    if not any(name.startswith(f"{side}.layers.") for name in own):
        return {name.removeprefix(f"{side}."): value for name, value in own.items()}
    clamp = dict(_SIDES)[side]
    return {_later(name.removeprefix(f"{side}.layers."), clamp): own[name] for name in own}


def _later(name: str, by: int) -> str:
    number, dot, rest = name.partition(".")
    return f"{int(number) + by}{dot}{rest}"


def _counts(network: nn.Sequential) -> tuple[int, int]:
    """How many blocks, and how many convolutions without bias: those at another size."""
    convolutions = [layer for layer in network if isinstance(layer, nn.Conv2d)]
    plain = sum(layer.bias is None for layer in convolutions)
    return sum(isinstance(layer, Block) for layer in network), plain


def read_stack(side: Side, path: Path) -> nn.Sequential:
    """One side from its file of weights, frozen, in float32: images in [0, 1] to latents, or back.

    Raises:
        UserError: the file holds anything but such weights.
    """
    from pickle import UnpicklingError

    from safetensors.torch import load_file

    try:
        if path.suffix == ".safetensors":
            weights = load_file(path)
        else:
            with silence():
                weights = torch.load(path, weights_only=True, map_location="cpu")
        numbered = _of_side(side, weights)
        return build(side, {name: value.float() for name, value in numbered.items()})
    except Exception as error:  # whatever a foreign file does to torch.load
        reason = [*str(error).strip().splitlines(), type(error).__name__][0].rstrip(".:")
        if isinstance(error, (UnpicklingError, EOFError, LookupError)):
            reason = "it holds other things than weights, or nothing"  # torch says how to run them
        raise UserError(
            f"{path} is no {side} in TAESD's format ({reason}); a pickle of anything but weights "
            f"is never read."
        ) from error
