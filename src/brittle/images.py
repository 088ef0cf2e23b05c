"""Photos between files and tensors: the 8-bit grid, masks, orientation, colour profiles, limits.

Inside brittle an image is a float32 tensor (N, 3, H, W), sRGB in [0, 1]; this file is where files
become that and where it becomes files.
"""

import hashlib
import io
import os
import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional

from brittle.decoding import MAX_BYTES, MAX_PIXELS, Levels, check_name, decode
from brittle.errors import UserError
from brittle.jpeg_detection import jpeg_traces

Mask = Tensor | None
"""(N, 1, H, W) of 0 and 1, white where an editor may paint; None: everywhere."""
ALMOST = 1 - 1e-3
"""Where a mask that was turned or resized is white: it is 1 but for rounding."""
LOSSY = {".jpg": "JPEG", ".jpeg": "JPEG", ".webp": "WEBP", ".avif": "AVIF"}
PART = 2**16
"""Values that are rounded at once; so many stay in a processor's cache."""
LONGEST_SIDE = {"JPEG": 65_500, "WEBP": 16_383, "AVIF": 65_536}
"""Pixels: of libjpeg, of the format, of AV1."""


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
    path: str | Path, *, max_pixels: int = MAX_PIXELS, max_bytes: int = MAX_BYTES
) -> Photo:
    """Read a photo as a person sees it: upright, in sRGB, transparency on white, first frame.

    Raises:
        UserError: no readable image, too large, or smaller than 16 px on a side.
    """
    path = Path(path)
    decoded = decode(path, max_pixels=max_pixels, max_bytes=max_bytes)
    notes, alpha = decoded.notes, decoded.alpha
    if alpha is not None and alpha.min() < 255:
        notes = (*notes, "transparency composited on white")
    image = from_bytes(decoded.over(255)[None])
    return Photo(
        name=path.stem,
        image=image,
        alpha=None if alpha is None else from_bytes(alpha[None, ..., None]),
        notes=notes,
        source_format=decoded.source_format,
        jpeg_traces=decoded.source_format in ("JPEG", "MPO") or jpeg_traces(image),
        exif=decoded.exif,
        digest=digest(image),
    )


def read_mask(path: str | Path, *, like: Tensor) -> Tensor:
    """Read a mask (1, 1, H, W) of 0 and 1 for the image ``like``; white may be edited.

    Gray is white from one half up. Transparent parts count as black.

    Raises:
        UserError: not readable, of another size than the image, nothing white, or nothing black.
    """
    path = Path(path)
    mask = from_bytes(decode(path).over(0)[None]).mean(1, keepdim=True)
    if mask.shape[-2:] != like.shape[-2:]:
        (height, width), (photo_height, photo_width) = mask.shape[-2:], like.shape[-2:]
        raise UserError(
            f"The mask {path.name} is {width} × {height} px and the photo {photo_width} × "
            f"{photo_height} px: they must have the same size."
        )
    return checked_mask((mask >= 0.5).float(), path.name)


def named_mask(mask: str, photo: Photo) -> Tensor:
    """The mask (1, 1, H, W) that a user names: a file, ``alpha``, or ``auto`` for an ellipse.

    Raises:
        UserError: as `read_mask` and `alpha_mask`.
    """
    if mask == "auto":
        return ellipse_mask(photo.image)
    return alpha_mask(photo) if mask == "alpha" else read_mask(mask, like=photo.image)


def ellipse_mask(image: Tensor) -> Tensor:
    """A mask (1, 1, H, W) for a first try: the centre ellipse, 0.6 of each side, may be edited."""
    height, width = image.shape[-2:]
    y = torch.linspace(-1, 1, height).view(-1, 1)
    x = torch.linspace(-1, 1, width)
    return ((x**2 + y**2) <= 0.6**2).float().view(1, 1, height, width)


def alpha_mask(photo: Photo) -> Tensor:
    """The photo's transparency as a mask (1, 1, H, W): what is transparent may be edited.

    Raises:
        UserError: the photo has no transparency, or nothing but transparency.
    """
    if photo.alpha is None:
        raise UserError(f"{photo.name} has no alpha channel that could serve as its mask.")
    return checked_mask((photo.alpha < 0.5).float(), f"from the alpha channel of {photo.name}")


def checked_mask(mask: Tensor, name: str) -> Tensor:
    """The mask, where it holds both 0 and 1.

    Raises:
        UserError: it doesn't.
    """
    for colour, value, effect in (("white", 1, "nothing"), ("black", 0, "everything")):
        if not (mask == value).any():
            raise UserError(f"The mask {name} has nothing {colour}, so {effect} could be edited.")
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
    writable_suffix(path, lossy=lossy)
    write_bytes(path, file_bytes(path, image, exif=exif), overwrite=overwrite)


