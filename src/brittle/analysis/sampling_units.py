"""What intervals are over: photos, or where models learned, collections or one's fine-tunes."""

from collections.abc import Iterable
from dataclasses import dataclass

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


PHOTO = Unit("photo", MIN_PHOTOS)
COLLECTION = Unit("collection", MIN_PHOTOS)
FINE_TUNE = Unit("fine-tune", MIN_FINE_TUNES)


class Sampling:
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
        if self.unit is PHOTO:
            return row.editor, row.image, ("", row.prompt, row.seed)
        first = self.fine_tunes[0]
        if self.unit is COLLECTION:
            return first, row.image, (row.editor, row.prompt, row.seed)
        return first, row.editor, (row.image, row.prompt, row.seed)
