import errno
import io
import os
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageCms

from brittle import images
from brittle.decoding import size_of
from brittle.decoding.png import without_long_text
from brittle.errors import UserError
from brittle.images import read_mask, read_photo, write_image
from tests import pictures
from tests.pictures import encoded, photo


@pytest.fixture
def levels() -> np.ndarray:
    return photo()


def read(folder: Path, data: bytes, name: str = "photo.png") -> images.Photo:
    (folder / name).write_bytes(data)
    return read_photo(folder / name)


def as_levels(read: images.Photo) -> np.ndarray:
    return images.to_bytes(read.image)[0].astype(int)


# Reading: what is exact.


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF", "JPEG2000"])
def test_lossless_files_keep_every_level(tmp_path, levels, kind):
    found = read(tmp_path, encoded(levels, kind))
    assert found.image.shape == (1, 3, 64, 80)
    assert found.image.dtype == torch.float32
    assert np.array_equal(as_levels(found), levels)
    assert (found.source_format, found.notes, found.alpha, found.exif) == (kind, (), None, None)


def test_pixels_lie_exactly_on_the_8_bit_grid():
    ramp = torch.arange(256).float()
    assert torch.equal(
        images.from_bytes(np.arange(256, dtype=np.uint8).reshape(1, 1, 256, 1)),
        (ramp / 255).view(1, 1, 1, 256),
    )
    assert torch.equal(images.quantise(ramp / 255), ramp / 255)
    assert torch.equal(
        images.quantise(torch.tensor([-1.0, 0.4999 / 255, 2.0])), torch.tensor([0, 0, 1.0])
    )


def test_the_name_is_the_stem_and_the_digest_is_that_of_size_and_pixels(tmp_path):
    levels = (np.arange(64 * 80 * 3) % 251).astype(np.uint8).reshape(64, 80, 3)
    one = read(tmp_path, encoded(levels, "PNG"), "a.b.png")
    other = read(tmp_path, encoded(levels, "TIFF"), "c.tif")
    turned = read(tmp_path, encoded(levels.reshape(80, 64, 3), "PNG"), "d.png")
    levels[0, 0, 0] += 1
    changed = read(tmp_path, encoded(levels, "PNG"))
    assert one.name == "a.b"
    # Frozen: results are stored under it.
    assert one.digest == other.digest == "74422adf701bf190485bc0b6afd9fd99"
    assert len({one.digest, turned.digest, changed.digest}) == 3


@pytest.mark.parametrize("kind", ["JPEG", "WEBP", "AVIF"])
def test_lossy_files_are_read_closely(tmp_path, levels, kind):
    found = read(tmp_path, encoded(levels, kind, quality=95))
    assert found.source_format == kind
    assert np.abs(as_levels(found) - levels).mean() < 3


# Reading: what is converted, and said.


def test_16_bits_are_reduced_to_8(tmp_path, levels):
    deep = levels.astype(np.uint16) * 257
    for data in (pictures.png(deep), encoded(deep[..., 0], "TIFF"), pictures.png(deep[..., :1])):
        found = read(tmp_path, data)
        assert found.notes[0] == "16 bits reduced to 8"
        assert np.array_equal(as_levels(found)[..., 0], levels[..., 0])


def test_16_bit_planes_are_refused_since_pillow_would_misread_them(tmp_path, levels):
    tifffile = pytest.importorskip("tifffile")
    deep = np.moveaxis(levels.astype(np.uint16) * 257, -1, 0)
    tifffile.imwrite(tmp_path / "a.tif", deep, photometric="rgb", planarconfig="separate")
    with pytest.raises(UserError, match="planes"):
        read_photo(tmp_path / "a.tif")


def test_numbers_without_an_agreed_white_are_refused(tmp_path, levels):
    gray = levels[..., 0]
    with pytest.raises(UserError, match="agreed white"):
        read(tmp_path, encoded(gray.astype(np.int32), "TIFF"))
    with pytest.raises(UserError, match="agreed white"):
        read(tmp_path, encoded(gray.astype(np.float32), "TIFF"))
    nan = np.full_like(gray, np.nan, dtype=np.float32)
    with pytest.raises(UserError, match="agreed white"):
        read(tmp_path, encoded(nan, "TIFF"))
    found = read(tmp_path, encoded(gray.astype(np.float32) / 255, "TIFF"))
    assert found.notes == ("floating point reduced to 8 bits", "gray to colour")
    assert np.array_equal(as_levels(found)[..., 1], gray)


