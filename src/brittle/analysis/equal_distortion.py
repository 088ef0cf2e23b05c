"""Protections compared at equal distortion: what each buys for what it costs the eye.

Every protection of a sweep was run at four budgets or more. On each photo, its outcome is known at
as many distortions, and read off on a smooth curve through them: never beyond them. All
protections are read at the same distortion, photo by photo, in two rulers: the perceptual distance
of the published file, and its PSNR. One is better than another only if it is so in both.
"""

from collections.abc import Iterator, Sequence
from itertools import combinations, product

import numpy as np

from brittle.analysis.effects import Effects
from brittle.analysis.intervals import (
    known_mean,
    mean_interval,
    ratio_interval,
    share_difference_interval,
)
from brittle.analysis.phrases import count, when
from brittle.analysis.summary import Fair, FairDifference, FairPoint, FairRanking, Measure
from brittle.analysis.sweep import Sweep
from brittle.analysis.table import natural
from brittle.analysis.usable import UsableEdits
from brittle.declaration.primary import Primary

MIN_BUDGETS = 4
PLACES = (0.0, 0.25, 0.5, 0.75, 1.0)
"""Where protections are read, in the range of distortions that all of them reach on a photo."""
MIDDLE = 0.5
"""The place that is ranked."""
OUTCOMES: tuple[Measure, ...] = ("reach", "usable")


class FairComparison:
    """Everything that a sweep says; see `compare_fairly`."""

    def __init__(self, effects: Effects, usable: UsableEdits, primary: Primary) -> None:
        """Look at one editor and metric."""
        self.effects, self.usable, self.primary = effects, usable, primary
        self.protections: dict[str, dict[str, str]] = {}
        table = effects.table
        for arm in table.protections:
            name, budget = table.arms[arm].split_budget()
            self.protections.setdefault(name, {})[budget] = arm
        self.transforms = [*dict.fromkeys(["none", *primary.transforms])]
        self.names = sorted(self.protections)

    @property
    def alpha(self) -> float:
        """The error on one side of each difference: all pairs and transforms share it."""
        pairs = len(self.names) * (len(self.names) - 1) // 2
        return self.primary.alpha / max(pairs * len(self.transforms), 1)

    def rulers(self) -> list[str]:
        """The perceptual metric that decides, and PSNR, where published files were measured."""
        known = self.effects.table.names("metric", reference="release")
        wanted = [name for name in (self.primary.metric, "psnr") if name in known]
        return list(dict.fromkeys(wanted))

    def sweeps(self) -> tuple[dict[str, Sweep], str]:
        """The protections in each ruler, or why they can't be compared at equal distortion."""
        few = [name for name in self.names if len(self.protections[name]) < MIN_BUDGETS]
        if few:
            named = ", ".join(few)
            return {}, (
                f"{named} ran at fewer than {MIN_BUDGETS} budgets (a trial names them as `budgets`)"
            )
        rulers = self.rulers()
        if len(rulers) < 2:
            return {}, (
                f"the published files were not measured both in {self.primary.metric} and in "
                "psnr: add both to the trial's metrics"
            )
        arms = {name: list(self.protections[name].values()) for name in self.names}
        sweeps = {ruler: Sweep(self.effects, self.usable, arms, ruler) for ruler in rulers}
        if not any(sweep.comparable.any() for sweep in sweeps.values()):
            return {}, (
                "on no photo do the protections' budgets reach a common distortion, and nothing is "
                "extrapolated: choose budgets that overlap"
            )
        return sweeps, ""

    def record(self) -> Fair:
        """The comparison, or why there is none; the ranking at equal budgets in any case."""
        sweeps, reason = self.sweeps()
        differences = list(self._differences(sweeps))
        rankings = [*self._rankings(sweeps, differences), *self._at_equal_budgets()]
        photos = np.array(self.effects.table.units)
        return Fair(
            editor=self.effects.editor,
            metric=self.effects.metric,
            protections={name: tuple(self.protections[name]) for name in self.names},
            reason=reason,
            rulers=tuple(sweeps),
            left_out={
                ruler: tuple(photos[~sweep.comparable].tolist()) for ruler, sweep in sweeps.items()
            },
            curve=tuple(self._curve(sweeps)),
            differences=tuple(differences),
            rankings=tuple(rankings),
            level=round(1 - 2 * self.alpha, 10),
            sentences=tuple(self._sentences(reason, sweeps, rankings)),
        )

    def _curve(self, sweeps: dict[str, Sweep]) -> Iterator[FairPoint]:
        alpha, unit = self.primary.alpha, self.effects.unit
        points = product(sweeps.items(), self.names, self.transforms, PLACES)
        for (ruler, sweep), name, transform, place in points:
            found = sweep.read(name, transform, place)
            here = np.isfinite(found.effect)
            distortion = known_mean(np.where(here, found.distortion, np.nan), unit)
            if distortion is None:
                continue
            yield FairPoint(
                protection=name,
                transform=transform,
                ruler=ruler,
                place=place,
                distortion=-20 * float(np.log10(distortion)) if ruler == "psnr" else distortion,
                effect=mean_interval(found.effect, alpha, unit),
                reach=(
                    ratio_interval(found.effect, found.room, alpha, unit)
                    if (known_mean(found.room, unit) or 0) > 0
                    else None
                ),
                usable=None if self.usable.reason else known_mean(found.usable, unit),
                n=unit.count(here),
            )

    def _differences(self, sweeps: dict[str, Sweep]) -> Iterator[FairDifference]:
        unit = self.effects.unit
        for (ruler, sweep), transform in product(sweeps.items(), self.transforms):
            read = {name: sweep.read(name, transform, MIDDLE) for name in self.names}
            for left, right in combinations(self.names, 2):
                one, other = read[left], read[right]
                found = {"reach": mean_interval(one.effect - other.effect, self.alpha, unit)}
                if not self.usable.reason:
                    usable = one.usable - other.usable
                    found["usable"] = share_difference_interval(usable, self.alpha, unit)
                for outcome in OUTCOMES:
                    if difference := found.get(outcome):
                        yield FairDifference(
                            left=left,
                            right=right,
                            transform=transform,
                            ruler=ruler,
                            outcome=outcome,
                            difference=difference,
                        )

    def _rankings(
        self, sweeps: dict[str, Sweep], differences: Sequence[FairDifference]
    ) -> Iterator[FairRanking]:
        for transform, outcome in product(self.transforms, OUTCOMES):
            mine = [
                one for one in differences if (one.transform, one.outcome) == (transform, outcome)
            ]
            if not mine:
                continue
            better = _better_in_both(mine, list(sweeps), outcome)
            ranks = {name: 1 + sum(loser == name for _, loser in better) for name in self.names}
            yield FairRanking(
                transform=transform,
                outcome=outcome,
                at="equal distortion",
                ranks=ranks,
                sentence=_ranking_words(ranks, transform, outcome, "at equal distortion"),
            )

    def _at_equal_budgets(self) -> Iterator[FairRanking]:
        """What a comparison by the declared budget alone would say; no test, no fairness."""
        budgets = {budget for arms in self.protections.values() for budget in arms}
        for budget, transform in product(sorted(budgets, key=natural), self.transforms):
            reaches = {
                name: self.effects.reach(arms[budget], transform, self.primary.alpha)
                for name, arms in sorted(self.protections.items())
                if budget in arms
            }
            found = {name: reach.estimate for name, reach in reaches.items() if reach}
            if len(found) < 2:
                continue
            ranks = {
                name: 1 + sum(other > mine for other in found.values())
                for name, mine in found.items()
            }
            said = f"at {budget or 'their own budgets'} alone, not at equal distortion"
            yield FairRanking(
                transform=transform,
                outcome="reach",
                at="equal budget",
                budget=budget,
                ranks=ranks,
                sentence=_ranking_words(ranks, transform, "reach", said),
            )

    def _sentences(
        self, reason: str, sweeps: dict[str, Sweep], rankings: Sequence[FairRanking]
    ) -> Iterator[str]:
        if reason:
            yield f"Protections are not compared at equal distortion: {reason}."
            return
        total = len(self.effects.table.units)
        for ruler, sweep in sweeps.items():
            lost = total - int(sweep.comparable.sum())
            if lost:
                yield (
                    f"By {ruler}, {count(lost, 'photo')} of {total} had no distortion that all "
                    "protections reach, and nothing was extrapolated."
                )
        for transform in self.transforms:
            found = {
                one.outcome: one
                for one in rankings
                if one.at == "equal distortion" and one.transform == transform
            }
            for one in found.values():
                yield one.sentence
            if len(found) == 2 and found["reach"].ranks != found["usable"].ranks:
                yield f"The two rankings {when(transform)} differ: both are shown."


