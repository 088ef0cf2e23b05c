"""Effects, reach and retention: how far an arm moved the edits, beyond a placebo of its size."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

from brittle.analysis.intervals import (
    Array,
    bootstrap_t_bounds,
    clearly_above_zero,
    known_mean,
    make_interval,
    mean_interval,
    ratio_interval,
)
from brittle.analysis.phrases import all_or_some, count, decimal, noise_name, with_bounds
from brittle.analysis.sampling_units import PHOTO, Unit
from brittle.analysis.summary import SMALL, Effect, HalfLeft, Interval, Placebo, StrongerNoise
from brittle.analysis.table import Block, Mask, Table, shared_points, unit_means
from brittle.record.arms import NOISES, ORIGINAL

EXPLORATORY_ALPHA = 0.025
GATE_ALPHA = 0.025
"""A share is shown or withheld by one rule for all of a trial's transforms, declared or not."""
TOO_WEAK = "too weak for a share"
NO_SCALE = "a gray picture moves edits no further than noise, so no reach"
NOTHING_LEARNED = "unprotected pictures taught the model too little for a scale"


@dataclass(frozen=True)
class AgainstNoise:
    """One arm under one transform against noise: one number a unit, NaN where it has none."""

    effect: Array
    """d(arm) - d(placebo), (units,)."""
    room: Array
    """What the effect is a share of: all that a perfect protection could add, (units,)."""
    distance: Array
    placebo: Array
    ceiling: Array
    win_rate: float | None
    rows: int
    dropped: int

    @property
    def known(self) -> Mask:
        """Which units have an effect, as a mask."""
        found: Mask = np.isfinite(self.effect)
        return found


