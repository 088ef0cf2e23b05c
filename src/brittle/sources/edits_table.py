"""A table of edits that were made elsewhere, as a person writes it in a spreadsheet."""

import csv
import io
import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

from brittle.component import registry, unknown
from brittle.errors import UserError
from brittle.record.arms import GRAY, NOISES, ORIGINAL, Arm, placebo_label
from brittle.record.rows import as_meant
from brittle.transforms import Transform

REQUIRED = ("photo", "arm", "prompt", "edit")
OPTIONAL = ("transform", "seed", "original", "group")
PLACEBO = "placebo"
LONGEST = 4000
"""Characters of a cell: more than any prompt has."""

Point = tuple[str, str, str, str, int]
"""Photo, arm, transform, prompt, seed."""


class Unknown(Transform):
    """Something that brittle doesn't know, which happened to pictures and left pixels in place."""

    name: ClassVar[str] = "unknown"
    example: ClassVar[str] = "a web site's upload"

    label: str

    def __str__(self) -> str:
        """As the table has it."""
        return self.label


def parse_transform(text: str) -> Transform:
    """A transform that brittle knows, so that it can turn edits back; or the table's own name.

    Raises:
        UserError: a known name with wrong parameters, or an unknown one that has parameters.
    """
    try:
        return Transform.parse(text)
    except UserError:
        if ":" in text or text.strip() in registry(Transform.family).names():
            raise
        return Unknown(label=text)


@dataclass(frozen=True)
class TableEdit:
    """One edit: what it is of, and its file."""

    photo: str
    arm: str
    transform: str
    prompt: str
    seed: int
    edit: Path
    original: Path | None
    where: str
    """File and line, for messages."""
    group: str = ""
    """What the photo belongs to, as one shoot; empty where the row doesn't say."""

    @property
    def point(self) -> Point:
        """Where in the grid it lies."""
        return (self.photo, self.arm, self.transform, self.prompt, self.seed)


def read_edits(path: Path) -> list[TableEdit]:
    """Read a table of edits: its rows, with a placebo for each protection.

    Columns are separated by commas, semicolons or tabs, whichever the first line has. ``placebo``
    stands for the placebo of every protection that has none of its own, ``placebo(NAME)`` for one.

    Raises:
        UserError: a file, a column, a row or a path that can't be used; a row given twice; an edit
            without its control.
    """
    entries = list(_rows(path))
    if not entries:
        raise UserError(f"{path} has no rows below its first line.")
    _check_files(entries)
    entries = _with_placebos(entries)
    known: dict[Point, TableEdit] = {}
    for entry in entries:
        if entry.point in known:
            raise UserError(
                f"{entry.where}: this photo, arm, transform, prompt and seed are those of "
                f"{known[entry.point].where}: number repeated tries in the column seed."
            )
        known[entry.point] = entry
    for entry in entries:
        _check_controls(entry, known)
    return entries


def protections(entries: Iterable[TableEdit]) -> list[str]:
    """The arms that are protections, in the table's order."""
    arms = dict.fromkeys(entry.arm for entry in entries)
    return [arm for arm in arms if Arm.named(arm).kind == "protection"]


def groups(entries: Iterable[TableEdit]) -> dict[str, str]:
    """The group of each photo that the table names one for, in any of its rows.

    Raises:
        UserError: a photo in two groups.
    """
    found: dict[str, TableEdit] = {}
    for entry in entries:
        if entry.group and found.setdefault(entry.photo, entry).group != entry.group:
            raise UserError(
                f"{entry.where}: {entry.photo} is in the group {entry.group} here and in "
                f"{found[entry.photo].group} above."
            )
    return {photo: entry.group for photo, entry in found.items()}


def _rows(path: Path) -> Iterator[TableEdit]:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise UserError(f"{path} is not UTF-8: save the table as “CSV UTF-8”.") from None
    except OSError as error:
        raise UserError(f"{path} can't be read: {error.strerror or error}.") from None
    if "\0" in text:
        raise UserError(f"{path} holds bytes that are no text: save the table as “CSV UTF-8”.")
    if not text.strip():
        raise UserError(f"{path} is empty: its first line names the columns.")
    first = text.partition("\n")[0]
    separator = max(",;\t", key=first.count)
    lines = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    try:
        columns = _columns([cell.strip().lower() for cell in next(lines, [])], path)
        for cells in lines:
            if any(as_meant(cell.strip()) for cell in cells):
                where = f"{path.name}, line {lines.line_num}"
                if len(cells) > len(columns):
                    raise UserError(
                        f"{where}: {len(cells)} cells and {len(columns)} columns: put a text "
                        "that has the separator in it into quotes."
                    )
                if max(map(len, cells)) > LONGEST:
                    raise UserError(f"{where}: a cell has more than {LONGEST:,} characters.")
                given = dict.fromkeys(OPTIONAL, "") | dict.fromkeys(REQUIRED, "")
                named = zip(columns, (as_meant(cell.strip()) for cell in cells), strict=False)
                yield _entry(given | dict(named), path.parent, where)
    except csv.Error as error:
        raise UserError(f"{path}, line {lines.line_num}: not a table: {error}.") from None


