"""From cells to the rows of ``results.csv``, and the index of each cell's pictures."""

from typing import Any

from brittle.errors import Unavailable
from brittle.metrics.thresholds import mask_kind
from brittle.record.rows import Row
from brittle.record.store import Store
from brittle.trial.collections import CollectionPlan
from brittle.trial.painting import received_pictures
from brittle.trial.scoring import Score
from brittle.trial.work import Cell, Plan


def rows(plan: Plan, store: Store) -> list[Row]:
    """All rows of a plan's cells; a score that is missing has its reason."""
    found = []
    for cell in plan.cells:
        kept = store.read_cell(cell.key)["scores"]
        scores = [score for label in plan.metrics for score in kept[label]]
        found += [_row(cell, score) for score in [*scores, *_judge(plan, cell, scores)]]
    return found


def _row(cell: Cell, score: Score) -> Row:
    scored = {name: score[name] for name in ("metric", "reference", "value")}
    return Row(**_point(cell), **scored, reason=score.get("reason", ""))


def _judge(plan: Plan, cell: Cell, scores: list[Score]) -> list[Score]:
    """What makes `usable` of a cell's `follow` and `keep`, by the thresholds of its editor."""
    against_photo = {score["metric"]: score for score in scores if score["reference"] == "photo"}
    if not against_photo:
        return []
    usable = {"metric": "usable", "reference": "photo"}
    try:
        value = _usable(plan, cell, against_photo)
    except Unavailable as error:
        return [{**usable, "value": None, "reason": str(error)}]
    return [{**usable, "value": value}]


def _usable(plan: Plan, cell: Cell, scores: dict[str, Score]) -> float:
    if plan.calibration is None:
        raise Unavailable(plan.not_calibrated)
    editor = plan.editors[cell.editor]
    mask = mask_kind(plan.trial.mask) if editor.needs_mask else "none"
    thresholds = plan.calibration.find(str(editor), mask, size=plan.shown(cell.photo))
    follow, keep = (_number(scores, metric) for metric in (thresholds.follow, thresholds.keep))
    return thresholds.usable(follow, keep, cell.prompt)


def _number(scores: dict[str, Score], metric: str) -> float:
    if metric not in scores:
        raise Unavailable(f"the trial does not score {metric}, on which the thresholds rest")
    value = scores[metric]["value"]
    if value is None:
        raise Unavailable(scores[metric]["reason"])
    return float(value)


def index(plan: Plan, store: Store) -> list[dict[str, Any]]:
    """Each cell's pictures, and the clean edits under the floor's seeds, as paths in the folder.

    Over collections also the pictures that were learned from, which have no editor and no prompt.
    """
    pictures = []
    for cell in plan.cells:
        pictures.append({**_point(cell), **_paths(plan, store, cell.edit)})
        if cell.floor and plan.trial.floor_seeds and cell.seed == plan.trial.seeds[0]:
            pictures += [
                {**_point(cell), "seed": seed, **_paths(plan, store, edit)}
                for seed, edit in zip(plan.trial.floor_seeds, cell.floor, strict=True)
            ]
    if isinstance(plan, CollectionPlan):
        pictures += received_pictures(plan)
    return pictures


def _paths(plan: Plan, store: Store, edit: str) -> dict[str, str]:
    keys = {"edited": edit}
    if edit in plan.edits:
        reception = plan.receptions[plan.edits[edit].reception]
        keys |= {"released": reception.release, "received": reception.key}
    return {name: store.artifact(key).as_posix() for name, key in keys.items()}


def _point(cell: Cell) -> dict[str, Any]:
    return {
        "image": cell.photo,
        "arm": cell.arm,
        "transform": cell.transform,
        "editor": cell.editor,
        "prompt": cell.prompt,
        "seed": cell.seed,
    }
