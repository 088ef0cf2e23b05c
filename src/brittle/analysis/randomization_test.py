"""One photo: does its protection act more strongly than each kind of noise of its size?

The file is compared with random perturbations of several kinds, as it is and after transforms. It
acts beyond noise if it does so beyond each kind: p is the largest over the kinds. A photo has one
answer over its lines. The first, without a transform, is tested alone at 5 %. The others count only
where it is stronger, and are corrected for their number after Holm at 2.5 %: the rest is left for
what looking after each draw adds. Against tails that are heavier than normal ones, p of a line also
has to be smaller than that of any draw, on any line, held against the others.
"""

from collections.abc import Mapping, Sequence
from math import inf, log, sqrt
from statistics import NormalDist, fmean

from brittle.data import Data

DRAWS = 19
"""Fewest random perturbations of a kind with which a result can be called rarer than 1 in 20 by
counting; and the most of a kind that a line takes before it is settled."""
FIRST = 3
"""Draws of each kind that are made whatever they show, so that nothing biases their mean."""
ALPHA = 0.05
"""How often, at most, noise is called stronger than noise: over all lines of a photo."""
CERTAIN = 0.0002
"""p at which no more is drawn of a kind. It is low since it is looked at after each draw."""
ALONE = 5
"""Draws from which on a kind's own spread counts, beside that of all kinds."""
SMALLEST = 0.0001
"""No p that follows from a few draws and Student's t is given as less."""

Draws = Mapping[str, Sequence[float]]
"""How far random perturbations moved the photo, by their kind."""


class PlaceboTest(Data):
    """One line: the protected photo against placebos of its size."""

    p: float
    """The largest p over the kinds of placebo. By counting, ``(1 + placebos at least as far) / (1 +
    placebos)``, where one lies as far, and without a transform where there are 19 and more of each
    kind; else by Student's t on the logarithms of the distances."""
    p_of_lines: float
    """p corrected for the number of lines of the photo: at most 0.05 where it is stronger; 1 where
    some draw of noise stands out as much."""
    closest: str
    """The kind of placebo with the largest p."""
    placebos: int
    """How many placebos there were, of all kinds."""
    at_least_as_far: int
    """Placebos that moved the photo at least as far as its protection did."""
    stronger: bool
    """Whether it acts more strongly than every kind of placebo."""
    words: str
    """The answer in words."""


def placebo_tests(lines: Sequence[tuple[float, Draws]]) -> list[PlaceboTest]:
    """Test a photo's lines, each a distance and those of placebos; the first is untransformed.

    If the file were noise of one of the kinds, some line would be called stronger in at most 5 % of
    the photos; if only some transforms left nothing, one of those would be in at most 5 %.
    """
    (first, draws), *others = lines
    count = all(len(of) >= DRAWS for of in draws.values())
    found = [p_values(first, draws, count=count), *(p_values(*line) for line in others)]
    gate, *after = (max(p.values()) for p in found)
    chance = min(_least(of) for _, of in lines)
    stands_out = (max(by_spread(*line).values()) < chance for line in others)
    corrected = [gate]
    for p, out in zip(holm(after), stands_out, strict=True):
        corrected.append(max(min(1.0, 2 * p), gate) if out else 1.0)
    counted = [True, *(gate <= ALPHA for _ in others)]
    return [
        _test(*line, p, of_lines, counts=counts)
        for line, p, of_lines, counts in zip(lines, found, corrected, counted, strict=True)
    ]


def _test(
    protected: float, draws: Draws, p: Mapping[str, float], of_lines: float, *, counts: bool
) -> PlaceboTest:
    placebos = sum(map(len, draws.values()))
    far = sum(distance >= protected for of in draws.values() for distance in of)
    stronger = of_lines <= ALPHA
    if stronger:
        beaten = f"all {placebos}" if not far else f"{placebos - far} of {placebos}"
        words = f"acts more strongly than {beaten} random perturbations of its size"
    elif far:
        words = "no more than noise of its size"
    elif not counts:
        words = "not counted: without a transform it is not told from noise"
    elif min(map(len, draws.values())) < DRAWS and max(p.values()) > ALPHA:
        words = f"with too few random perturbations ({placebos}) to tell it from noise"
    else:
        words = "too close to noise of its size to be told from it"
    return PlaceboTest(
        p=max(p.values()),
        p_of_lines=of_lines,
        closest=max(p, key=lambda kind: p[kind]),
        placebos=placebos,
        at_least_as_far=far,
        stronger=stronger,
        words=words,
    )