class Effects:
    """All contrasts of one editor and metric, and the records made of them.

    An arm is held against the stronger of its placebos after each transform (`noise`). The effect's
    room is ceiling - placebo, or in a trial over collections, where the ceiling is a model that
    learned nothing, ceiling - original: from mimicry without protection to none at all.
    """

    def __init__(self, table: Table, *, editor: str, metric: str) -> None:
        """Look at one editor and one metric."""
        self.table, self.editor, self.metric = table, editor, metric
        self.unit = table.unit
        self._noise: dict[tuple[str, str], Block] = {}
        self._contrasts: dict[tuple[str, str, str | None, str | None], AgainstNoise] = {}

    def block(self, arm: str, transform: str) -> Block:
        """The distances of one arm's edits."""
        return self.table.block(
            arm, transform, editor=self.editor, metric=f"{self.metric}.distance"
        )

    def placebos(self, arm: str, transform: str) -> dict[str, str]:
        """A protection's placebos that were edited after a transform, by kind."""
        named = {kind: self.table.placebo(arm, kind) for kind in NOISES}
        return {
            kind: label
            for kind, label in named.items()
            if label and self.block(label, transform).asked.any()
        }

    def placebo(self, arm: str, transform: str) -> str:
        """The placebo that moves edits further, mean over all units; empty where there is none.

        It stands for noise where one arm has to. What is tested is held against `noise`.
        """
        labels = list(self.placebos(arm, transform).values())
        if len(labels) < 2:
            return labels[0] if labels else ""
        means = self._placebo_means(labels, transform)
        return labels[int(np.nan_to_num(means).sum(1).argmax())]

    def noise(self, arm: str, transform: str) -> Block:
        """Distances of noise of a protection's size: for each unit the placebo that others choose.

        NaN where any kind has no number.
        """
        key = (arm, transform)
        if key not in self._noise:
            labels = list(self.placebos(arm, transform).values())
            blocks = [self.block(label, transform) for label in labels]
            if len(blocks) < 2:
                self._noise[key] = blocks[0] if blocks else self.table.nothing
            else:
                chosen = self._choices(labels, transform)
                values = np.stack([block.values for block in blocks])
                everywhere = np.isfinite(values).all(0)
                mine = values[chosen, np.arange(len(chosen))]
                asked = np.logical_or.reduce([block.asked for block in blocks])
                self._noise[key] = Block(np.where(everywhere, mine, np.nan), asked)
        return self._noise[key]

    def stronger_noise(self, arm: str, transform: str) -> StrongerNoise | None:
        """What noise of each kind does beside a protection; None where none was edited."""
        placebos = self.placebos(arm, transform)
        if not placebos:
            return None
        means = self._placebo_means(placebos.values(), transform)
        if not np.isfinite(means).any():
            return None
        chosen = self._choices(placebos.values(), transform)[np.isfinite(means).all(0)]
        return StrongerNoise(
            arm=arm,
            transform=transform,
            kind=self.table.arms[self.placebo(arm, transform)].noise or "",
            distances={
                kind: known_mean(row, self.unit) or 0.0
                for kind, row in zip(placebos, means, strict=True)
            },
            photos={kind: int((chosen == place).sum()) for place, kind in enumerate(placebos)},
        )

    def _choices(self, labels: Iterable[str], transform: str) -> NDArray[np.intp]:
        """Which placebo stands for each photo: a group chooses, and is chosen for, as one."""
        means = self._placebo_means(labels, transform)
        if not self.unit.members:
            return chosen_by_others(means)
        group = np.array(self.unit.members)
        there = np.unique(group[np.isfinite(means).all(0)])
        chosen = np.zeros(group.max() + 1, np.intp)
        chosen[there] = chosen_by_others(np.stack(self.unit.means(*means)))
        return chosen[group]

    def _placebo_means(self, labels: Iterable[str], transform: str) -> Array:
        """Mean distances (placebos, units) at the points where all of them have a number."""
        blocks = [self.block(label, transform) for label in labels]
        valid, _ = shared_points(blocks)
        return np.stack([unit_means(block.values, valid) for block in blocks])

    def contrast(
        self, arm: str, transform: str, *, paired: str | None = None, against: str | None = None
    ) -> AgainstNoise:
        """One number a unit; ``paired``: only at points that this transform has as well.

        ``against``: held against this one placebo instead, at the same points.
        """
        key = (arm, transform, paired, against)
        if key not in self._contrasts:
            self._contrasts[key] = self._contrast(*key)
        return self._contrasts[key]

    def _contrast(
        self, arm: str, transform: str, paired: str | None, against: str | None
    ) -> AgainstNoise:
        noise = self.noise(arm, transform)
        placebo = noise if against is None else self.block(against, transform)
        least = self.block(ORIGINAL, transform) if self.table.learned else placebo
        blocks = [self.block(arm, transform), placebo, least]
        ceiling = self.block(self.table.ceiling, transform)
        needed = [*blocks, noise, *([ceiling] if ceiling.asked.any() else [])]
        if paired is not None:
            needed += [self.block(arm, paired), self.noise(arm, paired)]
        valid, dropped = shared_points(needed)
        arm_mean, placebo_mean, least_mean, ceiling_mean = (
            unit_means(block.values, valid) for block in (*blocks, ceiling)
        )
        return AgainstNoise(
            effect=arm_mean - placebo_mean,
            room=ceiling_mean - least_mean,
            distance=arm_mean,
            placebo=placebo_mean,
            ceiling=ceiling_mean,
            win_rate=_win_rate(blocks[0].values[valid], blocks[1].values[valid]),
            rows=int(valid.sum()),
            dropped=dropped,
        )

    def share_pair(
        self, arm: str, transform: str, *, against: str | None = None
    ) -> tuple[Array, Array]:
        """Effects under a transform and without, (units,) each, at the points that both have.

        NaN where a unit lacks one of them. ``against``: the one placebo that the effect under the
        transform is held against.
        """
        after = self.contrast(arm, transform, paired="none", against=against)
        before = self.contrast(arm, "none", paired=transform)
        both = after.known & before.known
        return np.where(both, after.effect, np.nan), np.where(both, before.effect, np.nan)

    def reach(
        self, arm: str, transform: str, alpha: float, *, against: str | None = None
    ) -> Interval | None:
        """The effect as a share of its room; None where a perfect protection would add nothing.

        Over collections that is so unless unprotected pictures clearly taught the model something.
        """
        contrast = self.contrast(arm, transform, against=against)
        room = known_mean(contrast.room, self.unit)
        if room is None or room <= 0:
            return None  # a ratio of two negatives would look like protection
        if self.table.learned and not self.above_zero(contrast.room):
            return None
        return ratio_interval(contrast.effect, contrast.room, alpha, self.unit)

    def room(self, arm: str, transform: str, alpha: float) -> Interval | None:
        """What a gray picture does beyond noise; None where none was edited."""
        return mean_interval(self.contrast(arm, transform).room, alpha, self.unit)

    def room_left(self, arm: str, transform: str, alpha: float) -> Interval | None:
        """The share of the room without a transform that is left after one."""
        after = self.contrast(arm, transform, paired="none").room
        before = self.contrast(arm, "none", paired=transform).room
        return ratio_interval(after, before, alpha, self.unit)

    def retention(self, arm: str, transform: str, alpha: float) -> tuple[Interval | None, str]:
        """The share of the effect that is left, or why there is none."""
        if transform == "none":
            return None, "the effect without a transform is what the others are compared with"
        after, before = self.share_pair(arm, transform)
        if not np.isfinite(before).any():
            return None, f"no {self.unit.name} has an effect both with and without the transform"
        return self.share(arm, after, before, alpha)

    def share(
        self, arm: str, after: Array, before: Array, alpha: float
    ) -> tuple[Interval | None, str]:
        """Effects (units,) as a share of those without a transform, unless these are too weak."""
        share = ratio_interval(after, before, alpha, self.unit)
        bounded = share is not None and (share.low is not None or share.method == "none")
        if bounded and self.above_zero(before, quantiles=2) and self._is_enough(arm, before):
            return share, ""
        return None, TOO_WEAK

    def _is_enough(self, arm: str, before: Array) -> bool:
        """Whether an effect of few units, which no interval vouches for, is worth a share of it."""
        room = self.contrast(arm, "none").room
        ratio = ratio_interval(before, room, EXPLORATORY_ALPHA, self.unit)
        return ratio is None or ratio.n >= self.unit.enough or ratio.estimate >= SMALL

    def above_zero(self, values: Array, *, quantiles: int = 1) -> bool:
        """Whether numbers (units,) lie above 0 for sure, as `clearly_above_zero`."""
        (known,) = self.unit.means(values)
        return clearly_above_zero(known, self.unit, GATE_ALPHA, quantiles=quantiles)

    def half_left(self, arm: str, transform: str) -> HalfLeft:
        """Whether more or less than half of the effect is left, at the exploratory level."""
        after, before = self.share_pair(arm, transform)
        difference = mean_interval(after - 0.5 * before, EXPLORATORY_ALPHA, self.unit)
        if difference is not None and difference.low is not None and difference.low > 0:
            return "more than half"
        if difference is not None and difference.high is not None and difference.high < 0:
            return "less than half"
        return "not settled"

    def record(self, arm: str, transform: str, *, alpha: float, primary: bool) -> Effect | None:
        """Everything about one arm under one transform; None where nothing was measured."""
        block = self.block(arm, transform)
        if not block.asked.any():
            return None
        contrast = self.contrast(arm, transform)
        known = contrast.effect[contrast.known]
        retention, reason = self.retention(arm, transform, alpha)
        scale = contrast.room[contrast.known].mean() if len(known) else np.nan
        record = Effect(
            arm=arm,
            transform=transform,
            editor=self.editor,
            metric=self.metric,
            exploratory=not primary,
            n=self.unit.count(contrast.known),
            rows=contrast.rows,
            dropped=contrast.dropped,
            distance=known_mean(
                contrast.distance if self.placebos(arm, transform) else block.means, self.unit
            ),
            placebo=known_mean(contrast.placebo, self.unit),
            ceiling=known_mean(contrast.ceiling, self.unit),
            effect=mean_interval(contrast.effect, alpha, self.unit),
            reach=self.reach(arm, transform, alpha),
            retention=retention,
            retention_reason=reason,
            win_rate=contrast.win_rate,
            cross_check=_cross_check(contrast.effect, alpha, self.unit) if primary else None,
            per_photo=self.table.by_unit(contrast.effect),
            per_photo_reach=self.table.by_unit(contrast.effect / scale) if scale > 0 else {},
            photos_above=int((known > 0).sum()),
            summary="",
        )
        return record.model_copy(update={"summary": describe(record, self.unit)})


