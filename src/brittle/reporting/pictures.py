"""The report's pictures: how each gets into the page, whole or as a preview, or stays outside.

A whole picture is in the page as it is, pixel by pixel, as lossless WebP. At 512 px there is room
for few of them: those on which a reader looks first. Of all others the page has a preview, and
fetches the whole picture from the store's folder when somebody opens it. So a page that travels
alone has every picture, and stays small enough to send.
"""

import base64
import io
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import repeat
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, UnidentifiedImageError

from brittle.parallel import cores
from brittle.record.record import Record

PAGE_LIMIT = 10_800_000
"""Characters of pictures that a page may hold; with its text it stays below 12 MB."""
FIRST_SHARE = 0.25
"""Of that, what whole pictures may take before every other picture has its preview."""
FIRST_SIDE, SIDE = 320, 160
"""Long sides of previews in pixels: of the pictures seen first, and of the others. The page shows
them about as large."""
QUALITY = 72
"""Of previews."""
AT_ONCE = 64
"""How many previews are made before the page is asked whether it has room for them."""
FULL = "not shown: the page is full"
SIGNATURE = b"\x89PNG\r\n\x1a\n"
MAX_SIDE = 16384

Pixels = npt.NDArray[np.uint8]


@dataclass
class Picture:
    """A picture in the page: where its pixels are, what it shows, and why it may be missing.

    ``src``, a data URI, and ``whole`` are filled in by `embed`. A picture without ``src`` that is
    not ``missing`` has no room in the page: it is the file at ``path``, relative to the report.
    """

    alt: str
    width: int = 0
    height: int = 0
    path: str = ""
    missing: str = ""
    src: str = ""
    whole: bool = False
    facts: list[str] = field(default_factory=list)
    pixels: Pixels | None = None
    noise: bool = False
    """Whether reducing it would average away what it shows: then its preview is its middle."""

    @property
    def outside(self) -> bool:
        """Whether there is such a picture, and the page had no room for it."""
        return not self.src and self.missing in ("", FULL)


@dataclass(frozen=True)
class Room:
    """How many pictures the page holds as previews, and how many have no room in it at all."""

    previews: int
    outside: int


class ReportPictures:
    """All pictures of a report, each file read once."""

    def __init__(self, record: Record) -> None:
        self.record = record
        self._by_path: dict[str, Picture] = {}

    def picture(self, relative: str | None, alt: str, facts: Iterable[str] = ()) -> Picture:
        """A stored picture; the same file met again is the same picture under other words."""
        found = self._look(relative)
        return Picture(alt, path=found.path, missing=found.missing, width=found.width,
                       height=found.height, facts=list(facts))  # fmt: skip

    def pixels(self, relative: str | None) -> Pixels | None:
        """The pixels (H, W, 3) of a stored picture; None where there are none."""
        return read_pixels(self.record.picture(relative))

    def _look(self, relative: str | None) -> Picture:
        if relative is None:
            return Picture("", missing="not computed")
        if relative not in self._by_path:
            found = self._by_path[relative] = _probe(self.record.path(relative), relative)
            if found.missing:
                self.record.lacking.add(relative)
        return self._by_path[relative]


def read_pixels(data: bytes | None) -> Pixels | None:
    """The pixels (H, W, 3) of a PNG; None where there is no file or it is damaged."""
    if data is None:
        return None
    try:
        with Image.open(io.BytesIO(data), formats=["PNG"]) as image:
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
        noise=True,
        facts=[f"amplified × {times}", f"largest {largest}/255, RMS {rms:.1f}/255"],
    )


def embed(
    first: Sequence[Picture], others: Sequence[Picture], album: ReportPictures | None, limit: int
) -> Room:
    """Fill in every picture's ``src``, using at most ``limit`` characters.

    The ``first`` ones are those that a reader sees first. They come whole as far as a share of the
    room goes; then each picture gets a preview; then whole pictures take what room is left, in
    order: each file once, and then wherever it stands again. Without an album every picture brings
    its pixels.
    """
    page = _Page(album)
    every = [*first, *others]
    page.put_whole(first, limit * FIRST_SHARE)
    page.put_previews(first, FIRST_SIDE, limit)
    page.put_previews(others, SIDE, limit)
    page.put_whole(every, limit)
    page.put_whole(every, limit, again=True)
    for picture, side in [(one, FIRST_SIDE) for one in first] + [(one, SIDE) for one in others]:
        _say_what_is_shown(picture, side)
    return Room(
        previews=sum(bool(picture.src) and not picture.whole for picture in every),
        outside=sum(picture.outside for picture in every),
    )


