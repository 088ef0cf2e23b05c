"""From distances to answers: the protected file against random perturbations of its size."""

from collections.abc import Iterator, Sequence

from brittle.analysis.phrases import transform_name
from brittle.analysis.randomization_test import placebo_test
from brittle.auditing.answers import NOT_SEEN, finding
from brittle.auditing.document import Answer
from brittle.auditing.work import Distances


def comparisons(found: Sequence[Distances]) -> Iterator[Answer]:
    """An answer for each transform; the first is none."""
    first = found[0]
    at_first = placebo_test(first.protected, first.placebos).stronger
    for one in found:
        tried, name = one.tried, str(one.tried.transform)
        test = placebo_test(one.protected, one.placebos)
        beyond, room = one.protected - one.noise, one.gray - one.noise
        left, reason = None, ""
        if one is first:
            reason = "nothing was transformed"
        elif not at_first:
            reason = "no more than noise without a transform"
        else:
            left = beyond / (first.protected - first.noise)
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
            placebos=one.placebos,
            noise=one.noise,
            ceiling=one.gray,
            reach=beyond / room if room > 0 else None,
            left=None if tried.reduced_first else left,
            left_reason=reason,
            left_reduced=left if tried.reduced_first else None,
            test=test,
            finding=finding(test, one.seen, transform=name, at_first=at_first),
            usable=one.usable,
            usable_reason=one.usable_reason,
        )
