"""What encoder protections do to encoders, those that they were made on and others, by latents.

    python benchmarks/encoders.py OUT --photos PHOTOS [--side 256] [--count 24] [--dtype ...]
    python benchmarks/encoders.py OUT

Of each photo's square, one file each is made by `photoguard-encoder` and `encoder-away-jpeg` on
every model, by `encoder-away-everywhere` on all of them, and by the same without the models of each
--held-out (by default the embedded one and that which it was distilled from). The more visible ones
are shortened until all files of a photo have the same perceptual distance, the held-out ones to at
most that. Every model then looks at every file, as it is and after transforms, and at one random
perturbation of each kind of each file's size; so does each --unforeseen model, on which none is
made.

Reach is the distance of the latents to the unprotected photo's under the same transform, beyond
that of the kind of noise with the larger mean, as a share of what a gray picture does beyond that
noise: the ratio of means over the photos, with Fieller's bounds (95 %). A file acts *beyond noise*
where the lower bound of its distance less that of every kind (t over photos, one-sided 97.5 %) is
above 0.

With --dtype files are made on encoders of another dtype than float32, at less than half the time on
a CPU that multiplies bfloat16; all looks are taken as the latent metric takes them.

OUT/results keeps what each photo gave: without photos, the tables of that are printed. The same
command goes on from it, and several commands with a --part of the photos each may share it.
"""

import argparse
import json
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from brittle.analysis.intervals import fieller_bounds, mean_bounds
from brittle.budgets import PerceptualBudget
from brittle.errors import Unavailable
from brittle.images import read_photo, write_bytes, write_image
from brittle.metrics import PSNR, STLPIPS, Latent, Perceptual
from brittle.models import EditModel, load_model
from brittle.protections import EncoderProtection, Placebo, Protection
from brittle.record.arms import NOISES
from brittle.sources.photos import load_photos
from brittle.transforms import Transform

MODELS = ("embedded", "sd1", "sdxl", "sd3", "flux1", "flux2")
PLAIN, AWARE, EVERYWHERE = "photoguard-encoder", "encoder-away-jpeg", "encoder-away-everywhere"
HELD_OUT = "without"
BOTH = ("none", "jpeg:quality=75")
"""The transforms under which every model looks at every file."""
TRANSFORMS = (
    "none",
    "jpeg:quality=95",
    "jpeg:quality=85",
    "jpeg:quality=75",
    "jpeg:quality=65",
    "jpeg:quality=50",
    "jpeg:quality=30",
    "resize:factor=0.5",
    "gaussian-blur:sigma=1",
)
"""Those under which a model looks at files that were made on it."""
ALPHA = 0.025

GRAY = "gray"
DIGITS = 5
"""Significant ones that are kept."""


def main() -> None:
    """Measure what isn't measured yet, and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--photos", type=Path, help="a folder")
    parser.add_argument("--models", nargs="+", default=list(MODELS))
    parser.add_argument("--held-out", nargs="*", default=["embedded,flux2"])
    parser.add_argument("--unforeseen", nargs="*", default=[], help="models that only look")
    parser.add_argument("--side", type=int, default=256, help="of the squares in pixels")
    parser.add_argument("--count", type=int, default=24)
    parser.add_argument("--plain-steps", type=int, default=40)
    parser.add_argument("--steps", type=int, default=40, help="of the others")
    parser.add_argument("--dtype", help="on which files are made, as bfloat16:vae=bfloat16")
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--part", default="1/1", help="2/3: the second of every three photos")
    options = parser.parse_args()
    results = options.out / "results"
    if options.photos is not None:
        measure(options, results)
    print("\n".join(tables([kept(path) for path in sorted(results.glob("*.json"))])))


def measure(options: argparse.Namespace, results: Path) -> None:
    """Measure the photos that aren't among the results yet, while there is time."""
    end = time.monotonic() + 60 * options.minutes
    photos = load_photos(options.photos, square=options.side)
    part, parts = map(int, options.part.split("/"))
    looking = {name: load_model(name) for name in options.models}
    unforeseen = {model.name: model for model in map(load_model, options.unforeseen)}
    makers = looking
    if options.dtype is not None:
        makers = {name: load_model(name, dtype=options.dtype) for name in options.models}
    made = dict(protections(options, makers))
    for at, label in [*enumerate(photos)][: options.count][part - 1 :: parts]:
        path = results / f"{label}.json"
        photo, found = photos[label].image, kept(path)
        if made.keys() <= found["looks"].keys():
            continue
        if time.monotonic() > end:
            break
        files = dict(protected(options.out / "files", label, photo, made, at))
        add(found, looking | unforeseen, photo, files, at)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_bytes(path, json.dumps(found, indent=1).encode(), overwrite=True)
        print(f"{label}: done", flush=True)


