"""Does a person agree with `usable`? Marks on a sheet of edits without their arms, and their kappa.

``sheet.json`` in a trial's folder is the key of its sheet: which number is which edit.
``marks.json`` holds what a person said of them.
"""

import csv
import io
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import StrictBool, ValidationError

from brittle.analysis.intervals import Array, share_difference_interval
from brittle.analysis.phrases import count, with_bounds
from brittle.analysis.sampling_units import groups_of
from brittle.analysis.summary import Agreement, Interval
from brittle.analysis.table import NO_GROUPS
from brittle.data import Data
from brittle.errors import UserError
from brittle.record.rows import Row

KEY, MARKS = "sheet.json", "marks.json"
COLUMNS = ("sheet", "number", "usable")
SEPARATORS = str.maketrans(";\t", ",,")
ALPHA = 0.025
WORDS = {
    **dict.fromkeys(("yes", "y", "1", "true", "usable"), True),
    **dict.fromkeys(("no", "n", "0", "false", "not usable"), False),
}

Point = tuple[str, str, str, str, str, int]
"""Image, arm, transform, editor, prompt, seed."""
Verdicts = NDArray[np.bool_]


class SheetKey(Data):
    """Which number of a sheet is which edit; the rater need not see it."""

    sheet: str
    """The sheet's identity, which its marks repeat."""
    edits: tuple[Point, ...]
    """Number 1 first."""

    @classmethod
    def of(cls, directory: Path) -> "SheetKey":
        """The key in a trial's folder.

        Raises:
            UserError: no sheet was made, or the file is another one.
        """
        path = directory / KEY
        if not path.is_file():
            raise UserError(
                f"{directory} has no sheet: make one with brittle report {directory} --rate SHEET."
            )
        try:
            return cls.model_validate_json(path.read_text(encoding="utf-8"))
        except (ValidationError, UnicodeDecodeError):
            raise UserError(f"{path} is not a sheet's key that brittle wrote.") from None


class Marks(Data):
    """What a person said of a sheet's edits."""

    sheet: str
    usable: dict[int, StrictBool]
    """By number."""


def keep_marks(directory: Path, file: Path) -> int:
    """Read a person's marks and keep them in the trial's folder; returns how many there are.

    Raises:
        UserError: no sheet was made, or marks that can't be read or belong to another sheet.
    """
    from brittle.images import write_bytes

    key = SheetKey.of(directory)
    marks = parse_marks(_text(file), key, where=file.name)
    if not marks:
        raise UserError(f"{file} holds no marks yet: write yes or no behind the numbers.")
    text = Marks(sheet=key.sheet, usable=marks).model_dump_json(indent=1) + "\n"
    write_bytes(directory / MARKS, text.encode(), overwrite=True)
    return len(marks)


def parse_marks(text: str, key: SheetKey, *, where: str = "marks.csv") -> dict[int, bool]:
    """Whether each marked number is usable; a number without a mark is left out.

    Raises:
        UserError: not such a table, a word that is neither yes nor no, a number marked twice or not
            on the sheet, marks of another sheet.
    """
    lines = _lines(text, where)
    _, header = next(lines, ("", []))
    if tuple(cell.lower() for cell in header[:3]) != COLUMNS:
        raise UserError(f"{where}: the first line must be {','.join(COLUMNS)}.")
    marks: dict[int, bool] = {}
    for at, cells in lines:
        sheet, number, word = [*cells, "", ""][:3]
        if sheet != key.sheet:
            raise UserError(f"{at}: these marks are of the sheet {sheet!r}, not of {key.sheet}.")
        if not re.fullmatch("[0-9]{1,9}", number) or not 1 <= int(number) <= len(key.edits):
            raise UserError(f"{at}: the sheet's numbers are 1 to {len(key.edits)}, not {number!r}.")
        if not word:
            continue
        if word.lower() not in WORDS:
            raise UserError(f"{at}: {word!r} is neither yes nor no.")
        if int(number) in marks:
            raise UserError(f"{at}: number {number} is marked twice.")
        marks[int(number)] = WORDS[word.lower()]
    return marks


def _lines(text: str, where: str) -> Iterator[tuple[str, list[str]]]:
    """The lines that hold something: where each stands, for messages, and its cells."""
    lines = csv.reader(io.StringIO(text.removeprefix("\ufeff").translate(SEPARATORS), newline=""))
    try:
        for cells in lines:
            if any(cell.strip() for cell in cells):
                yield f"{where}, line {lines.line_num}", [cell.strip() for cell in cells]
    except csv.Error as error:
        raise UserError(f"{where}, line {lines.line_num}: not a table: {error}.") from None


