"""What a file states of its colours, by every way in which its format may state it."""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import ExifTags, Image

from brittle.decoding import boxes, png, spaces
from brittle.decoding.spaces import ColourSpace, Curve, gamma
from brittle.errors import UserError

COLOUR_SPACE, GAMMA = 0xA001, 0xA500  # in EXIF's own directory
WHITE_POINT, PRIMARIES, TRANSFER = 0x013E, 0x013F, 0x012D  # of EXIF and of TIFF
ICC_IN_TIFF = 0x8773
IS_SRGB, IS_ADOBE, IS_WIDE, IS_ICC, UNCALIBRATED = 1, 2, 0xFFFD, 0xFFFE, 0xFFFF
_JP2_SRGB = {12, 14, 16, 17, 18}  # CMYK, Lab, sRGB, gray and sYCC, which Pillow knows
_SRGB_GAMMA = 45455
"""What the PNG specification has writers of sRGB put into gAMA."""


@dataclass(frozen=True)
class Unnamed:
    """A file says that its colours aren't sRGB, and not which they are."""

    note: str


Statement = bytes | ColourSpace | Unnamed
"""An ICC profile, a space, or a note."""


def statements(name: str, picture: Image.Image, data: bytes) -> Iterator[Statement]:
    """What a file, once loaded, states of its RGB or gray numbers; the first that is usable holds.

    Raises:
        UserError: an HDR picture, or a statement that isn't read here.
    """
    if picture.format == "PNG":
        yield from _of_png(name, picture, data)
    elif picture.format in ("AVIF", "JPEG2000"):
        yield from _of_boxes(name, picture, data)
    elif picture.format == "BMP":
        yield from _of_bmp(data)
    elif profile := picture.info.get("icc_profile"):
        yield profile
    yield from _of_exif(name, picture)


def refuse_hdr(name: str, profile: bytes) -> None:
    """Raise UserError where a profile's ``cicp`` tag says that it is for HDR."""
    count = int.from_bytes(profile[128:132], "big")
    for index in range(min(count, 100)):
        tag, at, size = struct.unpack_from(
            ">4sII", profile.ljust(132 + 12 * (index + 1)), 132 + 12 * index
        )
        if tag == b"cicp" and size >= 12 and at + 10 <= len(profile):
            _refuse_hdr(name, profile[at + 9])


def _refuse_hdr(name: str, transfer: int) -> None:
    if transfer in spaces.HDR:
        raise UserError(
            f"{name} is an HDR picture ({spaces.HDR[transfer]}): export it without HDR, as JPEG or "
            "PNG."
        )


def _coded(name: str, primaries: int, transfer: int, by: str) -> list[Statement]:
    """The space of code points, in a list; an empty one where they leave it open."""
    _refuse_hdr(name, transfer)
    if primaries == transfer == spaces.UNSPECIFIED:
        return []
    if primaries not in spaces.PRIMARIES or transfer not in spaces.TRANSFERS:
        raise UserError(
            f"{name} states colours that aren't read here ({by} {primaries}/{transfer}): export it "
            "in sRGB."
        )
    known, chromaticities = spaces.PRIMARIES[primaries]
    return [ColourSpace(f"{known}, {by}", chromaticities, spaces.TRANSFERS[transfer])]


def _of_png(name: str, picture: Image.Image, data: bytes) -> Iterator[Statement]:
    """By the specification's order: cICP, iCCP, sRGB, gAMA and cHRM."""
    chunks = png.header_chunks(data)
    if len(cicp := chunks.get(b"cICP", b"")) == 4:
        if cicp[2:] != b"\0\1":
            raise UserError(f"{name} isn't coded in full-range RGB (cICP): export it in sRGB.")
        yield from _coded(name, cicp[0], cicp[1], "as its cICP says")
    if b"iCCP" in chunks:
        yield png.profile(chunks[b"iCCP"]) or b"damaged"
    if b"sRGB" in chunks:
        yield spaces.SRGB
    yield from _of_gamma(chunks.get(b"gAMA", b""), chunks.get(b"cHRM", b""))


