"""Small trials as rows, with every number under control."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from brittle.analysis import Scope, Summary, summarise
from brittle.declaration.primary import Primary
from brittle.record.rows import Row

import inference_simulations as simulations  # isort: skip  (benchmarks/, see tests/conftest.py)

__all__ = ["ARM", "JPEG", "PLACEBO", "SCOPE", "build", "find", "simulations", "summary_of"]

ARM, PLACEBO = "shield", "noise(shield)"
JPEG = "jpeg:quality=75"
SCOPE = Scope(model="embedded", models=("embedded",), resolution=128, white_box=True)

Level = float | Callable[[int, int], float]
"""A distance or a chance; or a function of the photo's and the point's number."""


def build(
    distances: Mapping[tuple[str, str], Level],
    *,
    photos: int = 12,
    points: int = 2,
    usable: Mapping[tuple[str, str], Level] | None = None,
    metric: str = "perceptual",
    noise: float = 0.01,
    editor: str = "img2img",
) -> list[Row]:
    """Rows of arm and transform: distances to the control, and shares of usable edits.

    A little noise, always the same, is added to distances that are no functions.
    """
    rng = np.random.default_rng(7)

    def rows(cells, name: str, reference: str, value: Callable[[Level, int, int], float]):
        return [
            Row(f"p{photo:02}", arm, transform, editor, "as a painting", point, name, reference,
                value(level, photo, point))
            for (arm, transform), level in cells.items()
            for photo in range(photos)
            for point in range(points)
        ]  # fmt: skip

    def distance(level: Level, photo: int, point: int) -> float:
        return level(photo, point) if callable(level) else level + noise * abs(rng.normal())

    def judged(level: Level, photo: int, point: int) -> float:
        if callable(level):
            return level(photo, point)
        return float((photo * points + point + 0.5) % 10 < 10 * level)

    found = rows(distances, f"{metric}.distance", "control", distance)
    return found + rows(usable or {}, "usable", "photo", judged)


def trial(before: float, after: float, *, placebo: float = 0.1, gray: float = 1.0) -> dict:
    """Distances of an arm, its placebo and the gray picture, without and with JPEG 75."""
    return {
        (ARM, "none"): before,
        (ARM, JPEG): after,
        (PLACEBO, "none"): placebo,
        (PLACEBO, JPEG): placebo,
        ("gray", "none"): gray,
        ("gray", JPEG): gray,
    }


def summary_of(rows: Sequence[Row], **options) -> Summary:
    """The summary with JPEG 75 as the only primary transform, unless ``primary`` says otherwise."""
    primary = options.pop("primary", Primary(transforms=(JPEG,)))
    return summarise(rows, primary, scope=options.pop("scope", SCOPE), **options)


def find(summary: Summary, name: str) -> list:
    """All flags of one name."""
    return [flag for flag in summary.flags if flag.name == name]
