"""The rows of a trial as arrays: units (photos) down, points (prompt, seed) across."""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from brittle.analysis.intervals import Array
from brittle.analysis.sampling_units import SamplingUnits, groups_of
from brittle.component import name_of
from brittle.errors import UserError
from brittle.record.arms import Arm
from brittle.record.rows import Row

Mask = NDArray[np.bool_]
NO_GROUPS: Mapping[str, str] = {}
Point = tuple[str, str, int]
"""What differs within a unit: a further name where there is one, the prompt, the seed."""


@dataclass(frozen=True)
class Block:
    """Scores of one arm under one transform: arrays (units, points)."""

    values: Array
    """NaN where there is no number."""
    asked: Mask
    """Where the trial asked for one."""

    @property
    def means(self) -> Array:
        """One number a unit, NaN where it has none."""
        return unit_means(self.values, np.isfinite(self.values))


class Table:
    """All scores, by (editor, metric, reference, arm, transform)."""

    def __init__(
        self, rows: Iterable[Row], arms: Iterable[Arm] = (), groups: Mapping[str, str] = NO_GROUPS
    ) -> None:
        """Index the rows; a repeated row counts once. Of other arms than ``arms`` the label tells.

        ``groups`` names the group of photos that belong together.

        Raises:
            UserError: no rows, or the same cell with two different values.

        """
        rows = rows if isinstance(rows, Sequence) else [*rows]
        self.sampling = SamplingUnits(rows)
        units, points = set[str](), set[Point]()
        for row in rows:
            _, unit, point = self.sampling.place(row)
            units.add(unit)
            points.add(point)
        if not units:
            raise UserError("There are no results to draw conclusions from.")
        self.units, self.points = tuple(sorted(units)), tuple(sorted(points))
        self.unit = self.sampling.unit
        if not self.unit.learned:
            self.unit = groups_of(self.units, groups)
        self.nothing = self._block()
        self.reasons: dict[str, int] = defaultdict(int)
        self._reasons_of: dict[tuple[str, str], list[str]] = defaultdict(list)
        self._blocks: dict[tuple[str, str, str, str, str], Block] = defaultdict(self._block)
        self._fill(rows)
        self._blocks.default_factory = None
        named = {arm.label: arm for arm in arms}
        labels = dict.fromkeys([*named, *self.names("arm")])
        self.arms = {label: named.get(label) or Arm.named(label) for label in labels}

    @property
    def learned(self) -> bool:
        """Whether models learned from collections, and the units are no photos."""
        return self.unit.learned

    @property
    def reference(self) -> str:
        """What distances are to: the control's edit, or the originals that were learned from."""
        return "originals" if self.learned else "control"

    def block(
        self, arm: str, transform: str, *, editor: str, metric: str, reference: str | None = None
    ) -> Block:
        """Scores of one arm under one transform; nothing but NaN where there are none."""
        key = (editor, metric, reference or self.reference, arm, transform)
        return self._blocks.get(key, self.nothing)

    def judged(
        self, arm: str, transform: str, *, editor: str, metric: str, reference: str = "photo"
    ) -> Block:
        """Scores of a metric, with any setting (``keep:clip=DIR``); the first computed counts."""
        found = [
            self.block(arm, transform, editor=editor, metric=name, reference=reference)
            for name in self.names("metric", reference=reference)
            if name_of(name) == metric
        ]
        known = [block for block in found if np.isfinite(block.values).any()]
        return (known or found or [self.nothing])[0]

    def names(self, position: str, *, reference: str | None = None) -> tuple[str, ...]:
        """All ``editor``, ``metric``, ``arm`` or ``transform`` names, in `natural` order.

        ``none`` comes first.
        """
        at = ("editor", "metric", "reference", "arm", "transform").index(position)
        found = {key[at] for key in self._blocks if reference in (None, key[2])}
        return tuple(sorted(found, key=lambda name: (name != "none", natural(name))))

    def scored(self, metric: str) -> bool:
        """Whether any score of a metric is a number."""
        return any(
            np.isfinite(block.values).any()
            for key, block in self._blocks.items()
            if key[1] == metric
        )

    @property
    def compared(self) -> tuple[str, ...]:
        """The arms that have distances, sorted."""
        return self.names("arm", reference=self.reference)

    @property
    def protections(self) -> tuple[str, ...]:
        """The protections that have distances, sorted."""
        return tuple(label for label in self.compared if self.arms[label].kind == "protection")

    @property
    def ceiling(self) -> str:
        """The arm of what a perfect protection would leave; empty where there is none."""
        return next((arm.label for arm in self.arms.values() if arm.kind == "ceiling"), "")

    def placebo(self, protection: str, kind: str | None) -> str:
        """The arm of a protection's placebo of one kind; empty where there is none."""
        wanted = ("placebo", protection, kind, 0)
        for arm in self.arms.values():
            if (arm.kind, arm.of, arm.noise, arm.draw) == wanted:
                return arm.label
        return ""

    def reasons_of(self, metric: str, editor: str) -> list[str]:
        """Why scores of a metric are missing, once for each missing one."""
        return self._reasons_of[metric, editor]

    def by_unit(self, values: Array) -> dict[str, float]:
        """Numbers (units,) by the name of their unit, without those that are none."""
        named = zip(self.units, values.tolist(), strict=True)
        return {unit: value for unit, value in named if np.isfinite(value)}

    def _block(self) -> Block:
        """A block without scores."""
        shape = len(self.units), len(self.points)
        return Block(np.full(shape, np.nan), np.zeros(shape, bool))

    def _fill(self, rows: Iterable[Row]) -> None:
        """Put each score into its block, whose arrays are all that is kept of the rows."""
        unit_at = {unit: i for i, unit in enumerate(self.units)}
        point_at = {point: i for i, point in enumerate(self.points)}
        for row in rows:
            editor, unit, point = self.sampling.place(row)
            block = self._blocks[editor, row.metric, row.reference, row.arm, row.transform]
            at = unit_at[unit], point_at[point]
            value = np.nan if row.value is None else row.value
            if block.asked[at] and not np.array_equal(block.values[at], value, equal_nan=True):
                raise UserError(f"results.csv holds two values for {row.key}.")
            block.values[at], block.asked[at] = value, True
            if row.value is None:
                self.reasons[row.reason] += 1
                self._reasons_of[row.metric, editor].append(row.reason)


def shared_points(blocks: Sequence[Block]) -> tuple[Mask, int]:
    """Where every block has a number, and how many asked-for points lack one in some block."""
    valid = np.logical_and.reduce([np.isfinite(block.values) for block in blocks])
    asked = np.logical_or.reduce([block.asked for block in blocks])
    return valid, int((asked & ~valid).sum())


def unit_means(values: Array, valid: Mask) -> Array:
    """One number a unit: the mean over its valid points; NaN where it has none."""
    count = valid.sum(1)
    total = np.where(valid, values, 0.0).sum(1)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def natural(name: str) -> list[tuple[int, float, str]]:
    """What to sort by so that 8/255 comes before 12/255, and 0.05 before 0.1."""
    parts = re.split(r"(\d+(?:\.\d+)?)", name)
    return [(1, float(part), "") if i % 2 else (0, 0.0, part) for i, part in enumerate(parts)]
