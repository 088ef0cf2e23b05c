"""From cells to ``results.csv``: one row a cell and metric; and the index of its pictures."""

import csv
import io
from collections.abc import Iterable
from typing import Any

from brittle.trial.plan import Cell, Plan
from brittle.trial.store import Store

COLUMNS = (
    *("image", "arm", "transform", "editor", "prompt", "seed"),
    *("metric", "reference", "value", "reason"),
)

Row = dict[str, str]


def rows(plan: Plan, store: Store) -> list[Row]:
    """All rows of a plan's cells, sorted; a score that is missing has its reason."""
    found = [
        {
            **_point(cell),
            "metric": score["metric"],
            "reference": score["reference"],
            "value": "" if score["value"] is None else repr(score["value"]),
            "reason": score.get("reason", ""),
        }
        for cell in plan.cells
        for score in _scores(plan, store, cell)
    ]
    return sorted(found, key=lambda row: tuple(row.values()))


def write_rows(store: Store, found: Iterable[Row]) -> None:
    """Write ``results.csv`` whole."""
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(found)
    store.write_file("results.csv", text.getvalue().encode())


def index(plan: Plan, store: Store) -> list[dict[str, Any]]:
    """Which pictures belong to which cell: released, received and edited, as paths in the folder."""
    pictures = []
    for cell in plan.cells:
        reception = plan.receptions[plan.edits[cell.edit].reception]
        keys = {"released": reception.release, "received": reception.key, "edited": cell.edit}
        paths = {name: store.artifact(key).as_posix() for name, key in keys.items()}
        pictures.append({**_point(cell), "seed": cell.seed, **paths})
    return pictures


def _point(cell: Cell) -> Row:
    return {
        "image": cell.photo,
        "arm": cell.arm,
        "transform": cell.transform,
        "editor": cell.editor,
        "prompt": cell.prompt,
        "seed": str(cell.seed),
    }


def _scores(plan: Plan, store: Store, cell: Cell) -> Iterable[dict[str, Any]]:
    scores = store.read_cell(cell.key).get("scores", {})
    return [score for label in plan.metrics for score in scores.get(label, [])]
