"""A file's own numbers: at its own depth, upright, and with what is transparent."""

import io
import re
import sys
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image, ImageFile, ImageOps

from brittle.decoding import png
from brittle.errors import UserError

Levels = np.ndarray[Any, np.dtype[np.uint8]]
Values = np.ndarray[Any, np.dtype[Any]]

# Tags of a TIFF.
ORIENTATION = 0x0112
BITS_PER_SAMPLE, PHOTOMETRIC, PLANES, SAMPLE_FORMAT = 258, 262, 284, 339
WHITE_IS_ZERO, APART, SIGNED = 0, 2, 2
_SIZ = b"\xff\x4f\xff\x51"  # begins a JPEG 2000's code stream
_COMPONENTS = 42  # where its depths are, from there
_OTHER_ORDER = {"B": "L", "L": "B", "N": "B" if sys.byteorder == "little" else "L"}

_NO_WHITE = "{} holds numbers without an agreed white: save it with 8 or 16 bits."


@dataclass(frozen=True)
class Samples:
    """``values`` from 0 to ``top``: (H, W) gray, (H, W, 3) RGB or (H, W, 4) CMYK.

    ``alpha`` (H, W) has 8 bits.
    """

    values: Values
    top: int
    alpha: Levels | None

    @property
    def mode(self) -> str:
        """As Pillow names it."""
        return "L" if self.values.ndim == 2 else {3: "RGB", 4: "CMYK"}[self.values.shape[2]]

    def levels(self) -> Levels:
        """The values rounded to 8 bits."""
        return _eight_bits(self.values, self.top)


def read_samples(name: str, picture: ImageFile.ImageFile, data: bytes, notes: list[str]) -> Samples:
    """The samples of a picture that was opened and not loaded; ``notes`` takes what was done.

    Raises:
        UserError: its numbers have no agreed white.
    """
    tags = getattr(picture, "tag_v2", {})
    bits = _bits(picture, data)
    if SIGNED in tags.get(SAMPLE_FORMAT, ()):
        raise UserError(_NO_WHITE.format(name))
    if bits == 16 and tags.get(PLANES) == APART:  # which Pillow reads as if they had 8
        raise UserError(f"{name} keeps 16-bit colours in planes: save it as PNG first.")
    rawmode = _rawmode(picture)
    key = _transparent_key(picture, data)
    whole = _upright(picture, notes)
    if whole.mode in ("I", "F"):
        return Samples(_from_floats(name, whole, tags, notes), 255, None)
    if bits > 8:
        notes.append(f"{bits} bits reduced to 8")
    if whole.mode.startswith("I;16"):
        values, top = _deep_gray(whole, bits, picture.format == "JPEG2000", tags)
        alpha = None
    elif (low := _low_bytes(picture, data, rawmode)) is not None:
        values, alpha = _joined(whole, low, rawmode)
        top = 2**16 - 1
    else:
        flat, alpha = _split_alpha(whole)
        values, top = np.array(flat), 255
        if picture.format == "JPEG2000" and bits < 8 and whole.mode not in ("P", "PA"):
            top = 255 >> (8 - bits) << (8 - bits)  # what Pillow makes of its white
            alpha = None if alpha is None else _eight_bits(alpha, top)
    if key is not None:
        alpha = np.where(_equals(values, key), 0, 255).astype(np.uint8)
    return Samples(values, top, alpha)


def _eight_bits(values: Values, top: int) -> Levels:
    if top == 255:
        return values
    return (np.arange(2**16) * (255 / top)).clip(0, 255).round().astype(np.uint8)[values]


def _bits(picture: Image.Image, data: bytes) -> int:
    """How many bits a channel has in the file, where that may be other than 8."""
    if picture.format == "PNG":
        return data[24]
    if picture.format == "JPEG2000" and (start := data.find(_SIZ)) >= 0:
        return (data[start + _COMPONENTS] & 0x7F) + 1
    return int(max(getattr(picture, "tag_v2", {}).get(BITS_PER_SAMPLE, (8,))))


def _upright(picture: Image.Image, notes: list[str]) -> Image.Image:
    """The decoded picture, turned as its EXIF says."""
    tags = getattr(picture, "tag_v2", {})
    orientation = tags.get(ORIENTATION, 1)  # a TIFF is turned by load
    picture.load()
    if not tags:
        try:
            orientation = picture.getexif().get(ORIENTATION, 1)
        except Exception:  # damaged metadata aren't worth a photo
            orientation = 1
    if orientation not in range(2, 9):
        return picture
    notes.append("turned upright as its EXIF says")
    return picture if tags else ImageOps.exif_transpose(picture)


