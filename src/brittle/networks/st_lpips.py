"""ST-LPIPS's network, whose weights lie in the package stlpips-pytorch."""

import functools
import importlib.util
from pathlib import Path

import torch
from torch import Tensor, nn

from brittle.errors import Unavailable
from brittle.networks.lpips import Network

WEIGHTS = Path("weights", "vST0.0", "alex_shift_tolerant.pth")
TAPS = (2, 6, 10, 12, 14)
SMALLEST = 22
"""Pixels a side, below which nothing is left to reflect at the edges of the third blur."""


def distance(image: Tensor, reference: Tensor, valid: Tensor) -> Tensor:
    """ST-LPIPS of two images (1, 3, H, W) in [0, 1], a scalar; invalid pixels are mid-gray in both.

    Raises:
        Unavailable: the package is missing, its weights are not what they should be, or the images
            are smaller than 22 pixels.
    """
    if min(image.shape[-2:]) < SMALLEST:
        raise Unavailable(f"ST-LPIPS takes pictures of at least {SMALLEST} pixels a side")
    return _load(str(weights()), str(image.device)).distance(image, reference, valid)


def weights() -> Path:
    """Where the weights lie; the package is found and never imported: only a file of it is used.

    Raises:
        Unavailable: the package is missing.
    """
    package = importlib.util.find_spec("stlpips_pytorch")
    if package is None or package.origin is None:
        raise Unavailable("ST-LPIPS needs stlpips-pytorch: pip install 'brittle[st-lpips]'")
    return Path(package.origin).parent / WEIGHTS


class Blur(nn.Module):
    """A binomial filter of three pixels a side, and every second pixel of what it leaves."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        line = torch.tensor([0.25, 0.5, 0.25])
        kernel = (line[:, None] * line).expand(channels, 1, 3, 3).clone()
        self.register_buffer("filt", kernel)

    def forward(self, x: Tensor) -> Tensor:
        """Features at half the resolution; beyond the edges they are reflected."""
        padded = nn.functional.pad(x, (2, 2, 2, 2), mode="reflect")
        return nn.functional.conv2d(padded, self.filt, stride=2, groups=x.shape[1])


def _layers() -> nn.Sequential:
    """AlexNet whose strides are blurs (the paper's section 4), in the weights' own numbering."""
    return nn.Sequential(
        nn.Conv2d(3, 64, 11, padding=2), Blur(64), nn.ReLU(),
        nn.MaxPool2d(3, 1), Blur(64), nn.Conv2d(64, 192, 5, padding=2), nn.ReLU(),
        nn.MaxPool2d(3, 1), Blur(192), nn.Conv2d(192, 384, 3, padding=1), nn.ReLU(),
        nn.Conv2d(384, 256, 3, padding=1), nn.ReLU(),
        nn.Conv2d(256, 256, 3, padding=1), nn.ReLU(),
    )  # fmt: skip


@functools.lru_cache(maxsize=1)
def _load(path: str, device: str) -> Network:
    layers = _layers()
    try:
        found = torch.load(path, map_location="cpu", weights_only=True)
        layers.load_state_dict(
            {key.split(".", 2)[2]: value for key, value in found.items() if key.startswith("net.")}
        )
        heads = tuple(found[f"lin{tap}.model.1.weight"].to(device) for tap in range(len(TAPS)))
    except Exception as error:  # whatever a foreign file does to torch.load
        reason = str(error).splitlines()[0]
        raise Unavailable(f"ST-LPIPS can't read {Path(path).name}: {reason}") from None
    layers = layers.eval().requires_grad_(False).to(device)
    return Network(f"st-lpips:{path}", layers, TAPS, heads)
