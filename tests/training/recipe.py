"""A recipe in miniature: six invented photos and a teacher with random weights."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from training.config import Config, load_config

from tests.models import taesd

CONFIG = Path(__file__).parents[2] / "training" / "config.yaml"


def write_photos(folder: Path, count: int = 6) -> None:
    """Parquet files of smooth random pictures, for training and validation."""
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    rng = np.random.default_rng(0)
    rows = []
    for number in range(count):
        coarse = Image.fromarray(rng.integers(0, 256, (6, 8, 3), dtype=np.uint8))
        buffer = io.BytesIO()
        coarse.resize((180, 144), Image.Resampling.BICUBIC).save(buffer, "JPEG", quality=90)
        label = ("tulip", "apple", "dress")[number % 3]
        rows.append({
            "id": f"{number}", "source": "invented", "label": label,
            "caption": f"a photo of a {label}", "licence": "CC-BY-2.0",
            "credit": f"photographer {number}", "image": buffer.getvalue(),
        })  # fmt: skip
    folder.mkdir(parents=True)
    for split in ("train-0of1", "validation"):
        parquet.write_table(pyarrow.Table.from_pylist(rows), folder / f"{split}.parquet")


def write_teacher(folder: Path) -> None:
    """Random weights in the teacher's format."""
    taesd.write(folder, "taef2", channels=32, pooled=True)


def small_config(folder: Path, *more: str) -> Config:
    """The shipped settings, shrunk to run in seconds in ``folder``."""
    small = [
        f"photos={folder / 'photos'}", f"teacher={folder / 'teacher'}", f"work={folder / 'work'}",
        f"export={folder / 'export'}", "teacher_set.chunks=1", "teacher_set.attacked=1",
        "teacher_set.plain=1", "teacher_set.signs=1", "teacher_set.steps=1",
        "autoencoder.width=8", "autoencoder.decoder_width=8",
        "autoencoder.encoder_blocks=[0,1,1,1]", "autoencoder.decoder_blocks=[1,1,1,0]",
        "encoder.batch=2", "encoder.steps=4", "encoder.every=2", "encoder.student_at=[0.5]",
        "encoder.student_crops=1", "latents.shards=1", "latents.looks=2", "classifier.pictures=12",
        "text.width=32",        "text.vocabulary=600", "denoiser.channels=[32,32]",
        f"instruct.export={folder / 'instruct'}", "instruct.channels=[32,32]",
    ]  # fmt: skip
    for part in ("decoder", "classifier", "denoiser", "instruct"):
        small += [f"{part}.batch=2", f"{part}.steps=2", f"{part}.every=1"]
    return load_config(CONFIG, [*small, *more])
