"""How usable shares would move, had other photos made the thresholds."""

from collections.abc import Iterator

import numpy as np

from brittle.analysis.evidence import UsableFrom
from brittle.analysis.intervals import Array
from brittle.analysis.table import Table


class ThresholdMoves:
    """Judgements one standard error up and down, threshold by threshold."""

    def __init__(self, table: Table, editor: str, known: UsableFrom) -> None:
        """Look at one editor's edits, with the thresholds that judged them and their errors."""
        self.table, self.editor, self.known = table, editor, known
        shape = (2, len(table.units), len(table.points))
        self.least, self.errors = np.full(shape, np.nan), np.zeros(shape)
        self.names = np.full(shape, -1)
        numbers: dict[str, int] = {}
        for photo, unit in enumerate(table.units):
            for point, (_, prompt, _) in enumerate(table.points):
                errors = known.errors.get(unit, {}).get(prompt)
                if errors is None or prompt not in known.least.get(unit, {}):
                    continue
                self.least[:, photo, point] = known.least[unit][prompt]
                for at, (name, error) in enumerate((errors.follow, errors.keep)):
                    self.errors[at, photo, point] = error
                    self.names[at, photo, point] = numbers.setdefault(name, len(numbers))
        self.thresholds = len(numbers)

    def of(self, arm: str, transform: str) -> Iterator[Array]:
        """For each threshold, what one standard error of it moves each judgement by: 0 to 1/2."""
        where = {"editor": self.editor, "reference": "photo"}
        blocks = [
            self.table.block(arm, transform, metric=metric, **where)
            for metric in (self.known.follow, self.known.keep)
        ]
        scores = np.stack([block.values for block in blocks])
        for threshold in range(self.thresholds):
            step = np.where(self.names == threshold, self.errors, 0.0)
            lower, higher = (
                (scores >= self.least + sign * step).all(0).astype(float) for sign in (-1, 1)
            )
            yield (lower - higher) / 2
