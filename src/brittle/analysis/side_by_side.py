"""Trials side by side: differences between their protections, by photo where photos are shared."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from brittle.analysis.effects import EXPLORATORY_ALPHA, Effects
from brittle.analysis.finished import Finished
from brittle.analysis.intervals import (
    Array,
    dots_only,
    make_interval,
    mean_interval,
    share_difference_interval,
    t_quantile,
)
from brittle.analysis.phrases import count
from brittle.analysis.sampling_units import groups_of
from brittle.analysis.summary import MIN_PHOTOS, Interval
from brittle.analysis.table import Table
from brittle.analysis.usable import UsableEdits
from brittle.errors import UserError


@dataclass(frozen=True)
class Named:
    """A finished trial, and what the comparison calls it."""

    name: str
    finished: Finished

    @cached_property
    def digests(self) -> dict[str, str]:
        """The identity of each photo's pixels by the photo's name; empty where it is not known."""
        return {photo.name: photo.digest for photo in self.finished.manifest.photos}


@dataclass(frozen=True)
class Protected:
    """One protection of one trial."""

    trial: Named
    arm: str

    @property
    def name(self) -> str:
        """The protection, and the trial that it is from."""
        return f"{self.arm} ({self.trial.name})"


@dataclass(frozen=True)
class Difference:
    """One protection's outcome after a transform minus another's."""

    outcome: str
    """``reach`` or ``usable``."""
    transform: str
    interval: Interval


@dataclass(frozen=True)
class Pairing:
    """All differences of two protections, the second minus the first, and how they were paired."""

    first: Protected
    second: Protected
    paired: bool
    differences: tuple[Difference, ...]
    words: str
    """How photos, prompts and seeds were matched, and what can't be compared."""


def protections_of_trials(trials: Sequence[Named]) -> list[Protected]:
    """Every protection of every trial, in the order given, primary ones first.

    Raises:
        UserError: a trial over collections, which has no photos to pair.
    """
    for trial in trials:
        if trial.finished.summary.style:
            raise UserError(f"{trial.name} is over collections: compare trials over photos.")
    return [Protected(trial, arm) for trial in trials for arm in trial.finished.protections]


def pair(first: Protected, second: Protected) -> Pairing:
    """Differences of reach and of usable edits, ``second`` minus ``first``.

    Paired by photo, at the prompts and seeds that both have, where the same photos (by their
    pixels) are in both trials; else each trial is taken whole, and the differences are unpaired.
    """
    shared = _shared(first.trial, second.trial)
    photos = {point[0] for point in shared}
    paired = len(photos) > 1
    outcomes = [
        _Outcomes(one, shared if paired else None, first.trial.finished.summary.primary.metric)
        for one in (first, second)
    ]
    found = []
    for transform in (name for name in outcomes[0].transforms if name in outcomes[1].transforms):
        for outcome in ("reach", "usable"):
            interval = _difference(outcomes[1], outcomes[0], outcome, transform, paired=paired)
            if interval is not None:
                found.append(Difference(outcome, transform, interval))
    return Pairing(first, second, paired, tuple(found), _words(photos, shared, outcomes))


def unpaired_interval(
    values: Array, others: Array, alpha: float, *, extra: float = 0.0
) -> Interval | None:
    """The difference of two means, mean(values) - mean(others), by Welch's t; None without photos.

    ``extra`` is for shares: it is added to each side's sum of squares, as one more photo that far
    from the mean, and bounds keep to what a difference of shares can be, -1 to 1.
    """
    if not len(values) or not len(others):
        return None
    estimate, n = float(values.mean() - others.mean()), min(len(values), len(others))
    if n < MIN_PHOTOS:
        return dots_only(estimate, n, alpha)
    errors = [
        (((side - side.mean()) ** 2).sum() + extra) / (len(side) * (len(side) - 1))
        for side in (values, others)
    ]
    total = sum(errors)
    weights = sum(
        error**2 / (len(side) - 1) for error, side in zip(errors, (values, others), strict=True)
    )
    degrees = float(total**2 / weights) if weights > 0 else n - 1
    margin = t_quantile(degrees, alpha) * float(np.sqrt(total))
    bounds = np.array([estimate - margin, estimate + margin])
    low, high = bounds.clip(-1, 1) if extra else bounds
    found = (np.float64(estimate), low, high)
    return make_interval(found, alpha=alpha, method="welch", n=n)  # type: ignore[arg-type]


