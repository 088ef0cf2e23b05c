"""What audits say of files that no protection made, and of protections in disguise.

    python benchmarks/processings.py PHOTOS OUT [--count 40] [--size 256] [--minutes 30]

PHOTOS is a folder of photos; squares of ``--size`` px are made of them. Every processing is done to
every photo and audited with edits; OUT keeps each answer, from which the same command goes on. The
table says how many files were called protected, and of those that no protection made whether that
is more than 1 in 20 (a one-sided binomial test).
"""

import argparse
import io
import json
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter, ImageFont, ImageOps
from scipy import ndimage
from scipy.stats import binom

import brittle

Picture = NDArray[np.uint8]
Process = Callable[[Picture, np.random.Generator], Picture]
LEVELS = 255


def rounded(values: NDArray[np.floating]) -> Picture:
    """Levels (H, W, 3) as a picture."""
    return np.clip(np.rint(values), 0, LEVELS).astype(np.uint8)


def luminance(picture: Picture) -> NDArray[np.floating]:
    """Rec. 601 luma (H, W) in levels."""
    return picture @ np.array([0.299, 0.587, 0.114])


def curve(of: Callable[[NDArray[np.floating]], NDArray[np.floating]]) -> Process:
    """A tone curve from [0, 1] to [0, 1], for each channel."""
    return lambda picture, random: rounded(of(picture / LEVELS) * LEVELS)


def filtered(by: ImageFilter.Filter) -> Process:
    """One of Pillow's filters."""
    return lambda picture, random: np.asarray(Image.fromarray(picture).filter(by))


def vignette(picture: Picture, random: np.random.Generator) -> Picture:
    """Corners a third darker."""
    height, width = picture.shape[:2]
    y, x = np.meshgrid(np.linspace(-1, 1, height), np.linspace(-1, 1, width), indexing="ij")
    return rounded(picture * (1 - (x**2 + y**2)[..., None] / 6))


def written(text: str, size: float, place: tuple[float, float], opacity: float) -> Process:
    """White letters, whose height is a share of the picture's."""

    def process(picture: Picture, random: np.random.Generator) -> Picture:
        height, width = picture.shape[:2]
        letters = Image.new("L", (width, height))
        font = ImageFont.load_default(max(size * height, 8))
        at = (place[0] * width, place[1] * height)
        ImageDraw.Draw(letters).text(at, text, fill=255, font=font)
        share = np.asarray(letters)[..., None] / LEVELS * opacity
        return rounded(picture * (1 - share) + LEVELS * share)

    return process


caption = written("summer holidays", 0.07, (0.05, 0.88), 1)
watermark = written("© a photographer", 0.11, (0.03, 0.4), 0.15)


def grain(picture: Picture, random: np.random.Generator) -> Picture:
    """Film grain: soft noise of all channels together, strongest in the middle tones."""
    soft = ndimage.gaussian_filter(random.standard_normal(picture.shape[:2]), 0.7)
    tone = luminance(picture) / LEVELS
    return rounded(picture + (9 * soft / soft.std() * 2 * np.sqrt(tone * (1 - tone)))[..., None])


def texture_noise(picture: Picture, random: np.random.Generator) -> Picture:
    """Noise at 30 dB that is strong where the photo has little texture."""
    gray = luminance(picture)
    mean = ndimage.uniform_filter(gray, 7)
    texture = np.sqrt(np.maximum(ndimage.uniform_filter(gray**2, 7) - mean**2, 0))
    strength = 1 / (texture + 3)
    noise = random.standard_normal(picture.shape) * strength[..., None]
    return rounded(picture + noise * LEVELS * 10 ** (-30 / 20) / np.sqrt((noise**2).mean()))


def plain_noise(picture: Picture, random: np.random.Generator) -> Picture:
    """White noise of 4 levels."""
    return rounded(picture + 4 * random.standard_normal(picture.shape))


def frame(picture: Picture, random: np.random.Generator) -> Picture:
    """A white frame of 2 px."""
    framed = np.full_like(picture, LEVELS)
    framed[2:-2, 2:-2] = picture[2:-2, 2:-2]
    return framed


