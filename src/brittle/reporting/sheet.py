"""The sheet on which a person marks edits as usable or not, without knowing what made them."""

import random
from dataclasses import dataclass
from pathlib import Path

from brittle.analysis.agreement import COLUMNS, KEY, SheetKey
from brittle.component import key
from brittle.errors import UserError
from brittle.images import from_bytes, to_bytes, write_bytes
from brittle.record.arms import ORIGINAL
from brittle.record.record import IndexEntry, Record
from brittle.record.store import FolderStore
from brittle.reporting.page import render_page
from brittle.reporting.pictures import Pixels, as_webp, read_pixels
from brittle.transforms import Transform

EDITS = 100
SEED = 0
SHOWN = 512
"""Longest side, in pixels, at which the photo is shown."""
PAGE, TABLE = "sheet.html", "marks.csv"


@dataclass(frozen=True)
class Item:
    """One edit on the sheet: its number, its prompt, and both pictures as data URIs."""

    number: int
    prompt: str
    edit: str
    photo: str


def write_sheet(record: Record, folder: Path) -> int:
    """Write a sheet of a trial's edits into a new folder, and its key into the trial's.

    The edits are drawn at random, with a fixed seed, from all that `usable` is asked about, each
    picture once; a page and a table to fill in name them by number only. Returns how many.

    Raises:
        UserError: no edit to judge, or a folder that has a sheet.
    """
    directory = record.directory
    assert directory is not None, "a trial in memory has no folder"
    for name in (PAGE, TABLE):
        if (folder / name).exists():
            raise UserError(
                f"{folder} has a sheet: read its marks with `brittle report {directory} "
                f"--marks {folder / TABLE}`, or name a new folder."
            )
    drawn = _draw(record)
    if not drawn:
        raise UserError(f"{directory} holds no edits that a person could judge.")
    points = tuple(row.point for row in drawn)
    sheet = SheetKey(sheet=key("sheet", points)[:8], edits=points)
    items = [_item(record, row, number) for number, row in enumerate(drawn, 1)]
    lines = [",".join(COLUMNS), *(f"{sheet.sheet},{item.number}," for item in items)]
    text = sheet.model_dump_json(indent=1) + "\n"
    FolderStore(directory).write_file(KEY, text.encode())
    write_bytes(folder / PAGE, _page(record, sheet.sheet, items).encode())
    write_bytes(folder / TABLE, ("\n".join(lines) + "\n").encode())
    return len(items)


def _draw(record: Record) -> list[IndexEntry]:
    """Edits in random order, the same for the same trial; of cells that share a picture, one."""
    by_picture = {
        row.edited: row
        for row in sorted(record.index, key=lambda row: row.point, reverse=True)
        if row.point in record.judged and record.path(row.edited) is not None
    }
    rows = sorted(by_picture.values(), key=lambda row: row.point)
    return random.Random(SEED).sample(rows, min(EDITS, len(rows)))


def _item(record: Record, row: IndexEntry, number: int) -> Item:
    edit = _pixels(record, row.edited)
    (size,) = [
        (photo.height, photo.width) for photo in record.manifest.photos if photo.name == row.image
    ]
    return Item(
        number=number,
        prompt=row.prompt,
        edit="" if edit is None else _uri(_turned_back(edit, row.transform, size)),
        photo=_photo(record, row.image),
    )


def _photo(record: Record, name: str) -> str:
    """The untouched photo; empty where the trial has none."""
    original = next(
        (row for row in record.index if (row.image, row.arm) == (name, ORIGINAL) and row.released),
        None,
    )
    pixels = None if original is None else _pixels(record, original.released)
    return "" if pixels is None else _uri(pixels)


def _pixels(record: Record, relative: str | None) -> Pixels | None:
    return read_pixels(record.picture(relative))


def _turned_back(pixels: Pixels, transform: str, size: tuple[int, int]) -> Pixels:
    """The edit as `usable` judges it: pixels back where they are in the photo, of this size."""
    try:
        geometry = Transform.parse(transform).geometry
    except UserError:  # a transform that was done elsewhere, which leaves pixels where they are
        return pixels
    if not geometry.moves:
        return pixels
    edit = from_bytes(pixels[None].copy())
    scale = max(edit.shape[-2:]) / max(size)
    shape = [max(1, round(side * scale)) for side in size]
    back: Pixels = to_bytes(geometry.restore(edit, size=size, shape=shape))[0]
    return back


def _uri(pixels: Pixels) -> str:
    """A picture as a data URI; with a little loss that nobody sees, for the page's size."""
    return as_webp(pixels, side=SHOWN, quality=95)


def _page(record: Record, sheet: str, items: list[Item]) -> str:
    return render_page(
        "sheet.html",
        script="sheet.js",
        title=record.manifest.title or "A trial",
        sheet=sheet,
        items=items,
    )