class _Outcomes:
    """One protection's outcomes, one number a photo, in the order of the photos' names."""

    def __init__(
        self, of: Protected, shared: set[tuple[str, str, int]] | None, metric: str
    ) -> None:
        digests, manifest = of.trial.digests, of.trial.finished.manifest
        summary, rows = of.trial.finished.summary, of.trial.finished.record.rows
        self.groups = manifest.groups
        if shared is not None:
            renamed = (replace(row, image=digests.get(row.image, "")) for row in rows)
            rows = [row for row in renamed if (row.image, row.prompt, row.seed) in shared]
            self.groups = {digests[name]: group for name, group in self.groups.items()}
        table = Table(rows, manifest.arms, self.groups)
        editor = summary.primary.editor or ""
        self.table, self.arm, self.transforms = table, of.arm, table.names("transform")
        self.effects = Effects(table, editor=editor, metric=metric)
        self.usable = UsableEdits(table, editor=editor, invalid=summary.usable_reason)
        self.lacking = {
            "reach": ""
            if self.effects.reach(of.arm, "none", EXPLORATORY_ALPHA)
            else f"{of.name} has no reach in {metric}",
            "usable": f"{of.name}: usable is not judged ({self.usable.reason})"
            if self.usable.reason
            else "",
        }

    def values(self, outcome: str, transform: str) -> dict[str, float]:
        """A number for each photo: their mean is the outcome."""
        if outcome == "reach":
            return self.table.by_unit(self._reach(transform))
        if self.usable.reason:
            return {}
        return self.table.by_unit(self.usable.shares(self.arm, transform).per_photo)

    def _reach(self, transform: str) -> Array:
        """What each photo adds to the reach, a ratio of means, to first order."""
        contrast = self.effects.contrast(self.arm, transform)
        both = np.isfinite(contrast.effect + contrast.room)
        room = contrast.room[both].mean() if both.any() else 0.0
        if room == 0:
            return np.full(len(both), np.nan)
        ratio = contrast.effect[both].mean() / room
        return ratio + (contrast.effect - ratio * contrast.room) / room


def _difference(
    one: _Outcomes, other: _Outcomes, outcome: str, transform: str, *, paired: bool
) -> Interval | None:
    values, others = one.values(outcome, transform), other.values(outcome, transform)
    shares = outcome == "usable"
    if paired:
        both = sorted(values.keys() & others.keys())
        differences = np.array([values[photo] - others[photo] for photo in both])
        interval = share_difference_interval if shares else mean_interval
        return interval(differences, EXPLORATORY_ALPHA, groups_of(both, one.groups))
    left, right = (
        groups_of(side, of.groups).means(np.array(list(side.values())))[0]
        for side, of in ((values, one), (others, other))
    )
    return unpaired_interval(left, right, EXPLORATORY_ALPHA, extra=float(shares))


def _shared(first: Named, second: Named) -> set[tuple[str, str, int]]:
    """The points (digest of the photo, prompt, seed) that both trials have edits at."""
    points = [
        {
            (digest, row.prompt, row.seed)
            for row in trial.finished.record.rows
            if row.reference in ("control", "photo")
            and (digest := trial.digests.get(row.image, ""))
        }
        for trial in (first, second)
    ]
    return points[0] & points[1]


def _words(
    photos: set[str], shared: set[tuple[str, str, int]], outcomes: Sequence[_Outcomes]
) -> str:
    if len(photos) > 1:
        matched = (
            f"paired by photo: {count(len(photos), 'photo')} and "
            f"{count(len({point[1:] for point in shared}), 'pair')} of prompt and seed are in both"
        )
    else:
        matched = (
            "not paired: the trials share no photos with the same prompts and seeds, so part of a "
            "difference may be the photos' or the prompts'"
        )
    lacking = [reason for one in outcomes for reason in one.lacking.values() if reason]
    return "; ".join([matched, *dict.fromkeys(lacking)])
