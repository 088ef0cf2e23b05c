"""Pictures as the vision encoder of Qwen2.5-VL reads them: brought to whole windows, in patches."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image
from torch import Tensor

from brittle import images


@dataclass(frozen=True)
class Patches:
    """What a model's processor does to a picture, from its preprocessor_config.json."""

    patch: int
    merged: int
    """Patches a side that become one token."""
    frames: int
    """How often a picture stands in a patch, which is made for films."""
    fewest: int
    most: int
    """Pixels of a picture."""
    mean: Sequence[float]
    deviation: Sequence[float]

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> "Patches":
        """As the file says it, in its old words or its new ones."""
        size = config.get("size") or {}
        return cls(
            patch=config["patch_size"],
            merged=config["merge_size"],
            frames=config["temporal_patch_size"],
            fewest=config.get("min_pixels") or size["shortest_edge"],
            most=config.get("max_pixels") or size["longest_edge"],
            mean=config["image_mean"],
            deviation=config["image_std"],
        )

    def grid(self, height: int, width: int) -> tuple[int, int]:
        """How many patches a picture has, down and across.

        Its sides become the nearest multiples of a token's, and smaller or larger ones, of the same
        proportions, where that is more or fewer pixels than there may be.
        """
        side = self.patch * self.merged
        rows, columns = (round(length / side) for length in (height, width))
        if rows * columns * side**2 > self.most:
            larger = math.sqrt(height * width / self.most)
            rows, columns = (max(1, int(length / larger / side)) for length in (height, width))
        elif rows * columns * side**2 < self.fewest:
            smaller = math.sqrt(self.fewest / (height * width))
            rows, columns = (math.ceil(length * smaller / side) for length in (height, width))
        return rows * self.merged, columns * self.merged

    def tokens(self, height: int, width: int) -> int:
        """As how many tokens a picture is read."""
        return math.prod(self.grid(height, width)) // self.merged**2

    def cut(self, picture: Tensor) -> Tensor:
        """A picture (1, 3, H, W) in [0, 1] as patches, those of a token after one another."""
        rows, columns = self.grid(*picture.shape[-2:])
        shape = (rows * self.patch, columns * self.patch)
        pixels = resized(picture, shape, Image.Resampling.BICUBIC)
        mean, deviation = (
            pixels.new_tensor(values)[:, None, None] for values in (self.mean, self.deviation)
        )
        pixels = (pixels[0] - mean) / deviation
        split = pixels.unflatten(2, (-1, self.merged, self.patch)).unflatten(
            1, (-1, self.merged, self.patch)
        )
        # channel, (row, its place in a token, down), (column, its place, across) to
        # row, column, both places, channel, frame, down, across
        ordered = split.permute(1, 4, 2, 5, 0, 3, 6).unsqueeze(5)
        repeated = ordered.expand(*ordered.shape[:5], self.frames, *ordered.shape[6:])
        return repeated.reshape(rows * columns, -1)


def resized(picture: Tensor, shape: Sequence[int], way: Image.Resampling) -> Tensor:
    """A picture (1, 3, H, W) in [0, 1] at another (height, width): Pillow's 8-bit pixels.

    Gradients pass as through torch's bicubic resizing, and rounding leaves them as they are.
    """
    smooth = images.stretch(picture, shape, mode="bicubic")
    (levels,) = images.to_bytes(picture.detach())
    exact = Image.fromarray(levels).resize((shape[1], shape[0]), way)
    seen = images.from_bytes(np.array(exact)[None])
    return seen.to(smooth) + (smooth - smooth.detach())
