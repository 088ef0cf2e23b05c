"""The chunks of a PNG: what Pillow doesn't tell of them, and those that it can't pass."""

import zlib
from collections.abc import Iterator
from typing import NamedTuple

SIGNATURE = b"\x89PNG\r\n\x1a\n"
UNPACKED = 2**20
"""Bytes up to which Pillow unpacks a text or a profile; beyond, it calls the file damaged."""
TEXTS = 32 * 2**20
"""Bytes of text in one file, unpacked; Pillow allows twice as many."""
MAX_PROFILE = 16 * 2**20


class Chunk(NamedTuple):
    """One chunk: its kind, what it holds, and where it lies in the file."""

    kind: bytes
    body: bytes
    start: int
    end: int


def chunks(data: bytes) -> Iterator[Chunk]:
    """The chunks of a PNG, as far as they are whole."""
    at = len(SIGNATURE)
    while at + 12 <= len(data):
        end = at + 12 + int.from_bytes(data[at : at + 4], "big")
        if end > len(data):
            return
        yield Chunk(data[at + 4 : at + 8], data[at + 8 : end - 4], at, end)
        at = end


def header_chunks(data: bytes) -> dict[bytes, bytes]:
    """The chunks before the pixels by kind, the first of each."""
    found: dict[bytes, bytes] = {}
    for chunk in chunks(data):
        if chunk.kind == b"IDAT":
            break
        found.setdefault(chunk.kind, chunk.body)
    return found


def profile(packed: bytes) -> bytes | None:
    """The ICC profile of an iCCP chunk; None where it can't be unpacked."""
    unpacked = _unpacked(packed.partition(b"\0")[2][1:], MAX_PROFILE)
    return unpacked or None


def without_long_text(data: bytes) -> bytes:
    """The same picture without texts and profiles that are too long for Pillow to pass.

    A comment of some megabytes is packed into some kilobytes, and harms nothing if it is skipped.
    """
    kept, start, room = [], 0, TEXTS
    for chunk in chunks(data):
        size = _text_size(chunk)
        if size > room:
            kept.append(data[start : chunk.start])
            start = chunk.end
        else:
            room -= size
    return b"".join([*kept, data[start:]]) if start else data


def _text_size(chunk: Chunk) -> int:
    """How many bytes a text or a profile has when unpacked: beyond measure, if Pillow refuses."""
    if chunk.kind == b"tEXt":
        return len(chunk.body)
    rest = chunk.body.partition(b"\0")[2]
    if chunk.kind == b"iTXt":
        packed, texts = rest[:1] == b"\1", rest[2:].split(b"\0", 2)
        if not packed or len(texts) < 3:
            return len(rest)
        rest = b"\0" + texts[2]
    elif chunk.kind not in (b"zTXt", b"iCCP"):
        return 0
    unpacked = _unpacked(rest[1:], UNPACKED)
    return TEXTS + 1 if unpacked is None else len(unpacked)


def _unpacked(data: bytes, limit: int) -> bytes | None:
    """What was packed; empty where it is damaged, None where it is longer than ``limit`` bytes."""
    try:
        unpacked = zlib.decompressobj().decompress(data, limit + 1)
    except zlib.error:
        return b""
    return unpacked if len(unpacked) <= limit else None
