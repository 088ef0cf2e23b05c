"""Decoding: from a file to 8-bit levels in sRGB, whatever kind of image the file holds."""

from brittle.decoding.decode import (
    MAX_BYTES,
    MAX_PIXELS,
    Decoded,
    check_name,
    decode,
    is_picture,
    size_of,
)
from brittle.decoding.samples import Levels

__all__ = [
    "MAX_BYTES",
    "MAX_PIXELS",
    "Decoded",
    "Levels",
    "check_name",
    "decode",
    "is_picture",
    "size_of",
]
