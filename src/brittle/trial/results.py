"""From cells to the rows of ``results.csv``, and the index of each cell's pictures."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from brittle.errors import Unavailable
from brittle.metrics.usable import Calibration
from brittle.trial.plan import Cell, Plan
from brittle.trial.rows import Row
from brittle.trial.scoring import Score
from brittle.trial.store import Store

if TYPE_CHECKING:
    from brittle.models import EditModel


def rows(plan: Plan, store: Store, model: "EditModel") -> list[Row]:
    """All rows of a plan's cells; a score that is missing has its reason."""
    judge = _judge(model)
    found = []
    for cell in plan.cells:
        kept = store.read_cell(cell.key)["scores"]
        scores = [score for label in plan.metrics for score in kept[label]]
        found += [_row(cell, score) for score in [*scores, *judge(cell, scores)]]
    return found


def _row(cell: Cell, score: Score) -> Row:
    scored = {name: score[name] for name in ("metric", "reference", "value")}
    return Row(**_point(cell), **scored, reason=score.get("reason", ""))


def _judge(model: "EditModel") -> Callable[[Cell, list[Score]], list[Score]]:
    """What makes `usable` of a cell's `follow` and `keep`, by the model's calibration."""
    usable = {"metric": "usable", "reference": "photo"}
    try:
        calibration, lacking = Calibration.of(model), ""
    except Unavailable as error:
        calibration, lacking = None, str(error)

    def judge(cell: Cell, scores: list[Score]) -> list[Score]:
        against_photo = {
            score["metric"]: score for score in scores if score["reference"] == "photo"
        }
        if not against_photo:
            return []
        if calibration is None:
            return [{**usable, "value": None, "reason": lacking}]
        try:
            follow = _number(against_photo, calibration.follow)
            keep = _number(against_photo, calibration.keep)
            return [{**usable, "value": calibration.usable(follow, keep, cell.prompt)}]
        except Unavailable as error:
            return [{**usable, "value": None, "reason": str(error)}]

    return judge


def _number(scores: dict[str, Score], metric: str) -> float:
    if metric not in scores:
        raise Unavailable(f"the trial does not score {metric}, on which the thresholds rest")
    value = scores[metric]["value"]
    if value is None:
        raise Unavailable(scores[metric]["reason"])
    return float(value)


def index(plan: Plan, store: Store) -> list[dict[str, Any]]:
    """Each cell's pictures, released, received and edited, as paths in the folder."""
    pictures = []
    for cell in plan.cells:
        reception = plan.receptions[plan.edits[cell.edit].reception]
        keys = {"released": reception.release, "received": reception.key, "edited": cell.edit}
        paths = {name: store.artifact(key).as_posix() for name, key in keys.items()}
        pictures.append({**_point(cell), **paths})
    return pictures


def _point(cell: Cell) -> dict[str, Any]:
    return {
        "image": cell.photo,
        "arm": cell.arm,
        "transform": cell.transform,
        "editor": cell.editor,
        "prompt": cell.prompt,
        "seed": cell.seed,
    }
