"""Purifiers by diffusion of pixels: noise drowns a perturbation, and a denoiser takes both away.

They need no edit model: a small denoiser of pixels ships with brittle, where the papers run a large
one that was trained on ImageNet at 256 px.
"""

from collections.abc import Iterator, Sequence
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from brittle.component import Fraction, register
from brittle.images import quantise
from brittle.networks.pixel_denoiser import LEVELS, load_pixel_denoiser, signal
from brittle.noise import gaussian
from brittle.transforms.base import Transform

Steps = Annotated[int, Field(strict=True, ge=1, le=LEVELS)]


@register
class DiffPure(Transform):
    """Noised as after ``steps`` of DDPM's 1,000 steps, and denoised step by step.

    The denoiser was trained here for two minutes of processor time, on small photos; its card lies
    beside the weights (networks/weights/README.md). It runs on the CPU, at the picture's own size.
    Steps draw noise of the posterior's variance, and clean pictures are guessed inside [-1, 1]; the
    authors' denoiser has learned its variance. 100 steps are GrIDPure's setting of it.
    """

    name = "diffpure"
    draws = True
    source = "DiffPure (Nie et al., ICML 2022, arXiv:2205.07460), with a denoiser of our own"
    example = "diffpure:steps=4"
    bytes_a_pixel = 420

    steps: Steps = 100

    def receive(self, image: Tensor, *, seed: int | None) -> Tensor:
        """One image (1, 3, H, W) noised and denoised by the stream of its seed, which it needs."""
        return quantise(diffused(image.cpu(), self.steps, self.stream(seed)).to(image))


@register
class GridPure(Transform):
    """DiffPure with little noise on overlapping tiles, ``rounds`` times.

    Tiles are ``side`` px wide, or the whole picture where it is smaller, and lie half a tile apart;
    a last one ends at the edge. The picture's corners, which one tile sees, make up one tile more.
    What the tiles agree on is their mean, and ``gamma`` of the picture before the round is kept.
    Between rounds the picture has 8 bits; ours is rounded there. Settings are those of the authors'
    repository.
    """

    name = "gridpure"
    draws = True
    source = "GrIDPure (Zhao et al., CVPR 2024, arXiv:2312.00084), with a denoiser of our own"
    example = "gridpure:rounds=2,steps=2"
    mild_if_large = frozenset({"gamma"})
    bytes_a_pixel = 420

    steps: Steps = 10
    rounds: Annotated[int, Field(strict=True, ge=1, le=1000)] = 20
    gamma: Annotated[Fraction, Field(ge=0, lt=1)] = 0.1
    side: Annotated[int, Field(strict=True, ge=16)] = 256

    def receive(self, image: Tensor, *, seed: int | None) -> Tensor:
        """One image (1, 3, H, W) after all rounds, by the stream of its seed, which it needs."""
        streams, received = self.stream(seed), image.cpu()
        for _ in range(self.rounds):
            total, count = torch.zeros_like(received), torch.zeros_like(received)
            for rows, columns in _tiles(received.shape[-2:], self.side):
                tile = received[..., rows[:, None], columns]
                total[..., rows[:, None], columns] += diffused(tile, self.steps, streams)
                count[..., rows[:, None], columns] += 1
            received = quantise((1 - self.gamma) * total / count + self.gamma * received)
        return received.to(image)


def diffused(image: Tensor, steps: int, streams: Sequence[torch.Generator]) -> Tensor:
    """Images (N, 3, H, W) in [0, 1] after ``steps`` of noise and as many of denoising; on CPUs.

    The first noise and each step's are drawn from the streams, one an image.
    """
    network, kept = load_pixel_denoiser(), [1.0, *signal().tolist()]
    noise = gaussian(image.shape[1:], streams)
    noisy = kept[steps] ** 0.5 * (2 * image - 1) + (1 - kept[steps]) ** 0.5 * noise
    for step in range(steps, 0, -1):
        here, there = kept[step], kept[step - 1]
        levels = torch.full((len(image),), step - 1)
        clean = (noisy - (1 - here) ** 0.5 * network(noisy, levels)) / here**0.5
        # The posterior of the step before, given both: DDPM's equation 7.
        added = 1 - here / there
        noisy = (
            there**0.5 * added * clean.clamp(-1, 1) + (here / there) ** 0.5 * (1 - there) * noisy
        ) / (1 - here)
        if step > 1:
            spread = (added * (1 - there) / (1 - here)) ** 0.5
            noisy = noisy + spread * gaussian(image.shape[1:], streams)
    return (noisy + 1) / 2


def _tiles(size: Sequence[int], side: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Rows and columns of each tile; the last one takes the first and last of both."""
    places = [_places(length, min(side, length)) for length in size]
    yield from ((rows, columns) for rows in places[0] for columns in places[1])
    rows, columns = (_ends(length, min(side, length)) for length in size)
    yield rows, columns


def _places(length: int, side: int) -> list[Tensor]:
    """Where tiles lie along an axis."""
    starts = [*range(0, length - side, max(1, side // 2)), length - side]
    return [torch.arange(start, start + side) for start in starts]


def _ends(length: int, side: int) -> Tensor:
    """The first and the last half of a tile's pixels along an axis."""
    return torch.cat([torch.arange(side // 2), torch.arange(length - side + side // 2, length)])
