"""Effects, reach and retention: how far an arm moved the edits, beyond a placebo of its size."""

from dataclasses import dataclass

import numpy as np

from brittle.analysis.intervals import (
    Array,
    bootstrap_t_bounds,
    make_interval,
    mean_interval,
    ratio_interval,
    t_quantile,
)
from brittle.analysis.phrases import all_or_some, count, decimal, with_bounds
from brittle.analysis.summary import MIN_PHOTOS, Effect, Interval, Placebo
from brittle.analysis.table import Block, Mask, Table, photo_means, shared_points
from brittle.record.arms import PLACEBO_KINDS

EXPLORATORY_ALPHA = 0.025
GATE_ALPHA = 0.025
"""A share is shown or withheld by one rule for all of a trial's transforms, declared or not."""
TOO_WEAK = "too weak for a share"


@dataclass(frozen=True)
class Contrast:
    """One arm under one transform against its placebo: one number a photo, NaN where none."""

    effect: Array
    """d(arm) - d(placebo), (photos,)."""
    room: Array
    """d(gray) - d(placebo), (photos,); all NaN where no gray picture was edited."""
    distance: Array
    placebo: Array
    ceiling: Array
    win_rate: float | None
    rows: int
    dropped: int

    @property
    def photos(self) -> Mask:
        """Which photos have an effect, as a mask."""
        found: Mask = np.isfinite(self.effect)
        return found


class Effects:
    """All contrasts of one editor and metric, and the records made of them."""

    def __init__(self, table: Table, *, editor: str, metric: str, kind: str | None) -> None:
        """Look at one editor and one metric, with the chosen kind of placebo."""
        self.table, self.editor, self.metric, self.kind = table, editor, metric, kind
        self._contrasts: dict[tuple[str, str, str | None], Contrast] = {}

    def block(self, arm: str, transform: str) -> Block:
        """The distances of one arm's edits to the control's."""
        return self.table.block(
            arm, transform, editor=self.editor, metric=f"{self.metric}.distance"
        )

    def placebo(self, arm: str) -> str:
        """The arm of a protection's placebo; empty where there is none."""
        return self.table.placebo(arm, self.kind)

    def compared(self) -> Mask:
        """Which points have some arm's edit compared with the control's, (points,)."""
        asked: Mask = np.zeros(len(self.table.points), bool)
        for arm in self.table.names("arm", reference="control"):
            asked = asked | self.block(arm, "none").asked.any(0)
        return asked

    def contrast(self, arm: str, transform: str, *, paired: str | None = None) -> Contrast:
        """One number a photo; ``paired``: only at points that this transform has as well."""
        key = (arm, transform, paired)
        if key not in self._contrasts:
            self._contrasts[key] = self._contrast(arm, transform, paired)
        return self._contrasts[key]

    def _contrast(self, arm: str, transform: str, paired: str | None) -> Contrast:
        placebo = self.placebo(arm)
        d_arm, d_placebo = self.block(arm, transform), self.block(placebo, transform)
        gray = self.block(self.table.ceiling, transform)
        blocks = [d_arm, d_placebo] + [gray] * bool(gray.asked.any())
        if paired is not None:
            blocks += [self.block(arm, paired), self.block(placebo, paired)]
        valid, dropped = shared_points(blocks)
        arm_mean, placebo_mean, gray_mean = (
            photo_means(block.values, valid) for block in (d_arm, d_placebo, gray)
        )
        return Contrast(
            effect=arm_mean - placebo_mean,
            room=gray_mean - placebo_mean,
            distance=arm_mean,
            placebo=placebo_mean,
            ceiling=gray_mean,
            win_rate=_win_rate(d_arm.values[valid], d_placebo.values[valid]),
            rows=int(valid.sum()),
            dropped=dropped,
        )

    def share_pair(self, arm: str, transform: str) -> tuple[Array, Array]:
        """Effects under a transform and without, (photos,) each, at the points that both have."""
        after = self.contrast(arm, transform, paired="none")
        before = self.contrast(arm, "none", paired=transform)
        both = after.photos & before.photos
        return after.effect[both], before.effect[both]

    def reach(self, arm: str, transform: str, alpha: float) -> Interval | None:
        """The effect as a share of what a gray picture would do; None where it does no more."""
        contrast = self.contrast(arm, transform)
        both = contrast.photos & np.isfinite(contrast.room)
        if not both.any() or contrast.room[both].mean() <= 0:
            return None  # a ratio of two negatives would look like protection
        return ratio_interval(contrast.effect[both], contrast.room[both], alpha)

    def room(self, arm: str, transform: str, alpha: float) -> Interval | None:
        """What a gray picture does beyond noise; None where none was edited."""
        contrast = self.contrast(arm, transform)
        both = contrast.photos & np.isfinite(contrast.room)
        return mean_interval(contrast.room[both], alpha)

    def room_left(self, arm: str, transform: str, alpha: float) -> Interval | None:
        """The share of the room without a transform that is left after one."""
        after = self.contrast(arm, transform, paired="none").room
        before = self.contrast(arm, "none", paired=transform).room
        both = np.isfinite(after) & np.isfinite(before)
        return ratio_interval(after[both], before[both], alpha)

    def retention(self, arm: str, transform: str, alpha: float) -> tuple[Interval | None, str]:
        """The share of the effect that is left, or why there is none."""
        if transform == "none":
            return None, "the effect without a transform is what the others are compared with"
        after, before = self.share_pair(arm, transform)
        n = len(before)
        if n == 0:
            return None, "no photo has an effect both with and without the transform"
        if n < MIN_PHOTOS:
            return ratio_interval(after, before, alpha), ""
        error = before.std(ddof=1) / np.sqrt(n)
        if before.mean() <= 0 or before.mean() < 2 * t_quantile(n - 1, GATE_ALPHA) * error:
            return None, TOO_WEAK
        retention = ratio_interval(after, before, alpha)
        if retention is None or retention.low is None:
            return None, TOO_WEAK
        return retention, ""

    def record(self, arm: str, transform: str, *, alpha: float, primary: bool) -> Effect | None:
        """Everything about one arm under one transform; None where nothing was measured."""
        if not self.block(arm, transform).asked.any():
            return None
        contrast = self.contrast(arm, transform)
        here = contrast.photos
        values = contrast.effect[here]
        names = [name for name, there in zip(self.table.photos, here, strict=True) if there]
        reach = self.reach(arm, transform, alpha)
        retention, reason = self.retention(arm, transform, alpha)
        scale = contrast.room[here].mean() if len(values) else np.nan
        record = Effect(
            arm=arm,
            transform=transform,
            editor=self.editor,
            metric=self.metric,
            exploratory=not primary,
            n=len(values),
            rows=contrast.rows,
            dropped=contrast.dropped,
            distance=_mean(contrast.distance if self.kind else self._alone(arm, transform)),
            placebo=_mean(contrast.placebo),
            ceiling=_mean(contrast.ceiling),
            effect=mean_interval(values, alpha),
            reach=reach,
            retention=retention,
            retention_reason=reason,
            win_rate=contrast.win_rate,
            cross_check=_cross_check(values, alpha) if primary else None,
            per_photo=dict(zip(names, values.tolist(), strict=True)),
            per_photo_reach=(
                dict(zip(names, (values / scale).tolist(), strict=True))
                if np.isfinite(scale) and scale != 0
                else {}
            ),
            photos_above=int((values > 0).sum()),
            summary="",
        )
        return record.model_copy(update={"summary": describe(record)})

    def _alone(self, arm: str, transform: str) -> Array:
        block = self.block(arm, transform)
        return photo_means(block.values, np.isfinite(block.values))