def test_gray_becomes_three_equal_channels(tmp_path, levels):
    gray = levels[..., 1]
    found = read(tmp_path, encoded(gray, "PNG"))
    assert found.notes == ("gray to colour",)
    assert np.array_equal(as_levels(found), np.repeat(gray[..., None], 3, 2))
    one_bit = read(tmp_path, encoded(Image.fromarray(gray).convert("1"), "PNG"))
    assert set(np.unique(as_levels(one_bit))) == {0, 255}


def test_alpha_is_composited_on_white_said_and_kept(tmp_path, levels):
    alpha = np.tile(np.linspace(0, 255, 80).astype(np.uint8), (64, 1))
    expected = levels * (alpha[..., None] / 255) + 255 * (1 - alpha[..., None] / 255)
    for kind, options in (("PNG", {}), ("TIFF", {}), ("WEBP", {"lossless": True, "exact": True})):
        found = read(tmp_path, encoded(np.dstack([levels, alpha]), kind, **options))
        assert found.notes == ("transparency composited on white",)
        assert np.abs(as_levels(found) - expected).max() <= 0.51  # rounding to a level
        assert torch.equal(found.alpha, images.from_bytes(alpha[None, ..., None]))


def test_opaque_alpha_changes_nothing_and_is_kept(tmp_path, levels):
    found = read(tmp_path, encoded(np.dstack([levels, np.full((64, 80), 255, np.uint8)]), "PNG"))
    assert found.notes == ()
    assert np.array_equal(as_levels(found), levels)
    assert found.alpha.min() == 1


def test_gray_with_alpha_and_single_transparent_colours(tmp_path, levels):
    gray = levels[..., :1]
    la = read(tmp_path, pictures.png(np.dstack([gray, np.full_like(gray, 51)])))
    assert np.abs(as_levels(la)[..., 0] - (gray[..., 0] * 0.2 + 255 * 0.8)).max() <= 0.51
    key = struct.pack(">HHH", *map(int, levels[0, 0]))
    keyed = read(tmp_path, pictures.png(levels, (b"tRNS", key)))
    hidden = (levels == levels[0, 0]).all(-1)
    assert np.array_equal(keyed.alpha[0, 0].numpy() == 0, hidden)
    assert (as_levels(keyed)[hidden] == 255).all()


def test_palettes_and_their_transparency(tmp_path, levels):
    palette = Image.fromarray(levels).quantize(64)
    plain = read(tmp_path, encoded(palette, "PNG"))
    assert np.array_equal(as_levels(plain), np.asarray(palette.convert("RGB")))
    clear = read(tmp_path, encoded(palette, "PNG", transparency=3))
    hidden = np.asarray(palette) == 3
    assert hidden.any()
    assert (as_levels(clear)[hidden] == 255).all()
    assert np.array_equal(as_levels(clear)[~hidden], as_levels(plain)[~hidden])


@pytest.mark.parametrize(("kind", "options"), [("JPEG", {"quality": 100}), ("TIFF", {})])
def test_cmyk_is_converted_and_said(tmp_path, levels, kind, options):
    found = read(tmp_path, encoded(Image.fromarray(levels).convert("CMYK"), kind, **options))
    assert found.notes == ("CMYK converted without a profile",)
    assert np.abs(as_levels(found) - levels).mean() < 1.5


@pytest.mark.parametrize(
    ("kind", "options"),
    [("GIF", {}), ("WEBP", {"lossless": True}), ("PNG", {}), ("TIFF", {}), ("MPO", {})],
)
def test_of_several_frames_the_first_is_read_and_said(tmp_path, levels, kind, options):
    more = [Image.fromarray(np.ascontiguousarray(levels[::-1]))] * (1 if kind == "MPO" else 2)
    data = encoded(levels, kind, save_all=True, append_images=more, **options)
    found = read(tmp_path, data)
    assert found.notes[0].startswith("first of ")
    assert np.abs(as_levels(found) - levels).mean() < 12  # a GIF's palette
    assert np.abs(as_levels(found) - levels[::-1]).mean() > 20


