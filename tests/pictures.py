"""Files of every kind that tests read: built byte by byte where Pillow can't write them."""

import io
import struct
import zlib
from typing import Any

import numpy as np
from PIL import Image

# XYZ of the primaries under the profile connection space's D50 white, as in the ICC registry.
SRGB = ((0.43607, 0.22249, 0.01392), (0.38515, 0.71687, 0.09708), (0.14307, 0.06061, 0.71410))
ADOBE = ((0.60974, 0.31111, 0.01947), (0.20528, 0.62567, 0.06087), (0.14919, 0.06322, 0.74457))
DISPLAY_P3 = (
    (0.51512, 0.24120, -0.00105),
    (0.29198, 0.69225, 0.04189),
    (0.15710, 0.06657, 0.78407),
)
D50 = (0.9642, 1.0, 0.8249)


def photo(height: int = 64, width: int = 80) -> np.ndarray:
    """A crop of a real photo, (height, width, 3) uint8."""
    from skimage import data

    return data.chelsea()[60 : 60 + height, 120 : 120 + width].copy()


def encoded(levels: np.ndarray | Image.Image, kind: str, **options: Any) -> bytes:
    file = io.BytesIO()
    picture = levels if isinstance(levels, Image.Image) else Image.fromarray(levels)
    picture.save(file, kind, **options)
    return file.getvalue()


def png(
    levels: np.ndarray, *chunks: tuple[bytes, bytes], size: tuple[int, int] | None = None
) -> bytes:
    """A PNG of (H, W, channels) uint8 or uint16, with any further chunks; size may lie."""
    height, width, channels = levels.shape
    colour = {1: 0, 2: 4, 3: 2, 4: 6}[channels]
    depth = levels.dtype.itemsize * 8
    rows = b"".join(b"\0" + row.astype(levels.dtype.newbyteorder(">")).tobytes() for row in levels)
    header = struct.pack(">IIBBBBB", *(size or (width, height)), depth, colour, 0, 0, 0)
    parts = [(b"IHDR", header), *chunks, (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(*part) for part in parts)


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def icc(primaries: tuple[tuple[float, float, float], ...], gamma: float) -> bytes:
    """An ICC v2 matrix profile."""
    fixed = lambda value: struct.pack(">i", round(value * 65536))  # noqa: E731
    xyz = lambda values: b"XYZ \0\0\0\0" + b"".join(map(fixed, values))  # noqa: E731
    curve = b"curv\0\0\0\0" + struct.pack(">IH", 1, round(gamma * 256)) + b"\0\0"
    name = b"test\0"
    description = b"desc\0\0\0\0" + struct.pack(">I", len(name)) + name + b"\0" * 78
    tags = {b"desc": description + b"\0" * (-len(description) % 4), b"wtpt": xyz(D50)}
    tags |= {b"cprt": b"text\0\0\0\0none\0\0\0\0"}
    tags |= {k + b"XYZ": xyz(v) for k, v in zip((b"r", b"g", b"b"), primaries, strict=True)}
    tags |= {k + b"TRC": curve for k in (b"r", b"g", b"b")}
    start = 128 + 4 + 12 * len(tags)
    table, body = struct.pack(">I", len(tags)), b""
    for tag, data in tags.items():
        table += tag + struct.pack(">II", start + len(body), len(data))
        body += data
    size = struct.pack(">I", start + len(body))
    head = size + b"\0\0\0\0" + struct.pack(">I", 0x02400000) + b"mntrRGB XYZ " + b"\0" * 12
    head += b"acsp" + b"\0" * 28 + b"".join(map(fixed, D50)) + b"\0" * 48
    return head + table + body


def to_srgb(levels: np.ndarray, primaries: Any, gamma: float) -> np.ndarray:
    """The levels that sRGB needs for the same colours, by matrices; float, clipped to 0..255."""
    linear = (levels / 255.0) ** gamma @ np.array(primaries) @ np.linalg.inv(np.array(SRGB))
    linear = linear.clip(0, 1)
    srgb = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    return srgb * 255
