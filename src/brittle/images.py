"""Photos between files and tensors: the 8-bit grid, masks, orientation, colour profiles, limits.

Inside brittle an image is a float32 tensor (N, 3, H, W), sRGB in [0, 1]; this file is where files
become that and where it becomes files.
"""

import hashlib
import io
import os
import secrets
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageCms, ImageOps, UnidentifiedImageError
from torch import Tensor
from torch.nn import functional

from brittle.errors import UserError

# The raster formats that people have photos in; Pillow's others can start programs or read files.
FORMATS = ("PNG", "JPEG", "WEBP", "AVIF", "TIFF", "BMP", "GIF", "JPEG2000", "PPM")
LOSSY = {".jpg": "JPEG", ".jpeg": "JPEG", ".webp": "WEBP", ".avif": "AVIF"}
SMALLEST_SIDE = 16
ORIENTATION = 0x0112

Levels = np.ndarray[Any, np.dtype[np.uint8]]


@dataclass(frozen=True)
class Photo:
    """A photo as read from its file.

    ``image`` is (1, 3, H, W) on the 8-bit grid k/255, ``alpha`` (1, 1, H, W) in [0, 1] where the
    file had one. ``notes`` say in words what was done to it. ``jpeg_traces``: it is a JPEG, or was
    one. ``digest`` is the identity of its pixels.
    """

    name: str
    image: Tensor
    alpha: Tensor | None
    notes: tuple[str, ...]
    source_format: str
    jpeg_traces: bool
    exif: bytes | None
    digest: str


def read_photo(
    path: str | Path, *, max_pixels: int = 64_000_000, max_bytes: int = 256 * 2**20
) -> Photo:
    """Read a photo as a person sees it: upright, in sRGB, transparency on white, first frame.

    Raises:
        UserError: no readable image, too large, or smaller than 16 px on a side.
    """
    path = Path(path)
    picture, notes = _open(path, max_pixels=max_pixels, max_bytes=max_bytes)
    source_format = picture.format or ""
    exif = _exif(picture)
    colours, alpha = _decode(path, picture, notes)
    image = _to_tensor(_over(colours, alpha, 255))
    if alpha is not None and alpha.min() < 255:
        notes.append("transparency composited on white")
    return Photo(
        name=path.stem,
        image=image,
        alpha=None if alpha is None else _to_tensor(alpha[..., None]),
        notes=tuple(notes),
        source_format=source_format,
        jpeg_traces=source_format in ("JPEG", "MPO") or jpeg_traces(image),
        exif=exif,
        digest=digest(image),
    )


def read_mask(path: str | Path, *, like: Tensor) -> Tensor:
    """Read a mask (1, 1, H, W) of 0 and 1 for the image ``like``; white may be edited.

    Transparent parts count as black.

    Raises:
        UserError: not readable, of another size than the image, nothing white, or nothing black.
    """
    path = Path(path)
    picture, notes = _open(path, max_pixels=64_000_000, max_bytes=256 * 2**20)
    colours, alpha = _decode(path, picture, notes)
    mask = _to_tensor(_over(colours, alpha, 0)).mean(1, keepdim=True)
    if mask.shape[-2:] != like.shape[-2:]:
        (height, width), (wanted_height, wanted_width) = mask.shape[-2:], like.shape[-2:]
        raise UserError(
            f"The mask {path.name} is {width} × {height} px and the photo {wanted_width} × "
            f"{wanted_height} px: they must have the same size."
        )
    return _checked((mask >= 0.5).float(), path.name)


def alpha_mask(photo: Photo) -> Tensor:
    """The photo's transparency as a mask (1, 1, H, W): what is transparent may be edited.

    Raises:
        UserError: the photo has no transparency, or nothing but transparency.
    """
    if photo.alpha is None:
        raise UserError(f"{photo.name} has no alpha channel that could serve as its mask.")
    return _checked((photo.alpha < 0.5).float(), f"from the alpha channel of {photo.name}")


