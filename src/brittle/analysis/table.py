"""The rows of a trial as arrays: photos down, (prompt, seed) points across."""

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from brittle.analysis.intervals import Array
from brittle.errors import UserError
from brittle.record.arms import Arm
from brittle.record.rows import Row

Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Block:
    """Scores of one arm under one transform: arrays (photos, points)."""

    values: Array
    """NaN where there is no number."""
    asked: Mask
    """Where the trial asked for one."""


class Table:
    """All scores, by (editor, metric, reference, arm, transform)."""

    def __init__(self, rows: Iterable[Row], arms: Iterable[Arm] = ()) -> None:
        """Index the rows; a repeated row counts once. Of other arms than ``arms`` the label tells.

        Raises:
            UserError: no rows, or the same cell with two different values.

        """
        found: dict[tuple[str, str, str, str, str], dict[tuple[str, str, int], float]] = (
            defaultdict(dict)
        )
        self.reasons: dict[str, int] = defaultdict(int)
        self._reasons_of: dict[tuple[str, str], list[str]] = defaultdict(list)
        for row in rows:
            cells = found[row.editor, row.metric, row.reference, row.arm, row.transform]
            point = (row.image, row.prompt, row.seed)
            value = np.nan if row.value is None else row.value
            known = cells.setdefault(point, value)
            if not (known == value or (np.isnan(known) and np.isnan(value))):
                raise UserError(f"results.csv holds two values for {row.key}.")
            if row.value is None:
                self.reasons[row.reason] += 1
                self._reasons_of[row.metric, row.editor].append(row.reason)
        if not found:
            raise UserError("There are no results to draw conclusions from.")
        points = sorted({point[1:] for cells in found.values() for point in cells})
        self.photos = tuple(sorted({point[0] for cells in found.values() for point in cells}))
        self.points: tuple[tuple[str, int], ...] = tuple(points)
        photo_at = {name: i for i, name in enumerate(self.photos)}
        point_at = {point: i for i, point in enumerate(self.points)}
        self.nothing = Block(
            np.full((len(self.photos), len(points)), np.nan),
            np.zeros((len(self.photos), len(points)), bool),
        )
        self._blocks = {key: self._block(cells, photo_at, point_at) for key, cells in found.items()}
        named = {arm.label: arm for arm in arms}
        self.arms = {label: named.get(label) or Arm.named(label) for label in self.names("arm")}

    def block(
        self, arm: str, transform: str, *, editor: str, metric: str, reference: str = "control"
    ) -> Block:
        """Scores of one arm under one transform; nothing but NaN where there are none."""
        return self._blocks.get((editor, metric, reference, arm, transform), self.nothing)

    def judged(
        self, arm: str, transform: str, *, editor: str, metric: str, reference: str = "photo"
    ) -> Block:
        """Scores of a metric, with any setting (``keep:clip=DIR``); the first computed counts."""
        found = [
            self.block(arm, transform, editor=editor, metric=name, reference=reference)
            for name in self.names("metric", reference=reference)
            if name.partition(":")[0] == metric
        ]
        known = [block for block in found if np.isfinite(block.values).any()]
        return (known or found or [self.nothing])[0]

    def has(self, arm: str, *, metric: str, reference: str = "control") -> bool:
        """Whether an arm has scores in a metric at all."""
        return any(key[1:4] == (metric, reference, arm) for key in self._blocks)

    def names(self, position: str, *, reference: str | None = None) -> tuple[str, ...]:
        """All ``editor``, ``metric``, ``arm`` or ``transform`` names, in `natural` order.

        ``none`` comes first.
        """
        at = ("editor", "metric", "reference", "arm", "transform").index(position)
        found = {key[at] for key in self._blocks if reference in (None, key[2])}
        return tuple(sorted(found, key=lambda name: (name != "none", natural(name))))

    @property
    def protections(self) -> tuple[str, ...]:
        """The protections that have scores against the control, sorted."""
        compared = self.names("arm", reference="control")
        return tuple(label for label in compared if self.arms[label].kind == "protection")

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

    def _block(
        self,
        cells: dict[tuple[str, str, int], float],
        photo_at: dict[str, int],
        point_at: dict[tuple[str, int], int],
    ) -> Block:
        values, asked = self.nothing.values.copy(), self.nothing.asked.copy()
        rows = [photo_at[image] for image, _, _ in cells]
        columns = [point_at[prompt, seed] for _, prompt, seed in cells]
        values[rows, columns] = list(cells.values())
        asked[rows, columns] = True
        return Block(values, asked)


def shared_points(blocks: Sequence[Block]) -> tuple[Mask, int]:
    """Where every block has a number, and how many asked-for points lack one in some block."""
    valid = np.logical_and.reduce([np.isfinite(block.values) for block in blocks])
    asked = np.logical_or.reduce([block.asked for block in blocks])
    return valid, int((asked & ~valid).sum())


def photo_means(values: Array, valid: Mask) -> Array:
    """One number a photo: the mean over its valid points; NaN where it has none."""
    count = valid.sum(1)
    total = np.where(valid, values, 0.0).sum(1)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def natural(name: str) -> list[tuple[int, float, str]]:
    """What to sort by so that 8/255 comes before 12/255, and 0.05 before 0.1."""
    parts = re.split(r"(\d+(?:\.\d+)?)", name)
    return [(1, float(part), "") if i % 2 else (0, 0.0, part) for i, part in enumerate(parts)]
