"""What the encoder said of the last pictures: one that is edited many times is encoded once."""

from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

Moments = tuple[Tensor, ...]
"""The mean of the latents (N, C, h, w), and their deviation where the autoencoder has one."""
CALLS, SAMPLES = 2, 32
"""Rows are remembered from so many calls, and found by so many of their numbers."""


class LastEncoded:
    """Remembers the encoder's outputs row by row, for pictures of the last calls.

    On a CPU a row's bytes depend on the number of rows in its call, so only calls of one shape
    share what is remembered, and a call with a new picture encodes all of its rows.
    """

    def __init__(self) -> None:
        self._kept: OrderedDict[Any, tuple[Tensor, Moments]] = OrderedDict()

    def moments(self, image: Tensor, encode: Callable[[], Moments]) -> Moments:
        """Those of images (N, 3, H, W): remembered if all are known, or else from ``encode``."""
        rows = image.detach().split(1)
        names = [self._name(image, row) for row in rows]
        found = [self._find(name, row) for name, row in zip(names, rows, strict=True)]
        known = [one for one in found if one is not None]
        if len(known) == len(rows):
            return tuple(torch.cat(each) for each in zip(*known, strict=True))
        moments = encode()
        each_row = zip(*(each.split(1) for each in moments), strict=True)
        for name, row, of_row in zip(names, rows, each_row, strict=True):
            self._kept[name] = row.clone(), of_row
            self._kept.move_to_end(name)
        while len(self._kept) > CALLS * len(image):
            self._kept.popitem(last=False)
        return moments

    def _name(self, image: Tensor, row: Tensor) -> Any:
        some = row.flatten()[:: max(1, row.numel() // SAMPLES)]
        return (*image.shape, *some.tolist())

    def _find(self, name: Any, row: Tensor) -> Moments | None:
        kept, moments = self._kept.get(name, (None, None))
        return moments if kept is not None and torch.equal(kept, row) else None
