"""Mimicry: what a model paints after it has learned from a collection, and how near it comes."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from brittle.editors import Editor, FineTune
from brittle.errors import UserError
from brittle.images import read_photo, write_bytes, write_image
from brittle.metrics import Keep, Metric, Style
from brittle.models import EditModel
from brittle.progress import Progress, silent
from brittle.record.store import dump
from brittle.sources.photos import load_photos, photo_files

FINE_TUNES, UNTAUGHT, SCORES = "fine-tunes", "untaught", "mimicry.json"
METRICS: tuple[Metric, ...] = (Style(), Keep())
"""Of style, and of a subject."""


@dataclass(frozen=True)
class Mimicry:
    """Pictures that were painted, and how far each lies from the originals, by metric.

    ``ends`` gives the scale: the mean distance of the originals from each other, and that of what
    the model paints from the same prompts and seeds without having learned.
    """

    paths: list[Path]
    distances: list[dict[str, float]]
    ends: dict[str, dict[str, float]]


def mimic(
    collection: Path,
    prompts: Sequence[str],
    out: Path,
    *,
    editor: str | FineTune,
    model: EditModel,
    seeds: Sequence[int],
    originals: Path | None = None,
    overwrite: bool = False,
    progress: Progress = silent,
) -> Mimicry:
    """Fine-tune on a folder's pictures, write a PNG for each prompt and seed, and measure them.

    The fine-tune is kept in ``out/fine-tunes``, and asked for again it is not learned again. What
    the model paints without it goes to ``out/untaught``, the distances to ``out/mimicry.json``.
    They are to ``originals``, where the collection is a protected or transformed copy of those.

    Raises:
        UserError: an editor that learns from no collection; a folder, picture, token or setting
            that can't be used; a picture that exists, without ``overwrite``.
    """
    tuner = Editor.read(editor)
    if not isinstance(tuner, FineTune):
        raise UserError(f"{tuner.name} learns from no collection: say finetune and its fields.")
    pairs = [(prompt, seed) for prompt in prompts for seed in seeds]
    paths = _free([f"{_slug(prompt)}-{seed}.png" for prompt, seed in pairs], out, overwrite)
    learned = [read_photo(path).image for path in photo_files(collection)]
    shown = load_photos(str(originals or collection), square=model.size)
    tuned = tuner.learn(model, learned, folder=out / FINE_TUNES, progress=progress)
    pictures: dict[str, list[Tensor]] = {}
    with progress("pictures", 2 * len(pairs)) as advance:
        for name, painter in ((UNTAUGHT, model), (".", tuned)):
            pictures[name] = []
            for path, (prompt, seed) in zip(paths, pairs, strict=True):
                picture = tuner.generate(painter, prompts=[prompt], seeds=[seed])
                write_image(out / name / path.name, picture, overwrite=overwrite)
                pictures[name].append(read_photo(out / name / path.name).image)
                advance(1)
    references = [photo.image for photo in shown.values()]
    found = Mimicry(
        paths,
        [_from(picture, references) for picture in pictures["."]],
        {
            "originals": _mean(_from(a, [b]) for a, b in combinations(references, 2)),
            "untaught": _mean(_from(picture, references) for picture in pictures[UNTAUGHT]),
        },
    )
    _record(found, pairs, tuner.resolve(model), out)
    return found


def _free(names: Sequence[str], out: Path, overwrite: bool) -> list[Path]:
    if len(set(names)) < len(names):
        raise UserError("Two of the prompts would share one file name: make them differ earlier.")
    exists = [out / name for name in names if (out / name).exists() and not overwrite]
    if exists:
        raise UserError(f"{exists[0]} exists; choose another -o, or say --force.")
    return [out / name for name in names]


def _slug(prompt: str) -> str:
    """The prompt as part of a file's name."""
    return re.sub(r"[^\w]+", "-", prompt).strip("-")[:60] or "picture"


def _from(picture: Tensor, references: Sequence[Tensor]) -> dict[str, float]:
    """The mean distance of a picture (1, 3, H, W) from others of its shape, by metric."""
    rows = picture.expand(len(references), -1, -1, -1)
    others = torch.cat(list(references))
    return {
        metric.name: float(metric.as_distance(metric.score(rows, others)).mean())
        for metric in METRICS
    }


def _mean(rows: Iterable[Mapping[str, float]]) -> dict[str, float]:
    kept = list(rows)
    return {metric.name: sum(r[metric.name] for r in kept) / len(kept) for metric in METRICS}


def _record(found: Mimicry, pairs: Sequence[tuple[str, int]], editor: FineTune, out: Path) -> None:
    rows: list[dict[str, Any]] = [
        {"picture": path.name, "prompt": prompt, "seed": seed, "distances": distances}
        for path, (prompt, seed), distances in zip(found.paths, pairs, found.distances, strict=True)
    ]
    data = {"editor": editor.record(), "pictures": rows, "ends": found.ends}
    write_bytes(out / SCORES, dump(data), overwrite=True)
