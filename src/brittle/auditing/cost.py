"""What an audit costs, before it is paid: counts, and seconds from a short measurement."""

import time

import torch

from brittle.analysis.phrases import model_name
from brittle.auditing.edits import BATCH, Judge
from brittle.auditing.views import CHOOSING, PLACEBOS, ROWS, Bench
from brittle.protections import Placebo
from brittle.sources.pairs import Pictures
from brittle.trial.cost import duration, editing_seconds, seconds

SECONDS_TO_SCORE = 0.15
"""For one edit of 512 px, on two cores."""


def describe(judge: Judge, pictures: Pictures, photos: int) -> str:
    """The work on ``photos`` like these on one model, in a sentence with its time."""
    bench, rows = judge.bench, (judge.rows_at_least, judge.rows_at_most)
    each = len(judge.prompts) * photos
    looks, edit = photos * _looking(bench, pictures), _row(judge, pictures)
    times = [looks + each * edit * number for number in rows]
    edits = " to ".join(dict.fromkeys(str(each * number) for number in rows))
    height, width = bench.model.fit(pictures.original).shape[-2:]
    return (
        f"About {span(*times)}: {edits} edits on {model_name(bench.model.name)} at "
        f"{width} × {height} px; --quick makes none."
    )


def span(low: float, high: float) -> str:
    """Two times as one says them: "2 to 4 minutes", "90 seconds to 3 minutes"."""
    first, last = duration(low), duration(high)
    if first == last:
        return first
    number, _, unit = first.partition(" ")
    return f"{number if last.endswith(unit) else first} to {last}"


def _looking(bench: Bench, pictures: Pictures) -> float:
    """Seconds for what the encoder sees of one photo."""
    model, cores = bench.model, torch.get_num_threads()
    start = time.perf_counter()
    tried = bench.tried(pictures)
    found = time.perf_counter() - start
    start = time.perf_counter()
    drawn = bench.row(pictures, Placebo.parse("noise"), PLACEBOS.start)
    drawing = time.perf_counter() - start
    start = time.perf_counter()
    bench.pass_on(drawn, pictures, tried)
    passing = time.perf_counter() - start
    photo = model.fit(pictures.original)
    with torch.inference_mode():
        encoding = seconds(lambda: model.encode(photo))
    draws = ROWS + 2 * len(CHOOSING)
    rows = draws * drawing / cores + ROWS * (passing / cores + len(tried) * encoding)
    return found + rows


def _row(judge: Judge, pictures: Pictures) -> float:
    """Seconds for one edit with one prompt, and its score."""
    model = judge.bench.model
    photo = model.fit(pictures.original).expand(BATCH, -1, -1, -1)
    evaluation, coding = editing_seconds(model, photo)
    return (judge.editor.evaluations(model) * evaluation + coding) / BATCH + SECONDS_TO_SCORE
