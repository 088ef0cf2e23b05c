"""The budget that is a perceptual distance: what the eye is said to notice, not what pixels do."""

from collections.abc import Callable
from functools import partial
from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor

from brittle.budgets.base import Ball, on_grid, whole_levels
from brittle.component import Fraction, shortest
from brittle.errors import needed
from brittle.networks import efficientnet, lpips, st_lpips

TILE = 1024
"""Pixels a side beyond which a picture is measured in tiles, so that memory doesn't grow."""
PATCHES, PATCH = 4, 128
"""Of a larger picture, what a step measures: so many patches a side, of so many pixels."""
TRIES = 10
"""How often the search on the file measures once it is inside."""
GROWTH = 1.4
"""The power of a perturbation's length with which the distance grows, about: 1.2 to 1.5."""
TYPICAL = 0.015
"""The root mean square of perturbations at a distance of 1, about, at 512 px."""
CLOSE = 0.98
"""Of the radius, what the search is content with."""
SHORTEST = 1e-4
DISTANCES = {
    "perceptual": efficientnet.distance,
    "lpips": lpips.distance,
    "st-lpips": st_lpips.distance,
}


class PerceptualBudget(Ball):
    """At most ``radius`` in a perceptual distance, and no value moved by more than ``within``.

    ``norm`` names the distance: ``perceptual``, which brittle brings (EfficientNet's features, 0 to
    20; not LPIPS's scale), ``lpips`` where the user has it, or ``st-lpips``, which comes with an
    extra. A perturbation outside is shortened as a whole: in memory once, by how the distance
    grows; on the 8-bit file until the measured distance is inside. ``within`` ([0, 1] units) is an
    outer guard in linf: a network can be blind to a few very wrong pixels.
    """

    after_at: ClassVar[str] = "within"

    norm: Literal["perceptual", "lpips", "st-lpips"] = "perceptual"
    reference: Literal[512] = 512
    within: Fraction = Field(default=32 / 255, gt=0, le=1)

    @property
    def levels(self) -> int:
        """How many of the 256 levels a value may move under the guard."""
        return whole_levels(self.within)

    def limit(self, height: int, width: int) -> float:
        """About how far a value moves at the radius, by which starts and steps are measured.

        Whatever the size; for the two LPIPS, where it was not measured, the guard.
        """
        typical = TYPICAL * self.radius ** (1 / GROWTH)
        return min(typical, self.within) if self.norm == "perceptual" else self.within

    def spent(self, original: Tensor, perturbed: Tensor) -> Tensor:
        """The perceptual distance of images from the originals, (N,).

        Raises:
            UserError: it can't be measured here, or on images of this size.
        """
        with needed(f"The budget {self} can't be measured"), torch.no_grad():
            return over_tiles(self._apart, perturbed, original).to(original)

    def _apart(self, image: Tensor, reference: Tensor) -> Tensor:
        """The distance of pairs (N, 3, H, W), (N,); each goes alone, as in a metric."""
        measure = DISTANCES[self.norm]
        valid = torch.ones_like(image[:1, :1])
        pairs = zip(image.clamp(0, 1).split(1), reference.clamp(0, 1).split(1), strict=True)
        return torch.stack([measure(*pair, valid) for pair in pairs])

    def project(self, delta: Tensor) -> Tensor:
        """A perturbation inside the guard; the distance needs the picture: see `bring_inside`."""
        return delta.clamp(-self.within, self.within)

    def bring_inside(self, original: Tensor, perturbed: Tensor) -> Tensor:
        """The images on the way to ``perturbed`` that are about in the budget; not rounded.

        One measurement an image, and of a large one a sample, as this runs at every step;
        `round_inside` is exact.
        """
        delta = self.project(perturbed - original)
        distance = self.spent(_sample(original), _sample((original + delta).clamp(0, 1)))
        scale = (self.radius / distance).pow(1 / GROWTH).clamp_max(1).view(-1, 1, 1, 1)
        return (original + scale * delta).clamp(0, 1)

    def round_inside(self, original: Tensor, perturbed: Tensor) -> Tensor:
        """The 8-bit image on the way to ``perturbed`` whose measured distance is in the budget."""
        start = (original * 255).round()
        wanted = self.project(perturbed.clamp(0, 1) - original) * 255

        def at(row: int, scale: float) -> Tensor:
            moved = (scale * wanted[row : row + 1]).round().clamp(-self.levels, self.levels)
            return on_grid((start[row : row + 1] + moved).clamp(0, 255))

        rows = [self._longest(one, partial(at, row)) for row, one in enumerate(original)]
        return torch.cat(rows) if rows else original

    def _longest(self, original: Tensor, at: Callable[[float], Tensor]) -> Tensor:
        """``at`` the largest scale found whose picture is in the budget."""
        best, low, high, scale, tries = at(0.0), 0.0, 1.0, 1.0, TRIES
        while scale > SHORTEST and tries > 0:
            picture, tries = at(scale), tries - (low > 0)
            distance = float(self.spent(original[None], picture))
            if distance <= self.radius:
                best, low = picture, scale
                if scale == 1 or distance > CLOSE * self.radius:
                    break
                scale = (low + high) / 2
            else:
                high = scale
                guess = scale * (CLOSE * self.radius / distance) ** (1 / GROWTH)
                scale = guess if low < guess < high else (low + high) / 2
        return best

    def describe(self) -> str:
        """The budget in words."""
        return (
            f"{self.radius:g} in {self.norm} distance, no value by more than {self.levels} levels"
        )

    def __str__(self) -> str:
        """The budget as one would type it, exactly."""
        guard = "" if self.within == 32 / 255 else f"@{shortest(self.within)}"
        return f"{self.norm}:{shortest(self.radius)}{guard}"


def _sample(image: Tensor) -> Tensor:
    """Patches that are spread over a large picture, side by side as one; a small one whole."""
    for dim in (-2, -1):
        side = image.shape[dim]
        if side > PATCHES * PATCH:
            starts = torch.linspace(0, side - PATCH, PATCHES).round().long()
            places = (starts[:, None] + torch.arange(PATCH)).flatten()
            image = image.index_select(dim, places.to(image.device))
    return image


def over_tiles(
    score: Callable[[Tensor, Tensor], Tensor], image: Tensor, reference: Tensor
) -> Tensor:
    """The mean score (N,) of pairs (N, 3, H, W) over tiles of at most ``TILE`` pixels a side.

    Tiles are of nearly one size and weigh by their area; a picture that is one tile is not cut.
    """
    total = 0
    for rows in torch.arange(image.shape[-2]).tensor_split(-(-image.shape[-2] // TILE)):
        for columns in torch.arange(image.shape[-1]).tensor_split(-(-image.shape[-1] // TILE)):
            place = (..., slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1))
            total = total + score(image[place], reference[place]) * len(rows) * len(columns)
    return total / (image.shape[-2] * image.shape[-1])