def _of_gamma(gama: bytes, chrm: bytes) -> Iterator[Statement]:
    if not gama and not chrm:
        return
    stated = int.from_bytes(gama, "big")
    numbers = np.array(struct.unpack(">8I", chrm)) / 1e5 if len(chrm) == 32 else None
    found = None if numbers is None else _chromaticities(numbers[2:], numbers[:2])
    if (gama and not _likely(1e5 / max(stated, 1))) or (chrm and not found):
        yield Unnamed("its gAMA and cHRM aren't understood: read as sRGB")
        return
    by = " and ".join(["gAMA"] * bool(gama) + ["cHRM"] * bool(chrm))
    chromaticities = found or spaces.REC709
    # 1/2.2 is what writers of sRGB put there: with sRGB's colours it means sRGB's own curve.
    usual = abs(stated - _SRGB_GAMMA) <= 50 and _near(chromaticities, spaces.REC709)
    curve = spaces.srgb_curve if usual or not gama else gamma(1e5 / stated)
    yield ColourSpace(f"the space of its {by}", chromaticities, curve)


def _likely(exponent: float) -> bool:
    """Whether a picture can be meant: with others it would be black or white all over."""
    return 0.1 <= exponent <= 10


def _near(one: spaces.Chromaticities, other: spaces.Chromaticities) -> bool:
    return bool(np.abs(np.array(one) - np.array(other)).max() < 0.005)


def _chromaticities(primaries: Any, white: Any) -> spaces.Chromaticities | None:
    """Red, green, blue and white from six and two numbers; None where they span no space."""
    points = np.array([*primaries, *white], float).reshape(4, 2)
    corners = np.column_stack([points, np.ones(4)])
    if not np.isfinite(points).all() or (points[:, 1] <= 0).any():
        return None
    if abs(np.linalg.det(corners[:3])) < 1e-3:
        return None
    if (np.linalg.solve(corners[:3].T, corners[3]) <= 0).any():  # white lies outside of them
        return None
    red, green, blue, at_white = ((float(x), float(y)) for x, y in points)
    return red, green, blue, at_white


def _of_boxes(name: str, picture: Image.Image, data: bytes) -> Iterator[Statement]:
    """ICC before code points, and HDR refused in either."""
    found: list[Statement] = []
    for box in boxes.colour_boxes(data):
        if box[:4] in (b"prof", b"rICC"):
            found.insert(0, box[4:])
        elif box[:4] == b"nclx" and len(box) >= 8:
            primaries, transfer = struct.unpack_from(">HH", box, 4)
            found += _coded(name, primaries, transfer, "as its nclx says")
        elif picture.format == "JPEG2000" and box[:1] in (b"\2", b"\3"):
            found.append(box[3:])
        elif picture.format == "JPEG2000" and box[:1] == b"\1":
            (space,) = struct.unpack_from(">I", box, 3)
            if space not in _JP2_SRGB:
                raise UserError(
                    f"{name} states colours that aren't read here (JPEG 2000's space {space}): "
                    "export it in sRGB."
                )
            found.append(spaces.SRGB)
        elif picture.format == "JPEG2000" and box[:1] == b"\5" and len(box) >= 7:
            primaries, transfer = struct.unpack_from(">HH", box, 3)
            found += _coded(name, primaries, transfer, "as its colour box says")
    yield from found


def _of_bmp(data: bytes) -> Iterator[Statement]:
    """A header of version 4 has primaries and a gamma for each colour, one of 5 a profile."""
    (size,) = struct.unpack_from("<I", data, 14)
    if size < 108:
        return
    kind = data[70:74]
    if kind == b"DEBM" and size >= 124:  # MBED, from its lower byte up
        at, length = struct.unpack_from("<II", data, 126)
        yield data[14 + at : 14 + at + length] or b"damaged"
    elif kind == b"KNIL":
        yield Unnamed("its colour profile is in another file: read as sRGB")
    elif kind == b"\0\0\0\0":
        ends = np.array(struct.unpack_from("<9i", data, 74), float).reshape(3, 3)
        exponents = np.array(struct.unpack_from("<3I", data, 110)) / 2**16
        if ends.any() and exponents.any():
            yield from _of_end_points(ends, exponents)


