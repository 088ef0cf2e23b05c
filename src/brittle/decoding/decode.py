"""From a file to levels: limits before anything is decoded, then samples, then colours."""

import io
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageCms, ImageFile, UnidentifiedImageError

from brittle.decoding import png
from brittle.decoding.samples import ORIENTATION, Levels, Samples, read_samples
from brittle.decoding.statements import Statement, Unnamed, refuse_hdr, say_srgb, statements
from brittle.errors import UserError, is_utf8

# The raster formats that people have photos in; Pillow's others can start programs or read files.
FORMATS = ("PNG", "JPEG", "WEBP", "AVIF", "TIFF", "BMP", "GIF", "JPEG2000")
MAX_PIXELS = 64_000_000
MAX_BYTES = 256 * 2**20
SMALLEST_SIDE = 16
# What people have, and isn't read.
HEIC = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")
CANON_RAW = b"II*\0\x10\0\0\0CR"
JPEG_XL = (b"\xff\x0a", b"\0\0\0\x0cJXL ")
DNG_VERSION, SUBFILE, REDUCED = 50706, 254, 1  # tags of a TIFF, and what the second may hold
_NOT_READ = "{} is {}, which can't be read here: export it as JPEG or PNG."


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
    with _told(path, data, max_pixels):
        picture = _opened(path, data, max_pixels)
        if (frames := getattr(picture, "n_frames", 1)) > 1:
            notes.append(f"first of {frames} frames")
        exif = _exif(picture)
        lab = picture.mode == "LAB"
        samples = read_samples(path.name, picture, data, notes)
        # Pillow has converted from Lab itself, and a profile describes the Lab numbers.
        stated = () if lab else statements(path.name, picture, data)
        levels = _to_srgb(path.name, samples, stated, notes)
    return Decoded(levels, samples.alpha, tuple(notes), picture.format or "", exif)


def size_of(path: Path) -> tuple[int, int]:
    """The (height, width) that a file says its picture has, before it is decoded.

    Raises:
        UserError: as `decode`, where the head of the file shows it.
    """
    data = _read(path, MAX_BYTES)
    with _told(path, data, MAX_PIXELS):
        picture = _opened(path, data, MAX_PIXELS)
        return picture.height, picture.width


def is_picture(path: Path) -> bool:
    """Whether a file begins as a picture that can be read, whatever its name; reads its head."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            with path.open("rb") as file, Image.open(file, formats=FORMATS) as picture:
                file.seek(0)
                return not _is_raw(picture, file.read(len(CANON_RAW)))
        except Exception:  # as in `_told`
            return False


def _is_raw(picture: ImageFile.ImageFile, head: bytes) -> bool:
    """Whether it is a camera's raw file, of which Pillow would read the preview."""
    tags = getattr(picture, "tag_v2", {})
    return DNG_VERSION in tags or int(tags.get(SUBFILE, 0)) & REDUCED > 0 or head == CANON_RAW


def _opened(path: Path, data: bytes, max_pixels: int) -> ImageFile.ImageFile:
    """The picture before it is decoded, if its size and kind are acceptable."""
    if data.startswith(png.SIGNATURE):
        data = png.without_long_text(data)
    picture = Image.open(io.BytesIO(data), formats=FORMATS)
    _check_size(path, picture, max_pixels)
    if _is_raw(picture, data[: len(CANON_RAW)]):
        raise UserError(
            _NOT_READ.format(path.name, "a camera's raw file, or begins with a preview")
        )
    return picture


@contextmanager
def _told(path: Path, data: bytes, max_pixels: int) -> Iterator[None]:
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
        raise UserError(_unreadable(path, data)) from None
    except MemoryError:
        raise UserError(f"{path.name} needs more memory than there is: make it smaller.") from None
    except Exception as error:  # Pillow's readers raise nearly anything on a damaged file
        raise UserError(f"{path.name} is damaged or incomplete, and can't be read.") from error


