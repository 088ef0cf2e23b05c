"""Whether two files show the same picture, at the same place: nothing else can be audited."""

import torch
from torch import Tensor
from torch.nn import functional

from brittle.errors import UserError

FAR = 32.0
"""Levels of 255, on average (RMS; 18 dB): as if every value had been changed by 32."""
ALIKE = 0.9
"""Correlation of brightness, coarsely, below which two files that lie far apart show different
pictures: at most 0.89 between any two of 24 photos, 0.93 and more where one was only darkened."""
COARSE, MIDDLE = 16, 128
"""Sides at which brightness and place are compared, in pixels."""
MOVED = 0.006
"""Share of the longest side: 3 px of 512. What protections, noise and codecs do looks like a shift
by half of that at most."""
EXPLAINED = 0.95
"""What a displacement has to leave at most of the difference that brightness and contrast leave."""


def refuse_others(original: Tensor, protected: Tensor, names: str) -> None:
    """Refuse two pictures (1, 3, H, W) in [0, 1] of one size that are not one photo.

    Raises:
        UserError: they aren't; ``names`` names both.
    """
    if _apart(original, protected) > FAR and _correlation(original, protected) < ALIKE:
        raise UserError(
            f"{names} show different pictures, or one of them was turned, mirrored, cropped or "
            "made partly transparent: a photo and its protected version are compared, so correct "
            "this pair, or leave it out."
        )


def doubts(original: Tensor, protected: Tensor) -> tuple[str, ...]:
    """Why a difference between two pictures of one photo may not be a protection's."""
    found = []
    if (apart := _apart(original, protected)) > FAR:
        found.append(
            f"The two files differ by {apart:.0f} of 255 levels on average, far more than a change "
            "that is hard to see: something else than a protection was done to one of them "
            "(brightness, colours, transparency …), and what follows is about all of it."
        )
    by = displacement(original, protected)
    if by > MOVED * max(*original.shape[-2:], MIDDLE):
        found.append(
            f"The two files do not lie on one another: one was cropped or moved by about {by:.0f} "
            "px. That alone changes what a model makes of a photo, as no noise does. If your tool "
            "crops, crop the original in the same way, and audit again."
        )
    return tuple(found)


def _apart(original: Tensor, protected: Tensor) -> float:
    return 255 * float(functional.mse_loss(original, protected).sqrt())


def _correlation(original: Tensor, protected: Tensor) -> float:
    """Of brightness in 16 × 16 fields; 0 where one picture has one brightness alone."""
    both = [_brightness(one, COARSE, COARSE).flatten() for one in (original, protected)]
    return float(torch.corrcoef(torch.stack(both))[0, 1].nan_to_num(0))


def displacement(original: Tensor, protected: Tensor) -> float:
    """How far the protected picture's corners lie from the original's, in pixels, at most.

    By least squares, after Lucas and Kanade: the change that a small affine displacement would
    make, beside one of brightness and contrast. It sees shifts of a few pixels of 128, and is 0
    where a displacement explains nothing.
    """
    height, width = original.shape[-2:]
    scale = max(height, width, MIDDLE) / MIDDLE
    size = [max(COARSE, round(side / scale)) for side in (height, width)]
    before, after = (_brightness(one, *size) for one in (original, protected))
    down, right = torch.gradient(before)
    y, x = torch.meshgrid(
        *(torch.linspace(-1, 1, side, dtype=torch.float64) for side in size), indexing="ij"
    )
    one = torch.ones_like(x)
    causes = [before, one] + [slope * place for slope in (right, down) for place in (one, x, y)]
    design = torch.stack(causes, -1).flatten(0, 1)
    contrast, _, *moves = _fit(design, after)
    if _missed(design, after) > EXPLAINED * _missed(design[:, :2], after):
        return 0.0
    to_right, to_down = torch.stack(moves).view(2, 3) / contrast
    corners = torch.tensor([(1, u, v) for u in (-1, 1) for v in (-1, 1)], dtype=torch.float64)
    shift = torch.stack([corners @ to_right, corners @ to_down])
    return scale * float(shift.square().sum(0).sqrt().max().nan_to_num(0, 0))


def _fit(causes: Tensor, seen: Tensor) -> Tensor:
    return torch.linalg.lstsq(causes, seen.reshape(-1, 1)).solution.flatten()


def _missed(causes: Tensor, seen: Tensor) -> float:
    """What the causes don't explain, as a sum of squares."""
    return float((seen.flatten() - causes @ _fit(causes, seen)).square().sum())


def _brightness(image: Tensor, height: int, width: int) -> Tensor:
    """Mean over colours, (height, width)."""
    reduced = functional.interpolate(image.mean(1, keepdim=True), (height, width), mode="area")
    return reduced[0, 0].double()
