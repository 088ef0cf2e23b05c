"""What a simple processing of the photo explains of a change: tones, colours, sharpness …"""

import torch
from torch import Tensor
from torch.nn import functional

EXPLAINED = 0.25
"""Share of a change's energy from which a processing is believed to have been done. Of what
the encoder attack adds, the features below explain a tenth at most."""
PATCH, PATCHES = 64, 16
"""Side of the patches from which a processing is read, in pixels, and how many of them at most."""
BLURS = (3, 5, 9)
EDGES = (0.01, 0.03, 0.1)
"""Standard deviations, in [0, 1], from which a denoiser takes texture for edges."""
BAND, SEEN = 128, max(BLURS) - 1
"""Rows that are computed at once, and how many around a pixel count for its features."""
RIDGE = 1e-6
"""Added, for each feature, to the squares of features of length 1: they are nearly dependent, and
without it the last bits of an LAPACK, which differ from call to call, would show in levels."""
GRAIN = 2**-10
"""Levels to which weights are rounded, for the same reason."""
ENOUGH = 50
"""Pixels for each feature, below which chance explains too much."""


def processed(start: Tensor, delta: Tensor) -> Tensor | None:
    """The part of a change (3, H, W) in levels that processing the photo ``start`` explains.

    By least squares, for each channel, from the photo's channels, their squares and cubes, what
    blurs and edge-keeping smoothing leave of it, and the distance from its middle; where levels
    could move both ways, since near 0 and 255 any change follows tones. None where it explains less
    than `EXPLAINED`.
    """
    reach = 2 * float(delta.square().mean().sqrt())
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
    weights = _fitted(design, change)
    if (change - weights @ design).square().sum() > (1 - EXPLAINED) * energy:
        return None
    found = (
        _weighted(weights.float(), start)
        .round_()
        .add_(start)
        .clamp_(0, 255)
        .sub_(start)
        .mul_(delta.any(0))
    )
    left = (delta - found).square().sum()
    return found if left <= (1 - EXPLAINED) * delta.square().sum() else None


def _fitted(design: Tensor, change: Tensor) -> Tensor:
    """By ridge regression, the weights (3, features) of features (features, n) in a change (3, n).

    The same for the same pictures, whatever the memory they lie in.
    """
    length = design.square().sum(1, keepdim=True).sqrt().clamp_min_(1e-9)
    unit = design / length
    gram = unit @ unit.T + RIDGE * len(unit) * torch.eye(len(unit), dtype=unit.dtype)
    weights = torch.linalg.solve(gram, unit @ change.T) / length
    return weights.T.div(GRAIN).round_().mul_(GRAIN)


def _weighted(weights: Tensor, start: Tensor) -> Tensor:
    """The sum of a picture's features, in bands of rows that overlap by what counts for a pixel."""
    found, distance = torch.empty_like(start), _distance(start, (...,))
    for top in range(0, start.shape[1], BAND):
        first, end = max(top - SEEN, 0), top + BAND
        rows = slice(first, end + SEEN)
        band = torch.einsum("ij,jhw->ihw", weights, _features(start[:, rows], distance[rows]))
        found[:, top:end] = band[:, top - first :][:, :BAND]
    return found


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
    blurred = [_mean(tone, size) for size in BLURS]
    smoothed = [_smooth(tone, size, edge) for size in BLURS[1:] for edge in EDGES]
    parts = [tone, tone.square(), tone.pow(3), *blurred, *smoothed, tone * distance]
    return torch.cat([torch.ones_like(tone[:1]), *parts])


def _mean(tone: Tensor, size: int) -> Tensor:
    return functional.avg_pool2d(tone, size, stride=1, padding=size // 2, count_include_pad=False)


def _smooth(tone: Tensor, size: int, edge: float) -> Tensor:
    """What a denoiser that keeps edges makes of it: a guided filter (He, Sun and Tang 2013)."""
    mean = _mean(tone, size)
    variance = (_mean(tone.square(), size) - mean.square()).clamp_min_(0)
    kept = variance / (variance + edge**2)
    return _mean(kept, size) * tone + _mean(mean * (1 - kept), size)