def _better_in_both(
    differences: Sequence[FairDifference], rulers: Sequence[str], outcome: Measure
) -> set[tuple[str, str]]:
    """(better, worse) where every ruler settles it; more reach is better, fewer usable edits are.

    That both must agree costs no error level: each is tested at its own.
    """
    sign = 1 if outcome == "reach" else -1
    settled: dict[str, set[tuple[str, str]]] = {ruler: set() for ruler in rulers}
    for one in differences:
        low, high = one.difference.low, one.difference.high
        if low is not None and high is not None and (low > 0 or high < 0):
            more = (one.left, one.right) if sign * one.difference.estimate > 0 else None
            settled[one.ruler].add(more or (one.right, one.left))
    return set.intersection(*settled.values()) if settled else set()


def _ranking_words(ranks: dict[str, int], transform: str, outcome: Measure, at: str) -> str:
    by = {"reach": "reach", "usable": "usable edits"}[outcome]
    if len(set(ranks.values())) == 1:
        return f"By {by} {when(transform)}, {at}: no difference is settled."
    order = sorted(ranks, key=lambda name: (ranks[name], name))
    said = ", ".join(f"{ranks[name]}. {name}" for name in order)
    return f"By {by} {when(transform)}, {at}: {said}."


def compare_fairly(effects: Effects, usable: UsableEdits, primary: Primary) -> Fair | None:
    """Compare the protections at equal distortion; None where there is only one of them."""
    comparison = FairComparison(effects, usable, primary)
    return comparison.record() if len(comparison.names) > 1 else None