def kept(path: Path) -> dict:
    """What a photo's file of results has, if there is one.

    Distances are by transform, seen by, and file: of the file and of each kind of noise, or of gray
    alone.
    """
    return json.loads(path.read_text()) if path.is_file() else {"looks": {}, "distances": {}}


def add(
    found: dict, models: Mapping[str, EditModel], photo: Tensor, files: dict[str, Tensor], seed: int
) -> None:
    """Measure the files that a photo's results don't have."""
    levelled = level(photo, files)
    new = {name: file for name, file in levelled.items() if name not in found["looks"]}
    found["looks"] |= {name: looks(photo, file) for name, file in new.items()}
    for text, seen_by, name, measured in distances(models, photo, new, seed):
        seen = found["distances"].setdefault(text, {}).setdefault(seen_by, {})
        seen[name] = [rounded(one) for one in measured]


# Making the files.
def protections(
    options: argparse.Namespace, models: Mapping[str, EditModel]
) -> Iterator[tuple[str, tuple[EditModel, Protection]]]:
    """Every file's protection, and the model that it is made on, by the file's name."""
    for name, model in models.items():
        yield f"{PLAIN} {name}", (model, _preset(PLAIN, steps=options.plain_steps))
        yield f"{AWARE} {name}", (model, _preset(AWARE, steps=options.steps))
    everywhere = {"": list(models)} | {
        f" {HELD_OUT} {names}": [other for other in models if other not in names.split(",")]
        for names in options.held_out
    }
    for suffix, (first, *others) in everywhere.items():
        yield (
            EVERYWHERE + suffix,
            (models[first], _preset(EVERYWHERE, steps=options.steps, with_models=others)),
        )


def _preset(name: str, **fields: object) -> EncoderProtection:
    return EncoderProtection.from_record({"name": name, **fields})


def protected(
    folder: Path,
    label: str,
    photo: Tensor,
    made: Mapping[str, tuple[EditModel, Protection]],
    seed: int,
) -> Iterator[tuple[str, Tensor]]:
    """The photo's files, from the folder where they were made before."""
    for name, (model, protection) in made.items():
        path = folder / f"{label} {name}.png"
        if not path.is_file():
            folder.mkdir(parents=True, exist_ok=True)
            write_image(path, protection(model, photo, seeds=[seed]))
        yield name, read_photo(path).image


