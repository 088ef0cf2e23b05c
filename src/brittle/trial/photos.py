"""The photos of a trial: a folder of one's own, or the eight that brittle's dependencies bring."""

from dataclasses import replace
from importlib import resources
from pathlib import Path

from torch.nn import functional

from brittle.errors import UserError
from brittle.images import Photo, digest, quantise, read_photo

SUFFIXES = {".png", ".jpg", ".jpeg", ".webp", ".avif", ".tif", ".tiff", ".bmp", ".gif"}

SAMPLE = {
    ("skimage", "data/astronaut.png"): "NASA, public domain (scikit-image)",
    ("skimage", "data/chelsea.png"): "Stéfan van der Walt, CC0 (scikit-image)",
    ("skimage", "data/coffee.png"): "Rachel Michetti, CC0 (scikit-image)",
    ("skimage", "data/rocket.jpg"): "SpaceX, CC0 (scikit-image)",
    ("skimage", "data/camera.png"): "Lav Varshney, CC0 (scikit-image)",
    ("skimage", "data/hubble_deep_field.jpg"): "NASA, public domain (scikit-image)",
    ("skimage", "data/motorcycle_left.png"): "Middlebury Stereo 2014, CC0 (scikit-image)",
    ("matplotlib", "mpl-data/sample_data/grace_hopper.jpg"): "US Navy, public domain (Matplotlib)",
}
"""Package, path: who made it and under which licence."""


def load_photos(source: str, *, square: int | None = None) -> list[tuple[Photo, str]]:
    """Read a trial's photos in the order of their names, each with its credit (or "").

    ``source`` is ``sample``, a folder or a file. With ``square`` each is cropped to its centre and
    resampled to that many pixels a side.

    Raises:
        UserError: nothing there, two photos of one name or with the same pixels, a file that is
            no usable image.
    """
    found = _sample() if source == "sample" else [(path, "") for path in _files(Path(source))]
    photos = [(read_photo(path), credit) for path, credit in found]
    if square is not None:
        photos = [(centre_square(photo, square), credit) for photo, credit in photos]
    for what, values in (
        ("name", [photo.name for photo, _ in photos]),
        ("picture", [photo.digest for photo, _ in photos]),
    ):
        for first, value in enumerate(values):
            if value in values[:first]:
                path, other = found[first][0], found[values.index(value)][0]
                raise UserError(f"{path} and {other} have the same {what}: keep one of them.")
    return photos


def centre_square(photo: Photo, side: int) -> Photo:
    """The photo's centre as a square of ``side`` pixels: cropped, then resampled and rounded."""
    height, width = photo.image.shape[-2:]
    short = min(height, width)
    top, left = (height - short) // 2, (width - short) // 2
    centre = photo.image[..., top : top + short, left : left + short]
    if short != side:
        centre = functional.interpolate(centre, (side, side), mode="bicubic", antialias=True)
    image = quantise(centre)
    notes = [f"cropped to its centre, {side} px a side"]
    if short < side:
        notes.append(f"enlarged from {short} px")
    # What a JPEG left in the pixels does not outlast being resampled.
    traces = photo.jpeg_traces and short == side
    return replace(
        photo,
        image=image,
        alpha=None,
        notes=(*photo.notes, *notes),
        jpeg_traces=traces,
        digest=digest(image),
    )


def _sample() -> list[tuple[Path, str]]:
    return [
        (Path(str(resources.files(package) / path)), credit)
        for (package, path), credit in SAMPLE.items()
    ]


def _files(source: Path) -> list[Path]:
    if not source.exists():
        raise UserError(f"{source}: there is no such folder or photo.")
    if source.is_file():
        return [source]
    files = sorted(path for path in source.iterdir() if path.suffix.lower() in SUFFIXES)
    if not files:
        raise UserError(f"{source} holds no photos ({', '.join(sorted(SUFFIXES))}).")
    return files
