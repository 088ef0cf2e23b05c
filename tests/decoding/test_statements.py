"""Every way in which a file states its colours is followed, refused or said."""

import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, features

from brittle import images
from brittle.errors import UserError
from brittle.images import read_photo, write_image
from tests import pictures
from tests.pictures import encoded, photo

LEVELS = photo()
CHRM = {
    "srgb": (31270, 32900, 64000, 33000, 30000, 60000, 15000, 6000),
    "adobe": (31270, 32900, 64000, 33000, 21000, 71000, 15000, 6000),
    "p3": (31270, 32900, 68000, 32000, 26500, 69000, 15000, 6000),
    "2020": (31270, 32900, 70800, 29200, 17000, 79700, 13100, 4600),
}
XYZ = {
    "srgb": pictures.SRGB,
    "adobe": pictures.ADOBE,
    "p3": pictures.DISPLAY_P3,
    "2020": pictures.REC2020,
}
SRGB_CURVE = lambda v: np.where(v <= 0.04045, v / 12.92, ((v + 0.055) / 1.055) ** 2.4)  # noqa: E731
CAMERA_CURVE = lambda v: np.where(v < 0.081, v / 4.5, ((v + 0.099) / 1.099) ** (1 / 0.45))  # noqa: E731


def read(folder: Path, data: bytes) -> images.Photo:
    (folder / "photo").write_bytes(data)
    return read_photo(folder / "photo")


def as_levels(read: images.Photo) -> np.ndarray:
    return images.to_bytes(read.image)[0].astype(int)


def is_close(found: images.Photo, light: np.ndarray, primaries: str) -> bool:
    """Whether each level is the right one but for the fourth decimal of the matrices."""
    expected = pictures.light_to_srgb(light, XYZ[primaries])
    # Whites of the profiles' matrices differ in the fourth decimal, which in shadows is a level.
    return np.abs(as_levels(found) - expected).max() <= 1.5


def gama(exponent: float) -> tuple[bytes, bytes]:
    return b"gAMA", struct.pack(">I", round(1e5 / exponent))


def chrm(primaries: str) -> tuple[bytes, bytes]:
    return b"cHRM", struct.pack(">8I", *CHRM[primaries])


def cicp(primaries: int, transfer: int, matrix: int = 0, full: int = 1) -> tuple[bytes, bytes]:
    return b"cICP", bytes([primaries, transfer, matrix, full])


def exif_of(space: int | None = None, mark: str = "", **tags: object) -> bytes:
    exif = Image.Exif()
    inner = exif.get_ifd(0x8769)
    if space is not None:
        inner[0xA001] = space
    if mark:
        inner[0xA005] = {1: mark}
    for tag, value in tags.items():
        (inner if tag == "gamma" else exif)[
            {"gamma": 0xA500, "white": 318, "primaries": 319}[tag]
        ] = value
    return exif.tobytes()


# PNG.


@pytest.mark.parametrize("primaries", ["adobe", "p3", "2020"])
@pytest.mark.parametrize("exponent", [1.8, 2.2, 2.6])
def test_primaries_and_gamma_of_a_png_are_followed(tmp_path, primaries, exponent):
    found = read(tmp_path, pictures.png(LEVELS, gama(exponent), chrm(primaries)))
    assert is_close(found, (LEVELS / 255) ** exponent, primaries)
    assert found.notes == ("colours converted to sRGB from the space of its gAMA and cHRM",)


@settings(max_examples=20, deadline=None)
@given(exponent=st.floats(1.0, 3.0).filter(lambda one: abs(one - 2.2) > 0.05))
def test_a_gamma_alone_bends_each_channel(tmp_path_factory, exponent):
    ramp = np.arange(256, dtype=np.uint8).reshape(16, 16)
    stated = round(1e5 / exponent)
    expected = pictures.light_to_srgb(
        ((ramp / 255) ** (1e5 / stated))[..., None].repeat(3, 2), XYZ["srgb"]
    )
    for levels in (ramp[..., None], ramp[..., None].repeat(3, 2)):
        found = read(tmp_path_factory.mktemp("a"), pictures.png(levels, gama(exponent)))
        assert np.abs(as_levels(found) - expected).max() <= 0.6


