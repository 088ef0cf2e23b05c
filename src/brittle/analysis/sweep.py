"""A sweep of budgets: what protections do at a distortion that all of them reach on a photo."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from brittle.analysis.effects import Effects
from brittle.analysis.intervals import Array
from brittle.analysis.table import Mask
from brittle.analysis.usable import UsableEdits


@dataclass(frozen=True)
class Reading:
    """One protection's outcomes at equal distortion, (photos,) each, NaN where there are none."""

    distortion: Array
    effect: Array
    room: Array
    usable: Array


class Sweep:
    """Protections at several budgets, read at equal distortion in one ruler."""

    def __init__(
        self,
        effects: Effects,
        usable: UsableEdits,
        arms: dict[str, list[str]],
        ruler: str,
    ) -> None:
        """``arms``: the arms of each protection, one a budget; ``ruler``: a metric's name."""
        self.effects, self.usable, self.arms, self.ruler = effects, usable, arms, ruler

    def distortion(self, arm: str) -> Array:
        """How far an arm's published files are from the photos, (photos,): for psnr, the RMSE."""
        metric = f"{self.ruler}.distance"
        block = self.effects.table.block(
            arm, "none", editor=self.effects.editor, metric=metric, reference="release"
        )
        return block.means

    @cached_property
    def range(self) -> tuple[Array, Array]:
        """The distortions that every protection's budgets enclose on a photo: (photos,) twice."""
        swept = [np.stack([self.distortion(arm) for arm in arms]) for arms in self.arms.values()]
        low = np.max([found.min(0) for found in swept], axis=0)
        high = np.min([found.max(0) for found in swept], axis=0)
        return low, high

    @property
    def comparable(self) -> Mask:
        """Which photos have distortions that all protections reach, as a mask."""
        low, high = self.range
        found: Mask = np.isfinite(low) & np.isfinite(high) & (low < high)
        return found

    def read(self, protection: str, transform: str, place: float) -> Reading:
        """Outcomes at one place in each photo's common range, never outside of it."""
        arms = self.arms[protection]
        contrasts = [self.effects.contrast(arm, transform) for arm in arms]
        shares = [self.usable.shares(arm, transform).per_photo for arm in arms]
        low, high = self.range
        at = np.where(self.comparable, low + place * (high - low), np.nan)
        known = np.stack([self.distortion(arm) for arm in arms])
        effect, room, usable = (
            interpolate(at, known, np.stack(values))
            for values in ([c.effect for c in contrasts], [c.room for c in contrasts], shares)
        )
        return Reading(at, effect, room, usable)


def interpolate(at: Array, x: Array, y: Array) -> Array:
    """For each photo, y at ``at`` (photos,) on a smooth curve through (x, y), (budgets, photos).

    The curve (PCHIP) has no extremes between its points. NaN where a number is missing, or where
    ``at`` lies outside of the photo's x: nothing is extrapolated. Equal x are averaged.
    """
    from scipy.interpolate import PchipInterpolator

    found = np.full(len(at), np.nan)
    for photo in range(len(at)):
        values, places = y[:, photo], x[:, photo]
        if not np.isfinite([at[photo], *values, *places]).all():
            continue
        known, which = np.unique(places, return_inverse=True)
        if known[0] <= at[photo] <= known[-1] and len(known) > 1:
            means = np.bincount(which, values) / np.bincount(which)
            found[photo] = PchipInterpolator(known, means)(at[photo])
    return found