def level(photo: Tensor, files: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The files at the smallest of their perceptual distances: the others shortened to it."""
    distances = {name: float(Perceptual().score(file, photo)) for name, file in files.items()}
    smallest = min(one for name, one in distances.items() if HELD_OUT not in name)
    budget = PerceptualBudget(radius=smallest, within=1.0)
    return {name: budget.round_inside(photo, file) for name, file in files.items()}


# Measuring them.
def looks(photo: Tensor, file: Tensor) -> dict[str, float | None]:
    """How visible a file is."""
    try:
        st_lpips = float(STLPIPS().score(file, photo))
    except Unavailable:
        st_lpips = None
    return {
        "dB": rounded(float(PSNR().score(file, photo))),
        "perceptual": rounded(float(Perceptual().score(file, photo))),
        "ST-LPIPS": None if st_lpips is None else rounded(st_lpips),
    }


def rounded(value: float) -> float:
    """The number as it is kept."""
    return float(f"{value:.{DIGITS}g}")


def distances(
    models: Mapping[str, EditModel], photo: Tensor, files: Mapping[str, Tensor], seed: int
) -> Iterator[tuple[str, str, str, list[float]]]:
    """How far each model's latents lie from the photo's: transform, seen by, file, distances."""
    arms = {
        name: [file, *(_noise(str(kind), photo, file, seed) for kind in NOISES)]
        for name, file in files.items()
    }
    for text in TRANSFORMS:
        transform = Transform.read(text)
        control = transform.apply(photo, seeds=[seed])

        def seen(model: EditModel, picture: Tensor, control: Tensor = control) -> float:
            return float(Latent().score(picture, control, model=model))

        received = {
            name: [transform.apply(one, seeds=[seed]) for one in pictures]
            for name, pictures in arms.items()
            if text in BOTH or name.startswith((PLAIN, AWARE)) or name == EVERYWHERE
        }
        for seen_by, model in models.items():
            yield text, seen_by, GRAY, [seen(model, torch.full_like(photo, 0.5))]
            for name, pictures in received.items():
                own = name == EVERYWHERE or name in (f"{PLAIN} {seen_by}", f"{AWARE} {seen_by}")
                if text in BOTH or own:
                    yield text, seen_by, name, [seen(model, one) for one in pictures]


def _noise(kind: str, photo: Tensor, file: Tensor, seed: int) -> Tensor:
    return Placebo.parse(kind).draw(photo, file, seeds=[seed])


# The tables.
class Cell:
    """One file as one model sees it under one transform, over the photos."""

    def __init__(self, photos: Sequence[dict], transform: str, seen_by: str, name: str) -> None:
        seen = [one["distances"][transform][seen_by] for one in photos]
        file, *noises = np.array([one[name] for one in seen]).T
        gray = np.array([one[GRAY][0] for one in seen])
        noise = max(noises, key=np.mean)
        self.effect, self.room = file - noise, gray - noise
        self.beyond = all(mean_bounds(file - one, ALPHA)[1] > 0 for one in noises)

    def __str__(self) -> str:
        reach, low, high = fieller_bounds(self.effect, self.room, ALPHA)
        return f"{number(reach)} [{number(low)}, {number(high)}]{'' if self.beyond else ' ·'}"


def tables(photos: Sequence[dict]) -> Iterator[str]:
    """Everything that docs/encoders.md shows."""
    if not photos:
        yield "Nothing is measured yet."
        return
    names, lookers = [*photos[0]["looks"]], [*photos[0]["distances"][TRANSFORMS[0]]]
    if any(one["distances"][TRANSFORMS[0]].keys() != set(lookers) for one in photos):
        sys.exit("Other models looked at some photos than at others: measure them in a new folder.")
    models = [name for name in lookers if f"{PLAIN} {name}" in names]
    yield f"{len(photos)} photos. Reach [95 %]; · where it is not beyond every kind of noise."
    for name in (f"{PLAIN} {{}}", f"{AWARE} {{}}", EVERYWHERE):
        yield f"\n{name.format('each')}, seen by the model that it was made on\n"
        columns = lookers if name == EVERYWHERE else models
        own = {
            text: [Cell(photos, text, model, name.format(model)) for model in columns]
            for text in TRANSFORMS
        }
        yield from table("transform", columns, own)
    for text in BOTH:
        yield f"\nMade on (rows), seen by (columns), {text}\n"
        rows = {name: [Cell(photos, text, model, name) for model in lookers] for name in names}
        yield from table("file", lookers, rows)
    yield f"\n{EVERYWHERE} after {BOTH[1]}: its effect, of that of the file made on one model\n"
    shares = {
        name: [_share(photos, f"{name} {model}", model) for model in models]
        for name in (PLAIN, AWARE)
    }
    yield from table("share of", models, shares)
    yield "\nHow visible the files are, means\n"
    yield "| file | dB | perceptual | ST-LPIPS |\n|---|---|---|---|"
    for name in names:
        values = [[one["looks"][name][what] for one in photos] for what in photos[0]["looks"][name]]
        means = ["–" if None in each else f"{np.mean(each):.3g}" for each in values]
        yield f"| {name} | {' | '.join(means)} |"


def _share(photos: Sequence[dict], name: str, model: str) -> str:
    """What the file made everywhere keeps of one model's own effect."""
    both = [Cell(photos, BOTH[1], model, one).effect for one in (EVERYWHERE, name)]
    share, low, high = fieller_bounds(*both, ALPHA)
    return f"{number(share)} [{number(low)}, {number(high)}]"


def table(
    first: str, columns: Sequence[str], rows: Mapping[str, Sequence[object]]
) -> Iterator[str]:
    """A table's lines in markdown; ``first`` names the rows."""
    yield f"| {first} | {' | '.join(columns)} |"
    yield "|---" * (len(columns) + 1) + "|"
    for name, cells in rows.items():
        yield f"| {name} | {' | '.join(map(str, cells))} |"


def number(value: float) -> str:
    """Two decimals, with a real minus sign."""
    return f"{value:.2f}".replace("-", "−")


if __name__ == "__main__":
    main()
