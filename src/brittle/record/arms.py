"""What was done to a subject before release: its arms, and what each of them stands for."""

import re
from collections.abc import Mapping
from typing import Any, Literal, Self

from brittle.data import Data
from brittle.declaration.placebos import PlaceboKind

ORIGINAL, GRAY, BASE_MODEL = "original", "gray", "base model"
"""Arms that every trial has; the ceiling is a gray picture, or a model that learned nothing."""
CEILINGS = (GRAY, BASE_MODEL)

Kind = Literal["original", "ceiling", "protection", "placebo"]
NOISES: tuple[PlaceboKind, ...] = ("noise", "noise-spectrum", "noise-local")
"""Kinds of placebo that decide: a claim that an arm acts has to hold against each of them."""
TRANSPLANT: PlaceboKind = "transplant"
"""The kind that decides nothing: the perturbation itself, where it was not made for."""
PLACEBO_KINDS = (*NOISES, TRANSPLANT)
FORMER = {"untaught": BASE_MODEL}
"""Labels in folders of former versions, and what they are called now."""
_PLACEBO = re.compile(rf"({'|'.join(PLACEBO_KINDS)})\((.*)\)(?:#(\d+))?", re.DOTALL)
_BUDGET = re.compile(r"(?<=[:,])budget=([^,]+),?")


class Arm(Data):
    """One arm of a trial."""

    label: str
    """How everything else calls it."""
    kind: Kind
    """``ceiling``: what a perfect protection would leave."""
    of: str = ""
    """Of a placebo, the protection whose size it has."""
    noise: PlaceboKind | None = None
    """Of a placebo, what kind of noise it is."""
    draw: int = 0
    """Of a placebo, which of several draws."""
    record: Mapping[str, Any] | None = None
    """The component's record; null where there is none, or where it was made elsewhere."""
    source: str = ""
    """Where the component comes from: a paper, public code."""
    white_box: bool | None = None
    """Whether a protection was made on the model that edits, as it said when it was run; null where
    it can't know, and in folders of former versions."""

    @classmethod
    def named(cls, label: str) -> Self:
        """The arm that a label stands for, where nothing but the label is known."""
        if found := _PLACEBO.fullmatch(label):
            noise, of, draw = found.groups()
            return cls(label=label, kind="placebo", of=of, noise=noise, draw=int(draw or 0))
        if label in CEILINGS:
            return cls(label=label, kind="ceiling")
        return cls(label=label, kind="original" if label == ORIGINAL else "protection")

    def split_budget(self) -> tuple[str, str]:
        """A protection's label without its budget, and the budget; empty: the protection's own."""
        found = _BUDGET.search(self.label)
        return _BUDGET.sub("", self.label).rstrip(":,"), found[1] if found else ""


def placebo_label(noise: str, of: str, draw: int = 0) -> str:
    """The label of a protection's placebo: ``noise(LABEL)``, and of a further draw with its number.

    `Arm.named` is the way back.
    """
    return f"{noise}({of})" + (f"#{draw}" if draw else "")
