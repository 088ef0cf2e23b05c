"""What is left when the attacker may choose the transform, or no transform, for each photo.

The best of many noisy numbers looks too good: whatever chose must not score. So one half of the
seeds chooses and the other half scores, then the halves change places, and the two are averaged;
what is learned from photos is learned from the others.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from brittle.analysis.effects import Effects
from brittle.analysis.evidence import UsableFrom
from brittle.analysis.intervals import (
    Array,
    known_mean,
    mean_interval,
    ratio_interval,
    share_interval,
)
from brittle.analysis.summary import Interval, Line, WorstCase
from brittle.analysis.table import Block, Mask, unit_means
from brittle.analysis.usable import UsableEdits
from brittle.record.arms import ORIGINAL

ALPHA = 0.025
LINES: tuple[Line, ...] = ("any", "oracle", "selector", "best fixed")
WEIGHTS = (0.0, 0.3, 0.6, 0.9)
"""How much a photo's own edits may count against the other photos'; never all: those break ties."""
NOT_AT_HAND = "the thresholds of usable are not at hand"
INCOMPLETE = "no photo has numbers for every transform in every half of the seeds"
ONE_SEED = "one seed only: what chooses must not score"

Choices = NDArray[np.int64]
Groups = NDArray[np.int64]


def cross_fit(loss: Array, scores: Array) -> tuple[Array, Choices]:
    """Choose the smallest loss on one half and score it on the other, both ways.

    Both arrays are (..., transforms, 2); returns the mean score (...,) and the choices (..., 2).
    """
    choice = loss.argmin(-2)
    swapped = np.take_along_axis(scores, choice[..., None, ::-1], axis=-2)[..., 0, :]
    return swapped.mean(-1), choice


def draw_towards_others(loss: Array, weight: float, group: Groups | None = None) -> Array:
    """Each photo's losses (photos, transforms, halves), drawn towards the other photos' means.

    A weight of 0 leaves nothing of its own, 1 everything; one photo alone has no others. ``group``
    (photos,) numbers the photos that belong together, 0, 1, …: others are other groups, each one.
    """
    group = np.arange(len(loss)) if group is None else group
    each = np.stack([loss[group == one].mean(0) for one in range(group.max() + 1)])
    if len(each) < 2:
        return loss
    others = ((each.sum(0) - each) / (len(each) - 1)).mean(-1, keepdims=True)[group]
    others = others.round(12)  # what rounding leaves of a photo's own would decide between ties
    return others + weight * (loss - others)


def with_others(loss: Array, group: Groups | None = None) -> Array:
    """What to choose by, from losses (photos, transforms, 2): a photo's own and the others'.

    A photo's few edits are noisy, so how much they count is what would have served the other photos
    best. Where all photos have the same best transform, little of their own is left, and nothing is
    lost against always taking that one.
    """
    group = np.arange(len(loss)) if group is None else group
    if group.max() < 2:
        return loss
    drawn = {weight: draw_towards_others(loss, weight, group) for weight in WEIGHTS}
    found = loss.copy()
    for one in range(group.max() + 1):
        mine, others = group == one, _numbered(group[group != one])
        rest = loss[~mine]
        served = [
            _mean_of_groups(cross_fit(draw_towards_others(rest, weight, others), rest)[0], others)
            for weight in WEIGHTS
        ]
        found[mine] = drawn[WEIGHTS[int(np.argmin(served))]][mine]
    return found


def _numbered(group: NDArray[np.int64]) -> Groups:
    """Groups by any numbers, as 0, 1, … in their order."""
    return np.unique(group, return_inverse=True)[1]


def _mean_of_groups(values: Array, group: Groups) -> float:
    """The mean over groups of their photos' means."""
    return float((np.bincount(group, values) / np.bincount(group)).mean())


@dataclass(frozen=True)
class _Attempt:
    """What one line finds in one outcome."""

    values: Array | None = None
    """(photos,), NaN where a photo has no number."""
    counted: Mask = field(default_factory=lambda: np.zeros((0, 0), bool))
    """Where it is scored, (photos, points): one edit each."""
    chosen: tuple[tuple[str, int], ...] = ()
    reason: str = ""


