"""Scoring: every cell's edit against its control, the photo, the clean edit and the seed floor.

A score is kept as {metric, reference, value, reason}: a number, or null with the reason why not.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from statistics import mean
from typing import Any

import torch
from torch import Tensor

from brittle.component import key
from brittle.errors import Unavailable
from brittle.metrics import Metric
from brittle.models import EditModel
from brittle.progress import Progress
from brittle.trial.plan import GRAY, ORIGINAL, Cell, Plan
from brittle.trial.store import Store

Score = dict[str, Any]


def score(plan: Plan, store: Store, model: EditModel, progress: Progress) -> None:
    """Fill in the scores that cells lack; one that was computed stays."""
    identities = {label: key(metric) for label, metric in plan.metrics.items()}
    missing = []
    for cell in plan.cells:
        kept = store.read_cell(cell.key)
        lacking = [
            label
            for label, identity in identities.items()
            if kept.get("metrics", {}).get(label) != identity
        ]
        if lacking:
            missing.append((cell, kept, lacking))
    if not missing:
        return
    with progress("scores", len(missing)) as advance:
        for cell, kept, lacking in missing:
            views = Views(cell, plan, store, model)
            scores = {label: views.scores(plan.metrics[label], label) for label in lacking}
            done = {label: identities[label] for label in lacking}
            store.write_cell(
                cell.key,
                {
                    "scores": {**kept.get("scores", {}), **scores},
                    "metrics": {**kept.get("metrics", {}), **done},
                },
            )
            advance(1)


@dataclass
class Views:
    """The pictures of one cell, each read when first asked for."""

    cell: Cell
    plan: Plan
    store: Store
    model: EditModel

    @cached_property
    def edit(self) -> Tensor:
        """The arm's edit, (1, 3, h, w), as every picture here."""
        return self.store.read(self.cell.edit)

    @cached_property
    def control(self) -> Tensor:
        """The original's edit under the same transform, prompt and seed."""
        return self.store.read(self.cell.control)

    @cached_property
    def clean(self) -> Tensor:
        """The original's edit without a transform."""
        return self.store.read(self.cell.clean)

    @cached_property
    def photo(self) -> Tensor:
        """The photo as the editor sees it."""
        return self.model.fit(self.plan.photos[self.cell.photo].image)

    @cached_property
    def valid(self) -> Tensor:
        """Where the received picture shows the photo."""
        return self.plan.transforms[self.cell.transform].valid(self.edit)

    def undone(self, image: Tensor) -> Tensor:
        """A picture with its pixels moved back to where they are in the photo."""
        return self.plan.transforms[self.cell.transform].undo(image)

    def scores(self, metric: Metric, label: str) -> list[Score]:
        """All scores of one metric that this cell has."""
        cell = self.cell
        if metric.against == "photo":
            return (
                [] if cell.arm == GRAY else [_attempt(label, "photo", lambda: self._kept(metric))]
            )
        if cell.arm != ORIGINAL:
            raw = _attempt(label, "control", lambda: self._against_control(metric))
            return [raw, _as_distance(metric, raw)]
        if cell.transform != "none":
            return [_attempt(f"{label}.distance", "clean", lambda: self._cost(metric))]
        if cell.floor:
            return [_attempt(f"{label}.distance", "seed", lambda: self._floor(metric))]
        return []

    def _against_control(self, metric: Metric) -> float:
        return self._compare(metric, self.edit, self.control, self.valid)

    def _kept(self, metric: Metric) -> float:
        return self._compare(metric, self.undone(self.edit), self.photo)

    def _cost(self, metric: Metric) -> float:
        """How far the transform alone moves the edit, once it is turned back."""
        return self._distance(metric, self.undone(self.edit), self.clean, self.undone(self.valid))

    def _floor(self, metric: Metric) -> float:
        """How far another seed alone moves the edit, on average."""
        others = [self.store.read(other) for other in self.cell.floor]
        return mean(self._distance(metric, other, self.clean) for other in others)

    def _compare(
        self, metric: Metric, image: Tensor, reference: Tensor, valid: Tensor | None = None
    ) -> float:
        return float(
            metric.score(
                image, reference, valid=valid, prompts=[self.cell.prompt], model=self.model
            )
        )

    def _distance(
        self, metric: Metric, image: Tensor, reference: Tensor, valid: Tensor | None = None
    ) -> float:
        score = self._compare(metric, image, reference, valid)
        return float(metric.as_distance(torch.tensor(score, dtype=torch.float64)))


def _as_distance(metric: Metric, raw: Score) -> Score:
    value = raw["value"]
    distance = (
        None
        if value is None
        else float(metric.as_distance(torch.tensor(value, dtype=torch.float64)))
    )
    return {**raw, "metric": f"{raw['metric']}.distance", "value": distance}


def _attempt(label: str, reference: str, compare: Callable[[], float]) -> Score:
    try:
        return {"metric": label, "reference": reference, "value": compare()}
    except Unavailable as error:
        return {"metric": label, "reference": reference, "value": None, "reason": str(error)}