def kept_marks(directory: Path) -> dict[Point, bool]:
    """What a person said of which edits; nothing where nobody marked any.

    Raises:
        UserError: marks whose sheet is gone or another one.
    """
    path = directory / MARKS
    if not path.is_file():
        return {}
    key = SheetKey.of(directory)
    try:
        kept = Marks.model_validate_json(path.read_bytes())
    except ValidationError:
        raise UserError(f"{path} is not a file that brittle wrote.") from None
    if kept.sheet != key.sheet or not all(1 <= one <= len(key.edits) for one in kept.usable):
        raise UserError(f"{path} is of another sheet than {directory / KEY}: read the marks again.")
    return {key.edits[number - 1]: mark for number, mark in kept.usable.items()}


def agreement(
    rows: Iterable[Row], marks: Mapping[Point, bool], groups: Mapping[str, str] = NO_GROUPS
) -> Agreement:
    """Compare a person's marks with `usable` as it was judged, edit by edit.

    ``groups`` names the group of photos that belong together, of which intervals are then.
    """
    judged = {
        row.key[:6]: bool(row.value)
        for row in rows
        if row.metric == "usable" and row.value is not None and row.key[:6] in marks
    }
    if not judged:
        return Agreement(marked=len(marks), sentence=_unjudged(len(marks)))
    points = sorted(judged)
    person, brittle = (np.array([of[point] for point in points]) for of in (marks, judged))
    photos, of = np.unique([point[0] for point in points], return_inverse=True)
    unit = np.array(groups_of(photos, groups).members or range(len(photos)))[of]
    kappa = kappa_interval(person, brittle, [unit == one for one in np.unique(unit)])
    same = int((person == brittle).sum())
    if kappa is None:
        found = "Cohen's kappa has no value, since both call every edit the same"
    else:
        found = f"Cohen's kappa {with_bounds(kappa)} (0: as by chance, 1: fully)"
    return Agreement(
        marked=len(marks),
        n=len(points),
        photos=len(photos),
        both=int((person & brittle).sum()),
        person_only=int((person & ~brittle).sum()),
        brittle_only=int((~person & brittle).sum()),
        neither=int((~person & ~brittle).sum()),
        kappa=kappa,
        sentence=f"A person who did not know the arms agrees with usable on {same} of "
        f"{count(len(points), 'edit')} of {count(len(photos), 'photo')}: {found}.",
    )


def kappa_interval(
    person: Verdicts, brittle: Verdicts, photos: Iterable[Verdicts]
) -> Interval | None:
    """Cohen's kappa of two verdicts on each edit, with an interval over photos (masks of edits).

    `share_difference_bounds` makes the interval of `pseudo_values`, with one photo's worth of doubt
    added, since few photos that agree by chance show too little scatter. None where both give one
    and the same verdict throughout.
    """
    whole = cohens_kappa(person, brittle)
    if whole is None:
        return None
    pseudo = pseudo_values(person, brittle, photos)
    return share_difference_interval(pseudo - pseudo.mean() + whole, ALPHA)


def pseudo_values(person: Verdicts, brittle: Verdicts, photos: Iterable[Verdicts]) -> Array:
    """What kappa owes to each photo, by the jackknife: (photos,)."""
    whole = cohens_kappa(person, brittle) or 0.0
    kept = [~photo for photo in photos]
    without = [cohens_kappa(person[rest], brittle[rest]) if rest.any() else None for rest in kept]
    n = len(kept)
    left: Array = np.array([whole if one is None else one for one in without])
    return n * whole - (n - 1) * left


def cohens_kappa(one: Verdicts, other: Verdicts) -> float | None:
    """(p_o - p_e) / (1 - p_e): agreement beyond what their rates alone would give; None if p_e = 1.

    Cohen, Educational and Psychological Measurement 20 (1960).
    """
    rate, other_rate = float(one.mean()), float(other.mean())
    chance = rate * other_rate + (1 - rate) * (1 - other_rate)
    return None if chance == 1 else (float((one == other).mean()) - chance) / (1 - chance)


def _unjudged(marked: int) -> str:
    if marked:
        return "A person's marks are there, and usable is not judged: nothing to compare."
    return "Usable was not validated by a person."


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path} can't be read: {error}.") from None
