"""Trains the look classifier on autoencoded photos, with and without looks.

    python -m training.classifier --config training/config.yaml

Autoencoded, because edits are: so it learns looks and not the decoder's traces. Noise on the
latents before decoding, flips and small changes of brightness stand for the variety of edits.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import Tensor

from brittle.networks.prompt_classifier import PromptClassifier
from training.config import Config, from_command_line
from training.data import to_pixels, to_tensor
from training.decoder import Decode
from training.encoder import make_vae
from training.files import write_tensors
from training.latents import NAMES, Cache
from training.loop import Run, averaged, join_workers


def load_decoder(config: Config) -> Decode:
    """The decoder of the last checkpoint, frozen."""
    decode = Decode(make_vae(config.autoencoder).decoder)
    decode.load_state_dict(averaged(config.work / "decoder.safetensors"))
    return decode.requires_grad_(False).eval()


@torch.no_grad()
def make_pictures(
    decode: Decode, cache: Cache, count: int, noise: float, seed: int
) -> dict[str, Tensor]:
    """Decoded latents: ``pixels`` (count, H, W, 3) and the number of each one's look."""
    rng = np.random.default_rng([seed, 13])
    generator = torch.Generator().manual_seed(seed)
    pixels, looks = [], []
    for start in range(0, count, 16):
        size = min(16, count - start)
        rows = rng.integers(0, len(cache.indices), size)
        columns = rng.integers(0, cache.looks.shape[1], size)
        code = cache.latents[rows, columns].float()
        strength = noise * torch.from_numpy(rng.uniform(0, 1, (size, 1, 1, 1))).float()
        code = code + strength * torch.randn(code.shape, generator=generator)
        pixels.append(to_pixels(decode(code)))
        looks.append(cache.looks[rows, columns])
    return {
        "pixels": torch.from_numpy(np.concatenate(pixels)),
        "looks": torch.from_numpy(np.concatenate(looks)),
    }


@torch.no_grad()
def confusion(model: PromptClassifier, pictures: dict[str, Tensor]) -> np.ndarray:
    """Counts (true look, seen look)."""
    counts = np.zeros((len(NAMES), len(NAMES)), int)
    pixels, looks = pictures["pixels"].numpy(), pictures["looks"].numpy()
    for i in range(0, len(pixels), 32):
        seen = model(to_tensor(pixels[i : i + 32])).argmax(1).numpy()
        np.add.at(counts, (looks[i : i + 32], seen), 1)
    return counts


def train(config: Config) -> None:
    """Trains, or goes on training, the classifier."""
    settings = config.classifier
    folder = config.work / "latents"
    if join_workers()[0] == 0:
        decode = load_decoder(config)
        for split, count in (("train", settings.pictures), ("validation", settings.pictures // 6)):
            file = config.work / "classifier" / f"{split}.safetensors"
            if not file.exists():
                cache = Cache.load(folder, split)
                write_tensors(
                    file, make_pictures(decode, cache, count, settings.noise, config.seed)
                )
    model = PromptClassifier()
    run = Run(
        config.work / "classifier.safetensors",
        model,
        settings,
        seed=config.seed + 3,
        muon=False,
        decay=0.01,
    )
    run.wait()
    run.resume()
    known = load_file(config.work / "classifier" / "train.safetensors")
    held_out = load_file(config.work / "classifier" / "validation.safetensors")
    pixels, looks = known["pixels"].numpy(), known["looks"]
    by_look = [np.flatnonzero(looks.numpy() == number) for number in range(len(NAMES))]
    batch = settings.batch // run.workers

    def loss(step: int, rng: np.random.Generator) -> Tensor:
        model.train()
        # Every look as often as every other, and as photos in none.
        drawn = rng.integers(0, len(NAMES), batch)
        rows = np.array([rng.choice(by_look[number]) for number in drawn])
        image = to_tensor(pixels[rows])
        flipped = torch.from_numpy(rng.random(batch) < 0.5).view(-1, 1, 1, 1)
        image = torch.where(flipped, image.flip(3), image)
        gain, offset = torch.from_numpy(rng.uniform(-0.08, 0.08, (2, batch, 1, 1, 1))).float()
        image = (image * (1 + gain) + offset).clamp(0, 1)
        return F.cross_entropy(model(image), looks[rows], label_smoothing=0.02)

    def look() -> None:
        fresh = PromptClassifier()
        fresh.load_state_dict(run.average)
        counts = confusion(fresh.eval(), held_out)
        share = float(counts.trace() / counts.sum())
        print(f"  held out {share:.3f} right", flush=True)
        run.note(right=share, names=list(NAMES), confusion=counts.tolist())

    run.run(loss, then=look)


if __name__ == "__main__":
    train(from_command_line(__doc__ or ""))
