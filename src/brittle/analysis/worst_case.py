"""What is left when the attacker may choose the transform for each photo.

The smallest of many noisy numbers is biased: whatever chose must not score. So one half of the
seeds chooses and the other half scores, then the halves change places, and the two are averaged.
"""

from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from brittle.analysis.effects import Effects
from brittle.analysis.intervals import Array, known_mean, mean_interval, share_interval
from brittle.analysis.summary import Interval, Line, WorstCase
from brittle.analysis.table import shared_points, unit_means
from brittle.analysis.usable import UsableEdits
from brittle.record.arms import ORIGINAL

ALPHA = 0.025
FIXED = "jpeg:quality=75"
LINES: tuple[Line, ...] = ("oracle", "selector", "fixed")


def cross_fit(criterion: Array, scores: Array) -> tuple[Array, NDArray[np.int64]]:
    """Choose the smallest criterion on one half and score it on the other, both ways.

    Both arrays are (..., transforms, 2); returns the mean score (...,) and the choices (..., 2).
    """
    choice = criterion.argmin(-2)
    swapped = np.take_along_axis(scores, choice[..., None, ::-1], axis=-2)[..., 0, :]
    return swapped.mean(-1), choice


class Search:
    """One search over transforms, the same for every arm."""

    def __init__(self, effects: Effects, usable: UsableEdits, transforms: Sequence[str]) -> None:
        """Search among ``transforms``, in the metric and editor of ``effects``."""
        self.effects, self.usable, self.transforms = effects, usable, tuple(transforms)
        seeds = [seed for *_, seed in effects.table.points]
        asked = [effects.block(arm, "none").asked.any(0) for arm in effects.table.compared]
        compared = sorted({seeds[i] for i in np.flatnonzero(np.any(asked, 0))})
        self.halves = tuple(np.isin(seeds, compared[half::2]) for half in (0, 1))

    def worst_cases(self, arms: Sequence[str]) -> Iterator[WorstCase]:
        """Three lines for the original, and for each protection and its placebo."""
        placebos = [self.effects.placebo(arm) for arm in arms if self.effects.kind]
        for arm in [ORIGINAL, *placebos, *arms]:
            for line in LINES:
                yield self._line(arm, line, protected=arm in arms)

    def _line(self, arm: str, line: Line, *, protected: bool) -> WorstCase:
        effect = self._effects(arm) if protected else None
        hits = self._halved(arm, "usable") if not self.usable.reason else None
        attack = self._attackers_score(arm, line)
        chosen: Counter[str] = Counter()
        values = share = None
        if line == "fixed":
            reason = "" if FIXED in self.transforms else "JPEG 75 was not tried"
            pick = self.transforms.index(FIXED) if not reason else 0
            chosen.update({FIXED: len(self.effects.table.units)} if not reason else {})
            if effect is not None and not reason:
                values = effect[:, pick].mean(-1)
            usable = hits[:, pick].mean(-1) if hits is not None and not reason else None
        else:
            reason = self._why_not(arm, line, effect, attack)
            usable = None
            if not reason:
                by_effect = effect if line == "oracle" else attack
                if effect is not None and by_effect is not None:
                    values = self._fit(by_effect, effect, chosen)
                if hits is not None and attack is not None:
                    usable = self._fit(attack, hits, None if effect is not None else chosen)
        if values is not None:
            share = self._share(arm, values)
        return WorstCase(
            arm=arm,
            line=line,
            editor=self.effects.editor,
            metric=self.effects.metric,
            transforms=len(self.transforms),
            effect=None if values is None else mean_interval(values, ALPHA),
            share=share,
            usable=_share_of(usable),
            plain_minimum=(
                known_mean(effect.mean(-1).min(-1))
                if effect is not None and line == "oracle"
                else None
            ),
            chosen=dict(sorted(chosen.items())),
            reason=reason,
        )

    def _why_not(self, arm: str, line: Line, effect: Array | None, attack: Array | None) -> str:
        if not all(half.any() for half in self.halves):
            return "one seed only: what chooses must not score"
        if line == "selector" and attack is None:
            return "no score against the published file: the attacker has nothing to choose by"
        found = effect if effect is not None else attack
        if found is None:
            return "edits were not judged against the photo"
        if not np.isfinite(found).all((1, 2)).any():
            return "no photo has numbers for every transform in both halves of the seeds"
        return ""

    def _fit(self, criterion: Array, scores: Array, chosen: Counter[str] | None) -> Array:
        here = np.isfinite(criterion + scores).all((1, 2))
        values = np.full(len(criterion), np.nan)
        if here.any():
            values[here], choice = cross_fit(criterion[here], scores[here])
            if chosen is not None:
                chosen.update(self.transforms[i] for i in choice.ravel())
        return values

    def _effects(self, arm: str) -> Array:
        """Effects (photos, transforms, 2)."""
        placebo = self.effects.placebo(arm)
        found = []
        for transform in self.transforms:
            blocks = [self.effects.block(arm, transform), self.effects.block(placebo, transform)]
            valid, _ = shared_points(blocks)
            found.append(self._half_means(blocks[0].values - blocks[1].values, valid))
        return np.stack(found, 1)

    def _halved(self, arm: str, metric: str, reference: str = "photo") -> Array | None:
        """A score against the photo or the published file, (photos, transforms, 2)."""
        found = []
        for transform in self.transforms:
            block = self.effects.table.judged(
                arm, transform, editor=self.effects.editor, metric=metric, reference=reference
            )
            if not block.asked.any():
                return None
            found.append(self._half_means(block.values, np.isfinite(block.values)))
        return np.stack(found, 1)

    def _half_means(self, values: Array, valid: NDArray[np.bool_]) -> Array:
        return np.stack([unit_means(values, valid & half) for half in self.halves], -1)

    def _attackers_score(self, arm: str, line: Line) -> Array | None:
        """Score transforms for an attacker, small is good."""
        reference = "published" if line == "selector" else "photo"
        follow, keep = (self._halved(arm, metric, reference) for metric in ("follow", "keep"))
        if follow is None or keep is None:
            return None
        return -lower_rank(follow, keep)

    def _share(self, arm: str, values: Array) -> float | None:
        before = self.effects.contrast(arm, "none").effect
        both = np.isfinite(values) & np.isfinite(before)
        if not both.any() or before[both].mean() <= 0:
            return None
        return float(values[both].mean() / before[both].mean())


def lower_rank(follow: Array, keep: Array) -> Array:
    """What an attacker goes by: the lower of a transform's two ranks among all; large is good.

    Scores and result are (photos, transforms, k), k sets of scores that are ranked apart.
    """
    lower: Array = np.minimum(_ranks(follow), _ranks(keep))
    return lower


def _ranks(scores: Array) -> Array:
    """Ranks among transforms, ties halved, NaN kept; (photos, transforms, k) in and out."""
    mine, other = scores[:, :, None], scores[:, None]
    ranks: Array = ((mine > other) + 0.5 * (mine == other)).sum(2)
    return np.where(np.isnan(scores), np.nan, ranks)


def _share_of(values: Array | None) -> Interval | None:
    if values is None:
        return None
    return share_interval(values, 2 * int(np.isfinite(values).sum()), ALPHA)
