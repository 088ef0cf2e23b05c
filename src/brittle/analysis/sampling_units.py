"""What intervals are over: photos or groups of them; collections or one's fine-tunes."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from brittle.analysis.summary import MIN_PHOTOS
from brittle.record.rows import Row

MIN_FINE_TUNES = 3
"""Fewest fine-tunes that carry an interval over their seeds."""

Place = tuple[str, str, tuple[str, str, int]]
"""Editor, unit, and the point within it: what else differs, prompt, seed."""


@dataclass(frozen=True)
class Unit:
    """What a number is averaged within, and how many of them carry an interval."""

    name: str
    enough: int
    learned: bool = False
    """Whether models learned from it."""
    members: tuple[int, ...] = ()
    """The group of each photo, as a number; empty where each row of a table is a unit itself."""

    def means(self, *columns: NDArray[np.float64]) -> list[NDArray[np.float64]]:
        """One number a unit, of the units that have one in every column.

        Columns hold a number a photo, NaN where there is none: photos are averaged within their
        group, which then counts once.
        """
        there = np.isfinite(columns).all(0)
        if not self.members:
            return [column[there] for column in columns]
        group = np.array(self.members)
        return [
            np.array([column[there & (group == one)].mean() for one in np.unique(group[there])])
            for column in columns
        ]

    def count(self, known: NDArray[np.bool_]) -> int:
        """How many units have a photo among these."""
        return len(np.unique(np.array(self.members)[known])) if self.members else int(known.sum())


PHOTO = Unit("photo", MIN_PHOTOS)
COLLECTION = Unit("collection", MIN_PHOTOS, learned=True)
FINE_TUNE = Unit("fine-tune", MIN_FINE_TUNES, learned=True)


def groups_of(photos: Iterable[str], groups: Mapping[str, str]) -> Unit:
    """The groups of photos that belong together; the photos themselves where none do.

    ``groups`` names the group of a photo; one that it does not name is a group of its own.
    """
    named = [(1, groups[photo]) if photo in groups else (0, photo) for photo in photos]
    numbers = {group: number for number, group in enumerate(dict.fromkeys(named))}
    if len(numbers) == len(named):
        return PHOTO
    return Unit("group", MIN_PHOTOS, members=tuple(numbers[group] for group in named))


class SamplingUnits:
    """How a trial's rows fall into units.

    Where a model learned, each repeat of a fine-tune is an editor of its own. They count as one,
    named after the first of them, and the units are the collections, if there are enough of those,
    or else the repeats.
    """

    def __init__(self, rows: Iterable[Row]) -> None:
        """Look at the rows that say what was generated."""
        learned = [row for row in rows if row.reference == "originals"]
        self.collections = sorted({row.image for row in learned})
        self.fine_tunes = sorted({row.editor for row in learned})
        if not learned:
            self.unit = PHOTO
        else:
            enough = len(self.collections) >= COLLECTION.enough
            self.unit = COLLECTION if enough else FINE_TUNE

    def place(self, row: Row) -> Place:
        """Where a row belongs."""
        if not self.unit.learned:
            return row.editor, row.image, ("", row.prompt, row.seed)
        first = self.fine_tunes[0]
        if self.unit is COLLECTION:
            return first, row.image, (row.editor, row.prompt, row.seed)
        return first, row.editor, (row.image, row.prompt, row.seed)