def _checked(mask: Tensor, name: str) -> Tensor:
    for colour, value in (("white", 1.0), ("black", 0.0)):
        if not (mask == value).any():
            effect = "nothing could be edited" if value else "everything would be edited"
            raise UserError(
                f"The mask {name} has nothing {colour}, so {effect}: is it the right file?"
            )
    return mask


def write_image(
    path: str | Path,
    image: Tensor,
    *,
    overwrite: bool = False,
    exif: bytes | None = None,
    lossy: bool = False,
) -> None:
    """Write an image (1, 3, H, W) or (3, H, W) as PNG, whole or not at all, without metadata.

    ``exif`` adds these metadata. ``lossy`` allows .jpg, .webp and .avif, at quality 95.

    Raises:
        UserError: the file exists, can't be written, or its suffix is lossy or unknown.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix in LOSSY and not lossy:
        raise UserError(
            f"{path.name} would be saved with loss, and {suffix[1:].upper()} compression undoes "
            f"what protects the photo: save it as {path.stem}.png."
        )
    if suffix != ".png" and suffix not in LOSSY:
        raise UserError(f"{path.name} can't be written in that format: save it as {path.stem}.png.")
    if suffix == ".png":
        data = png_bytes(image, exif=exif)
    else:
        extra: dict[str, Any] = {"subsampling": "4:4:4"} if suffix != ".webp" else {}
        data = _encode(image, LOSSY[suffix], exif=exif, quality=95, **extra)
    write_bytes(path, data, overwrite=overwrite)


def write_bytes(path: str | Path, data: bytes, *, overwrite: bool = False) -> None:
    """Write a file whole or not at all: a temporary file beside it, fsync, rename.

    Raises:
        UserError: it exists and ``overwrite`` is false, or the system refuses (a full disk).
    """
    path = Path(path)
    if os.path.lexists(path) and not overwrite:
        raise UserError(f"{path} exists already, and is never overwritten unless you say so.")
    temporary = path.with_name(f".brittle-{secrets.token_hex(8)}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with temporary.open("xb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise UserError(f"{path} couldn't be written: {error.strerror or error}.") from error


def png_bytes(image: Tensor, *, exif: bytes | None = None) -> bytes:
    """The PNG file of an image (1, 3, H, W) or (3, H, W): the same bytes for the same pixels."""
    return _encode(image, "PNG", exif=exif)


def from_png(data: bytes) -> Tensor:
    """The image (1, 3, H, W) in an RGB PNG that brittle wrote."""
    with Image.open(io.BytesIO(data), formats=("PNG",)) as picture:
        return _to_tensor(np.asarray(picture.convert("RGB")))


def quantise(image: Tensor) -> Tensor:
    """The image clamped to [0, 1] and rounded to the 8-bit grid k/255."""
    # A tensor as divisor: by a plain number, CUDA multiplies with a rounded reciprocal.
    return (image.clamp(0, 1) * 255).round() / image.new_tensor(255.0)


def to_bytes(image: Tensor) -> Levels:
    """The levels of images (N, 3, H, W) as uint8 (N, H, W, 3).

    Raises:
        ValueError: values that aren't finite.
    """
    if not image.isfinite().all():
        raise ValueError("the image has values that aren't finite")
    levels = (image.detach().clamp(0, 1) * 255).round().to("cpu", torch.uint8)
    array: Levels = levels.permute(0, 2, 3, 1).contiguous().numpy()
    return array


def from_bytes(levels: Levels) -> Tensor:
    """Images (N, C, H, W) in [0, 1] from uint8 levels (N, H, W, C); the inverse of to_bytes."""
    return torch.from_numpy(levels.copy()).permute(0, 3, 1, 2).contiguous().float() / 255


def digest(image: Tensor) -> str:
    """The identity of an image (1, 3, H, W): a hash of its size and its 8-bit pixels, 32 digits."""
    height, width = image.shape[-2:]
    return hashlib.sha256(f"{width}x{height}:".encode() + to_bytes(image).tobytes()).hexdigest()[
        :32
    ]


def model_shape(height: int, width: int, *, size: int, multiple: int) -> tuple[int, int]:
    """The (height, width) at which a model sees a photo: the long side at most ``size``.

    Both are the multiples of ``multiple`` nearest to the scaled sides. Nothing is enlarged, except
    a side shorter than ``multiple``.
    """
    if size < multiple:
        raise ValueError(f"size {size} is smaller than the multiple {multiple}")
    scale = min(1.0, size / max(height, width))

    def side(length: int) -> int:
        nearest = int(length * scale / multiple + 0.5)
        return multiple * max(1, min(nearest, length // multiple, size // multiple))

    return side(height), side(width)


def fit(image: Tensor, *, size: int, multiple: int) -> Tensor:
    """The model's input for photos (N, 3, H, W): clamped to [0, 1] and brought to `model_shape`.

    Antialiased bilinear and differentiable; an image that fits already keeps its pixels.
    """
    image = image.clamp(0, 1)
    shape = model_shape(*image.shape[-2:], size=size, multiple=multiple)
    if shape == tuple(image.shape[-2:]):
        return image
    return functional.interpolate(image, shape, mode="bilinear", antialias=True)


def fit_mask(mask: Tensor, *, size: int, multiple: int) -> Tensor:
    """The mask (N, 1, H, W) for `fit`'s output: 1 where at least half of what a pixel covers is.

    Raises:
        UserError: nothing is left of a mask at this size.
    """
    fitted = (fit(mask, size=size, multiple=multiple) >= 0.5).to(mask.dtype)
    if not fitted.flatten(1).any(1).all():
        height, width = fitted.shape[-2:]
        raise UserError(
            f"The mask is too thin: nothing of it is left at the model's {width} × {height} px."
        )
    return fitted


def jpeg_traces(image: Tensor) -> bool:
    """Whether an image (1, 3, H, W) in a lossless file was a JPEG before."""
    return False


def _open(path: Path, *, max_pixels: int, max_bytes: int) -> tuple[Image.Image, list[str]]:
    """The file as an undecoded picture, once its kind and its size are known to be acceptable."""
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
        raise UserError(
            f"{path.name} is larger than {max_bytes / 2**20:g} MB: make it smaller first."
        )
    if not data:
        raise UserError(f"{path.name} is empty (0 bytes).")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            picture = Image.open(io.BytesIO(data), formats=FORMATS)
        except Image.DecompressionBombError:
            raise UserError(_too_large(path, max_pixels)) from None
        except Exception as error:  # Pillow's readers raise nearly anything on a damaged file
            raise UserError(_unreadable(path, error)) from error
        width, height = picture.size
        if width * height > max_pixels:
            raise UserError(_too_large(path, max_pixels, f" ({width} × {height})"))
        if min(width, height) < SMALLEST_SIDE:
            raise UserError(
                f"{path.name} is {width} × {height} px, and both sides need at least "
                f"{SMALLEST_SIDE} px."
            )
        try:
            frames = getattr(picture, "n_frames", 1)
        except Exception as error:
            raise UserError(_unreadable(path, error)) from error
    deep = data[:8] == b"\x89PNG\r\n\x1a\n" and data[24] == 16
    notes = [f"first of {frames} frames"] if frames > 1 else []
    return picture, notes + (["16 bits reduced to 8"] if deep else [])


def _too_large(path: Path, max_pixels: int, size: str = "") -> str:
    limit = f"{max_pixels / 1e6:g} million"
    return f"{path.name} has more pixels than the {limit} that are read{size}: make it smaller."


def _unreadable(path: Path, error: Exception) -> str:
    if isinstance(error, UnidentifiedImageError):
        return (
            f"{path.name} isn't an image that can be read (PNG, JPEG, WebP, AVIF, TIFF, BMP, GIF)."
        )
    if isinstance(error, MemoryError):
        return f"{path.name} needs more memory than there is: make it smaller first."
    return f"{path.name} is damaged or incomplete, and can't be read as an image."


def _decode(path: Path, picture: Image.Image, notes: list[str]) -> tuple[Levels, Levels | None]:
    """The colours (H, W, 3) in sRGB, upright, and the alpha channel (H, W) where there is one."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            picture.load()
            upright = _upright(picture, notes)
            colours, alpha = _split_alpha(_eight_bits(path, upright, notes))
            return np.asarray(_to_srgb(colours, picture.info.get("icc_profile"), notes)), alpha
    except UserError:
        raise
    except Exception as error:  # Pillow's readers raise nearly anything on a damaged file
        raise UserError(_unreadable(path, error)) from error