class Search:
    """One search over transforms, the same for every arm; arrays are (photos, transforms, …)."""

    def __init__(
        self,
        effects: Effects,
        usable: UsableEdits,
        transforms: Sequence[str],
        thresholds: UsableFrom | None = None,
    ) -> None:
        """Search among ``transforms``, in the metric and editor of ``effects``."""
        self.effects, self.usable, self.transforms = effects, usable, tuple(transforms)
        self.table, self.thresholds = effects.table, thresholds
        self.ceiling = effects.block(self.table.ceiling, "none")
        seeds = [seed for *_, seed in self.table.points]
        asked = [effects.block(arm, "none").asked.any(0) for arm in self.table.compared]
        compared = sorted({seeds[i] for i in np.flatnonzero(np.any(asked, 0))})
        self.parts = [np.isin(seeds, compared[part::2]) for part in (0, 1) if compared[part::2]]

    def worst_cases(self, arms: Sequence[str]) -> Iterator[WorstCase]:
        """All lines for the original, and for each protection and its placebo."""
        placebos = [self.effects.placebo(arm, "none") for arm in arms]
        for arm in filter(None, [ORIGINAL, *placebos, *arms]):
            effect = self._effects(arm) if arm in arms else None
            for line in LINES:
                yield self._line(arm, line, effect)

    def _line(self, arm: str, line: Line, effect: Array | None) -> WorstCase:
        hits = self._hits(arm)
        loss, chosen_by = self._loss(arm, line, hits)
        left = self._effect_left(line, effect, loss)
        got = self._usable(line, hits, loss)
        share, share_reason = self._share(arm, effect, left)
        return WorstCase(
            arm=arm,
            line=line,
            editor=self.effects.editor,
            metric=self.effects.metric,
            transforms=len(self.transforms),
            chosen_by=chosen_by,
            effect=None
            if left.values is None
            else mean_interval(left.values, ALPHA, self.table.unit),
            effect_chosen=dict(left.chosen),
            effect_reason=left.reason,
            share=share,
            share_reason=share_reason,
            reach=self._reach(arm, left),
            usable=None
            if got.values is None
            else share_interval(got.values, int(got.counted.sum()), ALPHA, self.table.unit),
            usable_chosen=dict(got.chosen),
            usable_reason=got.reason,
            plain_minimum=(
                known_mean(self._means(effect, _complete(effect)).mean(-1).min(-1), self.table.unit)
                if line == "any" and effect is not None
                else None
            ),
        )

    def _hits(self, arm: str) -> Array | None:
        if self.usable.reason:
            return None
        return self._scores(self.table.judged, arm, "usable", "photo")

    def _loss(self, arm: str, line: Line, hits: Array | None) -> tuple[Array | None, str]:
        """What chooses, small is good, and its words."""
        if line == "selector":
            return self._attackers_loss(arm)
        if line == "any" or hits is None:
            return None, ""
        return self._oracles_loss(arm, hits)

    def _effect_left(self, line: Line, effect: Array | None, loss: Array | None) -> _Attempt:
        if effect is None:
            return _Attempt(reason="only a protection has an effect")
        if line == "any":
            return _Attempt(reason="whoever takes what worked chooses by the outcome itself")
        return self._choose(line, effect, loss if line == "selector" else effect)

    def _usable(self, line: Line, hits: Array | None, loss: Array | None) -> _Attempt:
        if hits is None:
            return _Attempt(reason=self.usable.reason or "edits were not judged against the photo")
        if line != "any":
            return self._choose(line, hits, loss)
        best = hits.max(1)  # NaN where a transform has no number
        counted = np.isfinite(best)
        values = self._photo_means(best, counted)
        if not np.isfinite(values).any():
            return _Attempt(reason=INCOMPLETE)
        return _Attempt(values, counted)

    def _choose(self, line: Line, scores: Array, loss: Array | None) -> _Attempt:
        """Score what is chosen by a loss; both (photos, transforms, points)."""
        if loss is None:
            return _Attempt(
                reason="no score against the published file: the attacker has nothing to choose by"
            )
        if line != "best fixed" and len(self.parts) < 2:
            return _Attempt(reason=ONE_SEED)
        counted = _complete(loss, scores)
        told, scored = self._means(loss, counted), self._means(scores, counted)
        here: Mask = np.asarray(np.isfinite(told + scored).all((1, 2)))
        if not here.any():
            return _Attempt(reason=INCOMPLETE)
        unit = self.table.unit
        group = _numbered(np.array(unit.members or range(len(here)))[here])
        if line == "best fixed":
            if unit.count(here) < 2:
                return _Attempt(reason=f"one {unit.name} only: what chooses must not score")
            choice = draw_towards_others(told[here], 0, group)[..., 0].argmin(1)[:, None]
            found = np.take_along_axis(scored[here], choice[..., None], axis=1)[:, 0].mean(-1)
        else:
            found, choice = cross_fit(with_others(told[here], group), scored[here])
        values = np.full(len(scores), np.nan)
        values[here] = found
        counts = Counter(self.transforms[i] for i in choice.ravel())
        return _Attempt(values, counted & here[:, None], tuple(counts.most_common()))

    def _oracles_loss(self, arm: str, hits: Array) -> tuple[Array, str]:
        promise = self._promise(arm, "photo")
        if promise is not None:
            return -promise, "how far its edits of the photo lie above the thresholds of usable"
        return -hits, f"its usable edits, since {NOT_AT_HAND}"

    def _attackers_loss(self, arm: str) -> tuple[Array | None, str]:
        """What the attacker can score himself, against the published file."""
        promise = self._promise(arm, "published")
        if promise is not None:
            return -promise, (
                "how far its edits, scored against the published file, lie above the thresholds "
                "of usable"
            )
        follow, keep = (
            self._scores(self.table.judged, arm, metric, "published")
            for metric in ("follow", "keep")
        )
        if follow is None or keep is None:
            return None, ""
        return -lower_rank(follow, keep), (
            "the lower of its two ranks among the transforms, by follow and by keep against the "
            f"published file, since {NOT_AT_HAND}"
        )

    def _promise(self, arm: str, reference: str) -> Array | None:
        """The chance that the edit of another seed is usable, (photos, transforms, points).

        From how far an edit lies above both thresholds, in units of the scatter of a photo's edits.
        """
        if self.thresholds is None:
            return None
        margins = []
        for metric, least in self._least(self.thresholds):
            # Thresholds of one setting of a metric say nothing about another.
            scores = self._scores(self.table.block, arm, metric, reference)
            if scores is None:
                return None
            margin = scores - least[:, None]
            margins.append(margin / _scatter(margin))
        chance: Array = ndtr(np.minimum(*margins))
        return chance if np.isfinite(chance).any() else None

    def _least(self, thresholds: UsableFrom) -> Iterator[tuple[str, Array]]:
        """The metrics of follow and keep, each with its thresholds, (photos, points)."""
        unknown = (np.nan, np.nan)
        least = np.array(
            [
                [
                    thresholds.least.get(photo, {}).get(prompt, unknown)
                    for _, prompt, _ in self.table.points
                ]
                for photo in self.table.units
            ]
        )
        yield thresholds.follow, least[..., 0]
        yield thresholds.keep, least[..., 1]

    def _effects(self, arm: str) -> Array:
        effects = [
            self.effects.block(arm, transform).values - self.effects.noise(arm, transform).values
            for transform in self.transforms
        ]
        # Where the ceiling lacks a number no edit counts, as in `Effects.contrast`.
        unknown = self.ceiling.asked.any() & np.isnan(self.ceiling.values)
        return np.where(unknown[:, None], np.nan, np.stack(effects, 1))

    def _scores(
        self, find: Callable[..., Block], arm: str, metric: str, reference: str
    ) -> Array | None:
        """A score of an arm's edits, from `Table.block` or `judged`; None where not asked for."""
        where = {"editor": self.effects.editor, "metric": metric, "reference": reference}
        blocks = [find(arm, transform, **where) for transform in self.transforms]
        if not all(block.asked.any() for block in blocks):
            return None
        return np.stack([block.values for block in blocks], 1)

    def _means(self, values: Array, counted: Mask) -> Array:
        """Means over each part of the seeds where points count: (photos, transforms, parts)."""
        means = [
            [unit_means(of_one, counted & part) for of_one in np.moveaxis(values, 1, 0)]
            for part in self.parts
        ]
        return np.moveaxis(np.array(means), (0, 1), (2, 1))

    def _photo_means(self, values: Array, counted: Mask) -> Array:
        """One number a photo, each part of the seeds alike; both arrays are (photos, points)."""
        return self._means(values[:, None], counted)[:, 0].mean(-1)

    def _share(self, arm: str, effect: Array | None, left: _Attempt) -> tuple[Interval | None, str]:
        if effect is None or left.values is None:
            return None, left.reason
        untransformed = effect[:, self.transforms.index("none")]
        before = self._photo_means(untransformed, left.counted)
        return self.effects.share(arm, left.values, before, ALPHA)

    def _reach(self, arm: str, left: _Attempt) -> Interval | None:
        if left.values is None:
            return None
        noise = self.effects.noise(arm, "none")
        room = self._photo_means(self.ceiling.values - noise.values, left.counted)
        if (known_mean(room, self.table.unit) or 0.0) <= 0:
            return None  # as in `Effects.reach`
        return ratio_interval(left.values, room, ALPHA, self.table.unit)


def _complete(*scores: Array) -> Mask:
    """Where each of several scores (photos, transforms, points) has numbers for every transform."""
    complete: Mask = np.logical_and.reduce([np.isfinite(one).all(1) for one in scores])
    return complete


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


def _scatter(margins: Array) -> float:
    """Standard deviation of margins (photos, transforms, points) between a photo's edits."""
    known = np.isfinite(margins)
    count = known.sum(-1)
    mean = np.where(known, margins, 0).sum(-1) / np.maximum(count, 1)
    squares = np.where(known, (margins - mean[..., None]) ** 2, 0).sum()
    degrees = np.maximum(count - 1, 0).sum()
    return max(float(np.sqrt(squares / max(degrees, 1))), 1e-9)
