"""Photos from parquet files, crops of them, and their life as JPEG."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow.parquet as parquet
import torch
from PIL import Image

SIZE = 128  # pixels: the side of everything that is trained on


@dataclass(frozen=True)
class Photo:
    """One row of the parquet files; ``jpeg`` is the encoded picture."""

    id: str
    source: str
    label: str
    caption: str
    licence: str
    credit: str
    jpeg: bytes

    def pixels(self) -> np.ndarray:
        """The decoded picture, (H, W, 3) uint8."""
        return np.asarray(Image.open(io.BytesIO(self.jpeg)).convert("RGB"))


def load_photos(folder: str | Path, split: str) -> list[Photo]:
    """All photos of ``folder/{split}*.parquet``, in the order of the files.

    Raises ``FileNotFoundError`` where the split has no file.
    """
    files = sorted(Path(folder).glob(f"{split}*.parquet"))
    if not files:
        raise FileNotFoundError(f"no {split}*.parquet in {folder}; see training/README.md")
    columns = ["id", "source", "label", "caption", "licence", "credit", "image"]
    rows = [row for file in files for row in parquet.read_table(file, columns=columns).to_pylist()]
    return [Photo(**{("jpeg" if k == "image" else k): v for k, v in row.items()}) for row in rows]


def crop(photo: Photo, rng: np.random.Generator | None = None, size: int = SIZE) -> np.ndarray:
    """A square of ``photo``, (size, size, 3) uint8: random place and scale, or the centre.

    Half of the random crops keep the photo's own pixels; the others take a larger square and
    shrink it, so that sharp and soft pictures are both seen.
    """
    picture = Image.open(io.BytesIO(photo.jpeg)).convert("RGB")
    width, height = picture.size
    short = min(width, height)
    if rng is None:
        side, left, top = short, (width - short) // 2, (height - short) // 2
    else:
        side = size if rng.random() < 0.5 else int(rng.integers(size, short + 1))
        side = min(side, short)
        left, top = (int(rng.integers(0, n - side + 1)) for n in (width, height))
    box = (left, top, left + side, top + side)
    picture = picture.crop(box)
    if side != size:
        picture = picture.resize((size, size), Image.Resampling.LANCZOS)
    return np.asarray(picture)


def jpeg(pixels: np.ndarray, quality: int) -> np.ndarray:
    """(H, W, 3) uint8 after a real JPEG (Pillow, 4:2:0)."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=quality, subsampling=2)
    return np.asarray(Image.open(buffer))


def to_tensor(pixels: np.ndarray) -> torch.Tensor:
    """(N, H, W, 3) uint8 -> (N, 3, H, W) float32 in [0, 1], channels last in memory."""
    batch = torch.from_numpy(np.array(pixels)).permute(0, 3, 1, 2).float() / 255
    return batch.contiguous(memory_format=torch.channels_last)


def to_pixels(image: torch.Tensor) -> np.ndarray:
    """(N, 3, H, W) in [0, 1] -> (N, H, W, 3) uint8, rounded."""
    levels = (image.detach().float().clamp(0, 1) * 255).round().to(torch.uint8)
    return levels.permute(0, 2, 3, 1).cpu().numpy()
