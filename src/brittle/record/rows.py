"""``results.csv``: one row a cell and metric, read strictly and written the same everywhere."""

import csv
import io
import math
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from heapq import merge
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any, Literal, cast, get_args

from pydantic import ConfigDict

from brittle.errors import UserError, shortened

Reference = Literal[
    "control", "photo", "published", "clean", "seed", "release", "originals", "between"
]
COLUMNS = (
    "image",
    "arm",
    "transform",
    "editor",
    "prompt",
    "seed",
    "metric",
    "reference",
    "value",
    "reason",
)
VALUE = COLUMNS.index("value")
REFERENCES = get_args(Reference)
_FORMULA = re.compile(r"'*[=+\-@\t\r\n＝＋－＠]")
"""How a text begins that a spreadsheet would compute; a quote before it says that it is text."""


@dataclass(frozen=True, slots=True)
class Row:
    """One score of one edit."""

    __pydantic_config__ = ConfigDict(use_attribute_docstrings=True, extra="forbid")

    image: str
    """The photo's name, or the collection's."""
    arm: str
    """``original``, ``gray`` or ``base model`` (the ends), a protection's label, or its placebo:
    ``noise(LABEL)`` and such."""
    transform: str
    """What happened after release, in its text form; ``none`` for nothing."""
    editor: str
    """The editor in its text form."""
    prompt: str
    """What was asked for."""
    seed: int
    """The declared seed; the noise follows from it and the photo."""
    metric: str
    """A metric's name for its raw score; with ``.distance`` behind it for its distance form."""
    reference: Reference
    """What was compared with: the ``control``'s edit, the original ``photo``, the ``published``
    file, the ``clean`` edit (no transform), or the edits under the other ``seed`` values; of
    ``release`` no edit is scored but the published file, against the photo. In a trial over
    collections: the mean over all ``originals``, and of ``between`` no picture is scored but the
    originals, against each other."""
    value: float | None
    """The score; null where it is missing."""
    reason: str = ""
    """Why the value is missing; empty where it isn't."""

    @property
    def key(self) -> tuple[str, str, str, str, str, int, str, str]:
        """What makes the row one of its kind."""
        return (
            self.image,
            self.arm,
            self.transform,
            self.editor,
            self.prompt,
            self.seed,
            self.metric,
            self.reference,
        )


def read_results(path: Path) -> list[Row]:
    """Read a ``results.csv``.

    Raises:
        UserError: not such a file, or a row that can't be one, with its line.

    """
    try:
        return decode_results(path.read_bytes(), where=str(path))
    except OSError as error:
        raise UserError(f"{path} can't be read: {error}.") from None


def decode_results(data: bytes, *, where: str) -> list[Row]:
    """Read the bytes of a ``results.csv``; errors as `read_results`."""
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        raise UserError(f"{where} can't be read: {error}.") from None
    return parse_results(text, where=where)


def parse_results(text: str, *, where: str = "results.csv") -> list[Row]:
    """Read the text of a ``results.csv``; errors as `read_results`."""
    return [*_read(io.StringIO(text, newline=""), where)]


def _read(lines: Iterable[str], where: str) -> Iterator[Row]:
    """The rows one by one; a text that many of them hold is in memory once."""
    reader = csv.reader(lines, strict=True)
    texts: dict[str, str] = {}
    try:
        header = next(reader, [])
        if tuple(header) != COLUMNS:
            raise UserError(f"{where}: the first line must be {','.join(COLUMNS)}.")
        for cells in reader:
            for at in {*range(len(cells))} - {VALUE}:
                cells[at] = texts.setdefault(cells[at], cells[at])
            yield _parse(cells, f"{where}, line {reader.line_num}")
    except csv.Error as error:
        raise UserError(f"{where}, line {reader.line_num}: not a table: {error}.") from None