def _of_end_points(ends: Any, exponents: Any) -> Iterator[Statement]:
    totals = np.array([*ends.sum(1), ends.sum()])
    points = np.array([*ends, ends.sum(0)])[:, :2] / np.where(totals, totals, 1)[:, None]
    found = _chromaticities(points[:3].ravel(), points[3])
    if found is None or np.ptp(exponents) > 0.01 or not _likely(float(exponents[0])):
        yield Unnamed("its header's colours aren't understood: read as sRGB")
    else:
        yield ColourSpace("the space of its header", found, gamma(float(exponents[0])))


def _of_exif(name: str, picture: Image.Image) -> Iterator[Statement]:
    """EXIF's ColorSpace, its interoperability (R03 is Adobe RGB), primaries and curve."""
    try:
        exif = picture.getexif()
        inner = exif.get_ifd(ExifTags.IFD.Exif)
        marks = exif.get_ifd(ExifTags.IFD.Interop) if ExifTags.IFD.Interop in inner else {}
        mark = marks.get(1, "")
        adobe = (mark if isinstance(mark, bytes) else str(mark).encode())[:3] == b"R03"
        stated = inner.get(COLOUR_SPACE)
        primaries, white = exif.get(PRIMARIES), exif.get(WHITE_POINT)
        found = _chromaticities(primaries, white) if primaries and white else None
        table = exif.get(TRANSFER)
        table = table if isinstance(table, tuple) and len(table) > 1 else None
        exponent = float(inner.get(GAMMA, 0) or 0)
    except Exception:  # damaged metadata aren't worth a photo
        return
    if stated == IS_SRGB:
        if adobe:
            yield Unnamed("its EXIF says both sRGB and Adobe RGB: read as sRGB")
    elif found or table:
        usual = exponent if _likely(exponent) else 2.2  # which TIFF 6.0 has where none is stated
        curve = _tabled(name, table) if table else gamma(usual)
        yield ColourSpace("the primaries that it states", found or spaces.REC709, curve)
    elif adobe or stated == IS_ADOBE:
        yield ColourSpace(
            "Adobe RGB, as its EXIF says", spaces.ADOBE_RGB, gamma(spaces.ADOBE_GAMMA)
        )
    elif stated == IS_WIDE:
        yield ColourSpace("wide gamut RGB", spaces.WIDE_GAMUT, gamma(spaces.ADOBE_GAMMA))
    elif stated in (IS_ICC, UNCALIBRATED):
        yield Unnamed("its EXIF says that its colours aren't sRGB, and not which: read as sRGB")


def _tabled(name: str, table: Any) -> Curve:
    """The curve of a TransferFunction: for each level its light, from 0 to 65535."""
    light = np.array(table, float) / 65535
    curves = light.reshape(3, -1) if len(light) % 3 == 0 and len(light) > 3 else light[None]
    if np.ptp(curves, axis=0).max() > 0.01:
        raise UserError(f"{name} has a transfer curve for each colour: export it in sRGB.")
    return lambda signal: np.interp(signal, np.linspace(0, 1, curves.shape[1]), curves[0])


def say_srgb(exif: Image.Exif) -> None:
    """Let EXIF say of pixels in sRGB that they are, whatever it said of the file's own."""
    for tag in (WHITE_POINT, PRIMARIES, TRANSFER, ICC_IN_TIFF):
        exif.pop(tag, None)
    inner = exif.get_ifd(ExifTags.IFD.Exif)
    for tag in (GAMMA, ExifTags.IFD.Interop):
        inner.pop(tag, None)
    if COLOUR_SPACE in inner:
        inner[COLOUR_SPACE] = IS_SRGB
