"""Half-life: along a transform's strength, where half of the effect is left."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from brittle.analysis.effects import Effects
from brittle.analysis.intervals import Array, mean_bounds, mean_interval
from brittle.analysis.phrases import split_transform, transform_name
from brittle.analysis.summary import MIN_PHOTOS, HalfLife, StrengthTest
from brittle.component import name_of, registry
from brittle.errors import UserError

if TYPE_CHECKING:
    from brittle.transforms import Transform

ALPHA = 0.025
MIN_STRENGTHS = 3
NO_EFFECT, NO_SINGLE = "No half-life", "No single half-life"
"""What sentences begin with where no effect is above noise for sure; where half is gone twice."""


def ladders(transforms: Iterable[str]) -> dict[tuple[str, str], list[tuple[float, str]]]:
    """Sort transforms into ladders of one numeric parameter, mild end first.

    Keys are (what stays the same, the parameter that changes); a ladder has three rungs at least,
    all of one sign. A text that leaves a parameter out means its default.
    """
    written = [(text, *split_transform(text)) for text in transforms if "+" not in text]
    named: dict[str, dict[str, None]] = defaultdict(dict)
    for _, name, parameters in written:
        named[name] |= dict.fromkeys(parameters)
    found: dict[tuple[str, str], list[tuple[float, str]]] = defaultdict(list)
    for text, name, parameters in written:
        defaults = _defaults(name)
        for parameter in named[name]:
            try:
                strength = float(parameters.get(parameter, defaults.get(parameter, "")))
            except ValueError:
                continue
            rest = [f"{key}={other}" for key, other in parameters.items() if key != parameter]
            ladder = name + (":" + ",".join(rest) if rest else ""), parameter
            found[ladder].append((strength, text))
    return {
        (name, parameter): _mild_first(name_of(name), parameter, rungs)
        for (name, parameter), rungs in found.items()
        if len(rungs) >= MIN_STRENGTHS
        and parameter not in _known(name_of(name)).two_sided
        and (min(rungs)[0] >= 0 or max(rungs)[0] <= 0)
    }


def _mild_first(
    name: str, parameter: str, rungs: Iterable[tuple[float, str]]
) -> list[tuple[float, str]]:
    large = parameter in _known(name).mild_if_large
    return sorted(rungs, key=lambda rung: abs(rung[0]), reverse=large)


def _defaults(name: str) -> dict[str, str]:
    """What a known transform's parameters are where its text leaves them out."""
    fields = _known(name).model_fields
    return {field: str(info.default) for field, info in fields.items() if not info.is_required()}


def _known(name: str) -> "type[Transform]":
    """The transform of a name; of one that was done elsewhere, what holds for any."""
    from brittle.transforms import Transform

    try:
        found, _ = registry(Transform.family).resolve(name)
    except UserError:
        return Transform
    return found if issubclass(found, Transform) else Transform


def walk(low: Array, high: Array) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Walk in from both ends, on bounds (..., strengths) of E(q) - E(none)/2, mild end first.

    Returns how many strengths from the mild end have more than half left, and how many from the
    harsh end have less: each walk stops at the first test that fails, so that the error of each
    stays at that of one test.
    """
    more = np.cumprod(low > 0, axis=-1).sum(-1)
    less = np.cumprod((high < 0)[..., ::-1], axis=-1).sum(-1)
    return more, less


def window(low: Array, high: Array) -> tuple[int, int] | None:
    """Where less than half is left although more is left right after: first and last index.

    ``low`` and ``high`` (strengths,) are bounds that allow for looking at every strength.
    """
    less, more = np.flatnonzero(high < 0), np.flatnonzero(low > 0)
    if not len(less) or not len(more) or less[0] > more[-1]:
        return None
    inside = less[less < more[more > less[0]][0]]
    return int(inside[0]), int(inside[-1])


def half_life(
    effects: Effects,
    arm: str,
    ladder: tuple[str, str],
    rungs: Sequence[tuple[float, str]],
    details: Mapping[str, str],
    bits: Mapping[str, float],
) -> HalfLife | None:
    """Test every strength and walk; None with fewer than eight photos.

    ``details`` stand beside the finding, and of ``bits`` a pixel those at its ends.
    """
    pairs = [effects.unit.means(*effects.share_pair(arm, text)) for _, text in rungs]
    if min(len(before) for _, before in pairs) < MIN_PHOTOS:
        return None
    values = [after - 0.5 * before for after, before in pairs]
    loose = np.array([mean_bounds(value, ALPHA)[1:] for value in values]).T
    strict = np.array([mean_bounds(value, ALPHA / len(rungs))[1:] for value in values]).T
    strengths = [strength for strength, _ in rungs]
    clean = effects.contrast(arm, "none")
    (known,) = effects.unit.means(clean.effect)
    protects = bool(mean_bounds(known, ALPHA)[1] > 0)
    (more, less), gap = walk(*loose), window(*strict) if protects else None
    high = strengths[more - 1] if more and protects else None
    low = strengths[len(strengths) - less] if less and protects else None
    single = gap is None
    name, parameter = ladder
    what = f"{transform_name(name)} {parameter}"
    return HalfLife(
        arm=arm,
        editor=effects.editor,
        metric=effects.metric,
        parameter=what,
        low=low if single else None,
        high=high if single else None,
        single=single,
        window=None if gap is None else (strengths[gap[0]], strengths[gap[1]]),
        tests=tuple(
            _test(strength, text, value, bounds)
            for (strength, text), value, bounds in zip(rungs, values, loose.T, strict=True)
        ),
        details={**details, **_bits_at((high, low), rungs, bits)},
        sentence=_sentence(what, strengths, protects, gap, low, high),
    )


def _bits_at(
    ends: Iterable[float | None], rungs: Sequence[tuple[float, str]], bits: Mapping[str, float]
) -> dict[str, str]:
    """Bits a pixel at the ends of what was found: qualities differ between encoders."""
    texts = {strength: text for strength, text in rungs if text in bits}
    said = [f"{bits[texts[end]]:.2f} at {end:g}" for end in ends if end in texts]
    return {"bits a pixel": ", ".join(said)} if said else {}


def _test(strength: float, text: str, values: Array, bounds: Array) -> StrengthTest:
    interval = mean_interval(values, ALPHA)
    assert interval is not None
    finding = (
        "more than half" if bounds[0] > 0 else "less than half" if bounds[1] < 0 else "not settled"
    )
    return StrengthTest(strength=strength, transform=text, interval=interval, finding=finding)


def _sentence(
    what: str,
    strengths: Sequence[float],
    protects: bool,
    gap: tuple[int, int] | None,
    low: float | None,
    high: float | None,
) -> str:
    if not protects:
        why = "the effect without a transform is not above noise for sure"
        return f"{NO_EFFECT} over {what}: {why}."
    if gap is not None:
        first, last = strengths[gap[0]], strengths[gap[1]]
        return (
            f"{NO_SINGLE} over {what}: less than half is left from {first:g} to {last:g}, "
            "and more than half again beyond it."
        )
    if low is not None and high is not None:
        return f"Over {what}, half of the effect is gone somewhere between {high:g} and {low:g}."
    if high is not None:
        end = strengths[-1]
        if high == end:
            return f"Over {what}, more than half is left at everything tried, as far as {end:g}."
        return f"Over {what}, more than half is left as far as {high:g}; beyond it is not settled."
    if low is not None:
        if low == strengths[0]:
            return f"Over {what}, less than half is left at everything tried, even at {low:g}."
        return f"Over {what}, less than half is left from {low:g} on; before it is not settled."
    return f"Over {what}, the half-life is not settled: more photos would be needed."