TURNS = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.swapaxes(0, 1),
    6: lambda a: np.rot90(a, -1),
    7: lambda a: np.rot90(a, 2).swapaxes(0, 1),
    8: lambda a: np.rot90(a, 1),
}


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["PNG", "TIFF", "WEBP"])
def test_exif_orientation_is_applied(tmp_path, levels, kind, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"lossless": True} if kind == "WEBP" else {}
    found = read(tmp_path, encoded(levels, kind, exif=exif, **options))
    assert np.array_equal(as_levels(found), TURNS[orientation](levels))
    assert found.notes == (() if orientation == 1 else ("turned upright as its EXIF says",))


def test_exif_is_kept_without_orientation_and_thumbnail(tmp_path, levels):
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = 6, "Camera"
    exif.get_ifd(0x8825)[1] = "N"
    exif.get_ifd(1)[0x0201] = 1
    found = read(tmp_path, encoded(levels, "JPEG", exif=exif))
    write_image(tmp_path / "kept.png", found.image, exif=found.exif)
    kept = Image.open(tmp_path / "kept.png").getexif()
    assert kept.get(0x0112) is None
    assert kept[0x010F] == "Camera"
    assert kept.get_ifd(0x8825)[1] == "N"
    assert not kept.get_ifd(1)
    assert read_photo(tmp_path / "kept.png").image.shape == found.image.shape


def test_damaged_exif_is_ignored(tmp_path, levels):
    found = read(
        tmp_path, encoded(levels, "PNG", exif=b"Exif\0\0II*\0\xff\xff\xff\xff" + b"x" * 20)
    )
    assert np.array_equal(as_levels(found), levels)


@pytest.mark.parametrize(
    ("primaries", "gamma"), [(pictures.ADOBE, 2.19921875), (pictures.DISPLAY_P3, 2.2)]
)
def test_colours_are_converted_to_srgb(tmp_path, levels, primaries, gamma):
    found = read(tmp_path, encoded(levels, "PNG", icc_profile=pictures.icc(primaries, gamma)))
    assert found.notes == ("colours converted to sRGB by the colour profile",)
    expected = pictures.to_srgb(levels, primaries, gamma)
    # 8-bit tables and rounding on the way: never more than 2 levels, mostly half of one.
    assert np.abs(as_levels(found) - expected).max() <= 2
    assert np.abs(as_levels(found) - expected).mean() < 0.5
    assert np.abs(levels - expected).mean() > 2


def test_cmyk_is_converted_by_its_profile(tmp_path):
    black = np.tile(np.arange(80, dtype=np.uint8) * 3, (64, 1))
    inks = Image.merge("CMYK", [Image.new("L", (80, 64))] * 3 + [Image.fromarray(black)])
    found = read(tmp_path, encoded(inks, "TIFF", icc_profile=pictures.icc_cmyk()))
    assert found.notes == ("CMYK converted to sRGB by the colour profile",)
    light = ((1 - black / 255) * 100 + 16) / 116
    luminance = np.where(light > 6 / 29, light**3, (light - 4 / 29) * 108 / 841)
    srgb = np.where(
        luminance <= 0.0031308, 12.92 * luminance, 1.055 * luminance ** (1 / 2.4) - 0.055
    )
    assert np.abs(as_levels(found) - srgb[..., None] * 255).max() <= 2
    assert np.abs((255 - black) - srgb * 255).max() > 5


def test_srgbs_own_profile_leaves_every_level(tmp_path, levels):
    own = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    found = read(tmp_path, encoded(levels, "PNG", icc_profile=own))
    assert found.notes == ()
    assert np.array_equal(as_levels(found), levels)


@pytest.mark.parametrize("profile", [b"garbage" * 40, b"", "gray"])
def test_unusable_profiles_are_ignored(tmp_path, levels, profile):
    if profile == "gray":  # a profile for other channels than the image has
        profile = pictures.icc(pictures.SRGB, 2.2).replace(b"mntrRGB ", b"mntrCMYK")
    found = read(tmp_path, encoded(levels, "PNG", icc_profile=profile))
    assert np.array_equal(as_levels(found), levels)
    assert found.notes == (("unusable colour profile ignored",) if profile else ())


