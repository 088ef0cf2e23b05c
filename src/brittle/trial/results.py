"""From cells to the rows of ``results.csv``, and the index of each cell's pictures."""

from collections.abc import Callable, Iterator
from dataclasses import fields, replace
from functools import lru_cache, partial
from typing import TypeVar

from brittle.errors import Unavailable
from brittle.metrics.thresholds import mask_kind
from brittle.places import Hidden
from brittle.record.record import IndexEntry, Point
from brittle.record.rows import Row
from brittle.record.store import Store, artifact, cell_file
from brittle.trial.manifest import hidden
from brittle.trial.scoring import Score
from brittle.trial.tasks import Cell, Plan

T = TypeVar("T", Row, IndexEntry)


def rows(plan: Plan, store: Store) -> Iterator[Row]:
    """All rows of a plan's cells; a score that is missing has its reason."""
    hide = hidden(plan)
    for cell in plan.cells:
        kept = store.read_cell(cell.key)["scores"]
        scores = [score for label in plan.scored_by(cell.editor) for score in kept[label]]
        scores += _judge(plan, cell, scores)
        for score in scores:
            yield _hiding(hide, _row(cell, score))


def _hiding(hide: Hidden, one: T) -> T:
    """A row or an entry without the paths that stand in its texts."""
    if not hide.instead:
        return one
    return replace(one, **hide({field.name: getattr(one, field.name) for field in fields(one)}))


def _row(cell: Cell, score: Score) -> Row:
    scored = {name: score[name] for name in ("metric", "reference", "value")}
    return Row(*cell.point, **scored, reason=score.get("reason", ""))


def _judge(plan: Plan, cell: Cell, scores: list[Score]) -> list[Score]:
    """What makes `usable` of a cell's `follow` and `keep`, by the thresholds of its editor."""
    against_photo = {score["metric"]: score for score in scores if score["reference"] == "photo"}
    if not against_photo:
        return []
    usable = {"metric": "usable", "reference": "photo"}
    try:
        value = usable_of(plan, cell.point, partial(_number, against_photo))
    except Unavailable as error:
        return [{**usable, "value": None, "reason": str(error)}]
    return [{**usable, "value": value}]


def usable_of(plan: Plan, point: Point, number: Callable[[str], float]) -> float:
    """Whether an edit is usable, 1 or 0, by ``number``, which gives its score of a metric.

    Raises:
        Unavailable: there are no thresholds for it, or no such score.
    """
    if plan.calibration is None:
        raise Unavailable(plan.not_calibrated)
    editor = plan.editors[point.editor]
    mask = mask_kind(plan.trial.mask) if editor.needs_mask else "none"
    thresholds = plan.calibration.find(str(editor), mask, size=plan.shown(point.image))
    follow, keep = map(number, (thresholds.follow, thresholds.keep))
    return thresholds.usable(follow, keep, point.prompt)


def _number(scores: dict[str, Score], metric: str) -> float:
    if metric not in scores:
        raise Unavailable(f"the trial does not score {metric}, on which the thresholds rest")
    value = scores[metric]["value"]
    if value is None:
        raise Unavailable(scores[metric]["reason"])
    return float(value)


def index(plan: Plan) -> list[IndexEntry]:
    """Each cell's pictures, and the clean edits under the floor's seeds, as paths in the folder.

    Where models learned, also the pictures that they learned from, which have no editor and prompt.
    """
    pictures = []
    for cell in plan.cells:
        of_cell = _entry(plan, cell.point, cell.edit)
        pictures.append(replace(of_cell, cell=cell_file(cell.key)))
        if cell.floor and plan.trial.floor_seeds and cell.seed == plan.trial.seeds[0]:
            pictures += [
                _entry(plan, cell.point._replace(seed=seed), edit)
                for seed, edit in zip(plan.trial.floor_seeds, cell.floor, strict=True)
            ]
    hide = hidden(plan)
    return [_hiding(hide, one) for one in [*pictures, *_learned_from(plan)]]


def _entry(plan: Plan, point: Point, edit: str) -> IndexEntry:
    made = plan.edits.get(edit)
    received = None if made is None else plan.receptions.get(made.source or "")
    return IndexEntry(
        *point,
        released=None if received is None else _path(received.release),
        received=None if received is None else _path(received.key),
        edited=_path(edit),
    )


@lru_cache(maxsize=1000)
def _path(key: str) -> str:
    """Where a picture lies; a text that neighbours share is in memory once."""
    return artifact(key).as_posix()


def _learned_from(plan: Plan) -> list[IndexEntry]:
    """What models learned from: the files of each picture, arm and transform."""
    found: dict[Point, IndexEntry] = {}
    for cell in plan.cells:
        learning = plan.learnings.get(plan.edits[cell.edit].source or "") if plan.edits else None
        if learning is None:
            continue
        pictures = plan.subjects[cell.subject].pictures
        for name, key in zip(pictures, learning.receptions, strict=True):
            point = Point(name, cell.arm, cell.transform, "", "", 0)
            released = _path(plan.receptions[key].release)
            found[point] = IndexEntry(*point, released=released, received=_path(key))
    return list(found.values())