def file_bytes(path: Path, image: Tensor, *, exif: bytes | None = None) -> bytes:
    """The file of an image (1, 3, H, W) or (3, H, W), in the format that a path's suffix names."""
    suffix = path.suffix.lower()
    if suffix not in LOSSY:
        return png_bytes(image, exif=exif)
    extra: dict[str, Any] = {"subsampling": "4:4:4"} if suffix != ".webp" else {}
    return _encode(image, LOSSY[suffix], exif=exif, quality=95, **extra)


def from_file(data: bytes) -> Tensor:
    """The image (1, 3, H, W) in a file that `file_bytes` made."""
    with Image.open(io.BytesIO(data), formats=("PNG", *LONGEST_SIDE)) as picture:
        return from_bytes(np.array(picture.convert("RGB"))[None])


def names_a_file(path: Path) -> bool:
    """Whether a path, of which nothing may be there yet, ends as a file does: v1.1 does not."""
    return path.suffix[1:2].isalpha() and not path.is_dir()


def writable_suffix(path: Path, *, lossy: bool) -> str:
    """The suffix of a picture that `write_image` would write.

    Raises:
        UserError: it is unknown, or lossy where that is not allowed.
    """
    check_name(path)
    suffix = path.suffix.lower()
    if path.name.lower() in {".png", *LOSSY}:
        raise UserError(f"{path.name} is an ending without a name: save it as photo.png.")
    if suffix in LOSSY and not lossy:
        raise UserError(
            f"{path.name} would be saved with loss, and {suffix[1:].upper()} compression undoes "
            f"what protects the photo: save it as {path.stem}.png."
        )
    if suffix != ".png" and suffix not in LOSSY:
        raise UserError(f"{path.name} can't be written in that format: save it as {path.stem}.png.")
    return suffix


