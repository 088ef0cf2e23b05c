"""Decoding: from a file to 8-bit levels in sRGB, whatever kind of image the file holds."""

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageCms, ImageOps, UnidentifiedImageError

from brittle.errors import UserError

Levels = np.ndarray[Any, np.dtype[np.uint8]]

# The raster formats that people have photos in; Pillow's others can start programs or read files.
FORMATS = ("PNG", "JPEG", "WEBP", "AVIF", "TIFF", "BMP", "GIF", "JPEG2000")
MAX_PIXELS = 64_000_000
MAX_BYTES = 256 * 2**20
SMALLEST_SIDE = 16
ORIENTATION = 0x0112
BITS_PER_SAMPLE, PLANES = 258, 284  # tags of a TIFF


@dataclass(frozen=True)
class Decoded:
    """What a file holds: ``colours`` (H, W, 3) in sRGB, upright, and ``alpha`` (H, W) if any."""

    colours: Levels
    alpha: Levels | None
    notes: tuple[str, ...]
    source_format: str
    exif: bytes | None

    def over(self, background: int) -> Levels:
        """The colours composited on a gray level."""
        if self.alpha is None:
            return self.colours
        share = self.alpha[..., None].astype(np.float32) / 255
        mixed = self.colours * share + background * (1 - share)
        return mixed.round().astype(np.uint8)


def decode(path: Path, *, max_pixels: int = MAX_PIXELS, max_bytes: int = MAX_BYTES) -> Decoded:
    """Read and decode an image file, once its size and kind are known to be acceptable.

    Raises:
        UserError: no readable image, too large, or smaller than 16 px on a side.
    """
    data = _read(path, max_bytes)
    notes: list[str] = []
    with _told(path, max_pixels):
        picture = Image.open(io.BytesIO(data), formats=FORMATS)
        _check_size(path, picture, max_pixels)
        if (frames := getattr(picture, "n_frames", 1)) > 1:
            notes.append(f"first of {frames} frames")
        exif = _exif(picture)
        bits, planes = _bits(picture, data), getattr(picture, "tag_v2", {}).get(PLANES) == 2
        eight = _eight_bits(path, _upright(picture, notes), bits, planes, notes)
        colours, alpha = _split_alpha(eight)
        # Pillow has converted from Lab itself, and the profile describes the Lab numbers.
        profile = None if picture.mode == "LAB" else picture.info.get("icc_profile")
        levels = np.array(_to_srgb(colours, profile, notes))
    return Decoded(levels, alpha, tuple(notes), picture.format or "", exif)


def size_of(path: Path) -> tuple[int, int]:
    """The (height, width) that a file says its picture has, before it is decoded.

    Raises:
        UserError: as `decode`, where the head of the file shows it.
    """
    data = _read(path, MAX_BYTES)
    with _told(path, MAX_PIXELS):
        picture = Image.open(io.BytesIO(data), formats=FORMATS)
        _check_size(path, picture, MAX_PIXELS)
        return picture.height, picture.width


