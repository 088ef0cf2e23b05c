"""Charts as inline SVG: a few marks on two axes, coloured by the page's own style sheet.

Text stays text, colours are CSS classes (so that a chart follows light, dark and print), and every
coordinate is rounded, so the same numbers give the same bytes.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from markupsafe import Markup

from brittle.analysis.phrases import decimal
from brittle.reporting.boxes import Box, along, overlap

WIDTH = 480
LEFT, RIGHT, BOTTOM = 62, 14, 52
THIN = "photo"
"""The style of lines so thin and many that words may lie on them."""
LEGEND_ROW, LEGEND_KEY, LETTER = 22, 27, 7.2  # pixels; a letter of the legend on average


@dataclass(frozen=True)
class Axis:
    """A linear axis from ``low`` to ``high`` with labelled ticks."""

    low: float
    high: float
    ticks: tuple[tuple[float, str], ...]
    label: str


@dataclass
class Chart:
    """One chart; coordinates of its methods are in data units.

    ``legend`` holds (style, shape, words); a style is a CSS class, a shape one of ``circle``,
    ``square``, ``triangle`` and ``diamond``.
    """

    name: str
    title: str
    description: str
    x: Axis
    y: Axis
    legend: Sequence[tuple[str, str, str]] = ()
    plot_height: int = 220
    _marks: list[Markup] = field(default_factory=list)
    _levels: list[tuple[float, str]] = field(default_factory=list)
    _covered: list[Box] = field(default_factory=list)
    """Where marks, whiskers and lines are."""

    @property
    def top(self) -> int:
        """Room above the plot: the legend's."""
        rows = -(-len(self.legend) // self._columns)
        return 14 + LEGEND_ROW * rows

    @property
    def height(self) -> int:
        """Height of the whole chart."""
        return self.top + self.plot_height + BOTTOM

    def px(self, x: float) -> float:
        """Horizontal place of a data value."""
        share = (x - self.x.low) / (self.x.high - self.x.low)
        return LEFT + share * (WIDTH - LEFT - RIGHT)

    def py(self, y: float) -> float:
        """Vertical place of a data value."""
        share = (y - self.y.low) / (self.y.high - self.y.low)
        return self.top + (1 - share) * self.plot_height

    def line(
        self, points: Iterable[tuple[float, float]], style: str, note: str = "", shift: float = 0
    ) -> None:
        """A line through points, ``shift`` pixels beside them."""
        places = [(self.px(x) + shift, self.py(y)) for x, y in points]
        if style != THIN:
            self._covered += [box for pair in pairwise(places) for box in along(*pair)]
        self._marks.append(_through(places, f"line {style}", note))

    def trail(self, points: Iterable[tuple[float, float]], style: str) -> None:
        """A thin line that leads the eye from mark to mark."""
        places = [(self.px(x), self.py(y)) for x, y in points]
        self._marks.append(_through(places, f"trail {style}"))

    def whisker(self, x: float, low: float, high: float, style: str, shift: float = 0) -> None:
        """A vertical interval with end caps, ``shift`` pixels beside its place."""
        at, low, high = self.px(x) + shift, self.py(low), self.py(high)
        self._covered.append((at - 4, high, at + 4, low))
        path = f"M{at:.1f} {low:.1f}V{high:.1f}M{at - 3:.1f} {low:.1f}h6M{at - 3:.1f} {high:.1f}h6"
        self._marks.append(_path(f"whisker {style}", path))

    def mark(
        self, x: float, y: float, shape: str, style: str, note: str = "", shift: float = 0
    ) -> None:
        """A marker with a tooltip."""
        at, down = self.px(x) + shift, self.py(y)
        self._covered.append((at - 6, down - 6, at + 6, down + 6))
        self._marks.append(_marker(at, down, shape, style, note))

    def level(self, y: float, words: str) -> None:
        """A dotted horizontal line, with words beside it where they cover least."""
        at = self.py(y)
        self._marks.append(_path("level", f"M{LEFT} {at:.1f}H{WIDTH - RIGHT}"))
        self._levels.append((at, words))

    def band(self, low: float, high: float, words: str) -> None:
        """A shaded range of the horizontal axis."""
        left, right = sorted((self.px(low), self.px(high)))
        across = max(right - left, 3)
        area = f"M{left:.1f} {self.top}h{across:.1f}v{self.plot_height}h{-across:.1f}z"
        self._marks.append(_path("band", area))
        # Beside the band, or in it where it leaves no room.
        room = 6.5 * len(words)
        if WIDTH - RIGHT - right > room:
            at, anchor = right + 4, "start"
        elif left - LEFT > room:
            at, anchor = left - 4, "end"
        else:
            at, anchor = max(left, LEFT) + 4, "start"
        self._marks.append(_text("note", at, self.top + 14, words, anchor))

    def labels(self, points: Sequence[tuple[float, float, str]]) -> None:
        """Words beside points, each where it covers least; left out where there is no room."""
        centres = [(self.px(x), self.py(y)) for x, y, _ in points]
        taken = [(x - 5, y - 5, x + 5, y + 5) for x, y in centres]
        for (x, y), (_, _, words) in zip(centres, points, strict=True):
            box = self._free_place(x, y, 7.2 * len(words) + 2, taken)
            if box is not None:
                taken.append(box)
                self._marks.append(_text("label", box[0] + 1, box[3] - 3, words))

    def render(self) -> Markup:
        """The chart as one ``<svg>`` element with a title and a description."""
        self._name_levels()
        clip = f"{self.name}-clip"
        return Markup(
            '<svg class="chart" viewBox="0 0 {w} {h}" role="img" '
            'aria-labelledby="{n}-title {n}-desc"><title id="{n}-title">{title}</title>'
            '<desc id="{n}-desc">{desc}</desc><clipPath id="{clip}"><rect x="{l}" y="{t}" '
            'width="{pw}" height="{ph}"/></clipPath>{frame}<g clip-path="url(#{clip})">{marks}</g>'
            "{legend}</svg>"
        ).format(
            w=WIDTH,
            h=self.height,
            n=self.name,
            title=self.title,
            desc=self.description,
            clip=clip,
            l=LEFT - 5,
            t=self.top - 5,
            pw=WIDTH - LEFT - RIGHT + 10,
            ph=self.plot_height + 10,
            frame=self._frame(),
            marks=Markup("").join(self._marks),
            legend=self._legend(),
        )

    def _frame(self) -> Markup:
        base, right, middle = self.top + self.plot_height, WIDTH - RIGHT, (LEFT + WIDTH - RIGHT) / 2
        parts = []
        for value, words in self.y.ticks:
            at = self.py(value)
            parts.append(_path("grid", f"M{LEFT} {at:.1f}H{right}"))
            parts.append(_text("tick", LEFT - 7, at, words, "end", centred=True))
        for value, words in self.x.ticks:
            at = self.px(value)
            parts.append(_path("axis", f"M{at:.1f} {base}v4"))
            parts.append(_text("tick", at, base + 18, words, "middle"))
        label = Markup('<g transform="translate(13 {}) rotate(-90)">{}</g>')
        parts += [
            _path("axis", f"M{LEFT} {base}H{right}"),
            _text("axis-label", middle, base + 42, self.x.label, "middle"),
            label.format(
                self.top + self.plot_height / 2, _text("axis-label", 0, 0, self.y.label, "middle")
            ),
        ]
        return Markup("").join(parts)

    @property
    def _columns(self) -> int:
        """Columns of the legend: three at the most, and no word over another."""
        longest = max((len(words) for *_, words in self.legend), default=0)
        return max(1, min(3, int((WIDTH - LEFT) / (LEGEND_KEY + 10 + LETTER * longest))))

    def _legend(self) -> Markup:
        parts = []
        fits = int((WIDTH - LEFT - LEGEND_KEY) / LETTER)
        for number, (style, shape, words) in enumerate(self.legend):
            row, column = divmod(number, self._columns)
            x, y = LEFT + column * (WIDTH - LEFT) // self._columns, 10 + LEGEND_ROW * row
            words = words if len(words) <= fits else words[: fits - 1] + "…"
            parts += [
                _path(f"line {style}", f"M{x} {y}h22"),
                _marker(x + 11, y, shape, style),
                _text("key", x + LEGEND_KEY, y, words, centred=True),
            ]
        return Markup("").join(parts)

    def _name_levels(self) -> None:
        """Each level's words: above it or below, as far to the right as they cover least."""
        for at, words in self._levels:
            width = LETTER * len(words)
            rights = range(WIDTH - RIGHT - 3, LEFT + int(width), -6)
            boxes = [
                (right - width, at + down, right, at + down + 14)
                for right in rights
                for down in (-17, 4)
            ]
            free = [box for box in boxes if self._holds(box)] or boxes
            box = min(free, key=lambda box: sum(overlap(box, other) for other in self._covered))
            self._covered.append(box)
            self._marks.append(_text("note halo", box[2], box[3] - 3, words, "end"))
        self._levels = []

    def _holds(self, box: Box) -> bool:
        """Whether a box lies within the plot."""
        across = box[0] >= LEFT and box[2] <= WIDTH - RIGHT
        return across and box[1] >= self.top and box[3] <= self.top + self.plot_height

    def _free_place(self, x: float, y: float, width: float, taken: list[Box]) -> Box | None:
        beside, left = -7, -width
        near = [(8, beside), (left - 8, beside), (left / 2, -21), (left / 2, 7)]
        near += [(7, -20), (7, 5), (left - 7, -20), (left - 7, 5)]
        far = [(22, beside), (left - 22, beside), (18, -24), (left - 18, -24)]
        for right, down in (*near, *far):
            box = (x + right, y + down, x + right + width, y + down + 14)
            if self._holds(box) and not any(overlap(box, other) for other in taken):
                return box
        return None


def round_axis(
    values: Sequence[float], label: str, *, per_hundred: bool = False, zero: bool = False
) -> Axis:
    """An axis that holds all values, and zero if asked to, with about four round steps."""
    low, high = min(values), max(values)
    if zero:
        low, high = min(low, 0.0), max(high, 0.0)
    step = _nice(max((high - low) / 4, 0.1 if per_hundred else 0.0))
    low = step * (low // step)
    high = max(step * -(-high // step), low + 2 * step)
    digits = max(0, -math.floor(math.log10(step)))
    ticks = tuple(
        (at, decimal(100 * at, 0) if per_hundred else decimal(at, digits))
        for at in steps(low, high, step)
    )
    edge = (high - low) / 30
    return Axis(low - edge, high + edge, ticks, label)


def _nice(step: float) -> float:
    """The next of 1, 2, 5, 10 … times a power of ten."""
    if step <= 0:
        return 1.0
    magnitude = 10.0 ** math.floor(math.log10(step))
    return next(lead * magnitude for lead in (1, 2, 5, 10) if lead * magnitude >= step)


def steps(low: float, high: float, step: float) -> tuple[float, ...]:
    """Multiples of ``step`` from ``low`` to ``high``, both of which are multiples themselves."""
    first, last = round(low / step), round(high / step)
    return tuple(number * step for number in range(first, last + 1))


def _path(style: str, path: str, note: str = "") -> Markup:
    """A path, with a note where one points at it."""
    title = Markup("<title>{}</title>").format(note) if note else ""
    return Markup('<path class="{}" d="{}">{}</path>').format(style, path, title)


def _through(places: Sequence[tuple[float, float]], style: str, note: str = "") -> Markup:
    path = "L".join(f"{x:.1f} {y:.1f}" for x, y in places)
    return _path(style, f"M{path}", note) if path else Markup("")


def _text(
    style: str, x: float, y: float, words: str, anchor: str = "start", *, centred: bool = False
) -> Markup:
    """Words that start, end or have their middle at a place; ``centred`` on its height too."""
    more = Markup(' text-anchor="{}"').format(anchor) if anchor != "start" else Markup("")
    more += Markup(' dy=".35em"') if centred else ""
    template = Markup('<text class="{}" x="{}" y="{}"{}>{}</text>')
    return template.format(style, f"{x:.1f}", f"{y:.1f}", more, words)


def _marker(x: float, y: float, shape: str, style: str, note: str = "") -> Markup:
    r = 2.5 if shape == "dot" else 4.2
    paths = {
        "square": f"M{x - 4:.1f} {y - 4:.1f}h8v8h-8z",
        "triangle": f"M{x:.1f} {y - 5:.1f}l5 9h-10z",
        "diamond": f"M{x:.1f} {y - 5.5:.1f}l5.5 5.5l-5.5 5.5l-5.5 -5.5z",
    }
    circle = f"M{x - r:.1f} {y:.1f}a{r} {r} 0 1 1 {2 * r} 0a{r} {r} 0 1 1 {-2 * r} 0z"
    return _path(f"mark {style}", paths.get(shape, circle), note)
