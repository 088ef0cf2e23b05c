"""Traces of JPEG: whether a lossless file holds a photo that was a JPEG before."""

import math

import torch
from torch import Tensor
from torch.nn import functional

# Low frequencies (down, across), which stay non-zero at every quality that people use.
FREQUENCIES = ((0, 1), (1, 0), (1, 1), (0, 2), (2, 0))
STEPS = (2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31)  # primes: multiples of 8 are multiples of 2
SIDE = 256  # of the middle that is looked at, in pixels
THRESHOLD = 0.05


def jpeg_traces(image: Tensor) -> bool:
    """Whether an image (1, 3, H, W) was a JPEG at quality 90 or below and not resized since.

    `benchmarks/jpeg_traces.py FOLDER` on 24 photos of 512 px (12 Kodak, 12 gb82), as 4:2:0 and
    4:4:4: none of the 48 clean ones, at full and half size, is taken for a JPEG (all score below
    0.005), and none saved at quality 92 to 10 is missed (all score above 0.16; above 0.08 for
    crops of 128 px). At 95 and above nothing is seen.
    """
    return quantisation(image) > THRESHOLD


def quantisation(image: Tensor) -> float:
    """How much more the block transform's coefficients look quantised on one grid than on others.

    For all 64 places of the 8 × 8 grid, low frequencies and step sizes q, the mean of
    cos(2π c / q) over the coefficients c beyond q / 2 is 1 where all are multiples of q, and near
    0 where they are smooth (after Fan and de Queiroz, 2003). The value is the best place's median
    over frequencies of the best step, less the median place's: about 0 without traces, at most 1.
    """
    top, left = (max(0, (length - SIDE) // 2) for length in image.shape[-2:])
    crop = image[:1, :, top : top + SIDE, left : left + SIDE].float() * 255
    luma = (crop * crop.new_tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)).sum(1, keepdim=True)
    scores = torch.stack([_periodicity(_coefficients(luma, *f)) for f in FREQUENCIES])
    places = scores.median(0).values
    return float(places.max() - places.median())


def _coefficients(luma: Tensor, down: int, across: int) -> Tensor:
    """One frequency's DCT coefficient of every 8 × 8 block (rows, 8, columns, 8), by its corner."""
    x = (2 * torch.arange(8) + 1) * math.pi / 16
    waves = [torch.cos(x * f) * (0.5 if f else math.sqrt(1 / 8)) for f in (down, across)]
    rows = functional.conv2d(luma, waves[0].view(1, 1, 8, 1))
    blocks = functional.conv2d(rows, waves[1].view(1, 1, 1, 8))[0, 0]
    height, width = (length // 8 * 8 for length in blocks.shape)
    return blocks[:height, :width].reshape(height // 8, 8, width // 8, 8)


def _periodicity(coefficients: Tensor) -> Tensor:
    """For each of the 64 places of the grid, (8, 8), the score of the step that fits best.

    A score is a mean less three of its standard errors, so that few coefficients say little.
    """
    best = torch.zeros(8, 8)
    for step in STEPS:
        beyond = coefficients.abs() > step / 2
        count = beyond.sum((0, 2)).clamp_min(1)
        mean = (torch.cos(2 * math.pi / step * coefficients) * beyond).sum((0, 2)) / count
        best = torch.maximum(best, mean - 3 * torch.rsqrt(2 * count))
    return best
