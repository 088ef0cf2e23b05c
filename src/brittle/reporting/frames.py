"""A finished trial as tidy tables: a row for each thing, a column for each of its numbers."""

from collections.abc import Iterable, Sequence
from typing import Any

from brittle.analysis.finished import Finished
from brittle.analysis.summary import Interval
from brittle.data import Data

Cells = dict[str, Any]
"""A row: text, numbers, truth values, None."""


def frames(trial: Finished) -> dict[str, list[Cells]]:
    """The tables of a trial by name; an interval is three columns: itself, ``_low``, ``_high``.

    ``scores`` has a row a cell and metric, ``photos`` an effect a photo; the others are the lists
    of the same name in ``summary.json``. Tables without rows are left out.
    """
    summary = trial.summary
    claims = [
        {**_place(verdict), **_flat(claim)}
        for verdict in summary.verdicts
        for claim in verdict.claims
    ]
    tables: dict[str, list[Cells]] = {
        "scores": [dict(zip(_SCORES, (*row.key, row.value, row.reason), strict=True))
                   for row in trial.record.rows],
        "effects": _rows(summary.effects),
        "photos": [
            {**_place(one), "metric": one.metric, "photo": photo, "effect": value,
             "reach": one.per_photo_reach.get(photo)}
            for one in summary.effects
            for photo, value in one.per_photo.items()
        ],
        "usable": _rows(summary.usable),
        "verdicts": _rows(summary.verdicts),
        "claims": claims,
        "transform_costs": _rows(summary.transform_costs),
        "half_lives": _rows(summary.half_lives),
        "comparisons": _rows(summary.comparisons),
        "worst_cases": _rows(summary.worst_cases),
        "flags": _rows(summary.flags),
    }  # fmt: skip
    return {name: rows for name, rows in tables.items() if rows}


_SCORES = (
    *("photo", "arm", "transform", "editor", "prompt", "seed"),
    *("metric", "reference", "value", "reason"),
)


def _rows(found: Iterable[Data]) -> list[Cells]:
    return [_flat(one) for one in found]


def _flat(record: Data) -> Cells:
    """A record's own values; what is a list or a table of its own is left out."""
    cells: Cells = {}
    for name in type(record).model_fields:
        value = getattr(record, name)
        if isinstance(value, Interval):
            cells |= {name: value.estimate, f"{name}_low": value.low, f"{name}_high": value.high}
        elif value is None or isinstance(value, (str, bool, int, float)):
            cells[name] = value
    return cells


def _place(one: Any) -> Cells:
    return {"arm": one.arm, "transform": one.transform, "editor": one.editor}


def columns(rows: Sequence[Cells]) -> list[str]:
    """The names of all columns, in the order in which rows name them."""
    return list(dict.fromkeys(name for row in rows for name in row))
