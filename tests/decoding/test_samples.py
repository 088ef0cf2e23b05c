"""A file's numbers are scaled by its own bits, and what it calls transparent is so."""

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, features

from brittle import images
from brittle.errors import UserError
from brittle.images import read_mask, read_photo
from tests import pictures
from tests.pictures import encoded, photo

SHAPE = (24, 33)


def read(folder: Path, data: bytes) -> images.Photo:
    (folder / "photo").write_bytes(data)
    return read_photo(folder / "photo")


def as_levels(read: images.Photo) -> np.ndarray:
    return images.to_bytes(read.image)[0].astype(int)


def drawn(seed: int, bits: int, shape: tuple[int, ...] = SHAPE) -> np.ndarray:
    """Samples with every level as likely, black and white among them."""
    samples = np.random.default_rng(seed).integers(0, 2**bits, shape)
    samples[0, :2] = np.array([0, 2**bits - 1]).reshape(2, *[1] * (len(shape) - 2))
    return samples.astype(np.uint16)


def gray_png(samples: np.ndarray, bits: int, *chunks: tuple[bytes, bytes]) -> bytes:
    if bits == 16:
        return pictures.png(samples[..., None], *chunks)
    return pictures.packed_png(samples, bits, *chunks)


# Depth.


@settings(max_examples=12, deadline=None)
@given(bits=st.sampled_from([1, 2, 4, 8, 16]), seed=st.integers(0, 10**6))
def test_gray_pngs_of_every_depth(tmp_path_factory, bits, seed):
    samples = drawn(seed, bits)
    found = read(tmp_path_factory.mktemp("a"), gray_png(samples, bits))
    expected = (samples * (255 / (2**bits - 1))).round()
    assert np.array_equal(as_levels(found)[..., 0], expected)


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_16_bits_are_rounded_to_the_nearest_level(tmp_path, channels):
    samples = drawn(3, 16, (*SHAPE, channels))
    if channels in (2, 4):
        samples[..., -1] = 65535
    found = as_levels(read(tmp_path, pictures.png(samples)))
    colours = samples[..., : 1 if channels < 3 else 3]
    assert np.array_equal(found[..., : colours.shape[2]], (colours / 257).round())