# Reading: what is refused.


def test_files_that_are_no_photos(tmp_path, levels):
    good = encoded(levels, "PNG")
    (tmp_path / "folder.png").mkdir()
    for name, data, message in (
        ("zero.png", b"", "empty"),
        ("text.png", b"hello, world", "isn't an image"),
        ("vector.jpg", b"<svg xmlns='http://www.w3.org/2000/svg'/>", "isn't an image"),
        ("script.eps", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "isn't an image"),
        ("cut.png", good[: len(good) // 2], "damaged or incomplete"),
        ("cut.jpg", encoded(levels, "JPEG")[:900], "damaged or incomplete"),
        ("flipped.png", good[:200] + bytes([good[200] ^ 255]) + good[201:], "damaged"),
        ("thin.png", encoded(levels[:15], "PNG"), "80 × 15 px"),
        ("a.heic", b"\0\0\0\x18ftypheic" + bytes(99), "is HEIC, .* export it as JPEG or PNG"),
        ("b.heif", b"\0\0\0\x18ftypmif1" + bytes(99), "is HEIC, .* export it as JPEG or PNG"),
        ("a.jxl", b"\xff\x0a" + bytes(99), "is JPEG XL, .* export it as JPEG or PNG"),
        ("b.jxl", b"\0\0\0\x0cJXL \r\n\x87\n" + bytes(99), "is JPEG XL"),
        ("a.nef", pictures.tiff(bytes(32 * 32), 32, 32, 8, t254=1), "a camera's raw file"),
        ("a.dng", pictures.tiff(bytes(32 * 32), 32, 32, 8, t50706=1), "a camera's raw file"),
    ):
        (tmp_path / name).write_bytes(data)
        with pytest.raises(UserError, match=message):
            read_photo(tmp_path / name)
    with pytest.raises(UserError, match="folder"):
        read_photo(tmp_path / "folder.png")
    with pytest.raises(UserError, match="doesn't exist"):
        read_photo(tmp_path / "nowhere.png")
    with pytest.raises(UserError, match="isn't a file"):
        read_photo("/dev/null" if os.path.exists("/dev/null") else "NUL")


@pytest.mark.parametrize(
    "text",
    [
        (b"zTXt", b"Comment\0\0" + zlib.compress(b"a" * 5_000_000)),
        (b"iTXt", b"Comment\0\1\0\0\0" + zlib.compress(b"a" * 5_000_000)),
        (b"iTXt", b"Comment\0\0\0\0\0" + b"a" * 5_000_000),
        (b"tEXt", b"Comment\0" + b"a" * 5_000_000),
        (b"zTXt", b"Comment\0\0garbage"),
        (b"iTXt", b"Comment"),
    ],
    ids=lambda chunk: f"{chunk[0].decode()} {len(chunk[1])}",
)
@pytest.mark.parametrize("many", [1, 8])
def test_a_picture_with_long_texts_is_whole(tmp_path, levels, text, many):
    whole = pictures.png(levels, *[text] * many)
    after = whole[:-12] + b"".join(pictures.chunk(*text) for _ in range(many)) + whole[-12:]
    for data in (whole, after):
        found = read(tmp_path, data)
        assert np.array_equal(as_levels(found), levels)
        assert found.notes == ()


def test_texts_cannot_fill_the_memory(tmp_path, levels):
    chunk = b"zTXt", b"Comment\0\0" + zlib.compress(b"a" * 1_000_000)
    data = pictures.png(levels, *[chunk] * 200)
    assert np.array_equal(as_levels(read(tmp_path, data)), levels)
    kept = without_long_text(data)
    assert 20 <= kept.count(b"zTXt") <= 40


def test_a_long_profile_is_read(tmp_path, levels):
    profile = pictures.icc(pictures.ADOBE, 2.2)
    long = profile + bytes(2**21)
    long = len(long).to_bytes(4, "big") + long[4:]
    found = read(tmp_path, pictures.png(levels, (b"iCCP", b"a\0\0" + zlib.compress(long))))
    assert found.notes == ("colours converted to sRGB by the colour profile",)
    short = read(tmp_path, encoded(levels, "PNG", icc_profile=profile))
    assert torch.equal(found.image, short.image)


def test_sizes_are_checked_before_anything_is_decoded(tmp_path, levels, monkeypatch):
    def never(*_):
        raise AssertionError("decoded")

    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", never)
    tiny = np.zeros((1, 1, 1), np.uint8)
    for size in ((8001, 8000), (100_000, 100_000), (2**31 - 1, 2**31 - 1)):
        (tmp_path / "bomb.png").write_bytes(pictures.png(tiny, size=size))
        with pytest.raises(UserError, match=r"more pixels than the 64 million"):
            read_photo(tmp_path / "bomb.png")
    (tmp_path / "large.png").write_bytes(encoded(levels, "PNG"))
    with pytest.raises(UserError, match="larger than"):
        read_photo(tmp_path / "large.png", max_bytes=1000)


def test_an_unreadable_file_is_one_sentence(tmp_path, levels, monkeypatch):
    (tmp_path / "a.png").write_bytes(encoded(levels, "PNG"))

    def refuse(*_, **__):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(UserError, match="can't be read: Permission denied"):
        read_photo(tmp_path / "a.png")


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "AVIF", "TIFF", "BMP", "GIF", "JPEG2000"])
def test_damaged_files_by_the_hundred_are_read_or_refused_in_a_sentence(tmp_path, kind, capfd):
    rng = np.random.default_rng(0)
    whole = encoded(photo(24, 24), kind)
    refusals = []
    for index in range(60):
        data = bytearray(whole)
        for _ in range(rng.integers(1, 6)):
            data[rng.integers(0, len(data) if index % 2 else min(len(data), 80))] = rng.integers(
                256
            )
        if index % 3 == 0:
            del data[rng.integers(1, len(data)) :]
        (tmp_path / "damaged").write_bytes(data)
        try:
            found = read_photo(tmp_path / "damaged")
        except UserError as error:
            refusals.append(str(error))
        else:
            assert found.image.isfinite().all()
    assert len(refusals) >= 10
    assert not any("\n" in refusal for refusal in refusals)
    assert capfd.readouterr().err == ""


