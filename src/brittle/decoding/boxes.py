"""Colour boxes (``colr``) of the formats that are made of boxes: AVIF, HEIF, JPEG 2000."""

import struct
from collections.abc import Iterator

Box = tuple[bytes, bytes]


def colour_boxes(data: bytes) -> list[bytes]:
    """What a file's ``colr`` boxes for its picture hold, in their order."""
    top = [*_boxes(data)]
    for kind, body in top:
        if kind == b"jp2h":
            return [inner for name, inner in _boxes(body) if name == b"colr"]
    for kind, body in top:
        if kind == b"meta" and (found := _of_primary_item(body[4:])):
            return found
    return [body for kind, body in top if kind == b"moov" for body in _of_track(body)]


def _boxes(data: bytes) -> Iterator[Box]:
    at = 0
    while at + 8 <= len(data):
        size, kind = struct.unpack_from(">I4s", data, at)
        head = 8
        if size == 1 and at + 16 <= len(data):
            (size,), head = struct.unpack_from(">Q", data, at + 8), 16
        end = len(data) if size == 0 else at + size
        if end < at + head or end > len(data):
            return
        yield kind, data[at + head : end]
        at = end


def _of_primary_item(meta: bytes) -> list[bytes]:
    """The colour boxes of the primary item; of all items where none is named for it."""
    parts = dict(_boxes(meta))
    inner = [*_boxes(parts.get(b"iprp", b""))]
    properties = [*_boxes(dict(inner).get(b"ipco", b""))]
    colours = {i: body for i, (kind, body) in enumerate(properties, 1) if kind == b"colr"}
    pitm = parts.get(b"pitm", b"")
    primary = int.from_bytes(pitm[4:8] if pitm[:1] == b"\1" else pitm[4:6], "big")
    for kind, body in inner:
        if kind == b"ipma":
            own = [colours[i] for i in _associated(body, primary) if i in colours]
            if own:
                return own
    return [*colours.values()]


def _associated(ipma: bytes, item: int) -> list[int]:
    """The numbers of an item's properties, counted from 1."""
    version, wide_index = ipma[0], ipma[3] & 1
    (count,) = struct.unpack_from(">I", ipma, 4)
    at, id_size, index_size = 8, 4 if version else 2, 2 if wide_index else 1
    for _ in range(count):
        number = int.from_bytes(ipma[at : at + id_size], "big")
        at += id_size
        many = ipma[at]
        at += 1
        if number == item:
            raw = [ipma[at + i * index_size : at + (i + 1) * index_size] for i in range(many)]
            essential = 0x8000 if wide_index else 0x80
            return [int.from_bytes(one, "big") & ~essential for one in raw]
        at += many * index_size
    return []


def _of_track(moov: bytes) -> list[bytes]:
    """The colour boxes of a sequence's tracks."""
    found: list[bytes] = []
    for kind, body in _boxes(moov):
        if kind == b"colr":
            found.append(body)
        elif kind in (b"trak", b"mdia", b"minf", b"stbl"):
            found += _of_track(body)
        elif kind == b"stsd":  # a version and a count before the entries
            found += _of_track(body[8:])
        elif kind == b"av01":  # a visual sample entry has 78 bytes before its boxes
            found += _of_track(body[78:])
    return found