def test_16_bits_in_linear_light_keep_their_shadows(tmp_path):
    deep = np.arange(16 * 16 * 3, dtype=np.uint16).reshape(16, 16, 3) * 8
    found = read(tmp_path, pictures.png(deep, gama(1.0)))
    assert np.abs(as_levels(found) - pictures.light_to_srgb(deep / 65535, XYZ["srgb"])).max() <= 0.6


@pytest.mark.parametrize(
    "chunks",
    [
        [(b"sRGB", b"\0"), gama(1.0), chrm("2020")],
        [gama(2.2)],
        [gama(2.2), chrm("srgb")],
        [chrm("srgb")],
        [cicp(1, 13), gama(1.0)],
        [cicp(2, 2)],
    ],
)
def test_what_says_srgb_or_nothing_leaves_every_level(tmp_path, chunks):
    found = read(tmp_path, pictures.png(LEVELS, *chunks))
    assert np.array_equal(as_levels(found), LEVELS)
    assert found.notes == ()


@pytest.mark.parametrize(
    "chunks",
    [
        [(b"gAMA", b"\0\0\0\0")],
        [(b"gAMA", b"\0\0\0\1"), chrm("p3")],
        [(b"cHRM", b"\0" * 32)],
        [(b"cHRM", b"\xff" * 32), gama(2.2)],
        [(b"cHRM", struct.pack(">8I", 70000, 20000, *CHRM["srgb"][2:]))],  # white outside
    ],
)
def test_statements_that_no_picture_can_mean_are_said(tmp_path, chunks):
    found = read(tmp_path, pictures.png(LEVELS, *chunks))
    assert np.array_equal(as_levels(found), LEVELS)
    assert found.notes == ("its gAMA and cHRM aren't understood: read as sRGB",)


CODED = [
    (12, 13, "p3", SRGB_CURVE),
    (9, 13, "2020", SRGB_CURVE),
    (9, 14, "2020", CAMERA_CURVE),
    (1, 1, "srgb", CAMERA_CURVE),
    (1, 8, "srgb", lambda v: v),
    (12, 4, "p3", lambda v: v**2.2),
]


@pytest.mark.parametrize(("primaries", "transfer", "name", "curve"), CODED)
def test_code_points_of_a_png_are_followed(tmp_path, primaries, transfer, name, curve):
    data = pictures.png(LEVELS, cicp(primaries, transfer), (b"sRGB", b"\0"))
    found = read(tmp_path, data)
    assert is_close(found, curve(LEVELS / 255), name)
    assert "as its cICP says" in found.notes[0]


def test_code_points_come_before_a_profile_and_a_profile_before_srgb(tmp_path):
    profile = encoded(LEVELS, "PNG", icc_profile=pictures.icc(pictures.ADOBE, 2.2))
    at = profile.index(b"iCCP") - 4
    length = int.from_bytes(profile[at : at + 4], "big")
    icc = (b"iCCP", profile[at + 8 : at + 8 + length])
    both = read(tmp_path, pictures.png(LEVELS, icc, cicp(12, 13)))
    assert is_close(both, SRGB_CURVE(LEVELS / 255), "p3")
    one = read(tmp_path, pictures.png(LEVELS, icc, (b"sRGB", b"\0"), gama(1.0)))
    assert one.notes == ("colours converted to sRGB by the colour profile",)


@pytest.mark.parametrize(("transfer", "said"), [(16, "PQ"), (18, "HLG")])
def test_hdr_is_refused_wherever_it_is_stated(tmp_path, transfer, said):
    profile = pictures.icc(pictures.SRGB, 2.2, cicp=(9, transfer))
    for data in (
        pictures.png(LEVELS, cicp(9, transfer)),
        encoded(LEVELS, "PNG", icc_profile=profile),
        encoded(LEVELS, "JPEG", icc_profile=profile),
    ):
        with pytest.raises(UserError, match=rf"photo is an HDR picture \({said}\)"):
            read(tmp_path, data)


@pytest.mark.parametrize(
    "chunk", [cicp(1, 13, matrix=1), cicp(1, 13, full=0), cicp(1, 9), cicp(3, 1)]
)
def test_code_points_that_are_not_read_are_refused(tmp_path, chunk):
    with pytest.raises(UserError, match="export it in sRGB"):
        read(tmp_path, pictures.png(LEVELS, chunk))


