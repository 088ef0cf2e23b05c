"""Trains the remover, after LightShed: pairs of a photo and what protections made of it.

    python -m training.remover --config training/config.yaml

The embedded model protects crops with each of the settings that the configuration names, at a
radius drawn for each chunk; the network learns to give back the crop. A share of its pictures is
untouched, so that it leaves such photos alone. The digest that it prints goes into
``networks/remover.py``, and the transform's version is raised with it. ``--set
remover.without=NAME`` leaves out the pairs of one protection, into files of its own: does the
network take off what it has never seen? (``nothing`` leaves out none, for the comparison.)
"""

from __future__ import annotations

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor

from brittle.budgets import LinfBudget
from brittle.errors import UserError
from brittle.images import from_bytes
from brittle.models import load_model
from brittle.networks.remover import RemoverNetwork
from brittle.protections import Protection
from training.config import Config, from_command_line
from training.data import SIZE, crop, load_photos, to_pixels, to_tensor
from training.files import write_tensors
from training.loop import Run


def make_pairs(config: Config) -> None:
    """Writes the chunks of pairs that are not there: originals, protected crops and their kinds."""
    settings, photos = config.remover, load_photos(config.photos, "train")
    model = load_model("embedded", device="cpu", dtype="float32", size=SIZE)
    kinds = [Protection.parse(text) for text in settings.protections.values()]
    for number in range(settings.chunks):
        file = config.work / "remover" / f"pairs-{number:03}.safetensors"
        if file.exists():
            continue
        rng = np.random.default_rng([config.seed, 21, number])
        parts = []
        for kind, protection in enumerate(kinds):
            chosen = rng.choice(len(photos), settings.crops, replace=False)
            pixels = np.stack([crop(photos[row], rng) for row in chosen])
            budget = LinfBudget(radius=float(rng.uniform(*settings.radius)) / 255)
            seeds = [int(seed) for seed in rng.integers(2**62, size=settings.crops)]
            protected = protection.with_budget(budget)(model, from_bytes(pixels), seeds=seeds)
            parts.append((pixels, to_pixels(protected), np.full(settings.crops, kind)))
        columns = zip(("original", "protected", "kind"), zip(*parts, strict=True), strict=True)
        write_tensors(file, {name: torch.from_numpy(np.concatenate(c)) for name, c in columns})
        print(f"chunk {number + 1} of {settings.chunks}", flush=True)


def load_pairs(config: Config) -> tuple[np.ndarray, np.ndarray]:
    """All pairs but those of the protection to be left out: two (N, H, W, 3) of 8 bits."""
    files = sorted((config.work / "remover").glob("pairs-*.safetensors"))
    chunks = [load_file(file) for file in files]
    original, protected, kind = (
        torch.cat([chunk[name] for chunk in chunks]).numpy()
        for name in ("original", "protected", "kind")
    )
    names = np.array([*config.remover.protections])
    kept = names[kind] != config.remover.without
    return original[kept], protected[kept]


def train(config: Config) -> None:
    """Trains, or goes on training, the remover; the averaged weights go to its file at the end."""
    settings = config.remover
    if settings.without not in ("", "nothing", *settings.protections):
        raise UserError(f"remover.without: {settings.without} is none of remover.protections.")
    make_pairs(config)
    original, protected = load_pairs(config)
    name = f"remover-without-{settings.without}" if settings.without else "remover"
    network = RemoverNetwork()
    run = Run(
        config.work / f"{name}.safetensors",
        network,
        settings,
        seed=config.seed + 4,
        muon=False,
        decay=0.01,
    )
    run.resume()

    def loss(step: int, rng: np.random.Generator) -> Tensor:
        rows = rng.integers(len(original), size=settings.batch)
        place = rng.integers(SIZE - settings.side + 1, size=(settings.batch, 2))
        clean, seen = (
            to_tensor(np.stack([
                pixels[row, top : top + settings.side, left : left + settings.side]
                for row, (top, left) in zip(rows, place, strict=True)
            ]))
            for pixels in (original, protected)
        )  # fmt: skip
        untouched = torch.from_numpy(rng.random(settings.batch) < settings.untouched)
        seen = torch.where(untouched.view(-1, 1, 1, 1), clean, seen)
        return (network(seen) - clean).abs().mean() * 255

    run.run(loss)
    file = config.work / f"{name}-weights.safetensors" if settings.without else settings.export
    run.publish(file)


if __name__ == "__main__":
    train(from_command_line(__doc__ or ""))
