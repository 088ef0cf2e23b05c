"""Random numbers that belong to an image: one CPU generator each, whatever the batch around it.

A row's noise depends on its own seed alone, so batches, their order and the device don't matter.
"""

import hashlib
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Seeds = Sequence[int]
"""One seed an image."""


def derive_seed(seed: int, *labels: str) -> int:
    """A seed for one stream, from a trial's seed and labels such as the photo's hash; < 2**63."""
    text = "\x1f".join([str(seed), *labels])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def generators(seeds: Seeds) -> list[torch.Generator]:
    """One CPU generator for each seed."""
    return [torch.Generator("cpu").manual_seed(seed) for seed in seeds]


def gaussian(shape: Sequence[int], streams: Sequence[torch.Generator]) -> Tensor:
    """Standard normal noise (len(streams), *shape), row i drawn from stream i; float32 on CPU."""
    return torch.stack([torch.randn(*shape, generator=stream) for stream in streams])


def uniform(shape: Sequence[int], streams: Sequence[torch.Generator]) -> Tensor:
    """Uniform noise on [0, 1) of shape (len(streams), *shape), row i from stream i; on CPU."""
    return torch.stack([torch.rand(*shape, generator=stream) for stream in streams])


def words(count: int, stream: torch.Generator) -> NDArray[np.uint16]:
    """Uniform numbers of 16 bits, (count,): four of each draw from the stream."""
    drawn = torch.empty(-(-count // 4), dtype=torch.int64).random_(-(2**63), None, generator=stream)
    return drawn.numpy().view(np.uint16)[:count]


def coins(count: int, stream: torch.Generator) -> Tensor:
    """Zeros and ones, each as likely, (count,), uint8."""
    bits = words(-(-count // 16), stream).view(np.uint8)
    return torch.from_numpy(np.unpackbits(bits, count=count))