def describe(effect: Effect) -> str:
    """Put an effect in words, for a table: reach and retention together, never without n."""
    if effect.n == 0:
        return "no photo has a number"
    reach = f"reach {with_bounds(effect.reach)}" if effect.reach else "no ceiling, so no reach"
    if effect.n < MIN_PHOTOS:
        values = list(effect.per_photo_reach.values()) or list(effect.per_photo.values())
        return (
            f"{all_or_some(effect.photos_above, effect.n)} moved further than noise of its size; "
            f"from {decimal(min(values))} to {decimal(max(values))} a photo; {reach}"
        )
    if effect.retention:
        share = f"{with_bounds(effect.retention, as_percent=True)} of the effect is left"
    else:
        share = "" if effect.transform == "none" else effect.retention_reason
    return "; ".join(part for part in (reach, share, count(effect.n, "photo")) if part)


def choose_placebo(table: Table, *, arms: tuple[str, ...], editor: str, metric: str) -> Placebo:
    """Choose the kind of placebo that moves untransformed edits further: one choice a trial.

    Only kinds that every arm has can be chosen.
    """
    distances: dict[str, float] = {}
    for kind in PLACEBO_KINDS:
        means = []
        for arm in arms:
            block = table.block(
                table.placebo(arm, kind), "none", editor=editor, metric=f"{metric}.distance"
            )
            means.append(_mean(photo_means(block.values, np.isfinite(block.values))))
        known = [mean for mean in means if mean is not None]
        if known and len(known) == len(arms):
            distances[kind] = float(np.mean(known))
    if not distances:
        sentence = "There is no placebo: nothing can be said to act more strongly than noise."
        return Placebo(chosen=None, distances={}, sentence=sentence)
    chosen = max(distances, key=lambda kind: distances[kind])
    names = {
        "noise": "plain noise of the same size",
        "noise-spectrum": "noise of the same size and spectrum",
    }
    sentence = f"The placebo is {names[chosen]} ({chosen}): " + (
        "of the two kinds it moves untransformed edits further."
        if len(distances) > 1
        else "the only kind that was run."
    )
    return Placebo(chosen=chosen, distances=distances, sentence=sentence)


def _cross_check(values: Array, alpha: float) -> Interval | None:
    n = len(values)
    if n < MIN_PHOTOS:
        return None
    return make_interval(bootstrap_t_bounds(values, alpha), alpha=alpha, method="bootstrap-t", n=n)


def _win_rate(arm: Array, placebo: Array) -> float | None:
    if not len(arm):
        return None
    return float(((arm > placebo) + 0.5 * (arm == placebo)).mean())


def _mean(values: Array) -> float | None:
    values = values[np.isfinite(values)]
    return float(values.mean()) if len(values) else None
