"""Mimicry: what a model paints after it has learned from a collection of pictures."""

import re
from collections.abc import Sequence
from pathlib import Path

from brittle.editors import Editor, FineTune
from brittle.errors import UserError
from brittle.images import read_photo, write_image
from brittle.models import EditModel
from brittle.progress import Progress, silent
from brittle.trial.photos import photo_files

FINE_TUNES = "fine-tunes"


def mimic(
    collection: Path,
    prompts: Sequence[str],
    out: Path,
    *,
    editor: str | FineTune,
    model: EditModel,
    seeds: Sequence[int],
    tuning_seed: int = 0,
    overwrite: bool = False,
    progress: Progress = silent,
) -> list[Path]:
    """Fine-tune on a folder's pictures and write a PNG for each prompt and seed into ``out``.

    The fine-tune is kept in ``out/fine-tunes``, and asked for again it is not learned again.

    Raises:
        UserError: an editor that learns from no collection; a folder, picture, token or setting
            that can't be used; a picture that exists, without ``overwrite``.
    """
    tuner = Editor.read(editor)
    if not isinstance(tuner, FineTune):
        raise UserError(f"{tuner.name} learns from no collection: say finetune and its fields.")
    pairs = [(prompt, seed) for prompt in prompts for seed in seeds]
    paths = [out / f"{_slug(prompt)}-{seed}.png" for prompt, seed in pairs]
    if len(set(paths)) < len(paths):
        raise UserError("Two of the prompts would share one file name: make them differ earlier.")
    exists = [path for path in paths if path.exists() and not overwrite]
    if exists:
        raise UserError(f"{exists[0]} exists; choose another -o, or say --force.")
    learned = [read_photo(path).image for path in photo_files(collection)]
    tuned = tuner.learn(
        model, learned, seed=tuning_seed, folder=out / FINE_TUNES, progress=progress
    )
    with progress("pictures", len(pairs)) as advance:
        for path, (prompt, seed) in zip(paths, pairs, strict=True):
            picture = tuner.generate(tuned, prompts=[prompt], seeds=[seed])
            write_image(path, picture, overwrite=overwrite)
            advance(1)
    return paths


def _slug(prompt: str) -> str:
    """The prompt as part of a file's name."""
    return re.sub(r"[^\w]+", "-", prompt).strip("-")[:60] or "picture"