class StoredRows(Sequence[Row]):
    """The rows of a ``results.csv``, which are not in memory: each pass reads the file anew."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __iter__(self) -> Iterator[Row]:
        """The rows in the file's order; errors as `read_results`."""
        with self.path.open(encoding="utf-8", newline="") as lines:
            yield from _read(lines, str(self.path))

    def __len__(self) -> int:
        """How many there are."""
        return sum(1 for _ in self)

    def __getitem__(self, at: Any) -> Any:
        """One row or some, for whom passes are too slow."""
        return [*self][at]

    def __eq__(self, other: object) -> bool:
        """Whether another sequence has the same rows."""
        return isinstance(other, Sequence) and [*self] == [*other]


def format_results(rows: Iterable[Row]) -> str:
    r"""Write the text of a ``results.csv``: sorted, ``\n``, floats that read back exactly.

    A text that a spreadsheet would compute, as one that begins with ``=``, has a quote before it,
    which `parse_results` takes away.
    """
    return "".join(_lines(sorted(map(_cells, rows))))


@contextmanager
def in_one_table(parts: Iterable[Iterable[Row]], directory: Path) -> Iterator[Iterator[str]]:
    """The lines of `format_results` of all parts, of which one is in memory at a time.

    The others wait in nameless files of a directory.
    """
    with ExitStack() as waiting:
        readers = []
        for rows in parts:
            options: dict[str, Any] = {"encoding": "utf-8", "newline": "", "dir": directory}
            file = waiting.enter_context(TemporaryFile("w+", **options))
            csv.writer(file).writerows(sorted(map(_cells, rows)))
            file.seek(0)
            readers.append(csv.reader(file, strict=True))
        yield _lines(merge(*readers))


def _lines(rows: Iterable[list[str]]) -> Iterator[str]:
    """A table's lines, from the cells of its sorted rows."""

    class Echo:
        def write(self, line: str) -> str:
            return line.removesuffix("\r\n") + "\n"

    write = csv.writer(Echo()).writerow  # which quotes what its end of a line, \r\n, is made of
    yield write(COLUMNS)
    yield from map(write, rows)


def _cells(row: Row) -> list[str]:
    texts = (row.image, row.arm, row.transform, row.editor, row.prompt)
    value = "" if row.value is None else repr(float(row.value))
    return [
        *map(inert, texts),
        str(row.seed),
        *map(inert, (row.metric, row.reference)),
        value,
        inert(row.reason),
    ]


def inert(text: str) -> str:
    """A text as a cell of a table that no spreadsheet computes."""
    return f"'{text}" if _FORMULA.match(text) else text


def as_meant(cell: str) -> str:
    """A cell that `inert` wrote, as it was."""
    return cell[1:] if cell.startswith("'") and _FORMULA.match(cell) else cell


def _parse(cells: list[str], where: str) -> Row:
    if len(cells) != len(COLUMNS):
        raise UserError(f"{where}: {len(cells)} columns, and there must be {len(COLUMNS)}.")
    image, arm, transform, editor, prompt, seed, metric, reference, value, reason = map(
        as_meant, cells
    )
    if not (image and arm and transform and editor and metric):
        raise UserError(f"{where}: image, arm, transform, editor and metric must not be empty.")
    if reference not in REFERENCES:
        raise UserError(f"{where}: reference {reference!r} is none of {', '.join(REFERENCES)}.")
    if not re.fullmatch(r"-?[0-9]{1,30}", seed):
        raise UserError(f"{where}: the seed {shortened(seed)!r} is no whole number.")
    score = _parse_value(value, where)
    if score is None and not reason:
        raise UserError(f"{where}: a missing value must have its reason.")
    if score is not None and reason:
        raise UserError(f"{where}: a reason stands beside a value; it belongs to a missing one.")
    if score is not None and score < 0 and metric.endswith(".distance"):
        raise UserError(f"{where}: the distance {value} is negative.")
    if score is not None and metric == "usable" and score not in (0, 1):
        raise UserError(f"{where}: usable is {value}; it must be 0 or 1.")
    kind = cast(Reference, reference)
    return Row(image, arm, transform, editor, prompt, int(seed), metric, kind, score, reason)


def _parse_value(text: str, where: str) -> float | None:
    if not text:
        return None
    try:
        value = float(text) if text.isascii() and "_" not in text else math.nan
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise UserError(
            f"{where}: the value {shortened(text)!r} is no finite number; leave a missing one out."
        )
    return value