@pytest.mark.parametrize("orientation", [1, 6])
def test_16_bits_are_turned_too(tmp_path, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    samples = drawn(4, 16, (*SHAPE, 3))
    data = pictures.png(samples, (b"eXIf", exif.tobytes()[6:]))
    expected = (samples / 257).round()
    found = as_levels(read(tmp_path, data))
    assert np.array_equal(found, expected if orientation == 1 else np.rot90(expected, -1))


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("compression", [None, "zlib"])
@pytest.mark.parametrize("channels", [3, 4])
def test_16_bit_tiffs_of_either_byte_order(tmp_path, order, compression, channels):
    tifffile = pytest.importorskip("tifffile")
    samples = drawn(5, 16, (*SHAPE, channels))
    if channels == 4:
        samples[..., 3] = 65535
    tifffile.imwrite(
        tmp_path / "a.tif",
        samples,
        photometric="rgb",
        byteorder=order,
        compression=compression,
        extrasamples=["unassalpha"] if channels == 4 else None,
    )
    found = as_levels(read_photo(tmp_path / "a.tif"))
    assert np.array_equal(found, (samples[..., :3] / 257).round())


@pytest.mark.parametrize("bits", [1, 2, 4, 8, 12, 16])
@pytest.mark.parametrize("white_is_zero", [False, True])
def test_gray_tiffs_by_their_own_bits(tmp_path, bits, white_is_zero):
    samples = drawn(6, bits)
    if bits == 16:
        rows = samples.astype("<u2").tobytes()
    else:
        rows = b"".join(pictures.packed(row, bits) for row in samples)
    data = pictures.tiff(rows, SHAPE[1], SHAPE[0], bits, t262=0 if white_is_zero else 1)
    if white_is_zero and bits == 12:  # which Pillow doesn't know
        with pytest.raises(UserError, match="save it as PNG"):
            read(tmp_path, data)
        return
    values = 2**bits - 1 - samples.astype(int) if white_is_zero else samples
    found = read(tmp_path, data)
    assert np.array_equal(as_levels(found)[..., 0], (values * (255 / (2**bits - 1))).round())
    assert ("12 bits reduced to 8" in found.notes) == (bits == 12)


@pytest.mark.parametrize("bits", [10, 14])
def test_depths_that_pillow_does_not_know_are_refused(tmp_path, bits):
    rows = b"".join(pictures.packed(row, bits) for row in drawn(7, bits))
    with pytest.raises(UserError, match="save it as PNG"):
        read(tmp_path, pictures.tiff(rows, SHAPE[1], SHAPE[0], bits))


def test_signed_numbers_are_refused(tmp_path):
    rows = drawn(8, 8).astype(np.uint8).tobytes()
    with pytest.raises(UserError, match="agreed white"):
        read(tmp_path, pictures.tiff(rows, SHAPE[1], SHAPE[0], 8, t339=2))


@pytest.mark.skipif(not features.check("jpg_2000"), reason="no JPEG 2000 here")
def test_jpeg_2000_of_16_bits(tmp_path):
    samples = drawn(9, 16)
    data = encoded(Image.fromarray(samples), "JPEG2000", irreversible=False)
    assert np.array_equal(as_levels(read(tmp_path, data))[..., 0], (samples / 257).round())


@pytest.mark.skipif(not features.check("jpg_2000"), reason="no JPEG 2000 here")
def test_jpeg_2000_of_4_bits(tmp_path):
    """Pillow writes 8 bits: with another depth in the header, levels around 128 are those of 4."""
    samples = drawn(10, 4)
    levels = (samples + 120).astype(np.uint8)
    data = bytearray(encoded(levels, "JPEG2000", irreversible=False, no_jp2=True))
    data[data.index(b"\xff\x51") + 40] = 3
    assert np.array_equal(as_levels(read(tmp_path, bytes(data)))[..., 0], samples * 17)


# Transparency.


@settings(max_examples=30, deadline=None)
@given(
    bits=st.sampled_from([1, 2, 4, 8, 16]),
    seed=st.integers(0, 10**6),
    excess=st.sampled_from([0, 1]),
)
def test_the_transparent_gray_of_a_png(tmp_path_factory, bits, seed, excess):
    folder, samples = tmp_path_factory.mktemp("a"), drawn(seed, bits)
    samples[10:14] = key = seed % 2**bits
    # Bits of a key beyond the samples' own don't count.
    stated = (key | excess << bits) & 0xFFFF
    found = read(folder, gray_png(samples, bits, (b"tRNS", struct.pack(">H", stated))))
    hidden = samples == key
    assert np.array_equal(found.alpha[0, 0].numpy(), 1.0 - hidden)
    assert (as_levels(found)[hidden] == 255).all()
    shown = (samples * (255 / (2**bits - 1))).round()
    assert np.array_equal(as_levels(found)[..., 0][~hidden], shown[~hidden])
    like = torch.zeros(1, 3, *SHAPE)
    white = (shown >= 128) & ~hidden
    if not white.any():  # one bit, and white is the transparent level
        with pytest.raises(UserError, match="nothing white"):
            read_mask(folder / "photo", like=like)
        return
    assert np.array_equal(read_mask(folder / "photo", like=like)[0, 0].numpy(), white)


@pytest.mark.parametrize("bits", [8, 16])
def test_the_transparent_colour_of_a_png(tmp_path, bits):
    samples = drawn(11, bits, (*SHAPE, 3)).astype(np.uint8 if bits == 8 else np.uint16)
    samples[5:9] = key = samples[2, 2]
    samples[9] = key ^ 1  # differs in the lowest bit alone
    data = pictures.png(samples, (b"tRNS", struct.pack(">3H", *map(int, key))))
    found = read(tmp_path, data)
    assert np.array_equal(found.alpha[0, 0].numpy(), 1.0 - (samples == key).all(-1))


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_the_transparent_entries_of_a_palette(tmp_path, bits):
    rng = np.random.default_rng(bits)
    indices, colours = drawn(12, bits), rng.integers(0, 256, (2**bits, 3)).astype(np.uint8)
    alphas = rng.integers(0, 256, 2 ** (bits - 1)).astype(np.uint8)  # the others are opaque
    chunks = (b"PLTE", colours.tobytes()), (b"tRNS", alphas.tobytes())
    found = read(tmp_path, pictures.packed_png(indices, bits, *chunks, colour=3))
    alpha = np.concatenate([alphas, np.full(2**bits - len(alphas), 255)])[indices][..., None] / 255
    assert np.abs(as_levels(found) - (colours[indices] * alpha + 255 * (1 - alpha))).max() <= 0.51
    assert np.array_equal(found.alpha[0, 0].numpy(), (alpha[..., 0]).astype(np.float32))


def test_interlaced_16_bits(tmp_path):
    """Seven passes, written here, of colours and a transparent one."""
    samples = drawn(13, 16, (*SHAPE, 3))
    samples[5:9] = key = samples[2, 2]
    passes = [(0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2)]
    rows = b""
    for top, left, down, across in [*passes, (1, 0, 2, 1)]:
        for row in samples[top::down, left::across].astype(">u2"):
            rows += b"\0" + row.tobytes()
    header = struct.pack(">IIBBBBB", SHAPE[1], SHAPE[0], 16, 2, 0, 0, 1)
    transparent = struct.pack(">3H", *map(int, key))
    found = read(
        tmp_path, pictures.png_of(header, (b"tRNS", transparent), (b"IDAT", zlib.compress(rows)))
    )
    shown = (samples != key).any(-1)
    assert np.array_equal(found.alpha[0, 0].numpy(), shown.astype(np.float32))
    assert np.array_equal(as_levels(found)[shown], (samples / 257).round()[shown])


def test_depth_and_a_profile_together(tmp_path):
    levels = photo()
    deep = io.BytesIO()
    profile = pictures.icc(pictures.ADOBE, 2.2)
    Image.fromarray(levels).save(deep, "PNG", icc_profile=profile)
    found = read(tmp_path, deep.getvalue())
    packed = zlib.compress(profile)
    twice = pictures.png(levels.astype(np.uint16) * 257, (b"iCCP", b"a\0\0" + packed))
    assert np.array_equal(as_levels(read(tmp_path, twice)), as_levels(found))
