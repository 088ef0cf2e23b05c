"""Folders of trials made by code: photographs, stand-ins for edits, and made-up scores.

Nothing in them is a finding; what is concluded from the scores is what brittle concludes.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

import brittle
from brittle.analysis.finished import Finished
from brittle.component import Component
from brittle.declaration.primary import Primary
from brittle.editors import Editor
from brittle.images import from_bytes, png_from_levels, to_bytes
from brittle.metrics import Metric
from brittle.protections import Protection
from brittle.record.arms import Arm
from brittle.record.manifest import ComponentEntry, Manifest, Model, PhotoEntry, Written
from brittle.record.record import IndexEntry, Point, Record, index_json
from brittle.record.rows import Row, format_results
from brittle.record.store import INDEX, RESULTS, FolderStore, artifact, dump_list
from brittle.transforms import Transform
from tests.photographs import PHOTOS, photograph

PROTECTION = "photoguard-encoder"
NOISE, SPECTRUM = f"noise({PROTECTION})", f"noise-spectrum({PROTECTION})"
ARMS = ("original", "gray", PROTECTION, NOISE, SPECTRUM)
EDITOR = "img2img:strength=0.5"
PROMPTS = ("heavy rain", "a pencil sketch")
JPEG = "jpeg:quality=75"
SHORT = ("none", "jpeg:quality=95", JPEG, "jpeg:quality=30", "rotate:degrees=90")
LEFT = {"none": 1.0, "jpeg:quality=95": 0.92, JPEG: 0.44, "jpeg:quality=30": 0.08}
"""The share of the effect that a transform leaves; of others 0.85."""
SEED = 0


def make_trial(
    directory: Path,
    *,
    photos: Sequence[str] | None = None,
    count: int = 8,
    side: int = 24,
    transforms: Sequence[str] = SHORT,
    prompts: Sequence[str] = PROMPTS,
    strength: float = 0.34,
    left: Mapping[str, float] = LEFT,
    usable_reason: str = "",
    pictures: bool = True,
    digest: str = "same",
    **settings: Any,
) -> Record:
    """Write a trial's folder; ``photos`` renames the photographs, ``settings`` its manifest's."""
    names = list(photos or (Path(file).stem for file in PHOTOS))[:count]
    store = FolderStore(directory)
    rows = list(_rows(names, transforms, prompts, strength, left, usable_reason))
    index = _index(store, names, transforms, prompts, side, left) if pictures else []
    manifest = _manifest(names, transforms, prompts, side, digest).model_copy(update=settings)
    store.write_manifest(manifest)
    store.write_file(RESULTS, format_results(rows).encode())
    store.write_file(INDEX, dump_list(index_json(index)))
    return Record.open(directory)


def finish(record: Record) -> Finished:
    """Write a trial's summary and report."""
    brittle.report(record.directory)
    return Finished.open(record.directory)


def _component(component: Component, label: str) -> ComponentEntry:
    return ComponentEntry(label=label, record=component.record())


def _manifest(
    names: Sequence[str], transforms: Sequence[str], prompts: Sequence[str], side: int, digest: str
) -> Manifest:
    deciding = [one for one in transforms if one in ("jpeg:quality=95", JPEG)] or transforms[-1:]
    encoder = Protection.parse(PROTECTION).record()
    return Manifest(
        schema_version=1,
        title="A made-up trial: none of its numbers is a finding",
        created="2026-11-25T04:00:00+00:00",
        trial=Written(as_written={"prompts": list(prompts)}, resolved={"prompts": list(prompts)}),
        primary=Primary(transforms=tuple(deciding)),
        notes=("To stay near 6 minutes on this machine, the demo left out one prompt.",),
        batch=8,
        code={"version": "0.1.0", "git": "0123abcd"},
        packages={"torch": "2.13.0", "diffusers": "0.36.0", "pillow": "13.0.0"},
        codecs={"libjpeg-turbo": "3.1.2", "pillow": "13.0.0"},
        machine={"python": "3.11.9", "system": "Linux"},
        device="cpu",
        dtype="float32",
        model=Model(name="embedded", content_hash="c0ffee" * 5, size=128),
        photos=tuple(
            PhotoEntry(
                name=name,
                digest=f"{digest}-{name}",
                width=side,
                height=side,
                credit=f"the photographer of {name}, CC0",
                notes=(f"cropped to its centre, {side} × {side}",),
                source_format="PNG",
                jpeg_traces=name == names[0],
                seeds={"0": 1234567},
            )
            for name in names
        ),
        arms=tuple(
            Arm.named(label).model_copy(
                update={"record": encoder, "source": "the paper, section 3"}
                if label == PROTECTION
                else {}
            )
            for label in ARMS
        ),
        transforms=tuple(_component(Transform.parse(label), label) for label in transforms),
        editors=(_component(Editor.parse(EDITOR), EDITOR),),
        metrics=(_component(Metric.parse("perceptual"), "perceptual"),),
        prompts=tuple(prompts),
    )


