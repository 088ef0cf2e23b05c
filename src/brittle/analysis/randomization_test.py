"""One photo: does its protection act more strongly than random perturbations of its size?"""

from collections.abc import Sequence
from math import log, sqrt
from statistics import mean, stdev

from brittle.data import Data

DRAWS = 19
"""Fewest random perturbations with which a result can be called rarer than 1 in 20."""
FIRST = 3
"""Draws that are made whatever they show: what all further ones show can't bias their mean."""
CHANCE = 0.005
"""At most this likely may it be that the draws not made would have changed the answer."""


class PlaceboTest(Data):
    """A randomisation test of one protected photo against placebos of its size."""

    p: float
    """``(1 + placebos at least as far) / (1 + placebos)``; where drawing stopped because all 19
    would have stayed behind, that of all 19: 0.05."""
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

    If the protection were one of them, it would be called stronger in at most 5 % of the photos.
    """
    far = sum(distance >= protected for distance in placebos)
    settled = is_settled(protected, placebos)
    stronger = far == 0 and settled
    if stronger:
        words = f"acts more strongly than all {len(placebos)} random perturbations of its size"
    elif not settled:
        words = f"too few random perturbations ({len(placebos)} of {DRAWS}) to tell it from noise"
    else:
        words = "no more than noise of its size"
    return PlaceboTest(
        p=(1 + far) / (1 + (max(DRAWS, len(placebos)) if stronger else len(placebos))),
        placebos=len(placebos),
        at_least_as_far=far,
        stronger=stronger,
        words=words,
    )


def is_settled(protected: float, placebos: Sequence[float]) -> bool:
    """Whether the answer is plain: drawing on, to 19 placebos, would hardly change it.

    One placebo at least as far settles it: the protection is not stronger than all. Where all stay
    behind, further ones are as far as the logarithms of those drawn lead to expect (normal, with
    Student's t for what few draws leave open): it is settled where one of them would reach the
    protection with a chance of at most `CHANCE`.
    """
    missing = DRAWS - len(placebos)
    if missing <= 0 or any(distance >= protected for distance in placebos):
        return True
    if len(placebos) < FIRST or min(placebos) <= 0:
        return False
    logs = [log(distance) for distance in placebos]
    beyond, spread = log(protected) - mean(logs), stdev(logs) * sqrt(1 + 1 / len(logs))
    return bool(spread > 0) and missing * _tail(beyond / spread, len(logs) - 1) <= CHANCE


def _tail(t: float, degrees: int) -> float:
    """How likely Student's t is to be larger."""
    from scipy.special import stdtr

    return float(stdtr(degrees, -t))