def _columns(found: list[str], path: Path) -> list[str]:
    for column in found:
        if column not in (*REQUIRED, *OPTIONAL):
            raise UserError(f"{path}: {unknown('column', column, [*REQUIRED, *OPTIONAL])}")
        if found.count(column) > 1:
            raise UserError(f"{path}: the column {column} is there twice.")
    if lacking := [column for column in REQUIRED if column not in found]:
        raise UserError(f"{path}: the first line lacks the column {lacking[0]}.")
    return found


def _entry(cells: dict[str, str], folder: Path, where: str) -> TableEdit:
    for column in REQUIRED:
        if not cells[column]:
            raise UserError(f"{where}: the column {column} is empty.")
    seed = cells["seed"] or "0"
    if not re.fullmatch(r"-?[0-9]{1,18}", seed):
        raise UserError(f"{where}: the seed {seed!r} is no whole number of at most 18 digits.")
    try:
        transform = str(parse_transform(cells["transform"] or "none"))
    except UserError as error:
        raise UserError(f"{where}: {error}") from None
    return TableEdit(
        photo=cells["photo"],
        arm=read_arm(cells["arm"], where),
        transform=transform,
        prompt=cells["prompt"],
        seed=int(seed),
        edit=_inside(cells["edit"], folder, where),
        original=_inside(cells["original"], folder, where) if cells["original"] else None,
        where=where,
        group=cells["group"],
    )


def read_arm(text: str, where: str) -> str:
    """The arm's label: ``placebo(NAME)`` is noise of NAME's size, as is ``noise(NAME)``.

    Raises:
        UserError: it is none; ``where`` it stands is told.
    """
    plain = {"grey": GRAY}.get(text.lower(), text.lower())
    if plain in (ORIGINAL, GRAY, PLACEBO):
        return plain
    if "(" not in text and ")" not in text:
        return text
    kind, _, of = text.partition("(")
    if kind.lower() not in (PLACEBO, *NOISES) or not of.endswith(")"):
        raise UserError(
            f"{where}: {text!r} is no arm: original, gray, placebo, placebo(NAME), or the name of "
            "a protection, without brackets."
        )
    noise = "noise" if kind.lower() == PLACEBO else kind.lower()
    return placebo_label(noise, of.removesuffix(")").strip())


def _inside(text: str, folder: Path, where: str) -> Path:
    """A file in the table's folder or below it, links followed."""
    path = Path(os.path.realpath(folder / text.replace("\\", "/")))
    if not path.is_relative_to(os.path.realpath(folder)):
        raise UserError(f"{where}: {text} leads out of the table's folder: put the file inside.")
    if not os.path.isfile(path):  # Path.is_file raises where a name is too long
        raise UserError(f"{where}: there is no file {text} in the table's folder.")
    return path


def _check_files(entries: list[TableEdit]) -> None:
    """Each edit has its own file, each photo one original; a gray picture's edit may serve all."""
    edits: dict[Path, TableEdit] = {}
    originals: dict[str, Path] = {}
    for entry in entries:
        other = edits.setdefault(entry.edit, entry)
        if other is not entry and not entry.arm == other.arm == GRAY:
            raise UserError(
                f"{entry.where}: {entry.edit.name} is the edit of {other.where} already: every "
                "edit has its own file."
            )
        if entry.original is not None:
            known = originals.setdefault(entry.photo, entry.original)
            if known != entry.original:
                raise UserError(
                    f"{entry.where}: the original of {entry.photo} is {entry.original.name} here "
                    f"and {known.name} above."
                )


def _with_placebos(entries: list[TableEdit]) -> list[TableEdit]:
    """The rows of ``placebo`` once for each protection that has no placebo of its own."""
    named = [arm for arm in protections(entries) if arm != PLACEBO]
    if not named:
        raise UserError(
            "The table has no protected photo: give its edits the protection's name as their arm."
        )
    arms = {entry.arm for entry in entries}
    for arm in sorted(arms):
        of = Arm.named(arm).of
        if of and of not in named:
            raise UserError(f"placebo({of}): {unknown('protection', of, named)}")
    labels = [placebo_label("noise", arm) for arm in named]
    shared = [label for label in labels if label not in arms]
    return [
        replace(entry, arm=label)
        for entry in entries
        for label in (shared if entry.arm == PLACEBO else [entry.arm])
    ]


def _check_controls(entry: TableEdit, known: dict[Point, TableEdit]) -> None:
    """The unprotected photo's edits that an edit is compared with."""
    for transform in dict.fromkeys((entry.transform, "none")):
        if (entry.photo, ORIGINAL, transform, entry.prompt, entry.seed) not in known:
            raise UserError(
                f"{entry.where}: its control is missing: a row of photo {entry.photo}, arm "
                f"original, transform {transform}, prompt {entry.prompt!r}, seed {entry.seed}."
            )