def _rows(
    names: Sequence[str],
    transforms: Sequence[str],
    prompts: Sequence[str],
    strength: float,
    left: Mapping[str, float],
    reason: str,
) -> Iterator[Row]:
    random = np.random.default_rng(20)
    own = dict(zip(names, 1 + 0.3 * random.standard_normal(len(names)), strict=True))
    for name, transform, prompt in product(names, transforms, prompts):
        rest = left.get(transform, 0.85)
        chance = {PROTECTION: 0.9 - 0.72 * rest, "gray": 0.0, NOISE: 0.85, SPECTRUM: 0.85}
        added = {PROTECTION: strength * rest * own[name], "gray": 0.6, NOISE: 0.002}
        for arm in ARMS:
            point = (name, arm, transform, EDITOR, prompt, SEED)
            value = None if reason else float(random.random() < chance.get(arm, 0.9))
            yield Row(*point, "usable", "photo", value, reason)
            distance = 0.03 + added.get(arm, 0.0) + 0.005 * random.random()
            if arm != "original":
                yield Row(*point, "perceptual.distance", "control", distance)
        clean = (name, "original", transform, EDITOR, prompt, SEED)
        if transform == "none":
            yield Row(*clean, "perceptual.distance", "seed", 0.1 + 0.02 * random.random())
        else:
            moved = 0.05 + 0.1 * (1 - rest) + 0.02 * random.random()
            yield Row(*clean, "perceptual.distance", "clean", moved)


def _index(
    store: FolderStore,
    names: Sequence[str],
    transforms: Sequence[str],
    prompts: Sequence[str],
    side: int,
    left: Mapping[str, float],
) -> list[IndexEntry]:
    index = []
    for file, name in zip(PHOTOS, names, strict=False):
        photo = np.array(photograph(file, side))
        for arm, transform in product(ARMS, transforms):
            released = _released(arm, photo)
            image = Transform.parse(transform).apply(from_bytes(released[None]), seeds=[0])
            received = to_bytes(image)[0]
            gone = left.get(transform, 0.85) * {PROTECTION: 0.75, "gray": 1.0}.get(arm, 0.02)
            for at, prompt in enumerate(prompts):
                levels = (released, received, _edited(received, at, gone))
                point = Point(name, arm, transform, EDITOR, prompt, SEED)
                index.append(IndexEntry(*point, *(_save(store, one) for one in levels)))
    return index


def _save(store: FolderStore, levels: np.ndarray) -> str:
    name = hashlib.sha256(png_from_levels(levels)).hexdigest()[:32]
    if not store.has(name):
        store.write_levels(name, levels)
    return artifact(name).as_posix()


def _released(arm: str, photo: np.ndarray) -> np.ndarray:
    if arm == "original":
        return photo
    if arm == "gray":
        return np.full_like(photo, 128)
    noise = np.random.default_rng(len(arm)).standard_normal(photo.shape)
    if arm == PROTECTION:  # coarse enough to look like the real thing
        noise = noise + np.roll(noise, 1, 0) + np.roll(noise, 1, 1)
    return np.clip(photo + 12 * np.sign(noise), 0, 255).astype(np.uint8)


def _edited(levels: np.ndarray, prompt: int, gone: float) -> np.ndarray:
    """A stand-in for an edit: darker or brighter, fading into a pattern as the photo is gone."""
    look = levels * (0.55, 0.65, 0.8) + 15 if prompt == 0 else 255 - levels * 0.4
    y, x = np.mgrid[: levels.shape[0], : levels.shape[1]] / len(levels)
    wave = 110 + 50 * np.sin(19 * x + 2 * np.sin(9 * y))
    pattern = np.stack([wave, 0.9 * wave + 10, 190 - 0.6 * wave], axis=2)
    return np.clip((1 - gone) * look + gone * pattern, 0, 255).astype(np.uint8)
