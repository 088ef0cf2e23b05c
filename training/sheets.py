"""Sheets of pictures with labelled columns and rows: the model card's and the README's."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from PIL import Image, ImageDraw, ImageFont

INK, SOFT, PAPER = "#1c1b1a", "#5b5853", "white"


@dataclass(frozen=True)
class Column:
    """Pictures under one another, and what they are in plain words.

    Neighbours of the same ``group`` stand close together under its name.
    """

    title: str
    pictures: Sequence[Image.Image]
    group: str = ""


def labelled_sheet(
    columns: Sequence[Column], rows: Sequence[str], *, side: int = 256, letters: int | None = None
) -> Image.Image:
    """Lay out columns of pictures under their titles, each row behind its name.

    Each column holds one picture a row. Pictures whose long side is above ``side`` px are reduced
    to it, none is enlarged. Titles and names are broken between words where they are too long.
    ``letters``: their height in px; without it a ninth of ``side``, at least 12.

    Raises:
        ValueError: a column with more or fewer pictures than there are ``rows``.
    """
    if any(len(column.pictures) != len(rows) for column in columns):
        raise ValueError(f"{len(rows)} rows are named, and a column holds more or fewer pictures")
    text = _Text(letters or max(12, side // 9))
    gap = max(4, side // 32)
    names = [text.broken(name, side) for name in rows]
    left = 3 * gap + max(text.size(name)[0] for name in names)
    spans = _spans(columns, left, side, gap)
    lefts = [x for _, xs in spans for x in xs]
    groups = [text.broken(name, xs[-1] + side - xs[0]) for name, xs in spans]
    titles = [text.broken(column.title, side) for column in columns]
    below_groups = gap + max(text.size(group)[1] for group in groups)
    head = below_groups + gap + max(text.size(title)[1] for title in titles)
    shown = [[_reduced(one, side) for one in column.pictures] for column in columns]
    heights = [max(one.height for one in row) for row in zip(*shown, strict=True)]
    tops = [head + gap + sum(heights[:row]) + row * gap for row in range(len(rows))]

    sheet = Image.new("RGB", (lefts[-1] + side + gap, tops[-1] + heights[-1] + gap), PAPER)
    draw = ImageDraw.Draw(sheet)
    for group, (_, xs) in zip(groups, spans, strict=True):
        text.write(draw, (xs[0], below_groups), group, INK, "ld")
    for x, title, pictures in zip(lefts, titles, shown, strict=True):
        text.write(draw, (x, head), title, SOFT if any(groups) else INK, "ld")
        for y, picture in zip(tops, pictures, strict=True):
            sheet.paste(picture, (x, y))
    for y, height, name in zip(tops, heights, names, strict=True):
        text.write(draw, (gap, y + height / 2), name, INK, "lm")
    return sheet


def _spans(
    columns: Sequence[Column], left: int, side: int, gap: int
) -> list[tuple[str, list[int]]]:
    """Each group's name and where its columns begin, in px from the left."""
    spans = []
    for name, group in groupby(columns, lambda column: column.group):
        xs = [left + number * (side + gap) for number, _ in enumerate(group)]
        spans.append((name, xs))
        left = xs[-1] + side + 3 * gap
    return spans


def _reduced(picture: Image.Image, side: int) -> Image.Image:
    picture = picture.convert("RGB")
    picture.thumbnail((side, side), Image.Resampling.LANCZOS)
    return picture


class _Text:
    """Text in lines, measured and written in one font of ``height`` px."""

    def __init__(self, height: int) -> None:
        self.font = ImageFont.load_default(height)
        self._page = ImageDraw.Draw(Image.new("L", (1, 1)))

    def broken(self, text: str, width: float) -> str:
        """The text in lines of at most ``width`` px; a longer word has a line of its own."""
        lines: list[str] = []
        for word in text.split():
            if lines and self.font.getlength(f"{lines[-1]} {word}") <= width:
                lines[-1] += f" {word}"
            else:
                lines.append(word)
        return "\n".join(lines)

    def size(self, text: str) -> tuple[int, int]:
        """Width and height of some lines in px; nothing takes no room."""
        if not text:
            return 0, 0
        _, _, width, height = self._page.multiline_textbbox((0, 0), text, self.font)
        return round(width) + 1, round(height) + 1

    def write(
        self, draw: ImageDraw.ImageDraw, at: tuple[float, float], text: str, ink: str, anchor: str
    ) -> None:
        """Write some lines; ``anchor`` says which point of them ``at`` is, as Pillow says it."""
        draw.multiline_text(at, text, ink, self.font, anchor)
