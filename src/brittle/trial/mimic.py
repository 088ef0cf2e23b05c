"""One point of a trial over collections, on folders: what a model generates once it has learned."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path

from brittle.component import Component, key
from brittle.declaration.trial import make_trial
from brittle.editors import Editor, FineTune
from brittle.errors import UserError, printable
from brittle.images import write_bytes
from brittle.metrics import Keep, Style
from brittle.models import EditModel
from brittle.progress import Progress, silent
from brittle.record.arms import BASE_MODEL, ORIGINAL
from brittle.record.store import FolderStore, artifact, dump
from brittle.sources.photos import load_photos
from brittle.trial.plan import make_plan
from brittle.trial.results import rows
from brittle.trial.stages import compute
from brittle.trial.tasks import Plan

SCORES, BASE = "mimicry.json", "base-model"
METRICS = (Style.name, Keep.name)
"""Of style, and of a subject."""

Distances = dict[str, float]
"""By metric."""


@dataclass(frozen=True)
class Mimicry:
    """Pictures that were generated, and how far each lies from the originals, by metric.

    ``ends`` gives the scale: the mean distance of the originals from each other, and that of what
    the model generates from the same prompts and seeds without having learned.
    """

    paths: list[Path]
    distances: list[Distances]
    ends: dict[str, Distances]


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
    say: Callable[[str], None] = lambda text: None,
    progress: Progress = silent,
) -> Mimicry:
    """Fine-tune on a folder's pictures, write a PNG for each prompt and seed, and measure them.

    The noise follows from the seed and the pictures, as in a trial, whose store the folder has: the
    fine-tune and every picture are made once. What the model generates without having learned goes
    to ``out/base-model``, the distances to ``out/mimicry.json``. They are to ``originals``, where
    the collection is a protected or transformed copy of those. ``say`` is told what was damaged in
    the folder, and made again.

    Raises:
        UserError: an editor that learns from no collection; a folder, picture, token or setting
            that can't be used; a folder of collections; a single original; a picture that exists,
            without ``overwrite``.
    """
    tuner = Editor.read(editor)
    if not isinstance(tuner, FineTune):
        raise UserError(f"{tuner.name} learns from no collection: say finetune and its fields.")
    names = {point: f"{_slug(point[0])}-{point[1]}.png" for point in product(prompts, seeds)}
    paths = _free(list(names.values()), out, overwrite)
    plan = _plan(collection, prompts, tuner, model, seeds, originals)
    store = FolderStore(out)
    with store.at_work():
        compute(plan, store, model, progress)
        for sentence in store.mended():
            say(sentence)
    for cell in plan.cells:
        path = out / ("" if cell.arm == ORIGINAL else BASE) / names[cell.prompt, cell.seed]
        write_bytes(path, (out / artifact(cell.edit)).read_bytes(), overwrite=True)
    found = _measured(plan, store, paths, list(names))
    _write(found, list(names), tuner.resolve(model), out)
    return found


def _plan(
    collection: Path,
    prompts: Sequence[str],
    tuner: FineTune,
    model: EditModel,
    seeds: Sequence[int],
    originals: Path | None,
) -> Plan:
    name = printable(collection.resolve().name)
    photos = load_photos(str(collection))
    if any(photo.group for photo in photos.values()):
        raise UserError(
            f"{collection} holds folders of pictures, and one collection is learned: name one of "
            f"them."
        )
    shown = None if originals is None else load_photos(str(originals))
    if shown is not None and len(shown) < 2:
        raise UserError(
            f"{originals} holds one picture, and at least two originals are needed: distances "
            f"between them give the scale."
        )
    written = {
        "title": f"Mimicry of {name}",
        "photos": str(collection),
        "model": model.name,
        "size": model.size,
        "protections": (),
        "placebos": (),
        "editors": (str(tuner),),
        "prompts": tuple(prompts),
        "seeds": tuple(seeds),
        "floor_seeds": (),
        "metrics": METRICS,
        "primary": {"metric": METRICS[0], "transforms": ("none",)},
    }
    trial = make_trial(written, "This mimicry")
    plan = make_plan(trial, {f"{name}/{one}": photo for one, photo in photos.items()}, model)
    if shown is None:
        return plan
    originals_key = key("originals", *(one.digest for one in shown.values()))
    return replace(
        plan,
        references={name: tuple(one.photo for one in shown.values())},
        cells=[replace(cell, key=key(cell.key, originals_key)) for cell in plan.cells],
    )


def _measured(
    plan: Plan, store: FolderStore, paths: list[Path], points: list[tuple[str, int]]
) -> Mimicry:
    scored = [row for row in rows(plan, store) if row.value is not None]

    def distances(arm: str, reference: str, at: Sequence[tuple[str, int]]) -> Distances:
        """The mean over some prompts and seeds."""
        found: dict[str, list[float]] = {metric: [] for metric in METRICS}
        for row in scored:
            mine = (row.arm, row.reference) == (arm, reference) and (row.prompt, row.seed) in at
            if mine and row.value is not None:
                found[row.metric.removesuffix(".distance")].append(row.value)
        return {metric: sum(values) / len(values) for metric, values in found.items()}

    return Mimicry(
        paths,
        [distances(ORIGINAL, "originals", [point]) for point in points],
        {
            "originals": distances(ORIGINAL, "between", points[:1]),
            BASE_MODEL: distances(BASE_MODEL, "originals", points),
        },
    )


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


def _write(found: Mimicry, points: Sequence[tuple[str, int]], editor: Component, out: Path) -> None:
    pictures = [
        {"picture": path.name, "prompt": prompt, "seed": seed, "distances": distances}
        for path, (prompt, seed), distances in zip(
            found.paths, points, found.distances, strict=True
        )
    ]
    data = {"editor": editor.record(), "pictures": pictures, "ends": found.ends}
    write_bytes(out / SCORES, dump(data), overwrite=True)
