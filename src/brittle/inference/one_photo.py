"""One photo: does its protection act more strongly than random perturbations of its size?"""

from collections.abc import Sequence

from brittle.inference.summary import Record

DRAWS = 19
"""Fewest random perturbations with which a result can be called rarer than 1 in 20."""


class PlaceboTest(Record):
    """A randomisation test of one protected photo against placebos of its size."""

    p: float
    """``(1 + placebos at least as far) / (1 + placebos)``."""
    placebos: int
    """How many placebos there were."""
    at_least_as_far: int
    """Placebos that moved the photo at least as far as its protection did."""
    stronger: bool
    """Whether it acts more strongly than all of them, and they are enough to say so."""
    words: str
    """The answer in words."""


def placebo_test(protected: float, placebos: Sequence[float]) -> PlaceboTest:
    """Compare one distance with those of random perturbations of the same size.

    If the protection were one of them, ``p`` would be 0.05 or less in at most 5 % of the photos.
    """
    far = sum(distance >= protected for distance in placebos)
    stronger = far == 0 and len(placebos) >= DRAWS
    if stronger:
        words = f"acts more strongly than all {len(placebos)} random perturbations of its size"
    elif len(placebos) < DRAWS:
        words = f"too few random perturbations ({len(placebos)} of {DRAWS}) to tell it from noise"
    else:
        words = "no more than noise of its size"
    return PlaceboTest(
        p=(1 + far) / (1 + len(placebos)),
        placebos=len(placebos),
        at_least_as_far=far,
        stronger=stronger,
        words=words,
    )
