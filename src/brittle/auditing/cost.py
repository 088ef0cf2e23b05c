"""What an audit costs, before it is paid: counts, and seconds from a short measurement."""

import time
from collections.abc import Callable, Sequence
from typing import TypeVar

import torch

from brittle.analysis.phrases import model_name
from brittle.auditing.reduction import TracedTransform
from brittle.auditing.setting import BATCH, TRANSPLANTS, Setting
from brittle.progress import duration
from brittle.protections import Placebo
from brittle.record.arms import NOISES
from brittle.sources.pairs import PairPictures
from brittle.trial.cost import editing_seconds, seconds
from brittle.trial.stages import as_seen

SECONDS_TO_SCORE = 0.15
"""For one edit of 512 px, on two cores."""

T = TypeVar("T")


def describe(
    setting: Setting,
    pictures: PairPictures,
    photos: int,
    tried: Callable[[], Sequence[TracedTransform]],
) -> str:
    """The work on ``photos`` like these on one model, in a sentence with its time."""
    model, number = setting.model, (setting.rows_at_least, setting.rows_at_most)
    each = len(setting.request.prompts) * photos
    looking, edit = photos * _looking(setting, pictures, tried), _edit(setting, pictures)
    times = [looking + each * edit * rows for rows in number]
    edits = " to ".join(dict.fromkeys(str(each * rows) for rows in number))
    height, width = model.fit(pictures.original).shape[-2:]
    return (
        f"About {span(*times)}: {edits} edits on {model_name(model.name)} at "
        f"{width} × {height} px; --quick makes none."
    )


def span(low: float, high: float) -> str:
    """Two times as one says them: "2 to 4 minutes", "90 seconds to 3 minutes"."""
    first, last = duration(low), duration(high)
    if first == last:
        return first
    number, _, unit = first.partition(" ")
    return f"{number if last.endswith(unit) else first} to {last}"


def _looking(
    setting: Setting, pictures: PairPictures, tried: Callable[[], Sequence[TracedTransform]]
) -> float:
    """Seconds for what the encoder sees of one photo."""
    model, cores, seed = setting.model, torch.get_num_threads(), [0]
    lines, finding = _timed(tried)
    noise = Placebo.parse("noise")
    drawn, drawing = _timed(lambda: noise.draw(pictures.original, pictures.protected, seeds=seed))

    def pass_on() -> None:
        small = as_seen(drawn, model)
        for one in lines:
            start = small if one.reduced_first else drawn
            model.fit(one.transform.apply(start, seeds=seed, model=model))

    _, passing = _timed(pass_on)
    photo = model.fit(pictures.original)
    with torch.inference_mode():
        encoding = seconds(lambda: model.encode_to_attack(photo))
    rows = setting.rows_looked_at
    drawn = len(NOISES) * setting.first_looks + TRANSPLANTS
    return finding + drawn * drawing / cores + rows * (passing / len(lines) / cores + encoding)


def _timed(work: Callable[[], T]) -> tuple[T, float]:
    start = time.perf_counter()
    return work(), time.perf_counter() - start


def _edit(setting: Setting, pictures: PairPictures) -> float:
    """Seconds for one edit with one prompt, and its score."""
    model = setting.model
    assert setting.editor is not None, "asked where edits are made"
    photo = model.fit(pictures.original).expand(BATCH, -1, -1, -1)
    evaluation, coding = editing_seconds(model, photo)
    return (setting.editor.evaluations(model) * evaluation + coding) / BATCH + SECONDS_TO_SCORE