def describe(effect: Effect, unit: Unit) -> str:
    """Put an effect in words, for a table: reach and retention together, never without n."""
    if effect.n == 0:
        return f"no {unit.name} has a number"
    why_not = NOTHING_LEARNED if unit.learned else NO_SCALE
    if not unit.learned and effect.ceiling is None:
        why_not = "no ceiling, so no reach"
    reach = f"reach {with_bounds(effect.reach)}" if effect.reach else why_not
    if effect.n < unit.enough:
        values = list(effect.per_photo_reach.values()) or list(effect.per_photo.values())
        one = unit.name if unit.learned else PHOTO.name
        return (
            f"{all_or_some(effect.photos_above, len(effect.per_photo), one)} moved further than "
            f"noise of its size; from {decimal(min(values))} to {decimal(max(values))} a {one}; "
            f"{reach}"
        )
    if effect.retention:
        share = f"{with_bounds(effect.retention, as_percent=True)} of the effect is left"
    else:
        share = "" if effect.transform == "none" else effect.retention_reason
    return "; ".join(part for part in (reach, share, count(effect.n, unit.name)) if part)


def chosen_by_others(means: Array) -> NDArray[np.intp]:
    """Which placebo stands for each unit, (units,), from mean distances (placebos, units).

    The largest of several noisy means is too large, so no unit chooses for itself: the next half of
    them, in a circle, do. No two then choose for each other, and their numbers stay uncorrelated.
    """
    chosen = np.zeros(means.shape[1], np.intp)
    known = np.flatnonzero(np.isfinite(means).all(0))
    half = max((len(known) - 1) // 2, 1)
    for place, unit in enumerate(known):
        others = known.take(range(place + 1, place + 1 + half), mode="wrap")
        chosen[unit] = means[:, others].mean(1).argmax()
    return chosen


def choose_placebo(table: Table, *, arms: tuple[str, ...], editor: str, metric: str) -> Placebo:
    """What the protections are held against: the kind of noise that moves their edits further."""
    effects = Effects(table, editor=editor, metric=metric)
    transforms = table.names("transform")
    stronger = [
        one for at in product(arms, transforms) if (one := effects.stronger_noise(*at)) is not None
    ]
    if not stronger:
        sentence = "There is no placebo: nothing can be said to act more strongly than noise."
        return Placebo(chosen=None, distances={}, sentence=sentence)
    untransformed = [one.distances for one in stronger if one.transform == "none"]
    everywhere = set.intersection(*map(set, untransformed)) if untransformed else set()
    distances = {
        kind: float(np.mean([found[kind] for found in untransformed]))
        for kind in NOISES
        if kind in everywhere
    }
    return Placebo(
        chosen=max(distances, key=distances.__getitem__) if distances else stronger[0].kind,
        distances=distances,
        stronger=tuple(stronger),
        sentence=_placebo_words(stronger, set(transforms) == {"none"}),
    )


def _placebo_words(stronger: Sequence[StrongerNoise], untransformed: bool) -> str:
    tried = {kind for one in stronger for kind in one.distances}
    times = Counter(one.kind for one in stronger).most_common()
    first = f"{noise_name(times[0][0])} ({times[0][0]})"
    if len(tried) == 1:
        return f"The placebo is {first}: the only kind that was run."
    if untransformed:
        return (
            f"The placebo is {first}: of the {len(tried)} kinds it moves untransformed edits "
            "further."
        )
    if len(times) == 1:
        return (
            f"The placebo is {first}: of the {len(tried)} kinds it moves edits further, whatever "
            "the protection and the transform."
        )
    counted = ", ".join(f"{kind} for {number}" for kind, number in times)
    return (
        "The placebo is the kind of noise that moves edits further, for each protection and "
        f"transform: of {len(stronger)} such pairs, {counted}."
    )


def _cross_check(values: Array, alpha: float, unit: Unit) -> Interval | None:
    (known,) = unit.means(values)
    n = len(known)
    if n < unit.enough:
        return None
    return make_interval(bootstrap_t_bounds(known, alpha), alpha=alpha, method="bootstrap-t", n=n)


def _win_rate(arm: Array, placebo: Array) -> float | None:
    if not len(arm):
        return None
    return float(((arm > placebo) + 0.5 * (arm == placebo)).mean())