def half_size(picture: Picture, random: np.random.Generator) -> Picture:
    """Half as large and back."""
    image = Image.fromarray(picture)
    small = image.resize((image.width // 2, image.height // 2), Image.Resampling.LANCZOS)
    return np.asarray(small.resize(image.size, Image.Resampling.LANCZOS))


def palette(picture: Picture, random: np.random.Generator) -> Picture:
    """A GIF: 256 colours with dithering."""
    return np.asarray(Image.fromarray(picture).quantize(256).convert("RGB"))


def colour_cast(picture: Picture, random: np.random.Generator) -> Picture:
    """Warmer: more red and less blue."""
    return rounded(picture * np.array([1.06, 1.0, 0.94]))


def saturation(picture: Picture, random: np.random.Generator) -> Picture:
    """Colours a quarter stronger."""
    gray = luminance(picture)[..., None]
    return rounded(gray + 1.25 * (picture - gray))


def jpeg(quality: int) -> Process:
    """A JPEG, opened again."""

    def process(picture: Picture, random: np.random.Generator) -> Picture:
        file = io.BytesIO()
        Image.fromarray(picture).save(file, "JPEG", quality=quality)
        return np.asarray(Image.open(file).convert("RGB"))

    return process


def denoised(picture: Picture, random: np.random.Generator) -> Picture:
    """Total variation denoising."""
    from skimage.restoration import denoise_tv_chambolle

    return rounded(LEVELS * denoise_tv_chambolle(picture / LEVELS, 0.05, channel_axis=-1))


def shifted(picture: Picture, random: np.random.Generator) -> Picture:
    """Two pixels down and three to the right, the edges repeated."""
    return np.pad(picture, ((2, 0), (3, 0), (0, 0)), mode="edge")[:-2, :-3]


def cropped(picture: Picture, random: np.random.Generator) -> Picture:
    """Four pixels less on each side."""
    return picture[4:-4, 4:-4]


def kept(picture: Picture, random: np.random.Generator) -> Picture:
    """Nothing."""
    return picture


UNSHARP = ImageFilter.UnsharpMask(radius=2, percent=80, threshold=0)
UNPROTECTED: dict[str, Process] = {
    "sharpening": filtered(UNSHARP),
    "tone curve": curve(lambda x: x + 0.08 * np.sin(2 * np.pi * (x - 0.5))),
    "gamma 0.8": curve(lambda x: x**0.8),
    "vignette": vignette,
    "caption": caption,
    "watermark": watermark,
    "film grain": grain,
    "texture-following noise": texture_noise,
    "white frame": frame,
    "half size and back": half_size,
    "denoising": denoised,
    "median filter": filtered(ImageFilter.MedianFilter(3)),
    "GIF palette": palette,
    "colour cast": colour_cast,
    "saturation": saturation,
    "JPEG 20": jpeg(20),
}
"""What is done to a photo that nobody protected."""

DISGUISES: dict[str, Process] = {
    "nothing": kept,
    "gamma 1.1": curve(lambda x: x**1.1),
    "sharpening": filtered(UNSHARP),
    "noise": plain_noise,
    "shift": shifted,
    "white frame": frame,
    "crop": cropped,
    "caption": caption,
    "JPEG 95": jpeg(95),
}
"""What is done to a protected file."""


@dataclass(frozen=True)
class File:
    """One file to audit."""

    what: str
    """``unprotected`` or ``protected``."""
    name: str
    original: Path
    pixels: Picture

    @property
    def key(self) -> str:
        """What its answer is kept under."""
        return f"{self.original.stem} {self.what} {self.name}".replace("/", " ")


def is_protected(audited: Path, original: Path, setting: dict[str, Any]) -> dict[str, Any]:
    """What an audit says of one file."""
    document = brittle.audit(original, audited, **setting).found.document
    (result,) = document.photos[0].results
    edits, latents = result.seen_as("edits")[0], result.seen_as("latents")[0]
    return {
        "protects": edits.protects,
        "beyond noise": edits.test.stronger,
        "reach": edits.reach,
        "p": edits.test.p,
        "shift beyond noise": latents.test.stronger,
        "shift": latents.reach,
        "answer": result.answer,
    }


def files(photos: Sequence[Path], size: int, out: Path, protection: str) -> Iterator[File]:
    """Every file to audit, in turns over the photos; made where it isn't there."""
    squares = [_square(photo, size, out / "originals") for photo in photos]
    model = brittle.load_model("embedded", size=size)
    for at, original in enumerate(squares):
        picture = _read(original)
        protected = _protect(original, out, protection, model, at)
        other = squares[(at + 1) % len(squares)]
        foreign = _protect(other, out, protection, model, at + 1).astype(float) - _read(other)
        made = {("unprotected", name): process for name, process in UNPROTECTED.items()}
        made["unprotected", "another photo's protection"] = lambda picture, random, by=foreign: (
            rounded(picture + by)
        )
        for (what, name), process in made.items():
            yield File(what, name, original, process(picture, np.random.default_rng(at)))
        for name, process in DISGUISES.items():
            yield File("protected", name, original, process(protected, np.random.default_rng(at)))


def _square(photo: Path, size: int, folder: Path) -> Path:
    """The middle of a photo, ``size`` px a side."""
    path = folder / f"{photo.parent.name}-{photo.stem}.png"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        image = ImageOps.fit(
            Image.open(photo).convert("RGB"), (size, size), Image.Resampling.LANCZOS
        )
        image.save(path)
    return path


def _protect(
    original: Path, out: Path, protection: str, model: brittle.EditModel, seed: int
) -> Picture:
    path = out / "protected" / original.name
    if not path.exists():
        path.parent.mkdir(exist_ok=True)
        image = torch.from_numpy(_read(original).copy()).permute(2, 0, 1)[None].float() / LEVELS
        made = brittle.protect(image, protection, model=model, seed=seed)
        Image.fromarray(rounded(LEVELS * made[0].permute(1, 2, 0).numpy())).save(path)
    return _read(path)


def _read(path: Path) -> Picture:
    return np.asarray(Image.open(path).convert("RGB"))


def table(found: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    """Lines of a Markdown table, over the answers that there are."""
    yield "| file | of | photos | called protected | beyond noise on edits | median reach |"
    yield "|---|---|---|---|---|---|"
    groups: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for one in found.values():
        groups.setdefault((one["what"], one["name"]), []).append(one)
    for (what, name), answers in groups.items():
        protects = sum(one["protects"] for one in answers)
        beyond = sum(one["beyond noise"] for one in answers)
        reach = statistics.median(one["reach"] or 0 for one in answers)
        more = "" if what == "protected" else _more_than_chance(protects, len(answers))
        yield f"| {name} | {what} | {len(answers)} | {protects}{more} | {beyond} | {reach:.2f} |"


def _more_than_chance(hits: int, of: int) -> str:
    return " (more than 1 in 20)" if binom.sf(hits - 1, of, 0.05) <= 0.05 else ""


def main(arguments: Sequence[str] | None = None) -> None:
    """Audit what is not yet audited, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("photos", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--count", type=int, default=40)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--prompt", default="a sepia photo")
    parser.add_argument("--editor", default="img2img")
    parser.add_argument("--protection", default="photoguard-encoder")
    parser.add_argument("--minutes", type=float, default=30)
    asked = parser.parse_args(arguments)
    answers, end = asked.out / "answers.json", time.monotonic() + 60 * asked.minutes
    asked.out.mkdir(parents=True, exist_ok=True)
    found = json.loads(answers.read_text("utf-8")) if answers.exists() else {}
    photos = sorted(asked.photos.rglob("*.png"))[: asked.count]
    setting = {
        "models": [brittle.load_model("embedded", size=asked.size)],
        "transforms": [],
        "prompts": [asked.prompt],
        "editor": asked.editor,
    }
    for file in files(photos, asked.size, asked.out, asked.protection):
        if time.monotonic() > end:
            break
        if file.key not in found:
            path = asked.out / "file.png"
            Image.fromarray(file.pixels).save(path)
            said = is_protected(path, file.original, setting)
            found[file.key] = {"what": file.what, "name": file.name, **said}
            answers.write_text(json.dumps(found, indent=1), "utf-8")
    print("\n".join(table(found)))


if __name__ == "__main__":
    main()
