"""Transforms that a protection foresees: named ones, and ranges that are drawn from anew."""

import random
import re
from collections.abc import Mapping
from typing import Annotated, Any, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, model_validator
from torch import Tensor

from brittle.component import Component, plain
from brittle.noise import Seeds
from brittle.transforms import Transform

_POWER = r"(?:[eE][-+]?\d+)?"
_RANGE = re.compile(rf"(-?\d[\d./]*?{_POWER})\.\.(-?\d[\d./]*{_POWER})")


class Range(BaseModel):
    """A transform whose numbers are drawn evenly between those of two ends, both included.

    Written ``jpeg:quality=50..95``: the ends are ``jpeg:quality=50`` and ``jpeg:quality=95``, and
    whole numbers stay whole. Steps of a chain are drawn each by itself.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    low: Transform
    high: Transform

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read ``jpeg:quality=50..95`` or ``resize:factor=0.5..0.9+jpeg:quality=50..95``.

        Raises:
            UserError: one of the ends is no transform.
        """
        return cls(low=_RANGE.sub(r"\1", text), high=_RANGE.sub(r"\2", text))

    @model_validator(mode="after")
    def _check(self) -> Self:
        _between(self.low, self.high, None)
        return self

    def draw(self, seed: int) -> Transform:
        """One transform of the range."""
        return _between(self.low, self.high, random.Random(seed))

    def __str__(self) -> str:
        return _text(self.low, self.high)


def _read(value: object) -> object:
    if isinstance(value, str):
        return Range.parse(value) if _RANGE.search(value) else Transform.parse(value)
    if isinstance(value, Mapping) and set(value) == {"low", "high"}:
        return Range.model_validate(value)
    return value


def _differentiable(value: Any) -> Any:
    for one in (value.low, value.high) if isinstance(value, Range) else (value,):
        if not one.capabilities.differentiable:
            raise ValueError(
                f"no protection can foresee {one}, which has no gradient: leave it out"
            )
    return value


Foreseen = Annotated[Transform | Range, BeforeValidator(_read), AfterValidator(_differentiable)]


def received(transform: Transform, image: Tensor, seeds: Seeds) -> Tensor:
    """What somebody receives of ``image`` (N, 3, H, W), with the gradient of its surrogate.

    The values are the real transform's, codec and rounding included, so that a protection never
    trusts a surrogate for more than a direction.
    """
    stand_in = transform.surrogate(image)
    real = transform.apply(image.detach().clamp(0, 1), seeds=seeds)
    return stand_in + (real.to(stand_in) - stand_in.detach())


def _between(low: Any, high: Any, stream: random.Random | None) -> Any:
    """A value between two ends: a component, a number, or what both have in common.

    Raises:
        ValueError: the ends differ in something that has nothing between.
    """
    if isinstance(low, Component) and type(low) is type(high):
        fields = {
            field: _between(getattr(low, field), getattr(high, field), stream)
            for field in type(low).model_fields
        }
        return type(low).from_record({"name": low.name, "fields": plain(fields)})
    if isinstance(low, tuple) and isinstance(high, tuple) and len(low) == len(high):
        return tuple(_between(*ends, stream) for ends in zip(low, high, strict=True))
    if low == high:
        return low
    if isinstance(low, (int, float)) and isinstance(high, (int, float)):
        if low > high:
            raise ValueError(f"the range {low:g}..{high:g} ends before it begins")
        if isinstance(low, int) and isinstance(high, int):
            return low if stream is None else stream.randint(low, high)
        return low if stream is None else stream.uniform(low, high)
    raise ValueError(f"there is nothing to draw between {low} and {high}")


def _text(low: Any, high: Any) -> str:
    """The range as one types it."""
    fields = [(name, getattr(low, name), getattr(high, name)) for name in type(low).model_fields]
    if len(fields) == 1 and isinstance(fields[0][1], tuple):  # a chain
        return "+".join(_text(*ends) for ends in zip(*fields[0][1:], strict=True))
    named = [
        f"{name}={start if start == end else f'{start!r}..{end!r}'}"
        for name, start, end in fields
        if start != end or start != type(low).model_fields[name].default
    ]
    return low.name + (":" + ",".join(named) if named else "")