# Masks.


@pytest.fixture
def like() -> torch.Tensor:
    return torch.zeros(1, 3, 64, 80)


def test_a_mask_is_binary_and_white_where_it_may_be_edited(tmp_path, like):
    ramp = np.tile(np.arange(80, dtype=np.uint8) * 3, (64, 1))
    (tmp_path / "mask.png").write_bytes(encoded(ramp, "PNG"))
    mask = read_mask(tmp_path / "mask.png", like=like)
    assert mask.shape == (1, 1, 64, 80)
    assert torch.equal(mask[0, 0], torch.from_numpy(ramp / 255 >= 0.5).float())


def test_transparent_parts_of_a_mask_are_black(tmp_path, like):
    rgba = np.full((64, 80, 4), 255, np.uint8)
    rgba[:, :40, 3] = 0
    (tmp_path / "mask.png").write_bytes(encoded(rgba, "PNG"))
    mask = read_mask(tmp_path / "mask.png", like=like)
    assert (mask[..., :40] == 0).all()
    assert (mask[..., 40:] == 1).all()


def test_masks_that_cannot_be_meant(tmp_path, like):
    for level, message in ((0, "nothing white"), (255, "nothing black")):
        (tmp_path / "mask.png").write_bytes(encoded(np.full((64, 80), level, np.uint8), "PNG"))
        with pytest.raises(UserError, match=message):
            read_mask(tmp_path / "mask.png", like=like)
    (tmp_path / "mask.png").write_bytes(encoded(photo(40, 64), "PNG"))
    with pytest.raises(UserError, match="64 × 40 px and the photo 80 × 64 px"):
        read_mask(tmp_path / "mask.png", like=like)


