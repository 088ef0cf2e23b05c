"""What was painted, as arrays of distances, and how paintings are compared with their twins."""

from collections.abc import Iterable
from math import comb

import numpy as np

from brittle.analysis.intervals import Array
from brittle.errors import UserError
from brittle.record.rows import Row


class Paintings:
    """The distances of all paintings from the originals, by arm, transform and metric.

    Each is an array (collections, fine-tunes, prompts, seeds).

    Raises:
        UserError: no such rows, or a point of the grid without its row.
    """

    def __init__(self, rows: Iterable[Row]) -> None:
        kept = [row for row in rows if row.reference in ("originals", "between")]
        if not kept:
            raise UserError("The results hold no distances from originals: run the trial first.")
        self.missing = {row.metric: row.reason for row in kept if row.value is None}
        found = [row for row in kept if row.metric not in self.missing]
        self.axes = [
            sorted({getattr(row, name) for row in found})
            for name in ("image", "editor", "prompt", "seed")
        ]
        places = [{one: place for place, one in enumerate(axis)} for axis in self.axes]
        self.between: dict[tuple[str, str], float] = {}
        self._values: dict[tuple[str, str, str], Array] = {}
        for row in found:
            metric = row.metric.removesuffix(".distance")
            assert row.value is not None
            if row.reference == "between":
                self.between[row.image, metric] = row.value
                continue
            values = self._values.setdefault(
                (row.arm, row.transform, metric), np.full([*map(len, self.axes)], np.nan)
            )
            point = (row.image, row.editor, row.prompt, row.seed)
            values[tuple(at[one] for at, one in zip(places, point, strict=True))] = row.value
        for (arm, transform, _), values in self._values.items():
            if not np.isfinite(values).all():
                raise UserError(f"results.csv lacks pictures of {arm} after {transform}.")
        arms, transforms, metrics = zip(*self._values, strict=True)
        self.arms, self.metrics = dict.fromkeys(arms), list(dict.fromkeys(metrics))
        self.transforms = sorted(set(transforms), key=lambda label: (label != "none", label))

    def __call__(self, arm: str, transform: str, metric: str) -> Array:
        """The distances (collections, fine-tunes, prompts, seeds) of one arm after a transform."""
        return self._values[arm, transform, metric]


def closer_share(protected: Array, clean: Array) -> Array:
    """1 where a picture is closer than its twin, 1/2 where it is as close, else 0."""
    return (protected < clean) + 0.5 * (protected == clean)


def best_of(tried: Array, clean: Array) -> Array:
    """How often the best of K tries is as close as the middle one of the clean, K = 1..seeds.

    Both are (…, seeds); the result (seeds, …) is exact over all choices of K tries: one minus the
    chance that all of them lie farther. Ties count half, as in `closer_share`.
    """
    seeds = tried.shape[-1]
    middle = np.median(clean, axis=-1, keepdims=True)
    farther, not_closer = ((tried > middle).sum(-1), (tried >= middle).sum(-1))
    chance = np.array([[comb(n, k) / comb(seeds, k) for n in range(seeds + 1)]
                       for k in range(1, seeds + 1)])  # fmt: skip
    return 1 - (chance[:, farther] + chance[:, not_closer]) / 2
