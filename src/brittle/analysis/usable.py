"""Usable edits: how often an attacker gets what was asked for; what a transform costs anyone."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from brittle.analysis.evidence import UsableFrom
from brittle.analysis.intervals import (
    Array,
    known_mean,
    mean_interval,
    share_difference_interval,
    share_interval,
    widened,
)
from brittle.analysis.phrases import of_edits
from brittle.analysis.summary import BestOf, Interval, TransformCost, Usable
from brittle.analysis.table import Block, Table, shared_points, unit_means
from brittle.analysis.threshold_errors import ThresholdMoves
from brittle.record.arms import ORIGINAL

MIN_CLEAN_SHARE = 0.6
"""Below this share of usable edits of the untouched photo, the judgement itself is not valid."""


@dataclass(frozen=True)
class Shares:
    """Usable shares of one arm under one transform."""

    per_photo: Array
    """(photos,), NaN where there is no judgement."""
    rows: int
    hits: float
    """Usable edits; an audit's placebo has parts of one, its draws' mean."""


class UsableEdits:
    """All judgements of one editor."""

    def __init__(
        self,
        table: Table,
        *,
        editor: str,
        invalid: str = "",
        thresholds: UsableFrom | None = None,
    ) -> None:
        """Look at one editor; ``invalid`` says why nothing may be judged, if so.

        Of ``thresholds`` the errors count in intervals, where they are known.
        """
        self.table, self.editor = table, editor
        self.moves = (
            ThresholdMoves(table, editor, thresholds) if thresholds and thresholds.errors else None
        )
        self.reason = invalid or self._why_not()

    def block(self, arm: str, transform: str, metric: str = "usable") -> Block:
        """The judgements of one arm's edits, 0 or 1, or one of the two scores behind them."""
        return self.table.judged(arm, transform, editor=self.editor, metric=metric)

    def shares(self, arm: str, transform: str) -> Shares:
        """Each photo's share of usable edits."""
        block = self.block(arm, transform)
        rows, hits = np.isfinite(block.values).sum(), np.nansum(block.values)
        return Shares(block.means, int(rows), float(hits))

    def lacking(self, cells: Iterable[tuple[str, str]]) -> tuple[int, int]:
        """Edits (photo, prompt, seed) that lack a judgement in some of these arms and transforms.

        Returns them and how many were asked for. Of all but the first, what nobody asked for is not
        lacking. A prompt on which no edit of the unprotected photo was judged has no thresholds,
        and is not asked about.
        """
        first, *rest = (self.block(*cell) for cell in cells)
        asked = [first, *(block for block in rest if block.asked.any())]
        judged = np.isfinite(self.block(ORIGINAL, "none").values).any(0)
        prompts = {self.table.points[at][1] for at in np.flatnonzero(judged)}
        counted = np.array([prompt in prompts for _, prompt, _ in self.table.points])
        valid, _ = shared_points(asked)
        everything = np.logical_or.reduce([block.asked for block in asked]) & counted
        return int((everything & ~valid).sum()), int(everything.sum())

    def rate(self, arm: str, transform: str, alpha: float) -> Interval | None:
        """The mean over photos of their shares; None where usable is not judged."""
        if self.reason:
            return None
        shares = self.shares(arm, transform)
        interval = share_interval(shares.per_photo, shares.rows, alpha, self.table.unit)
        if interval is None or self.moves is None:
            return interval
        valid = np.isfinite(self.block(arm, transform).values)
        moved = [unit_means(move, valid) for move in self.moves.of(arm, transform)]
        return widened(interval, self._error(moved), 0.0)

    def difference(
        self, arm: str, transform: str, other: str, other_transform: str, alpha: float
    ) -> Interval | None:
        """One share minus another, paired by (photo, prompt, seed)."""
        if self.reason:
            return None
        blocks = [self.block(arm, transform), self.block(other, other_transform)]
        valid, _ = shared_points(blocks)
        left, right = (unit_means(block.values, valid) for block in blocks)
        interval = share_difference_interval(left - right, alpha, self.table.unit)
        if interval is None or self.moves is None:
            return interval
        moves = (self.moves.of(arm, transform), self.moves.of(other, other_transform))
        moved = [unit_means(one - two, valid) for one, two in zip(*moves, strict=True)]
        return widened(interval, self._error(moved), -1.0)

    def _error(self, moved: Iterable[Array]) -> float:
        """The standard error from what each threshold's own moves the photos' shares by."""
        return float(np.sqrt(sum(self.table.unit.means(one)[0].mean() ** 2 for one in moved)))

    def best_of(self, arm: str, transform: str, tries: int) -> BestOf | None:
        """How often at least one of several tries is usable."""
        if self.reason:
            return None
        block = self.block(arm, transform)
        mean = known_mean(block.means, self.table.unit)
        if mean is None:
            return None
        hits, judged = np.nansum(block.values, 1), np.isfinite(block.values).sum(1)
        within = np.array(
            [_at_least_one(int(hit), int(of), tries) for hit, of in zip(hits, judged, strict=True)]
        )
        enough = (judged[judged > 0] >= tries).all()
        return BestOf(
            tries=tries,
            independent=1 - (1 - mean) ** tries,
            within_photo=known_mean(within, self.table.unit) if enough else None,
        )

    def record(self, arm: str, transform: str, *, alpha: float, primary: bool) -> Usable | None:
        """Everything about one arm under one transform; None where nothing was measured."""
        scores = [self.block(arm, transform, metric) for metric in ("usable", "follow", "keep")]
        if not any(block.asked.any() for block in scores):
            return None
        shares = self.shares(arm, transform)
        per_photo = self.table.by_unit(shares.per_photo)
        follow, keep = (known_mean(block.means, self.table.unit) for block in scores[1:])
        return Usable(
            arm=arm,
            transform=transform,
            editor=self.editor,
            exploratory=not primary,
            n=self.table.unit.count(np.isfinite(shares.per_photo)),
            rows=shares.rows,
            usable=round(shares.hits),
            rate=self.rate(arm, transform, alpha),
            reason=self.reason or ("" if per_photo else "no edit was judged"),
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
            per_photo={} if self.reason else per_photo,
        )

    def _why_not(self) -> str:
        clean = self.block(ORIGINAL, "none")
        if not clean.asked.any():
            return "the trial does not judge edits of the unprotected photo"
        mean = known_mean(self.shares(ORIGINAL, "none").per_photo, self.table.unit)
        if mean is None:
            reasons = Counter(self.table.reasons_of("usable", self.editor))
            return reasons.most_common(1)[0][0] if reasons else "no edit was judged"
        if mean < MIN_CLEAN_SHARE - 1e-9:
            edits = self.shares(ORIGINAL, "none").rows
            return (
                f"only {of_edits(mean * edits, edits)} edits of unprotected photos count as "
                f"usable, and the judgement is valid from {MIN_CLEAN_SHARE:.0%} on"
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
    distance, seed_floor = (
        mean_interval(block.means, alpha, table.unit) for block in (moved, floor)
    )
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


def _at_least_one(hits: int, judged: int, tries: int) -> float:
    """Chance that some of ``tries`` edits drawn from a photo's judged ones are usable.

    NaN where there are fewer.
    """
    if judged < tries:
        return np.nan
    missed = 1.0
    for taken in range(tries):
        missed *= max(judged - hits - taken, 0) / (judged - taken)
    return 1 - missed