def _upright(picture: Image.Image, notes: list[str]) -> Image.Image:
    try:
        turned = picture.getexif().get(ORIENTATION, 1) != 1
        upright = ImageOps.exif_transpose(picture) if turned else picture
    except Exception:
        notes.append("damaged EXIF ignored")
        return picture
    if turned:
        notes.append("turned upright as its EXIF says")
    return upright


def _eight_bits(path: Path, picture: Image.Image, notes: list[str]) -> Image.Image:
    """The picture with 8 bits a channel; UserError where its numbers have no agreed white."""
    if picture.mode.startswith("I;16") or (picture.mode == "I" and picture.format != "TIFF"):
        levels = np.asarray(picture).astype(np.float64) * (255 / 65535)
        if "16 bits reduced to 8" not in notes:
            notes.append("16 bits reduced to 8")
        return Image.fromarray(levels.round().clip(0, 255).astype(np.uint8))
    if picture.mode in ("I", "F"):
        values = np.asarray(picture)
        if picture.mode == "I" or not (
            np.isfinite(values).all() and 0 <= values.min() <= values.max() <= 1
        ):
            raise UserError(
                f"{path.name} holds numbers without an agreed white (mode {picture.mode}): "
                "save it with 8 or 16 bits."
            )
        notes.append("floating point reduced to 8 bits")
        return Image.fromarray((values * 255).round().astype(np.uint8))
    return picture


