"""Usable edits: how often an attacker gets what was asked for; what a transform costs anyone."""

from collections import Counter
from dataclasses import dataclass

import numpy as np

from brittle.analysis.intervals import (
    Array,
    mean_interval,
    share_difference_interval,
    share_interval,
)
from brittle.analysis.summary import BestOf, Interval, TransformCost, Usable
from brittle.analysis.table import Block, Table, photo_means, shared_points
from brittle.record.arms import ORIGINAL

MIN_CLEAN_SHARE = 0.6
"""Below this share of usable edits of the untouched photo, the judgement itself is not valid."""


@dataclass(frozen=True)
class Shares:
    """Usable shares of one arm under one transform."""

    per_photo: Array
    """(photos,), NaN where there is no judgement."""
    rows: int
    hits: int


class UsableEdits:
    """All judgements of one editor."""

    def __init__(self, table: Table, *, editor: str, invalid: str = "") -> None:
        """Look at one editor; ``invalid`` says why nothing may be judged, if so."""
        self.table, self.editor = table, editor
        self.reason = invalid or self._why_not()

    def block(self, arm: str, transform: str, metric: str = "usable") -> Block:
        """The judgements of one arm's edits, 0 or 1, or one of the two scores behind them."""
        return self.table.judged(arm, transform, editor=self.editor, metric=metric)

    def shares(self, arm: str, transform: str) -> Shares:
        """Each photo's share of usable edits."""
        values = self.block(arm, transform).values
        valid = np.isfinite(values)
        return Shares(photo_means(values, valid), int(valid.sum()), int(np.nansum(values)))

    def rate(self, arm: str, transform: str, alpha: float) -> Interval | None:
        """The mean over photos of their shares; None where usable is not judged."""
        if self.reason:
            return None
        shares = self.shares(arm, transform)
        values = shares.per_photo[np.isfinite(shares.per_photo)]
        return share_interval(values, shares.rows, alpha)

    def difference(
        self, arm: str, transform: str, other: str, other_transform: str, alpha: float
    ) -> Interval | None:
        """One share minus another, paired by (photo, prompt, seed)."""
        if self.reason:
            return None
        blocks = [self.block(arm, transform), self.block(other, other_transform)]
        valid, _ = shared_points(blocks)
        left, right = (photo_means(block.values, valid) for block in blocks)
        differences = left - right
        return share_difference_interval(differences[np.isfinite(differences)], alpha)

    def best_of(self, arm: str, transform: str, tries: int) -> BestOf | None:
        """How often at least one of several tries is usable."""
        if self.reason:
            return None
        block = self.block(arm, transform)
        shares = self.shares(arm, transform)
        known = shares.per_photo[np.isfinite(shares.per_photo)]
        if not len(known):
            return None
        found = [
            value
            for hits, judged in zip(
                np.nansum(block.values, 1), np.isfinite(block.values).sum(1), strict=True
            )
            if judged
            for value in [_at_least_one(int(hits), int(judged), tries)]
        ]
        within = [value for value in found if value is not None]
        return BestOf(
            tries=tries,
            independent=float(1 - (1 - known.mean()) ** tries),
            within_photo=float(np.mean(within)) if len(within) == len(found) else None,
        )

    def record(self, arm: str, transform: str, *, alpha: float, primary: bool) -> Usable | None:
        """Everything about one arm under one transform; None where nothing was measured."""
        scores = [self.block(arm, transform, metric) for metric in ("usable", "follow", "keep")]
        if not any(block.asked.any() for block in scores):
            return None
        shares = self.shares(arm, transform)
        here = np.isfinite(shares.per_photo)
        names = [name for name, there in zip(self.table.photos, here, strict=True) if there]
        follow, keep = (_mean_over_photos(block) for block in scores[1:])
        judged = not self.reason
        return Usable(
            arm=arm,
            transform=transform,
            editor=self.editor,
            exploratory=not primary,
            n=int(here.sum()),
            rows=shares.rows,
            usable=shares.hits,
            rate=self.rate(arm, transform, alpha),
            reason=self.reason or ("" if here.any() else "no edit was judged"),
            difference=(
                None
                if arm == ORIGINAL
                else self.difference(arm, transform, ORIGINAL, transform, alpha)
            ),
            from_clean=(
                None
                if (arm, transform) == (ORIGINAL, "none")
                else self.difference(arm, transform, ORIGINAL, "none", alpha)
            ),
            follow=follow,
            keep=keep,
            per_photo=(
                dict(zip(names, shares.per_photo[here].tolist(), strict=True)) if judged else {}
            ),
        )

    def _why_not(self) -> str:
        clean = self.block(ORIGINAL, "none")
        if not clean.asked.any():
            return "the trial does not judge edits of the unprotected photo"
        share = self.shares(ORIGINAL, "none").per_photo
        if not np.isfinite(share).any():
            reasons = Counter(self.table.reasons_of("usable", self.editor))
            return reasons.most_common(1)[0][0] if reasons else "no edit was judged"
        mean = float(np.nanmean(share))
        if mean < MIN_CLEAN_SHARE - 1e-9:
            return (
                f"only {mean:.0%} of the edits of unprotected photos count as usable, and the "
                f"judgement is valid from {MIN_CLEAN_SHARE:.0%} on"
            )
        return ""


def transform_cost(
    table: Table, usable: UsableEdits, transform: str, *, metric: str, alpha: float
) -> TransformCost | None:
    """What a transform costs an edit of the unprotected photo; None where not measured."""
    where = {"editor": usable.editor, "metric": f"{metric}.distance"}
    moved = table.block(ORIGINAL, transform, reference="clean", **where)
    floor = table.block(ORIGINAL, "none", reference="seed", **where)
    lost = usable.difference(ORIGINAL, "none", ORIGINAL, transform, alpha)
    if not moved.asked.any() and lost is None:
        return None
    distance, seed_floor = _interval_over_photos(moved, alpha), _interval_over_photos(floor, alpha)
    return TransformCost(
        transform=transform,
        editor=usable.editor,
        metric=metric,
        usable=lost,
        distance=distance,
        seed_floor=seed_floor,
        within_seed_floor=(
            distance.estimate <= seed_floor.estimate if distance and seed_floor else None
        ),
    )


def _interval_over_photos(block: Block, alpha: float) -> Interval | None:
    means = photo_means(block.values, np.isfinite(block.values))
    return mean_interval(means[np.isfinite(means)], alpha)


def _mean_over_photos(block: Block) -> float | None:
    means = photo_means(block.values, np.isfinite(block.values))
    known = means[np.isfinite(means)]
    return float(known.mean()) if len(known) else None


def _at_least_one(hits: int, judged: int, tries: int) -> float | None:
    """Chance that some of ``tries`` edits drawn from a photo's judged ones are usable."""
    if judged < tries:
        return None
    missed = 1.0
    for taken in range(tries):
        missed *= max(judged - hits - taken, 0) / (judged - taken)
    return 1 - missed
