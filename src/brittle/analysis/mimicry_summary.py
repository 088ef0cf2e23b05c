"""What a trial over collections found, as data: the schema of its ``summary.json``."""

from typing import Literal

from pydantic import Field

from brittle.analysis.summary import Flag, Interval, Scope
from brittle.data import Data

MIN_COLLECTIONS = 8
"""Fewest collections that carry an interval over collections."""
MIN_TUNINGS = 3
"""Fewest fine-tunes that carry an interval over the fine-tunes' seeds."""

Unit = Literal["collections", "fine-tunes", "none"]


class Collection(Data):
    """An artist's or a subject's pictures."""

    name: str
    """The folder's name."""
    pictures: int = Field(ge=0)
    """How many; 0: not known."""


class Ends(Data):
    """The scale on which mimicry is read, and how far unprotected pictures led along it."""

    metric: str
    """The metric, by its text form."""
    transform: str
    """The transform, in its text form."""
    originals: float
    """Mean distance of the originals from each other."""
    base_model: float
    """Mean distance to the originals of what the model paints without having learned."""
    clean: float
    """That of what it paints after the unprotected pictures, transformed."""
    learned: Interval
    """``base_model - clean``: what learning brought."""
    learned_clearly: bool
    """Whether the interval of ``learned`` lies above zero; nothing is scaled if not."""


class Mimicked(Data):
    """One protection after one transform, in one metric."""

    arm: str
    """The protection, by its label."""
    transform: str
    """The transform, in its text form."""
    metric: str
    """The metric, by its text form."""
    distance: float
    """Mean distance to the originals of what was learned from the protected pictures."""
    clean: float
    """The same of the unprotected pictures, after the same transform."""
    placebo: float | None
    """The same of pictures with noise of the protection's size."""
    preferred: float
    """Pairs in which the protected painting is at least as close as the clean; ties count half."""
    pairs: int
    """Paintings compared: collections x fine-tunes x prompts x seeds."""
    preference: Interval
    """``preferred`` as a share: a half is as good as without protection."""
    preferred_placebo: float | None
    """As ``preferred``, of the placebo."""
    preference_placebo: Interval | None
    """As ``preference``, of the placebo."""
    best_of: tuple[float, ...]
    """For K = 1, 2, …: how often the best of K protected paintings of a prompt is as close as the
    middle one of the clean."""
    best_of_placebo: tuple[float, ...] | None
    """The same of the placebo."""
    best_of_clean: tuple[float, ...]
    """The same of the clean paintings: what K tries bring anyone."""
    effect: Interval | None
    """``distance - placebo``, in the metric's unit; above zero: mimicry is worse."""
    reach: Interval | None
    """The effect on the scale from clean mimicry (0) to a model that learned nothing (1)."""
    reach_reason: str
    """Why reach is null."""
    retention: Interval | None
    """Share of the effect without a transform that is left."""
    retention_reason: str
    """Why retention is null."""
    per_unit: list[float]
    """The effect of each collection, or of each fine-tune's seed."""


class BestTransform(Data):
    """Of all transforms the closest painting, seed by seed: an attacker who tries each of them."""

    arm: str
    """The protection, by its label."""
    metric: str
    """The metric, by its text form."""
    transforms: int
    """How many are tried, no transform among them."""
    share: float
    """How often it is at least as close as the untransformed clean painting."""
    placebo: float | None
    """The same of the placebo."""
    clean: float
    """The same of the unprotected pictures: what so many tries bring anyone."""


class MimicrySummary(Data):
    """All that a trial over collections found."""

    schema_version: int = 1
    """Version of this schema."""
    kind: Literal["mimicry"] = "mimicry"
    """What tells it from the summary of a trial over photos."""
    scope: Scope
    """Which model painted, and what is not claimed."""
    metric: str
    """The primary metric."""
    collections: tuple[Collection, ...]
    """What was learned from."""
    tunings: int
    """Fine-tunes of each collection, arm and transform."""
    prompts: tuple[str, ...]
    """What was painted."""
    seeds: tuple[int, ...]
    """With which seeds."""
    unit: Unit
    """What intervals are over."""
    unit_words: str
    """The same in words, with what it can't say."""
    headline: str
    """The first sentence of the report."""
    placebo: str | None
    """The kind of noise that is compared with."""
    results: tuple[Mimicked, ...]
    """Every protection, transform and metric; the primary metric first."""
    ends: tuple[Ends, ...]
    """The scale, by metric and transform."""
    best_transforms: tuple[BestTransform, ...]
    """The best of all transforms."""
    flags: tuple[Flag, ...]
    """Signs that a result may not mean what it seems to."""
    missing: dict[str, str]
    """Metrics without numbers, and why."""

    def to_json(self) -> str:
        """The text of ``summary.json``."""
        return self.model_dump_json(indent=1) + "\n"
