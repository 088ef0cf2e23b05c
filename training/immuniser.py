"""Trains the network of the protection `feed-forward`, after DiffVax.

    python -m training.immuniser --config training/config.yaml

It gives a perturbation for a photo in one pass. What is maximised is the mean logarithm of how far
the embedded model's latent of the photo moves, both as they are and, in a share of the photos,
after a JPEG (its differentiable form). Each photo has a radius of its own. The digest that is
printed goes into ``networks/immuniser.py``, and the protection's version is raised with it.

At the end it is measured on photos of the validation split, at 12.75 of 255 levels: how far latents
move beside every placebo, the tile of `universal` and a short PGD, and the processor time.
"""

from __future__ import annotations

import time

import numpy as np
import torch
from torch import Tensor, nn

from brittle.budgets import LinfBudget
from brittle.component import registry
from brittle.images import from_bytes
from brittle.models import EditModel, load_model
from brittle.networks.immuniser import Immuniser
from brittle.protections import Protection, Universal
from brittle.transforms import Transform
from brittle.transforms.soft_jpeg import soft_jpeg
from training.config import Config, from_command_line
from training.data import SIZE, crop, load_photos, to_tensor
from training.loop import Run


def train(config: Config) -> None:
    """Trains, or goes on training; the averaged weights go to their file at the end."""
    settings, photos = config.immuniser, load_photos(config.photos, "train")
    model = load_model("embedded", device="cpu", dtype="float32", size=SIZE)
    network = Immuniser().to(memory_format=torch.channels_last)
    nn.init.normal_(network.leave.weight, std=0.02)  # at the photo itself there is no gradient
    run = Run(
        config.work / "immuniser.safetensors", network, settings, seed=config.seed + 6, muon=True
    )
    run.resume()

    def loss(step: int, rng: np.random.Generator) -> Tensor:
        rows = rng.integers(len(photos), size=settings.batch)
        clean = to_tensor(np.stack([crop(photos[row], rng, settings.side) for row in rows]))
        radius = torch.from_numpy(rng.uniform(*settings.radius, settings.batch)).float() / 255
        moved = (clean + network(clean, radius)).clamp(0, 1)
        pairs = torch.stack([moved, clean])
        compressed = rng.random(settings.batch) < settings.compressed
        if compressed.any():
            quality = torch.from_numpy(rng.integers(*settings.quality, int(compressed.sum())))
            pairs[:, compressed] = torch.stack(
                [soft_jpeg(one[compressed], quality, "4:2:0") for one in (moved, clean)]
            )
        there = model.encode_to_attack(pairs[0])
        with torch.no_grad():
            here = model.encode_to_attack(pairs[1])
        return -(there - here).square().flatten(1).sum(1).clamp_min(1e-12).log().mean()

    run.run(loss)
    run.publish(settings.export)
    measure(config, model, network)


@torch.no_grad()
def measure(config: Config, model: EditModel, network: Immuniser) -> None:
    """Prints how far the latents of held-out photos move, as medians, and what it costs."""
    photos = load_photos(config.photos, "validation")[: config.immuniser.held_out]
    image, seeds = from_bytes(np.stack([crop(photo) for photo in photos])), [*range(len(photos))]
    budget = LinfBudget(radius=12.75 / 255)
    started = time.process_time()
    moved = network(image, torch.full((len(image),), budget.radius))
    print(f"feed-forward: {(time.process_time() - started) / len(image):.3f} s a photo")
    files = {"feed-forward": budget.round_inside(image, image + moved)}
    for name, kind in registry("placebo").components.items():
        files[name] = kind().draw(image, files["feed-forward"], seeds=seeds)
    files["universal"] = Universal()(model, image, seeds=seeds)
    started = time.process_time()
    pgd = Protection.parse(config.immuniser.beside).with_budget(budget)
    files["pgd"] = pgd(model, image, seeds=seeds)
    print(f"{pgd}: {(time.process_time() - started) / len(image):.1f} s a photo")
    for text in ("none", "jpeg:quality=75"):
        receive = Transform.parse(text).apply
        control = model.encode(receive(image))
        distances = {
            name: (model.encode(receive(file)) - control).flatten(1).norm(dim=1)
            for name, file in files.items()
        }
        most = torch.stack([distances[name] for name in registry("placebo").components]).amax(0)
        further = int((distances["feed-forward"] > most).sum())
        print(text, {name: round(float(one.median()), 1) for name, one in distances.items()})
        print(f"  further than every placebo: {further} of {len(image)} photos")


if __name__ == "__main__":
    train(from_command_line(__doc__ or ""))
