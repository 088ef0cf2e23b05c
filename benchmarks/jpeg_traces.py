"""How often JPEG traces are seen, and seen wrongly: `python benchmarks/jpeg_traces.py FOLDER`.

FOLDER holds photos without a lossy past, such as the Kodak set. Each is tested as it is, reduced
to a half, and after having been a JPEG; also cropped off the 8 × 8 grid, and resized after it.
"""

import argparse
import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from brittle.images import from_bytes
from brittle.jpeg_detection import THRESHOLD, quantisation

QUALITIES = (98, 95, 92, 90, 75, 50, 30, 20, 10)
SUBSAMPLINGS = ("4:2:0", "4:4:4")


def saved(picture: Image.Image, quality: int, subsampling: str = "4:2:0") -> Image.Image:
    """The picture after a JPEG file."""
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=quality, subsampling=subsampling)
    return Image.open(file).convert("RGB")


def row(
    title: str, pictures: list[Image.Image], change: Callable[[Image.Image], Image.Image]
) -> None:
    """Print how many of the changed pictures have traces, and between what the scores lie."""
    scores = [quantisation(from_bytes(np.array(change(picture))[None])) for picture in pictures]
    found = sum(score > THRESHOLD for score in scores)
    print(f"{title:<32} {found:3d} of {len(scores)}   {min(scores):.2f} to {max(scores):.2f}")


def main() -> None:
    """Print the table for the PNG files below a folder."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--crop", type=int, help="only the middle square of so many pixels")
    arguments = parser.parse_args()
    pictures = [Image.open(path).convert("RGB") for path in sorted(arguments.folder.rglob("*.png"))]
    if side := arguments.crop:
        corners = [((p.width - side) // 2, (p.height - side) // 2) for p in pictures]
        pictures = [
            picture.crop((left, top, left + side, top + side))
            for picture, (left, top) in zip(pictures, corners, strict=True)
        ]
    row("clean", pictures, lambda p: p)
    row("clean, reduced to a half", pictures, lambda p: p.reduce(2))
    for quality in QUALITIES:
        for subsampling in SUBSAMPLINGS:
            title = f"JPEG {quality}, {subsampling}"
            row(title, pictures, lambda p, q=quality, s=subsampling: saved(p, q, s))  # type: ignore[misc]
    row("JPEG 75, cropped by 3 and 5", pictures, lambda p: saved(p, 75).crop((3, 5, *p.size)))
    row(
        "JPEG 75, then reduced by 3/4",
        pictures,
        lambda p: saved(p, 75).resize((p.width * 3 // 4, p.height * 3 // 4)),
    )


if __name__ == "__main__":
    main()