def write_bytes(
    path: str | Path,
    data: bytes | Iterable[bytes],
    *,
    overwrite: bool = False,
    flush: bool = True,
) -> None:
    """Write a file whole or not at all: a temporary file beside it, fsync, rename.

    Without ``flush`` there is no fsync: a power cut may then leave an empty file.

    Raises:
        UserError: it exists and ``overwrite`` is false, or the system refuses (a full disk).
    """
    path = Path(path)
    if os.path.lexists(path) and not overwrite:
        raise UserError(
            f"{path} exists already, and is never overwritten unasked: name another, or say "
            "--force where there is one."
        )
    temporary = path.with_name(f".brittle-{secrets.token_hex(8)}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with temporary.open("xb") as file:
                file.writelines([data] if isinstance(data, bytes) else data)
                file.flush()
                if flush:
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
    return from_bytes(levels_from_png(data)[None])


def levels_from_png(data: bytes) -> Levels:
    """The levels (H, W, 3) in an RGB PNG that brittle wrote."""
    with Image.open(io.BytesIO(data), formats=("PNG",)) as picture:
        return np.array(picture.convert("RGB"))


def png_from_levels(levels: Levels) -> bytes:
    """The PNG file of levels (H, W, 3): the same bytes as `png_bytes` of the same picture."""
    return as_file(levels, "PNG")


def quantise(image: Tensor) -> Tensor:
    """The image clamped to [0, 1] and rounded to the 8-bit grid k/255."""
    # A tensor as divisor: by a plain number, CUDA multiplies with a rounded reciprocal.
    return image.clamp(0, 1).mul_(255).round_().div_(image.new_full((), 255.0))


def to_bytes(image: Tensor) -> Levels:
    """The levels of images (N, 3, H, W) as uint8 (N, H, W, 3).

    Raises:
        ValueError: values that aren't finite.
    """
    if not image.sum().isfinite():
        raise ValueError("the image has values that aren't finite")
    # Channel by channel, which is faster than any way to permute the whole.
    return np.stack([*to_levels(image).numpy().swapaxes(0, 1)], axis=-1)


def to_levels(image: Tensor) -> Tensor:
    """The levels of images in their shape, uint8, on the CPU.

    In parts there, which stay in a processor's cache: a photo may have many megapixels.
    """
    values = image.detach().reshape(-1)
    if not values.is_cpu:
        return (values * 255).round_().clamp_(0, 255).byte().cpu().view(image.shape)
    levels = torch.empty(values.shape, dtype=torch.uint8)
    for some, of in zip(values.split(PART), levels.split(PART), strict=True):
        of.copy_(some.mul(255).round_().clamp_(0, 255))
    return levels.view(image.shape)


def from_bytes(levels: Levels) -> Tensor:
    """Images (N, C, H, W) in [0, 1] from uint8 levels (N, H, W, C); the inverse of to_bytes."""
    return torch.from_numpy(levels).permute(0, 3, 1, 2).contiguous().float().div_(255)


def digest(image: Tensor) -> str:
    """The identity of an image (1, 3, H, W): a hash of its size and its 8-bit pixels, 32 digits."""
    height, width = image.shape[-2:]
    return hashlib.sha256(f"{width}x{height}:".encode() + to_bytes(image).tobytes()).hexdigest()[
        :32
    ]


def model_shape(height: int, width: int, *, size: int, multiple: int) -> tuple[int, int]:
    """The (height, width) at which a model sees a photo: the long side at most ``size``.

    Both are the multiples of ``multiple`` nearest to the scaled sides, and no larger than the
    photo's: nothing is enlarged, except a side shorter than ``multiple``.
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

    Antialiased bilinear and differentiable; an image that fits already is returned as it is.
    """
    # What is inside needs no clamp, nor a way back through it; a GPU would wait to be asked.
    if not image.is_cpu or not _is_inside(image.detach()):
        image = image.clamp(0, 1)
    return stretch(image, model_shape(*image.shape[-2:], size=size, multiple=multiple))


def _is_inside(image: Tensor) -> bool:
    lowest, highest = image.aminmax()
    return bool(lowest >= 0 and highest <= 1)


def stretch(image: Tensor, shape: Sequence[int], mode: str = "bilinear") -> Tensor:
    """Images (N, C, H, W) at another (height, width), antialiased; as they are if they have it."""
    if tuple(image.shape[-2:]) == tuple(shape):
        return image
    if image.is_cuda:
        return stretch_by_matrices(image, shape, mode)
    return functional.interpolate(image, list(shape), mode=mode, antialias=True)


def stretch_by_matrices(image: Tensor, shape: Sequence[int], mode: str = "bilinear") -> Tensor:
    """As `stretch`, by a matrix for the rows and one for the columns.

    CUDA's gradient of antialiased resizing adds in an order that changes from call to call; that of
    a product of matrices does not.
    """

    def weights(length: int, wanted: int) -> Tensor:
        """(wanted, length): what each new pixel takes of each old one."""
        one = torch.eye(length)[None, None]
        resized = functional.interpolate(one, (wanted, length), mode=mode, antialias=True)
        return resized[0, 0].to(image)

    rows, columns = (weights(*each) for each in zip(image.shape[-2:], shape, strict=True))
    return rows @ image @ columns.T


def middle_square(image: Tensor) -> Tensor:
    """The largest square in the middle of images (N, C, H, W)."""
    height, width = image.shape[-2:]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    return image[..., top : top + side, left : left + side]


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


def around(mask: Tensor, image: Tensor) -> Tensor:
    """The smallest rectangle of an image (1, C, H, W) that holds all of its mask (1, 1, H, W).

    Where the mask is black everywhere, the whole image.
    """
    white = mask[0, 0] > ALMOST
    if not white.any():
        return image
    rows, columns = (white.any(dim).nonzero().flatten() for dim in (1, 0))
    return image[..., int(rows[0]) : int(rows[-1]) + 1, int(columns[0]) : int(columns[-1]) + 1]


def check_side(shape: Sequence[int], kind: str) -> None:
    """Refuse a picture of (height, width) that one of Pillow's formats can't hold.

    Raises:
        UserError: so it is.
    """
    longest = LONGEST_SIDE.get(kind)
    if longest is not None and max(shape) > longest:
        raise UserError(
            f"A {kind} has at most {longest} px a side, and the picture has {shape[1]} × "
            f"{shape[0]} px: make it smaller, or save it as PNG."
        )


def as_file(levels: Levels, kind: str, **options: Any) -> bytes:
    """One picture (H, W, 3) as a file in one of Pillow's formats.

    Raises:
        UserError: the format can't hold it.
    """
    check_side(levels.shape[:2], kind)
    file = io.BytesIO()
    try:
        Image.fromarray(levels).save(file, kind, **options)
    except (OSError, ValueError) as error:  # what codecs raise where they can't
        height, width = levels.shape[:2]
        raise UserError(
            f"This picture of {width} × {height} px can't be saved as {kind} ({error}): save it "
            "as PNG, or make it smaller."
        ) from error
    return file.getvalue()


def _encode(image: Tensor, kind: str, *, exif: bytes | None, **options: Any) -> bytes:
    levels = to_bytes(image if image.dim() == 4 else image[None])
    if len(levels) != 1:
        raise ValueError(f"one image goes into one file, not {len(levels)}")
    return as_file(levels[0], kind, **options, **({"exif": exif} if exif else {}))
