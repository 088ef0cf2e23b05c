"""What intervals over paintings are over: collections, one collection's fine-tunes, or nothing."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from brittle.analysis.intervals import (
    Array,
    Bounds,
    fieller_bounds,
    make_interval,
    mean_bounds,
    share_bounds,
    t_quantile,
)
from brittle.analysis.mimicry_summary import MIN_COLLECTIONS, MIN_TUNINGS
from brittle.analysis.phrases import count
from brittle.analysis.summary import Interval

ALPHA = 0.025
"""Error on a side of every interval: none carries a verdict."""


@dataclass(frozen=True)
class Units:
    """So many collections, each learned from with so many seeds of the fine-tune.

    Values have the axes of `Paintings`: collection, fine-tune, prompt and seed.
    """

    collections: int
    tunings: int

    @property
    def unit(self) -> str:
        """What n counts: collections, fine-tunes or none."""
        if self.collections >= MIN_COLLECTIONS:
            return "collections"
        return "fine-tunes" if self.tunings >= MIN_TUNINGS else "none"

    def words(self) -> str:
        """What there is of both, and what that lets one say."""
        about = (
            f"{count(self.collections, 'collection')}, {count(self.tunings, 'fine-tune')} of each"
        )
        if self.unit == "collections":
            return f"{about}; intervals are over the collections"
        if self.unit == "fine-tunes":
            return (
                f"{about}; intervals are over the fine-tunes' seeds, for these pictures: they say "
                "nothing about other artists or subjects"
            )
        return f"{about}; too few of either for intervals"

    def of(self, values: Array) -> Array:
        """One number a unit: the mean over all else."""
        return values.mean((1, 2, 3) if self.unit == "collections" else (0, 2, 3))

    def mean(self, values: Array) -> Interval:
        """The mean, with Student's interval."""
        return self._interval([values], mean_bounds, "t")

    def ratio(self, top: Array, bottom: Array) -> Interval:
        """The ratio of two means, with Fieller's interval."""
        return self._interval([top, bottom], fieller_bounds, "fieller")

    def share(self, values: Array) -> Interval:
        """A share of won pairs, with Korn and Graubard's interval."""
        bounds = partial(share_bounds, rows=float(values.size))
        return self._interval([values], bounds, "korn-graubard")

    def clear(self, values: Array, quantiles: int) -> bool:
        """Whether a mean lies at least so many t-quantiles of its error above zero.

        One is where its interval leaves zero out, and where Fieller's has bounds; two is what a
        share of an effect asks for, as for photos.
        """
        units = self.of(values)
        if self.unit == "none":
            return bool(units.mean() > 0)
        error = units.std(ddof=1) / np.sqrt(len(units))
        return bool(units.mean() > max(quantiles * t_quantile(len(units) - 1, ALPHA) * error, 0))

    def _interval(
        self, values: Sequence[Array], bounds: Callable[..., Bounds], method: str
    ) -> Interval:
        units = [self.of(one) for one in values]
        if self.unit != "none":
            found = bounds(*units, alpha=ALPHA)
            return make_interval(found, alpha=ALPHA, method=method, n=len(units[0]))
        means = [one.mean() for one in units]
        estimate = float(means[0] / means[1]) if len(means) == 2 else float(means[0])
        note = f"{count(self.tunings, 'fine-tune')}: no interval"
        return Interval(estimate=estimate, method="none", n=len(units[0]), note=note)