def p_values(protected: float, draws: Draws, *, count: bool = False) -> dict[str, float]:
    """How likely noise of each kind moves the photo at least as far.

    By counting where ``count`` or where one draw lies as far. Else by Student's t, on the
    logarithms of the distances: by the spread that all kinds have within themselves and, from
    `ALONE` draws on, by the kind's own, whichever p is larger.
    """
    found = {kind: max(p, SMALLEST) for kind, p in by_spread(protected, draws).items()}
    for kind, of in draws.items():
        far = sum(distance >= protected for distance in of)
        if count or far:
            found[kind] = (1 + far) / (1 + len(of))
    return found


def by_spread(protected: float, draws: Draws) -> dict[str, float]:
    """`p_values` by Student's t alone."""
    logs = {kind: _logs(of) for kind, of in draws.items()}
    return {kind: _by_spread(protected, kind, logs) for kind in logs}


def _by_spread(protected: float, kind: str, logs: Draws) -> float:
    own = logs[kind]
    spreads = [[*logs.values()]] if len(own) < ALONE else [[*logs.values()], [own]]
    return max(_beyond(protected, own, groups) for groups in spreads)


def _least(draws: Draws) -> float:
    """The least p that a draw itself has, each held against the others of its kind."""
    logs = {kind: _logs(of) for kind, of in draws.items()}
    least = 1.0
    for kind, own in logs.items():
        for at, distance in enumerate(draws[kind]):
            others = [*own[:at], *own[at + 1 :]]
            if others:
                least = min(least, _by_spread(distance, kind, {**logs, kind: others}))
    return least


def _beyond(protected: float, logs: Sequence[float], groups: Sequence[Sequence[float]]) -> float:
    """How likely noise lies as far, by Student's t and the standard deviation within groups."""
    groups = [group for group in groups if len(group) > 1]
    squares = [_squares(group) for group in groups]
    if protected <= 0 or not 0 < sum(squares) < inf:
        return 1.0
    known = sum(len(group) - 1 for group in groups)
    # Where one kind's spread makes up most of it, little more is known than that kind's draws say.
    degrees = sum(squares) ** 2 / sum(
        square**2 / (len(group) - 1) for square, group in zip(squares, groups, strict=True)
    )
    spread = sqrt(sum(squares) / known * (1 + 1 / len(logs)))
    return _tail((log(protected) - fmean(logs)) / spread, degrees)


def unsettled(protected: float, draws: Draws) -> list[str]:
    """The kinds of which further draws may change the answer; none once it is plain.

    One placebo at least as far settles a line: its file is not stronger. Where all stay behind, a
    kind is settled once its p is at most `CERTAIN`, or with 19 draws.
    """
    if is_reached(protected, draws):
        return []
    found = p_values(protected, draws)
    return [kind for kind, of in draws.items() if len(of) < DRAWS and found[kind] > CERTAIN]


def is_reached(protected: float, draws: Draws) -> bool:
    """Whether a placebo moved the photo at least as far."""
    return any(distance >= protected for of in draws.values() for distance in of)


def holm(p: Sequence[float]) -> list[float]:
    """Each p corrected for their number after Holm (1979)."""
    order = sorted(range(len(p)), key=lambda at: p[at])
    corrected, least = [0.0] * len(p), 0.0
    for rank, at in enumerate(order):
        least = max(least, min(1.0, (len(p) - rank) * p[at]))
        corrected[at] = least
    return corrected


def together(photos: Sequence[tuple[float, Draws]]) -> float:
    """How likely noise of one kind lies as far as the files of many photos do, all together.

    Each photo's distance becomes a normal score, by draws that were made whatever they showed and
    the spread that a kind has within all photos. Their sum is compared with what noise would do
    (Stouffer).
    """
    normal, found = NormalDist(), []
    for kind in photos[0][1]:
        logs = [_logs(draws[kind]) for _, draws in photos]
        scores = (
            -normal.inv_cdf(min(max(_beyond(protected, own, logs), SMALLEST), 1 - SMALLEST))
            for (protected, _), own in zip(photos, logs, strict=True)
        )
        found.append(1 - normal.cdf(sum(scores) / sqrt(len(photos))))
    return max(found)


def _logs(distances: Sequence[float]) -> list[float]:
    return [log(one) if one > 0 else -inf for one in distances]


def _squares(group: Sequence[float]) -> float:
    mean = fmean(group)
    return sum((one - mean) ** 2 for one in group)


def _tail(t: float, degrees: float) -> float:
    """How likely Student's t is to be larger."""
    from scipy.special import stdtr

    return float(stdtr(degrees, -t))
