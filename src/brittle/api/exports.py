"""Results to take away: tables, a paper's table, a bundle that opens elsewhere."""

import csv
import importlib.util
import io
from pathlib import Path
from typing import Literal, get_args

from brittle.analysis.finished import Finished
from brittle.component import unknown
from brittle.errors import UserError
from brittle.images import write_bytes
from brittle.record.bundle import pack
from brittle.record.rows import inert
from brittle.reporting.frames import Cells, columns, frames
from brittle.reporting.latex import latex

Form = Literal["csv", "parquet", "latex", "bundle"]


def export(directory: str | Path, to: Form, out: str | Path, *, force: bool = False) -> list[Path]:
    """Write a finished trial's results in another form; returns the files.

    >>> brittle.export("old", "latex", "old.tex")
    [PosixPath('old.tex')]

    Args:
        directory: of a finished trial.
        to: ``csv`` or ``parquet``: tidy tables, one file each, into the folder ``out``. ``latex``:
            the main tables, for booktabs. ``bundle``: one .zip of manifest, scores and pictures,
            which `report` opens.
        out: a folder for tables, a file for the other two.
        force: overwrite what is there.

    Raises:
        UserError: no finished trial, another form, a file that is there, or pyarrow is missing.
    """
    if to not in get_args(Form):
        raise UserError(unknown("form", to, get_args(Form)))
    trial, target = Finished.open(Path(directory)), Path(out)
    if to in ("csv", "parquet"):
        tables = frames(trial)
        files = {target / f"{name}.{to}": rows for name, rows in tables.items()}
        write = _as_parquet if to == "parquet" else _as_csv
        for path, rows in files.items():
            write_bytes(path, write(rows), overwrite=force)
        return list(files)
    if to == "latex":
        write_bytes(target, latex(trial).encode(), overwrite=force)
    else:
        pack(trial.record, target, overwrite=force)
    return [target]


def _as_csv(rows: list[Cells]) -> bytes:
    out = io.StringIO(newline="")
    writer = csv.DictWriter(out, columns(rows), lineterminator="\n")
    writer.writeheader()
    for row in rows:
        writer.writerow({at: inert(x) if isinstance(x, str) else x for at, x in row.items()})
    return out.getvalue().encode()


def _as_parquet(rows: list[Cells]) -> bytes:
    if importlib.util.find_spec("pyarrow") is None:
        raise UserError("Parquet needs pyarrow: pip install 'brittle[parquet]', or take --to csv.")
    import pyarrow
    from pyarrow import parquet

    out = io.BytesIO()
    named = {name: [row.get(name) for row in rows] for name in columns(rows)}
    parquet.write_table(pyarrow.table(named), out)
    return out.getvalue()
