"""Edits made elsewhere, with the truth known: photographs, a look, and what a protection does."""

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from tests.photographs import PHOTOS, photograph

JPEG = "jpeg:quality=75"
COLUMNS = ("photo", "arm", "transform", "prompt", "seed", "edit", "original")
PROMPT = "a sepia photo"
TRUTHS: dict[str, dict[str, float]] = {
    "idle": {"none": 0.0, JPEG: 0.0},
    "perfect": {"none": 1.0, JPEG: 1.0},
    "undone": {"none": 0.8, JPEG: 0.0},
}
"""How far each protection moves an edit to a gray picture's: 0 not at all, 1 all the way."""
SEPIA = np.array([[0.393, 0.769, 0.189], [0.349, 0.686, 0.168], [0.272, 0.534, 0.131]])


def write_edits(
    folder: Path,
    truths: Mapping[str, Mapping[str, float]] = TRUTHS,
    *,
    photos: int = 8,
    side: int = 48,
    seeds: Sequence[int] = (0,),
    controls: Sequence[str] = ("placebo", "gray"),
) -> Path:
    """Write the pictures of a table of edits and the table; returns the table's path.

    An edit is the photo in sepia with a little noise of its own, mixed with an edit of a gray
    picture by the arm's share.
    """
    random = np.random.default_rng(5)
    arms = {"original": {}, **{control: {} for control in controls}, **truths}
    transforms = list(dict.fromkeys(name for truth in truths.values() for name in truth))
    folder.mkdir(parents=True, exist_ok=True)
    lines = []
    for number, file in enumerate(PHOTOS[:photos]):
        photo = np.asarray(photograph(file, side)).astype(float)
        Image.fromarray(photo.astype(np.uint8)).save(folder / f"photo-{number}.png")
        for arm, truth in arms.items():
            for transform in transforms[:1] if arm == "gray" else transforms:
                for seed in seeds:
                    share = 1.0 if arm == "gray" else truth.get(transform, 0.0)
                    name = f"{number}-{arm}-{transforms.index(transform)}-{seed}.png"
                    _edit(photo, share, random).save(folder / name)
                    lines.append(
                        (f"photo {number}", arm, transform, PROMPT, seed, name,
                         f"photo-{number}.png")
                    )  # fmt: skip
    return write_table(folder / "edits.csv", lines)


def write_table(path: Path, lines: Sequence[Sequence[object]], separator: str = ",") -> Path:
    """Write a table with all columns."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, delimiter=separator)
        writer.writerows([COLUMNS, *lines])
    return path


def _edit(photo: np.ndarray, share: float, random: np.random.Generator) -> Image.Image:
    sepia = photo @ SEPIA.T
    y, x = np.mgrid[: photo.shape[0], : photo.shape[1]]
    pattern = 128 + 60 * np.sin(x / 5)[..., None] * np.cos(y[..., None] / np.array([4, 5, 6]))
    mixed = (1 - share) * sepia + share * pattern + 2 * random.standard_normal(photo.shape)
    return Image.fromarray(np.clip(mixed, 0, 255).astype(np.uint8))
