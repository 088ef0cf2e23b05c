"""LPIPS's networks, AlexNet and VGG-16, where the user has their weights."""

import functools
import importlib.util
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from brittle.errors import Unavailable
from brittle.networks import maps
from brittle.networks.feature_cache import MEMORY, Features
from brittle.networks.maps import fill_invalid, unit_length

Net = Literal["alex", "vgg"]
# What LPIPS takes from an image in [-1, 1], whatever the network.
SHIFT, SCALE = (-0.030, -0.088, -0.188), (0.458, 0.448, 0.450)
CHECKPOINTS = {"alex": "alexnet-owt-7be5be79.pth", "vgg": "vgg16-397923af.pth"}
SMALLEST = {"alex": 31, "vgg": 16}
# Channels out, kernel, stride, padding; "M": maximum over 2 (VGG) or 3 (AlexNet); "tap": features.
ALEX = ((64, 11, 4, 2), "tap", "M3", (192, 5, 1, 2), "tap", "M3", (384, 3, 1, 1), "tap",
        (256, 3, 1, 1), "tap", (256, 3, 1, 1), "tap")  # fmt: skip
VGG = (*((64, 3, 1, 1),) * 2, "tap", "M2", *((128, 3, 1, 1),) * 2, "tap", "M2",
       *((256, 3, 1, 1),) * 3, "tap", "M2", *((512, 3, 1, 1),) * 3, "tap", "M2",
       *((512, 3, 1, 1),) * 3, "tap")  # fmt: skip


def distance(
    image: Tensor, reference: Tensor, valid: Tensor, *, net: Net = "alex", path: str | None = None
) -> Tensor:
    """LPIPS of two images (1, 3, H, W) in [0, 1], a scalar; invalid pixels are mid-gray in both.

    Raises:
        Unavailable: torchmetrics or the checkpoint is missing, or is not what it should be; images
            too small for the network's strides.
    """
    if min(image.shape[-2:]) < SMALLEST[net]:
        raise Unavailable(f"LPIPS takes pictures of at least {SMALLEST[net]} pixels a side")
    weights = checkpoint(net, path)
    return _load(net, str(weights), str(image.device)).distance(image, reference, valid)


def checkpoint(net: Net, path: str | None) -> Path:
    """Where torchvision's weights of the network lie: at ``path``, or where torch keeps them.

    Raises:
        Unavailable: there is no such file.
    """
    home = os.environ.get("TORCH_HOME", Path.home() / ".cache" / "torch")
    found = Path(path or Path(home) / "hub" / "checkpoints" / CHECKPOINTS[net])
    if not found.is_file():
        raise Unavailable(
            f"LPIPS needs torchvision's ImageNet checkpoint {CHECKPOINTS[net]}: put it into "
            f"hub/checkpoints of $TORCH_HOME (if that is not set, of ~/.cache/torch), or name its "
            f"place as lpips:net={net},path=FILE"
        )
    return found


@dataclass(frozen=True)
class Network:
    """Convolutions up to the last tap, and for each tap one weight a channel, (1, C, 1, 1)."""

    name: str
    """What its features are remembered by."""
    layers: nn.Sequential
    taps: tuple[int, ...]
    heads: tuple[Tensor, ...]

    def features(self, image: Tensor) -> Features:
        """Unit-length features at each tap, of an image (1, 3, H, W) in [0, 1]."""
        shift, scale = (image.new_tensor(values).view(1, 3, 1, 1) for values in (SHIFT, SCALE))
        x = (image * 2 - 1 - shift) / scale
        found = []
        for index, layer in enumerate(self.layers):
            x = layer(x)
            if index in self.taps:
                found.append(unit_length(x))
        return tuple(found)

    def distance(self, image: Tensor, reference: Tensor, valid: Tensor) -> Tensor:
        """How far two images (1, 3, H, W) in [0, 1] are apart, a scalar."""
        a, b = (
            MEMORY.recall(self.name, fill_invalid(x, valid), self.features)
            for x in (image, reference)
        )
        return maps.distance(a, b, valid, self.heads)


def _convolutions(plan: tuple[Any, ...]) -> tuple[nn.Sequential, tuple[int, ...]]:
    """A plan's layers in torchvision's numbering, and after which of them features are taken."""
    layers: list[nn.Module] = []
    taps = []
    channels = 3
    for step in plan:
        if step == "tap":
            taps.append(len(layers) - 1)
        elif isinstance(step, str):
            layers.append(nn.MaxPool2d(int(step[1:]), stride=2))
        else:
            out, kernel, stride, padding = step
            layers += [nn.Conv2d(channels, out, kernel, stride, padding), nn.ReLU()]
            channels = out
    return nn.Sequential(*layers), tuple(taps)


@functools.lru_cache(maxsize=2)
def _load(net: Net, checkpoint: str, device: str) -> Network:
    torchmetrics = importlib.util.find_spec("torchmetrics")  # found, not imported: that takes 8 s
    if torchmetrics is None or torchmetrics.origin is None:
        raise Unavailable("LPIPS needs torchmetrics: pip install 'brittle[metrics]'")
    folder = Path(torchmetrics.origin).parent / "functional" / "image" / "lpips_models"
    heads = torch.load(folder / f"{net}.pth", map_location=device, weights_only=True)
    layers, taps = _convolutions(ALEX if net == "alex" else VGG)
    try:
        weights = torch.load(checkpoint, map_location="cpu", weights_only=True)
        layers.load_state_dict(
            {
                k.removeprefix("features."): v
                for k, v in weights.items()
                if k.startswith("features.")
            }
        )
    except Exception as error:  # whatever a foreign file does to torch.load
        reason = str(error).splitlines()[0]
        raise Unavailable(
            f"LPIPS can't read {Path(checkpoint).name} as {CHECKPOINTS[net]}: {reason}"
        ) from None
    return Network(
        f"lpips:{checkpoint}",
        layers.eval().requires_grad_(False).to(device),
        taps,
        tuple(heads[f"lin{tap}.model.1.weight"] for tap in range(len(taps))),
    )