def test_the_alpha_channel_as_mask(tmp_path, levels):
    rgba = np.dstack([levels, np.full((64, 80), 255, np.uint8)])
    with pytest.raises(UserError, match="nothing white"):
        images.alpha_mask(read(tmp_path, encoded(rgba, "PNG")))
    rgba[:10, :, 3] = 0
    mask = images.alpha_mask(read(tmp_path, encoded(rgba, "PNG")))
    assert (mask[..., :10, :] == 1).all()
    assert (mask[..., 10:, :] == 0).all()
    with pytest.raises(UserError, match="no alpha channel"):
        images.alpha_mask(read(tmp_path, encoded(levels, "PNG")))


# Writing.


def test_what_is_written_is_read_back_to_the_byte(tmp_path, levels):
    image = images.from_bytes(levels[None])
    write_image(tmp_path / "new folder" / "a.png", image)
    write_image(tmp_path / "b.png", image[0])
    assert torch.equal(read_photo(tmp_path / "new folder" / "a.png").image, image)
    assert (tmp_path / "b.png").read_bytes() == images.png_bytes(image)
    assert torch.equal(images.from_png(images.png_bytes(image)), image)
    assert [p.name for p in tmp_path.iterdir() if p.is_file()] == ["b.png"]
    chunks = images.png_bytes(image)
    assert not any(kind in chunks for kind in (b"tEXt", b"eXIf", b"tIME", b"iCCP", b"pHYs"))


def test_nothing_is_overwritten_unless_told(tmp_path, levels):
    image = images.from_bytes(levels[None])
    write_image(tmp_path / "a.png", image)
    with pytest.raises(UserError, match="never overwritten"):
        write_image(tmp_path / "a.png", 1 - image)
    assert torch.equal(read_photo(tmp_path / "a.png").image, image)
    write_image(tmp_path / "a.png", 1 - image, overwrite=True)
    assert not torch.equal(read_photo(tmp_path / "a.png").image, image)
    (tmp_path / "dangling.png").symlink_to(tmp_path / "nowhere")
    with pytest.raises(UserError, match="never overwritten"):
        write_image(tmp_path / "dangling.png", image)


@pytest.mark.parametrize("step", ["os.fsync", "os.replace"])
def test_a_full_disk_leaves_the_old_file_and_no_other(tmp_path, levels, monkeypatch, step):
    image = images.from_bytes(levels[None])
    write_image(tmp_path / "a.png", image)

    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(step, full)
    with pytest.raises(UserError, match="No space left on device"):
        write_image(tmp_path / "a.png", 1 - image, overwrite=True)
    assert [p.name for p in tmp_path.iterdir()] == ["a.png"]
    assert torch.equal(read_photo(tmp_path / "a.png").image, image)