# EXIF.


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "TIFF", "AVIF"])
@pytest.mark.parametrize(("space", "mark"), [(0xFFFF, "R03"), (None, "R03"), (2, "")])
def test_adobe_rgb_that_only_exif_states_is_followed(tmp_path, kind, space, mark):
    if kind == "AVIF" and not features.check("avif"):
        pytest.skip("no AVIF here")
    if kind == "TIFF" and mark:
        pytest.skip("Pillow writes no such directory into a TIFF")
    lossless = {"WEBP": {"lossless": True}}.get(kind, {})
    data = encoded(LEVELS, kind, exif=exif_of(space, mark), **lossless)
    if kind == "AVIF":  # whose code points come first, unless they say nothing
        data = with_nclx(data, 2, 2)
    plain = as_levels(read(tmp_path, with_nclx(encoded(LEVELS, kind, **lossless), 2, 2)))
    found = read(tmp_path, data)
    assert is_close(found, (plain / 255) ** (563 / 256), "adobe")
    assert found.notes == ("colours converted to sRGB from Adobe RGB, as its EXIF says",)


def test_srgb_in_exif_leaves_every_level(tmp_path):
    for exif in (exif_of(1), exif_of(1, "R98"), exif_of()):
        found = read(tmp_path, encoded(LEVELS, "PNG", exif=exif))
        assert (np.array_equal(as_levels(found), LEVELS), found.notes) == (True, ())


def test_exif_that_says_too_little_or_two_things_is_said(tmp_path):
    for exif, said in ((exif_of(0xFFFF), "not which"), (exif_of(1, "R03"), "both")):
        found = read(tmp_path, encoded(LEVELS, "PNG", exif=exif))
        assert np.array_equal(as_levels(found), LEVELS)
        assert said in found.notes[0]


def test_primaries_in_exif_are_followed(tmp_path):
    p3 = np.array(CHRM["p3"]) / 1e5
    exif = exif_of(0xFFFF, white=tuple(p3[:2]), primaries=tuple(p3[2:]), gamma=1.8)
    found = read(tmp_path, encoded(LEVELS, "PNG", exif=exif))
    assert is_close(found, (LEVELS / 255) ** 1.8, "p3")


def test_a_transfer_function_in_a_tiff_is_followed(tmp_path):
    """Tables of light by level, as TIFF 6.0 has them."""
    table = tuple(round(65535 * (level / 255) ** 1.5) for level in range(256))
    tags = {"tiffinfo": {301: table}}
    found = read(tmp_path, encoded(LEVELS, "TIFF", **tags))
    assert is_close(found, (LEVELS / 255) ** 1.5, "srgb")
    each = table + tuple(reversed(table)) + table
    with pytest.raises(UserError, match="transfer curve for each colour"):
        read(tmp_path, encoded(LEVELS, "TIFF", tiffinfo={301: each}))


def test_a_profile_comes_before_exif(tmp_path):
    profile = pictures.icc(pictures.DISPLAY_P3, 2.2)
    data = encoded(LEVELS, "PNG", exif=exif_of(0xFFFF, "R03"), icc_profile=profile)
    found = read(tmp_path, data)
    assert found.notes == ("colours converted to sRGB by the colour profile",)


def test_exif_that_is_kept_says_srgb_as_the_pixels_are(tmp_path):
    exif = exif_of(
        0xFFFF, "R03", gamma=2.2, white=(0.3, 0.3), primaries=(0.64, 0.33, 0.21, 0.71, 0.15, 0.06)
    )
    found = read(tmp_path, encoded(LEVELS, "PNG", exif=exif))
    write_image(tmp_path / "kept.png", found.image, exif=found.exif)
    again = read_photo(tmp_path / "kept.png")
    assert again.notes == ()
    assert again.image.equal(found.image)
    assert Image.open(tmp_path / "kept.png").getexif().get_ifd(0x8769)[0xA001] == 1


# AVIF, JPEG 2000, BMP.


