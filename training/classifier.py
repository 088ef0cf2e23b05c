"""Trains the look classifier on autoencoded photos, with and without looks.

    python -m training.classifier --config training/config.yaml

Autoencoded, because edits are: so it learns looks and not the decoder's traces. Latents come from
the cache; noise on them and flips stand for the variety of edits.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from brittle.models.looks import LookClassifier
from training.config import Config, from_command_line
from training.decoder import Decode
from training.encoder import make_vae
from training.files import write_json
from training.latents import NAMES, Cache
from training.loop import Run, averaged
from training.optim import Optimiser


def load_decoder(config: Config) -> Decode:
    """The decoder of the last checkpoint, frozen."""
    decode = Decode(make_vae(config.autoencoder).decoder)
    decode.load_state_dict(averaged(config.work / "decoder.safetensors"))
    return decode.requires_grad_(False).eval()


@torch.no_grad()
def confusion(model: LookClassifier, decode: Decode, cache: Cache, photos: int) -> np.ndarray:
    """Counts (true, seen) over the first ``photos`` photos of ``cache`` in all cached looks."""
    counts = np.zeros((len(NAMES), len(NAMES)), int)
    for row in range(min(photos, len(cache.indices))):
        seen = model(decode(cache.latents[row].float()).clamp(0, 1)).argmax(1).numpy()
        np.add.at(counts, (cache.looks[row], seen), 1)
    return counts


def train(config: Config) -> None:
    """Trains, or goes on training, the classifier."""
    settings = config.classifier
    decode = load_decoder(config)
    folder = config.work / "latents"
    cache, held_out = Cache.load(folder, "train"), Cache.load(folder, "validation")
    model = LookClassifier()
    run = Run(
        config.work / "classifier.safetensors",
        model,
        Optimiser(model.named_parameters(), settings.rate, muon=False, decay=0.01),
        seed=config.seed + 3,
        steps=settings.steps,
        warmup=settings.warmup,
        decay=settings.decay,
        average_decay=settings.average,
    )
    print("resumed" if run.resume() else "new", "at step", run.step, flush=True)
    batch = settings.batch // run.workers

    def loss(step: int, rng: np.random.Generator) -> Tensor:
        model.train()
        rows = rng.integers(0, len(cache.indices), batch)
        # Untouched photos are the first column: drawn about as often as two looks.
        columns = rng.integers(-1, cache.looks.shape[1], batch).clip(min=0)
        code = cache.latents[rows, columns].float()
        strength = torch.from_numpy(rng.uniform(0, 0.35, (batch, 1, 1, 1))).float()
        with torch.no_grad():
            image = decode(code + strength * torch.randn(code.shape)).clamp(0, 1)
        flipped = torch.from_numpy(rng.random(batch) < 0.5)
        image = torch.where(flipped.view(-1, 1, 1, 1), image.flip(3), image)
        goal = torch.from_numpy(cache.looks[rows, columns])
        return F.cross_entropy(model(image), goal, label_smoothing=0.02)

    def look() -> None:
        fresh = LookClassifier()
        fresh.load_state_dict(run.average)
        counts = confusion(fresh.eval(), decode, held_out, 60)
        share = float(counts.trace() / counts.sum())
        print(f"  held out {share:.3f} right", flush=True)
        write_json(
            config.work / "classifier.json",
            {
                "step": run.step,
                "minutes": run.seconds / 60,
                "right": share,
                "names": list(NAMES),
                "confusion": counts.tolist(),
            },
        )

    run.run(loss, every=settings.every, then=look)


if __name__ == "__main__":
    train(from_command_line(__doc__ or ""))
