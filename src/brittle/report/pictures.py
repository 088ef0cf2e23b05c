"""The report's pictures: read from the store, put into the page losslessly, or linked to.

A picture goes into the page as it is, pixel by pixel, as lossless WebP. Once the page is full the
others are linked to in the store's folder, and the page says so.
"""

import base64
import io
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, UnidentifiedImageError

from brittle.report.source import Folder

PAGE_LIMIT = 40 * 2**20
"""Characters of pictures that a page may hold."""
SIGNATURE = b"\x89PNG\r\n\x1a\n"
MAX_SIDE = 16384

Pixels = npt.NDArray[np.uint8]


@dataclass
class Picture:
    """A picture in the page: where its pixels are, what it shows, and why it may be missing.

    ``src`` is filled by `embed`: a data URI or a path relative to the report.
    """

    alt: str
    width: int = 0
    height: int = 0
    path: str = ""
    missing: str = ""
    src: str = ""
    facts: list[str] = field(default_factory=list)
    pixels: Pixels | None = None

    @property
    def linked(self) -> bool:
        """Whether its pixels stay in the store's folder."""
        return bool(self.src) and not self.src.startswith("data:")


class Album:
    """All pictures of a report, each file read once."""

    def __init__(self, source: Folder) -> None:
        self.source = source
        self._by_path: dict[str, Picture] = {}

    def picture(self, relative: str | None, alt: str, facts: Iterable[str] = ()) -> Picture:
        """A stored picture; the same file met again is the same picture under other words."""
        found = self._look(relative)
        return Picture(alt, path=found.path, missing=found.missing, width=found.width,
                       height=found.height, facts=list(facts))  # fmt: skip

    def pixels(self, relative: str | None) -> Pixels | None:
        """The pixels (H, W, 3) of a stored picture; None where there are none."""
        path = self.source.path(relative)
        return None if path is None else read_pixels(path)

    def _look(self, relative: str | None) -> Picture:
        if relative is None:
            return Picture("", missing="not computed")
        if relative not in self._by_path:
            self._by_path[relative] = _probe(self.source.path(relative), relative)
        return self._by_path[relative]


def read_pixels(path: Path) -> Pixels | None:
    """The pixels (H, W, 3) of a PNG; None where the file is none or is damaged."""
    try:
        with Image.open(path, formats=["PNG"]) as image:
            return np.asarray(image.convert("RGB"))
    except (OSError, ValueError, SyntaxError, UnidentifiedImageError, Image.DecompressionBombError):
        return None


def perturbation(original: Pixels | None, released: Pixels | None, what: str) -> Picture:
    """What was added to a photo, amplified around mid-gray, with its size in the facts."""
    alt = f"What {what} adds to the photo"
    if original is None or released is None or original.shape != released.shape:
        return Picture(alt, missing="not shown: one of the two pictures is missing")
    difference = released.astype(np.int16) - original.astype(np.int16)
    largest = int(np.abs(difference).max())
    if largest == 0:
        return Picture(alt, missing="nothing was added: the two pictures are equal")
    times = max(127 // largest, 1)
    rms = float(np.sqrt(np.mean(difference.astype(np.float64) ** 2)))
    shown = np.clip(128 + times * difference, 0, 255).astype(np.uint8)
    return Picture(
        f"{alt}, amplified {times} times around mid-gray",
        width=shown.shape[1],
        height=shown.shape[0],
        pixels=shown,
        facts=[f"amplified × {times}", f"largest {largest}/255, RMS {rms:.1f}/255"],
    )


def embed(pictures: Iterable[Picture], album: Album | None, limit: int) -> int:
    """Fill in every picture's ``src``, the first ones first, until ``limit`` characters are used.

    Without an album every picture brings its pixels. Returns how many are linked to, or left out,
    for lack of room.
    """
    room, outside, known = limit, 0, dict[str, str]()
    for picture in pictures:
        if picture.missing:
            continue
        data = known.get(picture.path) or (_data_uri(picture, album) if room else "")
        if room and not data:
            picture.missing = "damaged file"
        elif data and len(data) <= room:
            room -= len(data)
            picture.src = data
            if picture.path:
                known[picture.path] = data
        else:
            room, outside = 0, outside + 1
            picture.src = picture.path
            picture.missing = "" if picture.path else "not shown: the page is full"
    return outside


def _probe(path: Path | None, relative: str) -> Picture:
    """A stored picture's size from its first bytes."""
    if path is None:
        return Picture("", missing="missing from the store")
    with path.open("rb") as file:
        head = file.read(24)
    width, height = (int.from_bytes(head[at : at + 4], "big") for at in (16, 20))
    if head[:8] != SIGNATURE or not 0 < width <= MAX_SIDE or not 0 < height <= MAX_SIDE:
        return Picture("", missing="damaged file")
    return Picture("", width=width, height=height, path=relative)


def _data_uri(picture: Picture, album: Album | None) -> str:
    """The picture as lossless WebP in a data URI; empty where the file is damaged."""
    pixels = picture.pixels
    if pixels is None and album is not None:
        pixels = album.pixels(picture.path)
    if pixels is None:
        return ""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "WEBP", lossless=True, exact=True, quality=20, method=2)
    return "data:image/webp;base64," + base64.b64encode(buffer.getvalue()).decode()