def with_nclx(data: bytes, primaries: int, transfer: int) -> bytes:
    """An AVIF with other code points; other files as they are."""
    at = data.find(b"colrnclx") + 8
    return data if at < 8 else data[:at] + struct.pack(">HH", primaries, transfer) + data[at + 4 :]


@pytest.mark.skipif(not features.check("avif"), reason="no AVIF here")
@pytest.mark.parametrize(("primaries", "transfer", "name", "curve"), CODED)
def test_code_points_of_an_avif_are_followed(tmp_path, primaries, transfer, name, curve):
    data = encoded(LEVELS, "AVIF", quality=90)
    assert b"colrnclx" in data
    plain = read(tmp_path, data)
    assert plain.notes == ()
    found = read(tmp_path, with_nclx(data, primaries, transfer))
    assert is_close(found, curve(as_levels(plain) / 255), name)
    for hdr in (16, 18):
        with pytest.raises(UserError, match="HDR"):
            read(tmp_path, with_nclx(data, primaries, hdr))


def with_colour_box(box: bytes) -> bytes:
    """A JPEG 2000 with another colr box."""
    data = encoded(LEVELS, "JPEG2000")
    at, head = data.index(b"colr") - 4, data.index(b"jp2h") - 4
    size = int.from_bytes(data[at : at + 4], "big")
    new = struct.pack(">I", 8 + len(box)) + b"colr" + box
    longer = int.from_bytes(data[head : head + 4], "big") + len(new) - size
    middle = data[head + 4 : at]
    return data[:head] + struct.pack(">I", longer) + middle + new + data[at + size :]


@pytest.mark.skipif(not features.check("jpg_2000"), reason="no JPEG 2000 here")
def test_colour_boxes_of_a_jpeg_2000_are_followed(tmp_path):
    profile = pictures.icc(pictures.ADOBE, 2.2)
    found = read(tmp_path, with_colour_box(b"\2\0\0" + profile))
    assert found.notes == ("colours converted to sRGB by the colour profile",)
    assert np.abs(as_levels(found) - pictures.to_srgb(LEVELS, pictures.ADOBE, 2.2)).max() <= 2
    assert read(tmp_path, with_colour_box(b"\1\0\0\0\0\0\x10")).notes == ()
    with pytest.raises(UserError, match="export it in sRGB"):
        read(tmp_path, with_colour_box(b"\1\0\0\0\0\0\x15"))


def bmp(
    kind: bytes, end_points: object = None, exponent: float = 2.2, profile: bytes = b""
) -> bytes:
    """A BMP with a header of version 5."""
    rows = LEVELS[::-1, :, ::-1].tobytes()  # 80 pixels are whole words
    ends = (np.array(end_points) * 2**30).round().astype(int).ravel() if end_points else [0] * 9
    header = struct.pack("<IiiHHIIiiII", 124, 80, 64, 1, 24, 0, len(rows), 0, 0, 0, 0)
    header += b"\0" * 16 + kind + struct.pack("<9i", *ends)
    header += struct.pack("<3I", *[round(exponent * 65536)] * 3)
    header += struct.pack("<4I", 4, 124 + len(rows) if profile else 0, len(profile), 0)
    size = 14 + 124 + len(rows) + len(profile)
    return b"BM" + struct.pack("<IHHI", size, 0, 0, 138) + header + rows + profile


def test_colours_of_a_bmp_are_followed(tmp_path):
    xy = np.array([[0.68, 0.32], [0.265, 0.69], [0.15, 0.06]])
    white = np.array([0.3127, 0.329])
    directions = np.column_stack([xy, 1 - xy.sum(1)])
    parts = np.linalg.solve(directions.T, np.array([*white, 1 - white.sum()]) / white[1])
    ends = (directions * parts[:, None]).tolist()
    found = read(tmp_path, bmp(b"\0\0\0\0", ends, 1.8))
    assert is_close(found, (LEVELS / 255) ** 1.8, "p3")
    embedded = read(tmp_path, bmp(b"DEBM", profile=pictures.icc(pictures.ADOBE, 2.2)))
    assert embedded.notes == ("colours converted to sRGB by the colour profile",)
    for plain in (bmp(b"BGRs"), bmp(b"\0\0\0\0")):
        assert np.array_equal(as_levels(read(tmp_path, plain)), LEVELS)