def _unreadable(path: Path, data: bytes) -> str:
    """The sentence about a file that no reader knows; of kinds that people have, with the kind."""
    if data[4:8] == b"ftyp" and data[8:12] in HEIC:
        return _NOT_READ.format(path.name, "HEIC")
    if data.startswith(JPEG_XL):
        return _NOT_READ.format(path.name, "JPEG XL")
    return f"{path.name} isn't an image that can be read: save it as PNG first."


def check_name(path: Path) -> None:
    """Refuse a name that no table, manifest or report could hold.

    Raises:
        UserError: it has bytes that are no UTF-8.
    """
    if not is_utf8(path.name):
        raise UserError(f"{path.name} is a file name that is no UTF-8: rename the file.")


def _read(path: Path, max_bytes: int) -> bytes:
    check_name(path)
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
    """The EXIF data of what is read: upright, in sRGB, and without the unprotected thumbnail."""
    if "exif" not in picture.info:
        return None
    try:
        exif = Image.Exif()
        exif.load(picture.info["exif"])
        exif.pop(ORIENTATION, None)
        say_srgb(exif)
        return exif.tobytes()
    except Exception:  # damaged metadata aren't worth a photo
        return None


def _to_srgb(name: str, samples: Samples, stated: Iterable[Statement], notes: list[str]) -> Levels:
    """The samples as levels (H, W, 3) in sRGB, by the first usable of what the file states."""
    named = {"CMYK": "CMYK", "L": "gray"}.get(samples.mode)
    for statement in stated:
        if isinstance(statement, bytes):
            refuse_hdr(name, statement)
            try:
                found = _by_profile(samples, statement)
            except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
                notes.append("unusable colour profile ignored")
                continue
            if found is not None:
                notes.append(f"{named or 'colours'} converted to sRGB by the colour profile")
                return found
        elif isinstance(statement, Unnamed):
            notes.append(statement.note)
        elif samples.mode != "CMYK" and not statement.is_srgb:
            notes.append(f"{named or 'colours'} converted to sRGB from {statement.name}")
            values = samples.values if samples.values.ndim == 3 else samples.values[..., None]
            return statement.to_srgb(np.broadcast_to(values, (*values.shape[:2], 3)), samples.top)
        break
    if named:
        notes.append("CMYK converted without a profile" if named == "CMYK" else "gray to colour")
    return samples.levels() if named is None else np.array(_as_image(samples).convert("RGB"))


def _by_profile(samples: Samples, profile: bytes) -> Levels | None:
    """The levels in sRGB by an ICC profile; None where it is sRGB's own."""
    convert = ImageCms.buildTransform(
        ImageCms.ImageCmsProfile(io.BytesIO(profile)),
        ImageCms.createProfile("sRGB"),
        samples.mode,
        "RGB",
        ImageCms.Intent.RELATIVE_COLORIMETRIC,
        ImageCms.Flags.BLACKPOINTCOMPENSATION,
    )
    if samples.mode != "CMYK" and not _changes_colours(convert, samples.mode):
        return None
    return np.array(convert.apply(_as_image(samples)))


def _as_image(samples: Samples) -> Image.Image:
    height, width = samples.values.shape[:2]
    levels = np.ascontiguousarray(samples.levels())
    return Image.frombuffer(samples.mode, (width, height), levels, "raw", samples.mode, 0, 1)


def _changes_colours(convert: ImageCms.ImageCmsTransform, mode: str) -> bool:
    """Whether a transform moves any colour by more than one level; if not, it is sRGB's own."""
    steps = np.arange(0, 256, 15, dtype=np.uint8)
    grid = np.stack(np.meshgrid(steps, steps, steps), -1).reshape(1, -1, 3)
    sample = Image.fromarray(grid if mode == "RGB" else np.ascontiguousarray(grid[..., 0]))
    before, after = (
        np.asarray(image.convert("RGB")).astype(int) for image in (sample, convert.apply(sample))
    )
    return bool(np.abs(before - after).max() > 1)