def _say_what_is_shown(picture: Picture, side: int) -> None:
    """What a reader should know of a picture that is not whole in the page."""
    if picture.outside and not picture.path:
        picture.missing = FULL
    elif picture.noise and picture.src and not picture.whole:
        picture.width, picture.height = min(picture.width, side), min(picture.height, side)
        picture.facts.append(f"its middle, {picture.width} × {picture.height} pixels")


def as_webp(pixels: Pixels, *, side: int = MAX_SIDE, quality: int | None = None) -> str:
    """A picture as WebP in a data URI, its long side reduced to ``side``.

    Without a ``quality`` (0 to 100) it is lossless.
    """
    picture, buffer = Image.fromarray(np.ascontiguousarray(pixels)), io.BytesIO()
    picture.thumbnail((side, side), Image.Resampling.LANCZOS)
    if quality is None:
        picture.save(buffer, "WEBP", lossless=True, exact=True, quality=20, method=2)
    else:
        picture.save(buffer, "WEBP", quality=quality, method=4)
    return "data:image/webp;base64," + base64.b64encode(buffer.getvalue()).decode()


class _Page:
    """What the page holds: characters used, the files that are whole, and the previews made."""

    def __init__(self, album: ReportPictures | None) -> None:
        self.album = album
        self.used = 0
        self.whole: set[str] = set()
        self.previews: dict[tuple[str, int], str] = {}

    def put_whole(self, pictures: Iterable[Picture], limit: float, *, again: bool = False) -> None:
        """Bring pictures whole until one has no room; a file that is there only if ``again``."""
        for picture in pictures:
            if picture.whole or (picture.path in self.whole and not again):
                continue
            pixels = self._pixels(picture)
            if pixels is None:
                continue
            if not self._put(picture, as_webp(pixels), limit):
                return
            picture.whole = True
            self.whole |= {picture.path} - {""}

    def put_previews(self, pictures: Iterable[Picture], side: int, limit: float) -> None:
        """Bring previews of all that the page lacks, until one has no room."""
        lacking = [picture for picture in pictures if not picture.missing and not picture.src]
        for start in range(0, len(lacking), AT_ONCE):
            some = lacking[start : start + AT_ONCE]
            with ThreadPoolExecutor(cores()) as pool:
                made = list(pool.map(self._preview, some, repeat(side)))
            for picture, data in zip(some, made, strict=True):
                if data and not self._put(picture, data, limit):
                    return

    def _preview(self, picture: Picture, side: int) -> str:
        """Its preview; empty where the file is damaged."""
        if (picture.path, side) in self.previews:
            return self.previews[picture.path, side]
        pixels = self._pixels(picture)
        if pixels is None:
            return ""
        if picture.noise:
            return as_webp(_middle(pixels, side))
        data = as_webp(pixels, side=side, quality=QUALITY)
        if picture.path:
            self.previews[picture.path, side] = data
        return data

    def _pixels(self, picture: Picture) -> Pixels | None:
        """Its pixels; None, which the picture then says, where there are none."""
        if picture.missing:
            return None
        pixels = picture.pixels
        if pixels is None and self.album is not None:
            pixels = self.album.pixels(picture.path)
        if pixels is None:
            picture.missing = "damaged file"
        return pixels

    def _put(self, picture: Picture, data: str, limit: float) -> bool:
        """Give the picture these data, if there is room."""
        used = self.used - len(picture.src) + len(data)
        if used > limit:
            return False
        self.used, picture.src = used, data
        return True


def _middle(pixels: Pixels, side: int) -> Pixels:
    """The middle of a picture, at most ``side`` pixels a side."""
    height, width = (min(length, side) for length in pixels.shape[:2])
    top, left = (pixels.shape[0] - height) // 2, (pixels.shape[1] - width) // 2
    return pixels[top : top + height, left : left + width]


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