@contextmanager
def _told(path: Path, max_pixels: int) -> Iterator[None]:
    """What goes wrong with a file, in one sentence."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except UserError:
        raise
    except Image.DecompressionBombError:
        raise UserError(_too_large(path, max_pixels)) from None
    except UnidentifiedImageError:
        raise UserError(
            f"{path.name} isn't an image that can be read: save it as PNG first."
        ) from None
    except MemoryError:
        raise UserError(f"{path.name} needs more memory than there is: make it smaller.") from None
    except Exception as error:  # Pillow's readers raise nearly anything on a damaged file
        raise UserError(f"{path.name} is damaged or incomplete, and can't be read.") from error


def _read(path: Path, max_bytes: int) -> bytes:
    if path.is_dir():
        raise UserError(f"{path} is a folder, not a photo.")
    if not path.exists():
        raise UserError(f"{path} doesn't exist.")
    if not path.is_file():
        raise UserError(f"{path} isn't a file.")
    try:
        with path.open("rb") as file:
            data = file.read(max_bytes + 1)
    except OSError as error:
        raise UserError(f"{path} can't be read: {error.strerror or error}.") from error
    if len(data) > max_bytes:
        raise UserError(f"{path.name} is larger than {max_bytes / 2**20:g} MB: make it smaller.")
    if not data:
        raise UserError(f"{path.name} is empty (0 bytes).")
    return data


def _check_size(path: Path, picture: Image.Image, max_pixels: int) -> None:
    width, height = picture.size
    if width * height > max_pixels:
        raise UserError(_too_large(path, max_pixels, f" ({width} × {height})"))
    if min(width, height) < SMALLEST_SIDE:
        raise UserError(
            f"{path.name} is {width} × {height} px, and needs at least {SMALLEST_SIDE} px a side."
        )


def _too_large(path: Path, max_pixels: int, size: str = "") -> str:
    limit = f"{max_pixels / 1e6:g} million"
    return f"{path.name} has more pixels than the {limit} that are read{size}: make it smaller."


def _exif(picture: Image.Image) -> bytes | None:
    """The EXIF data without orientation (it is applied) and without the thumbnail (unprotected)."""
    if "exif" not in picture.info:
        return None
    try:
        exif = Image.Exif()
        exif.load(picture.info["exif"])
        exif.pop(ORIENTATION, None)
        return exif.tobytes()
    except Exception:  # damaged metadata aren't worth a photo
        return None


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


def _bits(picture: Image.Image, data: bytes) -> int:
    """How many bits a channel has in the file, where that may be more than 8."""
    if picture.format == "PNG":
        return data[24]
    tags = getattr(picture, "tag_v2", {})
    return int(max(tags.get(BITS_PER_SAMPLE, (8,))))


def _eight_bits(
    path: Path, picture: Image.Image, bits: int, planes: bool, notes: list[str]
) -> Image.Image:
    """The picture with 8 bits a channel; UserError where its numbers have no agreed white."""
    if bits == 16:
        if planes:  # which Pillow reads as if they had 8
            raise UserError(f"{path.name} keeps 16-bit colours in planes: save it as PNG first.")
        notes.append("16 bits reduced to 8")
    if picture.mode.startswith("I;16"):
        levels = np.asarray(picture).astype(np.float32) * (255 / 65535)
        return Image.fromarray(levels.round().astype(np.uint8))
    if picture.mode not in ("I", "F"):
        return picture
    values = np.asarray(picture)
    if picture.mode == "I" or not (values.min() >= 0 and values.max() <= 1):
        raise UserError(
            f"{path.name} holds numbers without an agreed white: save it with 8 or 16 bits."
        )
    notes.append("floating point reduced to 8 bits")
    return Image.fromarray((values * 255).round().astype(np.uint8))


def _split_alpha(picture: Image.Image) -> tuple[Image.Image, Levels | None]:
    """The colours as L, RGB, or CMYK, and the alpha channel (H, W) where there is one."""
    if picture.mode in ("L", "RGB", "CMYK") and not picture.has_transparency_data:
        return picture, None
    if picture.mode == "1":
        return picture.convert("L"), None
    if not picture.has_transparency_data:
        return picture.convert("RGB"), None
    picture = picture.convert("LA" if picture.mode in ("1", "L", "LA", "La") else "RGBA")
    return picture.convert(picture.mode[:-1]), np.array(picture.getchannel("A"))


def _to_srgb(picture: Image.Image, profile: bytes | None, notes: list[str]) -> Image.Image:
    """The picture (L, RGB or CMYK) as RGB in sRGB, by its ICC profile where it has one."""
    named = {"CMYK": "CMYK", "L": "gray"}.get(picture.mode)
    if profile:
        try:
            convert = ImageCms.buildTransform(
                ImageCms.ImageCmsProfile(io.BytesIO(profile)),
                ImageCms.createProfile("sRGB"),
                picture.mode,
                "RGB",
                ImageCms.Intent.RELATIVE_COLORIMETRIC,
                ImageCms.Flags.BLACKPOINTCOMPENSATION,
            )
            if picture.mode == "CMYK" or _changes_colours(convert, picture.mode):
                notes.append(f"{named or 'colours'} converted to sRGB by the colour profile")
                return convert.apply(picture)
        except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
            notes.append("unusable colour profile ignored")
    if named:
        notes.append("CMYK converted without a profile" if named == "CMYK" else "gray to colour")
    return picture.convert("RGB")


def _changes_colours(convert: ImageCms.ImageCmsTransform, mode: str) -> bool:
    """Whether a transform moves any colour by more than one level; if not, it is sRGB's own."""
    steps = np.arange(0, 256, 15, dtype=np.uint8)
    grid = np.stack(np.meshgrid(steps, steps, steps), -1).reshape(1, -1, 3)
    sample = Image.fromarray(grid if mode == "RGB" else np.ascontiguousarray(grid[..., 0]))
    before, after = (
        np.asarray(image.convert("RGB")).astype(int) for image in (sample, convert.apply(sample))
    )
    return bool(np.abs(before - after).max() > 1)
