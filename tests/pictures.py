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
REC2020 = (
    (0.67348, 0.27904, -0.00194),
    (0.16568, 0.67535, 0.02998),
    (0.12505, 0.04561, 0.79685),
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
    return png_of(header, *chunks, (b"IDAT", zlib.compress(rows)))


def png_of(header: bytes, *chunks: tuple[bytes, bytes]) -> bytes:
    """A PNG of a header and further chunks."""
    parts = [(b"IHDR", header), *chunks, (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*part) for part in parts)


def packed_png(
    samples: np.ndarray, depth: int, *chunks: tuple[bytes, bytes], colour: int = 0
) -> bytes:
    """A PNG of (H, W) samples of 1, 2, 4 or 8 bits: gray, or with colour 3 of a palette."""
    height, width = samples.shape
    rows = b"".join(b"\0" + packed(row, depth) for row in samples)
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    return png_of(header, *chunks, (b"IDAT", zlib.compress(rows)))


def packed(row: np.ndarray, depth: int) -> bytes:
    """Samples of any number of bits, highest bit first, filled up to whole bytes."""
    bits = row[:, None] >> np.arange(depth - 1, -1, -1) & 1
    return np.packbits(bits.astype(np.uint8).ravel()).tobytes()


def tiff(rows: bytes, width: int, height: int, bits: int, **tags: int) -> bytes:
    """An uncompressed gray TIFF, little-endian, of packed rows; further tags as ``t254=1``."""
    entries = {256: width, 257: height, 258: bits, 259: 1, 262: 1, 273: 8, 277: 1, 278: height}
    entries |= {279: len(rows)} | {int(tag[1:]): value for tag, value in tags.items()}
    table = b"".join(struct.pack("<HHII", tag, 4, 1, entries[tag]) for tag in sorted(entries))
    rows += b"\0" * (len(rows) % 2)
    head = b"II*\0" + struct.pack("<I", 8 + len(rows))
    return head + rows + struct.pack("<H", len(entries)) + table + b"\0" * 4


def chunk(kind: bytes, data: bytes) -> bytes:
    """One chunk of a PNG."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _fixed(*values: float) -> bytes:
    return b"".join(struct.pack(">i", round(value * 65536)) for value in values)


def _profile(kind: bytes, tags: dict[bytes, bytes]) -> bytes:
    """An ICC v2 profile; ``kind`` is class, colour space and connection space, 4 bytes each."""
    description = b"desc\0\0\0\0" + struct.pack(">I", 5) + b"test\0" + b"\0" * 81
    tags = {
        b"desc": description,
        b"cprt": b"text\0\0\0\0none\0\0\0\0",
        b"wtpt": b"XYZ \0\0\0\0" + _fixed(*D50),
        **tags,
    }
    start = 128 + 4 + 12 * len(tags)
    table, body = struct.pack(">I", len(tags)), b""
    for tag, data in tags.items():
        table += tag + struct.pack(">II", start + len(body), len(data))
        body += data + b"\0" * (-len(data) % 4)
    head = struct.pack(">I", start + len(body)) + b"\0" * 4 + struct.pack(">I", 0x02400000)
    head += kind + b"\0" * 12 + b"acsp" + b"\0" * 28 + _fixed(*D50) + b"\0" * 48
    return head + table + body


def icc(
    primaries: tuple[tuple[float, float, float], ...],
    gamma: float,
    cicp: tuple[int, int] | None = None,
) -> bytes:
    """A profile of RGB by primaries and one gamma; ``cicp`` adds such a tag."""
    curve = b"curv\0\0\0\0" + struct.pack(">IH", 1, round(gamma * 256))
    tags = {c + b"TRC": curve for c in (b"r", b"g", b"b")}
    for colour, xyz in zip((b"r", b"g", b"b"), primaries, strict=True):
        tags[colour + b"XYZ"] = b"XYZ \0\0\0\0" + _fixed(*xyz)
    if cicp:
        tags[b"cicp"] = b"cicp\0\0\0\0" + bytes([*cicp, 0, 1])
    return _profile(b"mntrRGB XYZ ", tags)


def icc_cmyk() -> bytes:
    """A profile of CMYK whose lightness falls evenly with black, and by half with each colour."""
    corners = np.indices((2, 2, 2, 2)).reshape(4, -1).T
    lightness = 255 * (1 - corners[:, 3]) * 0.5 ** corners[:, :3].sum(1)
    lab = np.stack([lightness, np.full(16, 128), np.full(16, 128)], -1).astype(np.uint8)
    straight = bytes(range(256))
    table = b"mft1\0\0\0\0" + bytes([4, 3, 2, 0]) + _fixed(1, 0, 0, 0, 1, 0, 0, 0, 1)
    return _profile(b"prtrCMYKLab ", {b"A2B0": table + straight * 4 + lab.tobytes() + straight * 3})


def to_srgb(levels: np.ndarray, primaries: Any, gamma: float) -> np.ndarray:
    """The levels that sRGB needs for the same colours, by matrices; float, clipped to 0..255."""
    return light_to_srgb((levels / 255.0) ** gamma, primaries)


def light_to_srgb(light: np.ndarray, primaries: Any) -> np.ndarray:
    """The same of linear light from 0 to 1."""
    linear = light @ np.array(primaries) @ np.linalg.inv(np.array(SRGB))
    linear = linear.clip(0, 1)
    srgb = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    return srgb * 255