def test_an_interrupted_write_leaves_no_temporary_file(tmp_path, levels, monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("os.fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write_image(tmp_path / "a.png", images.from_bytes(levels[None]))
    assert list(tmp_path.iterdir()) == []


def test_lossy_formats_are_refused_with_the_reason_and_written_when_asked(tmp_path, levels):
    image = images.from_bytes(levels[None])
    for name in ("a.jpg", "a.JPEG", "a.webp", "a.avif"):
        with pytest.raises(UserError, match=r"undoes what protects the photo: save it as a\.png"):
            write_image(tmp_path / name, image)
        write_image(tmp_path / name, image, lossy=True)
        assert np.abs(as_levels(read_photo(tmp_path / name)) - levels).mean() < 3
    for name in ("a.gif", "a", "a.txt"):
        with pytest.raises(UserError, match=r"save it as a\.png"):
            write_image(tmp_path / name, image, lossy=True)


@pytest.mark.parametrize(("kind", "side"), [("webp", 16_383), ("jpg", 65_500)])
def test_what_a_format_cannot_hold_is_refused_in_a_sentence(tmp_path, kind, side):
    path = tmp_path / f"a.{kind}"
    for width, height in ((side + 1, 16), (16, side + 1)):
        with pytest.raises(UserError, match=f"at most {side} px a side, .* {width} × {height} px"):
            write_image(path, torch.zeros(1, 3, height, width), lossy=True)
    assert not path.exists()
    write_image(path, torch.zeros(1, 3, 16, side), lossy=True)
    assert read_photo(path).image.shape == (1, 3, 16, side)


def test_what_a_codec_refuses_for_other_reasons_is_a_sentence(monkeypatch):
    def refuse(*_, **__):
        raise OSError("encoder error -2")

    monkeypatch.setattr("PIL.Image.Image.save", refuse)
    with pytest.raises(UserError, match=r"20 × 16 px can't be saved as JPEG \(encoder error -2\)"):
        images.as_file(np.zeros((16, 20, 3), np.uint8), "JPEG")


@pytest.mark.parametrize(
    ("name", "said"),
    [
        (".png", "ending without a name: save it as photo.png"),
        (".JPG", "ending without a name: save it as photo.png"),
        ("a.bmp", "save it as a.png"),
        ("a", "save it as a.png"),
        ("a.tar.gz", "save it as a.tar.png"),
        (os.fsdecode(b"a\xff.png"), r"a\\udcff.png is a file name that is no UTF-8"),
    ],
)
def test_names_that_no_picture_can_have(tmp_path, levels, name, said):
    with pytest.raises(UserError, match=said.replace(".", r"\.")):
        write_image(tmp_path / name, images.from_bytes(levels[None]))


def test_a_name_that_is_no_utf_8_is_a_sentence_that_can_be_printed(tmp_path, levels):
    path = tmp_path / os.fsdecode(b"caf\xe9.png")
    path.write_bytes(encoded(levels, "PNG"))
    for look in (read_photo, size_of):
        with pytest.raises(UserError) as caught:
            look(path)
        assert str(caught.value).startswith(r"caf\udce9.png is a file name that is no UTF-8")
    with pytest.raises(UserError) as caught:
        read_photo(tmp_path / os.fsdecode(b"no\xe9where") / "a.png")
    str(caught.value).encode()


def test_programming_errors_do_not_become_files(tmp_path):
    with pytest.raises(ValueError, match="finite"):
        write_image(tmp_path / "a.png", torch.full((1, 3, 16, 16), torch.nan))
    with pytest.raises(ValueError, match="one image"):
        write_image(tmp_path / "a.png", torch.zeros(2, 3, 16, 16))
    assert list(tmp_path.iterdir()) == []


# From photo to model input.


@given(
    st.integers(16, 5000), st.integers(16, 5000), st.integers(1, 96), st.sampled_from([4, 8, 16])
)
def test_model_shapes_are_multiples_within_the_size_and_keep_the_aspect(
    height, width, size, multiple
):
    size *= multiple
    shape = images.model_shape(height, width, size=size, multiple=multiple)
    scale = min(1, size / max(height, width))
    for side, before in zip(shape, (height, width), strict=True):
        assert side % multiple == 0
        assert multiple <= side <= max(multiple, min(size, before))
        assert abs(side - max(multiple, before * scale)) <= multiple
    assert images.model_shape(*shape, size=size, multiple=multiple) == shape


def test_model_shapes_known():
    assert images.model_shape(512, 768, size=512, multiple=8) == (344, 512)
    assert images.model_shape(100, 99, size=512, multiple=8) == (96, 96)
    assert images.model_shape(4000, 16, size=512, multiple=8) == (512, 8)
    with pytest.raises(ValueError, match="smaller than the multiple"):
        images.model_shape(64, 64, size=4, multiple=8)


def test_fit_is_the_identity_where_it_fits_and_clamps():
    image = torch.rand(2, 3, 64, 40) * 2 - 0.5
    assert torch.equal(images.fit(image, size=64, multiple=8), image.clamp(0, 1))


def test_fit_is_pillows_antialiased_bilinear():
    levels = photo(200, 300)
    ours = images.fit(images.from_bytes(levels[None]), size=128, multiple=8) * 255
    theirs = np.asarray(Image.fromarray(levels).resize((128, 88), Image.Resampling.BILINEAR))
    assert ours.shape == (1, 3, 88, 128)
    # Pillow rounds to whole levels twice: after rows and after columns.
    assert np.abs(ours[0].permute(1, 2, 0).numpy() - theirs).max() <= 1.01


def test_fit_passes_no_gradient_to_values_that_it_clamps():
    image = torch.tensor([-0.1, 0.0, 0.5, 1.0, 1.1]).view(1, 1, 1, 5).expand(1, 3, 8, 5)
    image = image.repeat(1, 1, 1, 2)[..., :8].requires_grad_()
    (gradient,) = torch.autograd.grad(images.fit(image, size=8, multiple=8).sum(), image)
    assert gradient[0, 0, 0, :5].tolist() == [0, 1, 1, 1, 0]


def test_fit_is_differentiable():
    image = torch.rand(1, 3, 19, 22, dtype=torch.float64) * 0.8 + 0.1
    function = lambda x: images.fit(x, size=16, multiple=8)  # noqa: E731
    assert torch.autograd.gradcheck(function, image.requires_grad_())


@pytest.mark.parametrize("mode", ["bilinear", "bicubic"])
@pytest.mark.parametrize("shape", [(16, 13), (40, 7), (19, 50)])
def test_matrices_resize_as_torch_does_forward_and_back(mode, shape):
    image = torch.rand(2, 3, 19, 22, requires_grad=True)
    ours, theirs = (
        images.stretch_by_matrices(image, shape, mode),
        images.stretch(image, shape, mode),
    )
    assert (ours - theirs).abs().max() < 1e-6
    weight = torch.rand_like(theirs)
    gradients = [torch.autograd.grad((one * weight).sum(), image)[0] for one in (ours, theirs)]
    assert (gradients[0] - gradients[1]).abs().max() < 1e-5


def test_fitted_masks_are_binary_and_refused_when_nothing_is_left():
    mask = torch.zeros(1, 1, 100, 100)
    mask[..., :50, :] = 1
    fitted = images.fit_mask(mask, size=64, multiple=8)
    assert fitted.shape == (1, 1, 64, 64)
    assert torch.equal(fitted, (torch.arange(64) < 32).float().view(1, 1, 64, 1).expand_as(fitted))
    thin = torch.zeros(1, 1, 1000, 1000)
    thin[..., 500] = 1
    with pytest.raises(UserError, match="too thin"):
        images.fit_mask(thin, size=64, multiple=8)


# Traces of JPEG.


@pytest.fixture(scope="module")
def clean() -> Image.Image:
    """A real photo without a lossy past: reduced far enough to have none left."""
    from skimage import data

    return Image.fromarray(data.rocket()).resize((256, 170), Image.Resampling.BICUBIC)


def again(picture: Image.Image, quality: int, subsampling: str = "4:2:0") -> Image.Image:
    data = encoded(picture, "JPEG", quality=quality, subsampling=subsampling)
    return Image.open(io.BytesIO(data)).convert("RGB")


def traces(folder: Path, picture: Image.Image) -> bool:
    return read(folder, encoded(picture, "PNG")).jpeg_traces


def test_clean_photos_have_no_traces(tmp_path, clean):
    assert not traces(tmp_path, clean)
    assert not traces(tmp_path, clean.crop((0, 0, 64, 64)))
    assert not traces(tmp_path, Image.new("RGB", (256, 256), "gray"))
    blocky = np.kron(np.random.default_rng(0).integers(0, 256, (20, 20, 1)), np.ones((8, 8, 3)))
    assert not traces(tmp_path, Image.fromarray(blocky.astype(np.uint8)))
    noise = np.random.default_rng(0).integers(0, 256, (256, 256, 3)).astype(np.uint8)
    assert not traces(tmp_path, Image.fromarray(noise))


@pytest.mark.parametrize("quality", [90, 75, 50, 20])
@pytest.mark.parametrize("subsampling", ["4:2:0", "4:4:4"])
def test_saved_jpegs_have_traces_even_when_cropped(tmp_path, clean, quality, subsampling):
    saved = again(clean, quality, subsampling)
    assert traces(tmp_path, saved)
    assert traces(tmp_path, saved.crop((3, 5, 256, 170)))


def test_a_jpeg_file_has_traces_at_any_quality(tmp_path, clean):
    assert read(tmp_path, encoded(clean, "JPEG", quality=100)).jpeg_traces


def test_the_rectangle_around_a_mask():
    image = torch.arange(3 * 8 * 10.0).reshape(1, 3, 8, 10)
    mask = torch.zeros(1, 1, 8, 10)
    mask[..., 2, 3] = mask[..., 5, 8] = 1
    assert torch.equal(images.around(mask, image), image[..., 2:6, 3:9])
