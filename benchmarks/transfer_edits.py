"""Whether a protection made against one editor acts on another's edits.

    python benchmarks/transfer_edits.py PHOTOS OUT [--side 128] [--count 12] [--minutes 60]

Of each photo's square, one file is made against the encoder that the models share
(`photoguard-encoder`), and one against each model's whole editor (`photoguard-diffusion`, one draw
a step). The more visible files are shortened until all of a photo have the same perceptual
distance. Every model then edits every file, and one random perturbation of each kind of each file's
size, with the same prompts, seed and recommended settings.

Reach is the perceptual distance of an edit to the unprotected photo's, beyond that of the kind of
noise with the larger mean, as a share of what a gray picture does beyond that noise: means over the
prompts, then the ratio of means over the photos with Fieller's bounds (95 %). A file acts *beyond
noise* where the lower bound of its distance less that of every kind (t over photos, one-sided 97.5
%) is above 0.

OUT/results keeps what each photo gave; the same command goes on from it.
"""

import argparse
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain, combinations
from pathlib import Path

import numpy as np
import torch
from scipy import stats
from torch import Tensor

from brittle.editors import Img2Img, Instruct
from brittle.metrics import Perceptual
from brittle.models import EditModel, load_model
from brittle.protections import DiffusionProtection, EncoderProtection, Placebo, Protection
from brittle.record.arms import NOISES
from brittle.sources.photos import load_photos
from encoders import GRAY, Cell, kept, level, looks, protected, rounded, table

MODELS = ("embedded", "embedded-instruct")
PROMPTS = ("night", "golden hour")
ENCODER = "encoder"
SCHEDULERS = {"img2img": "ddim", "instruct": "flow"}
"""Under which gradients pass through each kind of editor."""


def main() -> None:
    """Measure what isn't measured yet, and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("photos", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--models", nargs="+", default=list(MODELS))
    parser.add_argument("--side", type=int, default=128, help="of the squares in pixels")
    parser.add_argument("--count", type=int, default=10, help="photos, spread over the folder")
    parser.add_argument("--encoder-steps", type=int, default=40)
    parser.add_argument("--steps", type=int, default=20, help="against a whole editor")
    parser.add_argument("--minutes", type=float, default=60)
    options = parser.parse_args()
    end = time.monotonic() + 60 * options.minutes
    photos = load_photos(options.photos, square=options.side)
    models = {name: load_model(name) for name in options.models}
    made = dict(protections(options, models))
    done = []
    count = min(options.count, len(photos))
    for at, label in [[*enumerate(photos)][i * len(photos) // count] for i in range(count)]:
        path = options.out / "results" / f"{label}.json"
        found = kept(path)
        if not found["looks"] and time.monotonic() < end:
            files = dict(protected(options.out / "files", label, photos[label].image, made, at))
            found = measured(models, photos[label].image, files, at)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(found, indent=1))
            print(f"{label}: done", flush=True)
        if found["looks"]:
            done.append(found)
    print("\n".join(tables(done, options.models)))


def editor_of(model: EditModel) -> Img2Img | Instruct:
    """What edits with a model, at its recommended settings."""
    return Img2Img() if not model.denoiser.why_not("img2img") else Instruct()


def protections(
    options: argparse.Namespace, models: Mapping[str, EditModel]
) -> Iterator[tuple[str, tuple[EditModel, Protection]]]:
    """Every file's protection, and the model that it is made on, by the file's name."""
    first = next(iter(models.values()))
    yield (
        ENCODER,
        (
            first,
            EncoderProtection.from_record(
                {"name": "photoguard-encoder", "steps": options.encoder_steps}
            ),
        ),
    )
    for name, model in models.items():
        record = {"name": "photoguard-diffusion", "steps": options.steps, "draws": 1, "eta": 0}
        record |= {"guidance_scale": 1, "scheduler": SCHEDULERS[editor_of(model).name]}
        yield f"whole {name}", (model, DiffusionProtection.from_record(record))


def measured(
    models: Mapping[str, EditModel], photo: Tensor, files: Mapping[str, Tensor], seed: int
) -> dict:
    """How visible the files are, and what each model makes of every arm."""
    levelled = level(photo, files)
    arms = {GRAY: [torch.full_like(photo, 0.5)]}
    for name, file in levelled.items():
        noises = (Placebo.parse(str(kind)).draw(photo, file, seeds=[seed]) for kind in NOISES)
        arms[name] = [file, *noises]
    seen = {}
    for seen_by, model in models.items():
        pictures = [photo, *chain.from_iterable(arms.values())]
        edits = [edited(model, pictures, prompt, seed) for prompt in PROMPTS]
        apart = [
            rounded(float(np.mean([Perceptual().score(e[at], e[0]) for e in edits])))
            for at in range(1, len(pictures))
        ]
        parts = np.split(apart, np.cumsum([len(each) for each in arms.values()])[:-1])
        seen[seen_by] = {name: [*part] for name, part in zip(arms, parts, strict=True)}
    return {
        "looks": {name: looks(photo, file) for name, file in levelled.items()},
        "distances": {"none": seen},
    }


def edited(
    model: EditModel, pictures: Sequence[Tensor], prompt: str, seed: int
) -> Sequence[Tensor]:
    """Edits of pictures (1, 3, H, W) under the same noise."""
    count = len(pictures)
    edits = editor_of(model).edit(
        model, torch.cat(list(pictures)), prompts=[prompt] * count, seeds=[seed] * count
    )
    return edits.split(1)


# The tables.
def tables(photos: Sequence[dict], models: Sequence[str]) -> Iterator[str]:
    """Everything that docs/transfer.md shows."""
    names = [*photos[0]["looks"]]
    yield f"{len(photos)} photos. Reach [95 %]; · where it is not beyond every kind of noise."
    yield "\nMade on (rows), edited by (columns)\n"
    rows = {name: [Cell(photos, "none", model, name) for model in models] for name in names}
    yield from table("file", models, rows)
    yield "\nDistance of edits, the first file's less the second's, photo by photo [t, 95 %]\n"
    for one, other in combinations([name for name in names if name != ENCODER], 2):
        for model in models:
            yield f"- {one} − {other}, edited by {model}: {difference(photos, model, one, other)}"
    yield "\nHow visible the files are, means\n"
    yield "| file | dB | perceptual |\n|---|---|---|"
    for name in names:
        means = [np.mean([one["looks"][name][what] for one in photos]) for what in LOOKS]
        yield f"| {name} | {means[0]:.1f} | {means[1]:.2f} |"


LOOKS = ("dB", "perceptual")


def difference(photos: Sequence[dict], model: str, one: str, other: str) -> str:
    """How much farther one file's edits lie than another's, with Student's interval."""
    found = np.array(
        [
            photo["distances"]["none"][model][one][0] - photo["distances"]["none"][model][other][0]
            for photo in photos
        ]
    )
    half = stats.t.ppf(0.975, len(found) - 1) * stats.sem(found)
    return f"{found.mean():.2f} [{found.mean() - half:.2f}, {found.mean() + half:.2f}]"


if __name__ == "__main__":
    main()
