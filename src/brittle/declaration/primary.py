"""What a trial declares before it runs: the comparison that carries a verdict, and its margins."""

from typing import Self

from pydantic import Field, model_validator

from brittle.data import Data

MAX_PRIMARY_TRANSFORMS = 4


class Margins(Data):
    """Where the words of the verdicts begin: conventions, written down before the run."""

    broken: float = Field(0.25, gt=0, lt=1)
    """Share of the effect below which a protection is *broken*."""
    survived: float = Field(0.75, gt=0, lt=1)
    """Share of the effect above which it *survived*, and below which it is *weakened*."""
    protected: float = Field(0.10, gt=0, lt=1)
    """Reach without a transform above which a protection protects at all."""
    untestable: float = Field(-0.25, gt=-1, lt=0)
    """Change of the unprotected photo's usable share below which a transform ruins everyone's."""
    open: float = Field(-0.15, gt=-1, lt=0)
    """*Open*: usable with protection after T is at most this much below the clean edits' share."""
    closed: float = Field(0.25, gt=0, lt=1)
    """*Closed*: the protected photo's usable share lies below this."""
    closed_original: float = Field(0.5, gt=0, lt=1)
    """*Closed* also asks that the unprotected photo's usable share after T lies above this."""

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if not self.broken < self.survived:
            raise ValueError("margins: broken must lie below survived")
        return self


class Contrast(Data):
    """A comparison of two transforms that the trial announces: after which of them is more left."""

    left: str
    """A transform's text form."""
    right: str
    """Another transform's text form."""


class Primary(Data):
    """The claims that may carry a verdict; whatever else a trial measures is exploratory.

    The error level is shared by all of them: each is tested at ``alpha / (arms x transforms)``.
    """

    metric: str = "perceptual"
    """The one metric that decides: never one that the protection optimised against."""
    arms: tuple[str, ...] = ()
    """The protections that get a verdict, by label; empty: every protection of the trial."""
    transforms: tuple[str, ...] = (
        "jpeg:quality=95",
        "jpeg:quality=85",
        "jpeg:quality=75",
        "jpeg:quality=65",
    )
    """The transforms that get a verdict, in their text form; at most four. ``none`` alone asks
    whether a protection protects at all, and is what decides where no transform was tried."""
    editor: str | None = None
    """The editor that decides, in its text form; needed only where a trial has several."""
    alpha: float = Field(0.025, gt=0, lt=0.5)
    """Chance, a side, that any of the verdicts claims too much."""
    margins: Margins = Margins()
    """Where the words begin."""
    contrasts: tuple[Contrast, ...] = ()
    """Transforms to be compared with each other, paired by photo."""

    @property
    def tests(self) -> int:
        """How many comparisons carry a verdict."""
        return len(self.arms) * len(self.transforms)

    @property
    def alpha_each(self) -> float:
        """The error on a side of each of them."""
        return self.alpha / max(self.tests, 1)

    @model_validator(mode="after")
    def _few_and_different(self) -> Self:
        if not 1 <= len(self.transforms) <= MAX_PRIMARY_TRANSFORMS:
            raise ValueError(
                f"primary names 1 to {MAX_PRIMARY_TRANSFORMS} transforms, not "
                f"{len(self.transforms)}: each further one makes every verdict weaker"
            )
        if "none" in self.transforms and len(self.transforms) > 1:
            raise ValueError(
                "primary transforms are compared with 'none': name it alone, to ask whether a "
                "protection protects at all, or leave it out"
            )
        for what in ("arms", "transforms"):
            names = getattr(self, what)
            if len(set(names)) < len(names):
                raise ValueError(f"primary {what} are named twice")
        return self
