"""Boxes in a chart, so that no words cover what was measured."""

Box = tuple[float, float, float, float]
"""Left, top, right and bottom, in pixels."""


def overlap(one: Box, other: Box) -> bool:
    """Whether two boxes share more than an edge."""
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def along(start: tuple[float, float], end: tuple[float, float]) -> list[Box]:
    """Small boxes that cover a line between two points."""
    count = max(1, int(max(abs(b - a) for a, b in zip(start, end, strict=True)) / 6))
    middles = [
        [a + (b - a) * (number + 0.5) / count for a, b in zip(start, end, strict=True)]
        for number in range(count)
    ]
    return [(x - 4, y - 4, x + 4, y + 4) for x, y in middles]
