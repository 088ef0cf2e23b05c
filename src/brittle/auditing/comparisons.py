"""From distances to answers: the protected file against random perturbations of its size."""

from collections.abc import Iterator, Sequence
from statistics import mean

from brittle.analysis.phrases import transform_name
from brittle.analysis.randomization_test import placebo_tests
from brittle.analysis.summary import SMALL
from brittle.auditing.answers import NOT_SEEN, finding
from brittle.auditing.document import Answer
from brittle.auditing.work import Distances


def comparisons(found: Sequence[Distances]) -> Iterator[Answer]:
    """An answer for each transform; the first is none."""
    first = found[0]
    tests = placebo_tests([(one.protected, one.placebos) for one in found])
    at_first, first_reach = tests[0].stronger, _reach(first)
    for one, test in zip(found, tests, strict=True):
        tried, name, reach = one.tried, str(one.tried.transform), _reach(one)
        left, reason = None, ""
        if one is first:
            reason = "nothing was transformed"
        elif not at_first:
            reason = "no more than noise without a transform"
        elif first_reach is not None and first_reach < SMALL:
            reason = "next to nothing without a transform"
        else:
            left = one.beyond / first.beyond
        if tried.reduced_first and not reason:
            reason = NOT_SEEN
        yield Answer(
            transform=name,
            name=transform_name(name),
            trace=tried.trace,
            reduced_first=tried.reduced_first,
            seen=one.seen,
            metric=one.metric,
            distance=one.protected,
            placebos=dict(one.placebos),
            drawn_first=one.fixed,
            noise=one.noise,
            transplants=one.transplants,
            ceiling=one.gray,
            reach=reach,
            protects=test.stronger and one.seen == "edits" and (reach or 0) >= SMALL,
            elsewhere=_elsewhere(one) if test.stronger else None,
            left=None if tried.reduced_first else left,
            left_reason=reason,
            left_reduced=left if tried.reduced_first else None,
            test=test,
            finding=finding(test, one.seen, transform=name, at_first=at_first),
            usable=one.usable,
            usable_reason=one.usable_reason,
        )


def _reach(one: Distances) -> float | None:
    """What lies beyond noise, as a share of what a gray picture adds to it, if that is anything."""
    room = one.gray - one.noise
    return one.beyond / room if room > 0 else None


def _elsewhere(one: Distances) -> float | None:
    """What the perturbation does where it was not made for, if that is more than noise does."""
    noise = max(distance for of in one.placebos.values() for distance in of)
    if not one.transplants or min(one.transplants) <= noise:
        return None
    return (mean(one.transplants) - one.noise) / one.beyond
