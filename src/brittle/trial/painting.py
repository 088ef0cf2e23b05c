"""The stages that trials over collections have of their own: learn and paint, and score."""

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import combinations
from statistics import mean
from typing import Any

import torch
from torch import Tensor

from brittle.editors import FineTune
from brittle.metrics import Metric
from brittle.models import EditModel
from brittle.progress import Progress, silent
from brittle.record.arms import ORIGINAL
from brittle.record.store import Store
from brittle.sources.photos import centre_square
from brittle.trial import scoring
from brittle.trial.album import Album
from brittle.trial.collections import CollectionPlan, Painting
from brittle.trial.scoring import Score, attempt
from brittle.trial.work import Cell

FINE_TUNES = "fine-tunes"
"""The store's folder of learned weights; `FineTune.learn` names what lies in it."""


def paint(
    plan: CollectionPlan,
    store: Store,
    model: EditModel,
    progress: Progress,
    wait_for: Callable[[str], None],
) -> None:
    """Learn from each received collection whose paintings are missing, and paint those."""
    waiting: dict[tuple[str | None, str], list[Painting]] = defaultdict(list)
    for one in plan.paintings.values():
        if not store.has(one.key):
            waiting[one.tuning, one.editor].append(one)
    if not waiting:
        return
    with progress("fine-tunes", len(waiting)) as advance:
        for (tuning, label), paintings in waiting.items():
            editor = plan.editors[label]
            assert isinstance(editor, FineTune)
            painter = model
            if tuning is not None:
                painter = _learn(plan, store, model, editor, tuning, progress, wait_for)
            pictures = editor.generate(
                painter,
                prompts=[one.prompt for one in paintings],
                seeds=[one.seed for one in paintings],
            )
            for one, picture in zip(paintings, pictures.split(1), strict=True):
                store.write(one.key, picture)
            advance(1)


def _learn(
    plan: CollectionPlan,
    store: Store,
    model: EditModel,
    editor: FineTune,
    tuning: str,
    progress: Progress,
    wait_for: Callable[[str], None],
) -> EditModel:
    received = []
    for key in plan.tunings[tuning].receptions:
        wait_for(key)
        received.append(store.read(key))
    # One bar for all fine-tunes; where one takes hours, its own is worth a line.
    shown = progress if len(plan.tunings) == 1 else silent
    folder = store.directory / FINE_TUNES
    return editor.learn(model, received, folder=folder, ordered=True, progress=shown)


def score(plan: CollectionPlan, store: Store, model: EditModel, progress: Progress) -> None:
    """Score each painting against its collection's originals."""
    originals = {
        name: Originals(torch.cat([_as_seen(plan, picture, model) for picture in pictures]), model)
        for name, pictures in plan.collections.items()
    }
    album = Album(plan, store, model)
    scoring.score(
        plan, store, model, progress, lambda cell: _Views(cell, album, originals[cell.photo])
    )


def _as_seen(plan: CollectionPlan, picture: str, model: EditModel) -> Tensor:
    return centre_square(plan.photos[picture].photo, model.size).image


@dataclass
class Originals:
    """A collection's untouched pictures (N, 3, size, size), and distances from them."""

    images: Tensor
    model: EditModel
    known: dict[str, float] = field(default_factory=dict)

    def distance(self, metric: Metric, picture: Tensor, prompt: str) -> float:
        """Mean distance of a picture (1, 3, size, size) from all of them."""
        rows = picture.expand(len(self.images), -1, -1, -1)
        return self._mean(metric, rows, self.images, prompt)

    def between(self, metric: Metric, label: str, prompt: str) -> float:
        """Mean distance of any two of them; computed once."""
        if label not in self.known:
            one, other = zip(*combinations(self.images.split(1), 2), strict=True)
            self.known[label] = self._mean(metric, torch.cat(one), torch.cat(other), prompt)
        return self.known[label]

    def _mean(self, metric: Metric, images: Tensor, references: Tensor, prompt: str) -> float:
        scores = metric.score(images, references, prompts=[prompt] * len(images), model=self.model)
        return mean(metric.as_distance(scores).tolist())


@dataclass(frozen=True)
class _Views:
    """One cell's painting beside the originals."""

    cell: Cell
    album: Album
    originals: Originals

    def scores(self, metric: Metric, label: str) -> list[Score]:
        cell, of = self.cell, self.originals
        picture = self.album.picture(cell.edit)
        name = f"{label}.distance"
        found = [attempt(name, "originals", lambda: of.distance(metric, picture, cell.prompt))]
        if cell.arm == ORIGINAL and cell.transform == "none":
            between = attempt(name, "between", lambda: of.between(metric, label, cell.prompt))
            found.append(between)
        return found


def received_pictures(plan: CollectionPlan) -> list[dict[str, Any]]:
    """What the model learned from, for the index: the files of each picture, arm and transform."""
    found = []
    for collection, names in plan.collections.items():
        tunings = {
            (cell.arm, cell.transform): plan.tunings[tuning].receptions
            for cell in plan.cells
            if cell.photo == collection and (tuning := plan.paintings[cell.edit].tuning) is not None
        }
        for (arm, transform), receptions in tunings.items():
            for name, key in zip(names, receptions, strict=True):
                found.append(
                    {
                        **{"image": name, "arm": arm, "transform": transform},
                        **{"editor": "", "prompt": "", "seed": 0},
                        "released": Store.artifact(plan.receptions[key].release).as_posix(),
                        "received": Store.artifact(key).as_posix(),
                    }
                )
    return found
