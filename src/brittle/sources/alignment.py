"""Where a file lies in its original: tools shift photos by a few pixels, and crop them."""

import torch
from torch import Tensor

WINDOW = 1024
"""Side, in pixels, of the middles that are compared."""
PEAK = 0.04
"""Height of the phase correlation's peak from which a place is believed: two pictures that lie on
one another have 1, noise and compression lower it, and other pictures have a hundredth."""
BETTER = 0.8
"""What moving has to leave at most of the difference (RMS) that there was without it."""
NEAR = 24 / 255
"""The difference (RMS) up to which a file of other proportions is a part of the original."""
Place = tuple[int, int]
"""Rows down and columns right."""


def place_of(file: Tensor, original: Tensor) -> Place | None:
    """Where in the original the file's first pixel lies, in whole pixels; None where it isn't told.

    Both are (1, 3, H, W) in [0, 1]; sizes may differ. It is found by phase correlation of their
    middles (Kuglin and Hines 1975).
    """
    size = [min(*sides, WINDOW) for sides in zip(file.shape[-2:], original.shape[-2:], strict=True)]
    starts, spectra = [], []
    for image in (original, file):
        top, left = ((side - part) // 2 for side, part in zip(image.shape[-2:], size, strict=True))
        middle = image[0, :, top : top + size[0], left : left + size[1]].mean(0)
        rows, columns = (torch.hann_window(side, periodic=False) for side in size)
        window = rows[:, None] * columns
        spectra.append(torch.fft.rfft2((middle - middle.mean()) * window))
        starts.append((top, left))
    cross = spectra[0] * spectra[1].conj()
    surface = torch.fft.irfft2(cross / cross.abs().clamp_min(1e-12), s=size)
    if float(surface.max()) < PEAK:
        return None
    found = divmod(int(surface.argmax()), size[1])
    moved = [at - side if at > side // 2 else at for at, side in zip(found, size, strict=True)]
    return (starts[0][0] - starts[1][0] + moved[0], starts[0][1] - starts[1][1] + moved[1])


def moved(original: Tensor, place: Place, shape: tuple[int, int]) -> Tensor:
    """What of the original lies under a file of a shape (H, W); its edges where nothing does."""
    rows, columns = (
        (torch.arange(side) + start).clamp(0, limit - 1)
        for side, start, limit in zip(shape, place, original.shape[-2:], strict=True)
    )
    return original[:, :, rows][..., columns]


def aligned(
    file: Tensor, original: Tensor, otherwise: Tensor | None
) -> tuple[Tensor, Place] | None:
    """The original moved to where the file lies, and the place; None where that explains nothing.

    A file of another size has to be a part of the original. ``otherwise`` is the original as it
    would be compared without, in the file's size: moved, it has to come much nearer to the file.
    """
    place, same_size = place_of(file, original), file.shape == original.shape
    if place is None or (same_size and place == (0, 0)):
        return None
    shape = (file.shape[-2], file.shape[-1])
    ends = zip(place, shape, original.shape[-2:], strict=True)
    if not same_size and not all(0 <= at <= limit - side for at, side, limit in ends):
        return None
    found = moved(original, place, shape)
    far = NEAR if otherwise is None else BETTER * apart(otherwise, file)
    return (found, place) if apart(found, file) <= far else None


def apart(one: Tensor, other: Tensor) -> float:
    """The root mean square difference of two pictures of one size."""
    return float((one - other).square().mean().sqrt())