def _from_floats(name: str, picture: Image.Image, tags: Any, notes: list[str]) -> Levels:
    values = np.asarray(picture)
    if picture.mode == "I" or not (values.min() >= 0 and values.max() <= 1):
        raise UserError(_NO_WHITE.format(name))
    notes.append("floating point reduced to 8 bits")
    if tags.get(PHOTOMETRIC) == WHITE_IS_ZERO:
        values = 1 - values
    return (values * 255).round().astype(np.uint8)


def _deep_gray(
    picture: Image.Image, bits: int, aligned_high: bool, tags: Any
) -> tuple[Values, int]:
    """Gray of up to 16 bits and its white: a TIFF's as it is, a JPEG 2000's moved to the top."""
    values = np.asarray(picture).astype(np.uint16)
    top = 2**bits - 1 << (16 - bits if aligned_high else 0)
    return (top - values if tags.get(PHOTOMETRIC) == WHITE_IS_ZERO else values), top


def _rawmode(picture: ImageFile.ImageFile) -> str:
    """How Pillow is about to unpack the picture: ``RGB;16B`` for 16 bits, upper byte first."""
    args = picture.tile[0].args if picture.tile else ""
    return str(args[0] if isinstance(args, tuple) and args else args)


def _low_bytes(picture: Image.Image, data: bytes, rawmode: str) -> Image.Image | None:
    """The lower bytes of 16-bit colours, which Pillow drops; None where there are no such.

    It is told that the file has the other byte order. Of gray with alpha it gives all four bytes.
    """
    if picture.format not in ("PNG", "TIFF"):
        return None
    if rawmode == "LA;16B":
        other = "RGBA"
    elif re.fullmatch(r"(RGB|RGBA|RGBX|CMYK);16[BLN]", rawmode):
        other = rawmode[:-1] + _OTHER_ORDER[rawmode[-1]]
    else:
        return None
    again = Image.open(io.BytesIO(data), formats=(picture.format,))
    again.tile = [
        tile._replace(args=(other, *tile.args[1:]) if isinstance(tile.args, tuple) else other)
        for tile in again.tile
    ]
    return _upright(again, [])


def _joined(high: Image.Image, low: Image.Image, rawmode: str) -> tuple[Values, Levels | None]:
    """The 16-bit colours of both bytes, and the upper byte of alpha where there is one."""
    if rawmode == "LA;16B":
        four = np.array(low)
        return _word(four[..., 0], four[..., 1]), four[..., 2]
    upper, lower = np.array(high), np.array(low)
    alpha = upper[..., 3] if high.mode == "RGBA" else None
    channels = slice(None) if alpha is None else slice(3)
    return _word(upper[..., channels], lower[..., channels]), alpha


def _word(high: Levels, low: Levels) -> Values:
    return high.astype(np.uint16) << 8 | low


def _split_alpha(picture: Image.Image) -> tuple[Image.Image, Levels | None]:
    """The colours as L, RGB, or CMYK, and the alpha channel (H, W) where there is one."""
    if picture.mode in ("L", "RGB", "CMYK") and not picture.has_transparency_data:
        return picture, None
    if picture.mode == "1":
        return picture.convert("L"), None
    if not picture.has_transparency_data:
        return picture.convert("RGB"), None
    picture = picture.convert("LA" if picture.mode in ("L", "LA", "La") else "RGBA")
    return picture.convert(picture.mode[:-1]), np.array(picture.getchannel("A"))


def _transparent_key(picture: Image.Image, data: bytes) -> Values | None:
    """The one gray or colour that a PNG calls transparent, as a value of its samples.

    Pillow is relieved of it: it compares a key of the file's depth with levels of another.
    """
    if picture.format != "PNG" or picture.mode == "P":
        return None
    key = png.header_chunks(data).get(b"tRNS", b"")
    if len(key) != {"1": 2, "L": 2, "I;16": 2, "RGB": 6}.get(picture.mode):
        return None
    picture.info.pop("transparency", None)
    top = 2 ** data[24] - 1
    # Only as many bits of a key count as a sample has; below 8 bits, samples are scaled up to 255.
    values = np.frombuffer(key, ">u2").astype(np.uint16) & top
    return values * (255 // top) if top < 255 else values


def _equals(values: Values, key: Values) -> Values:
    same = values == (key if values.ndim == 3 else key[0])
    return same.all(-1) if values.ndim == 3 else same
