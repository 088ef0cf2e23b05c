"""What a simple processing of the photo explains of a change: tones, colours, sharpness …"""

import torch
from torch import Tensor
from torch.nn import functional

EXPLAINED = 0.25
"""Share of a change's energy from which a processing is believed to have been done. Of what
protections add, the features below explain a few hundredths."""
PATCH, PATCHES = 64, 64
"""Side of the patches from which a processing is read, in pixels, and how many of them at most."""
ENOUGH = 50
"""Pixels for each feature, below which chance explains too much."""
BLURS = (3, 5, 9)
MARGIN = 48
"""Levels from 0 and 255 that are left out at most."""


def processed(start: Tensor, delta: Tensor) -> Tensor | None:
    """The part of a change (3, H, W) in levels that processing the photo ``start`` explains.

    By least squares, for each channel, from the photo's channels, their squares and cubes, what
    blurs of it leave, and the distance from its middle; where levels could move both ways, since
    near 0 and 255 any change follows tones. None where it explains less than `EXPLAINED`.
    """
    reach = float(delta.abs().max().clamp_max(MARGIN))
    tops, lefts = (_starts(side) for side in start.shape[-2:])
    places = [(top, left) for top in tops for left in lefts]
    causes, seen = [], []
    for top, left in places:
        box = (..., slice(top, top + PATCH), slice(left, left + PATCH))
        change, photo = delta[box], start[box]
        free = (photo.amin(0) >= reach) & (photo.amax(0) <= 255 - reach)
        within = (change.any(0) & free).flatten()
        causes.append(_features(photo, _distance(start, box)).flatten(1)[:, within])
        seen.append(change.flatten(1)[:, within])
    design, change = torch.cat(causes, 1).double(), torch.cat(seen, 1).double()
    energy = change.square().sum()
    if design.shape[1] < ENOUGH * len(design) or not energy:
        return None
    weights = torch.linalg.lstsq(design.T, change.T).solution.T
    if (change - weights @ design).square().sum() > (1 - EXPLAINED) * energy:
        return None
    found = torch.einsum("ij,jhw->ihw", weights.float(), _features(start, _distance(start, (...,))))
    found = found.round_().add_(start).clamp_(0, 255).sub_(start)
    return found.mul_(delta.any(0))


def _starts(side: int) -> list[int]:
    """Where patches begin along a side: evenly, and as many as there may be."""
    number = min(max(side // PATCH, 1), int(PATCHES**0.5))
    return [at * max(side - PATCH, 0) // max(number - 1, 1) for at in range(number)]


def _distance(start: Tensor, box: tuple[object, ...]) -> Tensor:
    """The squared distance from the middle, 0 to 2, in a box of the picture."""
    y, x = (torch.linspace(-1, 1, side) for side in start.shape[-2:])
    return (y[:, None].square() + x.square())[box]


def _features(levels: Tensor, distance: Tensor) -> Tensor:
    """What a processing may be made of, (features, h, w)."""
    tone = levels / 255
    blurred = [
        functional.avg_pool2d(tone, size, stride=1, padding=size // 2, count_include_pad=False)
        for size in BLURS
    ]
    parts = [tone, tone.square(), tone.pow(3), *blurred, tone * distance]
    return torch.cat([torch.ones_like(tone[:1]), *parts])
