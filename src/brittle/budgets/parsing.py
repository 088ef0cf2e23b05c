"""How a budget is read: from text, from a number, from a record, by the name of a strength."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

from pydantic import BeforeValidator

from brittle.budgets.l2 import L2Budget
from brittle.budgets.linf import LinfBudget
from brittle.budgets.perceptual import PerceptualBudget
from brittle.component import unknown
from brittle.errors import UserError

KINDS: dict[str, type[LinfBudget | L2Budget | PerceptualBudget]] = {
    "linf": LinfBudget,
    "l2": L2Budget,
    "perceptual": PerceptualBudget,
    "lpips": PerceptualBudget,
    "st-lpips": PerceptualBudget,
}
_TEXT = re.compile(r"\s*(?:([\w-]+)\s*:)?\s*([^:@\s][^:@]*?)\s*(?:@\s*([^:@\s]+)\s*)?")


@dataclass(frozen=True)
class Strength:
    """A budget that has a name, and what to expect of it at 512 px (docs/visibility.md)."""

    budget: str
    decibels: int
    looks: str


STRENGTHS = {
    "mild": Strength("perceptual:0.5", 42, "hardly visible, and only in flat areas such as sky"),
    "medium": Strength("perceptual:1", 37, "faint on a closer look, in flat areas such as sky"),
    "strong": Strength("perceptual:2", 33, "visible in flat areas such as sky"),
}
"""From the weakest to the strongest; read wherever a budget is, recorded as the budget."""
BEYOND = "plainly visible, most of all in flat areas such as sky"
"""How a picture looks that is farther from its photo than the strongest allows."""


def read_budget(value: object) -> LinfBudget | L2Budget | PerceptualBudget:
    """The budget behind its text, its record, a number (a linf radius) or itself.

    Texts are "8/255", "linf:8/255", "l2:8@512", "perceptual:0.5", "lpips:0.05@16/255", "mild".

    Raises:
        UserError: a text that is none, a radius that isn't positive and finite, or linf above 1.
        ValidationError: another value that is none.
    """
    if isinstance(value, (LinfBudget, L2Budget, PerceptualBudget)):
        return value
    if isinstance(value, str):
        return _parse(value)
    if isinstance(value, Mapping):
        norm = value.get("norm", "linf")
        if norm not in KINDS:
            raise ValueError(unknown("norm", str(norm), KINDS))
        return KINDS[norm].model_validate(value)
    return LinfBudget.model_validate({"radius": value})


Budget = Annotated[LinfBudget | L2Budget | PerceptualBudget, BeforeValidator(read_budget)]


def _parse(text: str) -> LinfBudget | L2Budget | PerceptualBudget:
    written = STRENGTHS[text.strip()].budget if text.strip() in STRENGTHS else text
    match = _TEXT.fullmatch(written)
    norm, radius, more = match.groups() if match else ("", "", None)
    kind = KINDS.get(norm or "linf")
    if kind is None or written.strip().isalpha() or not radius or not _fits(kind, more):
        raise UserError(
            f"The budget {text!r} isn't understood: write {', '.join(STRENGTHS)}, 8/255, "
            f"l2:8@512 or perceptual:0.5."
        )
    if kind is LinfBudget and more:
        raise UserError(f"The budget {text!r}: a reference size belongs to the l2 norm")
    fields = {"norm": norm or "linf", "radius": radius, **({kind.after_at: more} if more else {})}
    return kind.of_text(text, **fields)


def _fits(kind: type[LinfBudget | L2Budget | PerceptualBudget], more: str | None) -> bool:
    """Whether what stands behind the @ can be this budget's: a size in pixels, or a guard."""
    return more is None or kind is PerceptualBudget or more.isdigit()