def _split_alpha(picture: Image.Image) -> tuple[Image.Image, Levels | None]:
    """The colours as L, RGB, or CMYK, and the alpha channel (H, W) where there is one."""
    if picture.mode in ("L", "RGB", "CMYK") and not picture.has_transparency_data:
        return picture, None
    if picture.mode == "1":
        return picture.convert("L"), None
    if not picture.has_transparency_data:
        return picture.convert("RGB"), None
    picture = picture.convert("LA" if picture.mode in ("1", "L", "LA", "La") else "RGBA")
    return picture.convert(picture.mode[:-1]), np.asarray(picture.getchannel("A"))


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


def _over(colours: Levels, alpha: Levels | None, background: int) -> Levels:
    """The colours (H, W, 3) composited on a gray level."""
    if alpha is None:
        return colours
    share = alpha[..., None].astype(np.float64) / 255
    return (colours * share + background * (1 - share)).round().astype(np.uint8)


def _exif(picture: Image.Image) -> bytes | None:
    """The EXIF data without orientation (it is applied) and without the thumbnail (unprotected)."""
    if "exif" not in picture.info:
        return None
    try:
        exif = Image.Exif()
        exif.load(picture.info["exif"])
        exif.pop(ORIENTATION, None)
        return exif.tobytes()
    except Exception:
        return None


def _to_tensor(levels: Levels) -> Tensor:
    return from_bytes(levels[None])


def _encode(image: Tensor, kind: str, *, exif: bytes | None, **options: Any) -> bytes:
    file = io.BytesIO()
    levels = to_bytes(image if image.dim() == 4 else image[None])
    if len(levels) != 1:
        raise ValueError(f"one image goes into one file, not {len(levels)}")
    Image.fromarray(levels[0]).save(file, kind, **options, **({"exif": exif} if exif else {}))
    return file.getvalue()
