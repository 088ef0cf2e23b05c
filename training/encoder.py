"""Distils the teacher's encoder into the student's.

    python -m training.encoder --config training/config.yaml

Regression on the teacher's latents, normalised per channel: so the student's latents have about
unit variance and nothing is left to fold in. The mixture of pictures is what carries the teacher's
vulnerability over: where an attack moves the teacher, the student is shown that it does.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderTiny
from safetensors.torch import load_file
from torch import Tensor, nn

from training.config import Autoencoder, Config, from_command_line, mixed_precision
from training.data import crop, jpeg, load_photos, to_tensor
from training.files import write_tensors
from training.loop import Run, averaged, join_workers
from training.teacher import LATENT_CHANNELS, load_teacher
from training.teacher_set import KINDS, attack_steps, latents, make_chunk, targets


def make_vae(settings: Autoencoder) -> AutoencoderTiny:
    """The student, untrained: encoder and decoder of diffusers' ``AutoencoderTiny``."""
    levels = len(settings.encoder_blocks)
    vae = AutoencoderTiny(
        encoder_block_out_channels=(settings.width,) * levels,
        num_encoder_blocks=settings.encoder_blocks,
        decoder_block_out_channels=(settings.decoder_width,) * levels,
        num_decoder_blocks=settings.decoder_blocks,
        latent_channels=LATENT_CHANNELS,
        scaling_factor=1.0,
    )
    return vae.to(memory_format=torch.channels_last)


class Encode(nn.Module):
    """The student's encoder on pictures in [0, 1], as the teacher's is called."""

    def __init__(self, vae: AutoencoderTiny) -> None:
        super().__init__()
        self.encoder = vae.encoder

    def forward(self, image: Tensor) -> Tensor:
        """(N, 3, H, W) in [0, 1] -> latents (N, C, H/8, W/8)."""
        return self.encoder(image * 2 - 1)


class Pool:
    """The cached pictures and latents, drawn by kind."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.files: list[Path] = []
        self.pixels: list[np.ndarray] = []
        self.codes: list[Tensor] = []
        self.places: dict[int, np.ndarray] = {k: np.empty((0, 2), int) for k in range(len(KINDS))}
        self.refresh()

    def refresh(self) -> None:
        """Reads the files that are new."""
        for file in sorted(self.folder.glob("*.safetensors")):
            if file in self.files:
                continue
            chunk, number = load_file(file), len(self.files)
            self.files.append(file)
            self.pixels.append(chunk["pixels"].numpy())
            self.codes.append(chunk["latents"])
            for kind in self.places:
                rows = np.flatnonzero(chunk["kinds"].numpy() == kind)
                new = np.stack([np.full_like(rows, number), rows], axis=1)
                self.places[kind] = np.concatenate([self.places[kind], new])

    def draw(self, kinds: np.ndarray, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
        """One random picture of each of ``kinds`` (N,): pictures in [0, 1], latents."""
        chosen = [self.places[k][rng.integers(0, len(self.places[k]))] for k in kinds]
        pixels = np.stack([self.pixels[c][r] for c, r in chosen])
        return to_tensor(pixels), torch.stack([self.codes[c][r] for c, r in chosen]).float()

    def statistics(self) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation of untouched photos' latents, (C,) each."""
        plain = [self.codes[c][r] for c, r in self.places[KINDS.index("plain")]]
        values = torch.stack(plain).float()
        return values.mean((0, 2, 3)), values.std((0, 2, 3))


@torch.no_grad()
def explained(
    encode: nn.Module, chunk: dict[str, Tensor], mean: Tensor, std: Tensor
) -> dict[str, float]:
    """R² of the normalised latents by kind, on a chunk that was not trained on."""
    view = (1, -1, 1, 1)
    goal = (chunk["latents"].float() - mean.view(view)) / std.view(view)
    pixels = chunk["pixels"].numpy()
    found = torch.cat([encode(to_tensor(pixels[i : i + 16])) for i in range(0, len(pixels), 16)])
    result = {}
    for number, kind in enumerate(KINDS):
        rows = chunk["kinds"] == number
        if rows.any():
            error = (found[rows] - goal[rows]).square().mean()
            centred = goal[rows] - goal[rows].mean((0, 2, 3), keepdim=True)
            result[kind] = round(float(1 - error / centred.square().mean()), 4)
    return result


def attack_student(
    config: Config,
    encode: nn.Module,
    teacher: nn.Module,
    mean: Tensor,
    std: Tensor,
    round_: tuple[int, int],
) -> dict[str, Tensor]:
    """Pictures that fool the student now, before and after JPEG, with the teacher's latents."""
    rng = np.random.default_rng([config.seed, 7, *round_])
    photos = load_photos(config.photos, "train")
    settings = config.teacher_set
    view = (1, -1, 1, 1)
    pixels, codes, kinds = [], [], []
    for _ in range(config.encoder.student_crops // settings.attacked):
        picked = rng.integers(0, len(photos), 2 * settings.attacked)
        crops = np.stack([crop(photos[i], rng) for i in picked])
        clean, others = np.split(crops, 2)
        goal = (targets(teacher, others, rng) - mean.view(view)) / std.view(view)
        radius = rng.integers(settings.radius[0], settings.radius[1] + 1, settings.attacked)
        pictures, _ = attack_steps(encode, clean, goal, radius, settings.steps)
        half = pictures[len(pictures) // 2]
        low, high = settings.quality
        small = np.stack([jpeg(p, int(rng.integers(low, high + 1))) for p in pictures[-1]])
        for kind, found in (("attacked", half), ("attacked", pictures[-1]), ("jpeg", small)):
            pixels.append(found)
            codes.append(latents(teacher, found))
            kinds += [KINDS.index(kind)] * len(found)
    return {
        "pixels": torch.from_numpy(np.concatenate(pixels)),
        "latents": torch.cat(codes),
        "kinds": torch.tensor(kinds, dtype=torch.uint8),
    }


def prepare(config: Config, pool: Pool, teacher: nn.Module) -> None:
    """Writes what all workers read: the latents' statistics and a chunk of validation photos."""
    if not (file := config.work / "statistics.safetensors").exists():
        mean, std = pool.statistics()
        write_tensors(file, {"mean": mean, "std": std})
    if not (file := config.work / "held_out.safetensors").exists():
        photos = load_photos(config.photos, "validation")
        write_tensors(file, make_chunk(teacher, photos, config.teacher_set, config.seed, 10**6))


def train(config: Config, until: int | None = None) -> None:
    """Trains, or goes on training, the student's encoder, at most to step ``until``."""
    settings, work = config.encoder, config.work
    pool = Pool(work / "teacher_set")
    vae = make_vae(config.autoencoder)
    encode = Encode(vae).to(config.device)
    teacher = load_teacher(config.teacher).to(config.device)
    if join_workers()[0] == 0:
        prepare(config, pool, teacher)
    run = Run(work / "encoder.safetensors", encode, settings, seed=config.seed, muon=True)
    run.wait()
    numbers = load_file(work / "statistics.safetensors")
    mean, std = (numbers[name].to(config.device) for name in ("mean", "std"))
    check = load_file(work / "held_out.safetensors")
    run.resume()
    weights = np.array([settings.weights[kind] for kind in KINDS])
    weights /= weights.sum()
    view = (1, -1, 1, 1)
    share_of_batch = settings.batch // run.workers

    def loss(step: int, rng: np.random.Generator) -> Tensor:
        image, code = pool.draw(rng.choice(len(KINDS), share_of_batch, p=weights), rng)
        image, code = image.to(config.device), code.to(config.device)
        with mixed_precision(config):
            found = encode(image).float()
        return (found - (code - mean.view(view)) / std.view(view)).square().mean()

    def look() -> None:
        fresh = Encode(make_vae(config.autoencoder))
        fresh.load_state_dict(run.average)
        scores = explained(fresh.eval(), check, mean.cpu(), std.cpu())
        print("  R2", scores, flush=True)
        run.note(r2=scores)

    for number, share in enumerate([*settings.student_at, 1.0]):
        boundary = round(share * settings.steps)
        run.run(loss, then=look, until=min(boundary, until or boundary))
        if run.step < boundary:
            return
        file = work / "teacher_set" / f"student-{number}-{run.rank}.safetensors"
        if share < 1 and not file.exists():
            chunk = attack_student(config, encode, teacher, mean, std, (number, run.rank))
            write_tensors(file, chunk)
        run.wait()
        pool.refresh()


def load_encoder(config: Config, vae: AutoencoderTiny) -> AutoencoderTiny:
    """Puts the averaged encoder of the last checkpoint into ``vae``; without one, the exported."""
    if (file := config.work / "encoder.safetensors").exists():
        Encode(vae).load_state_dict(averaged(file))
        return vae
    return AutoencoderTiny.from_pretrained(config.export / "vae", torch_dtype=torch.float32)


if __name__ == "__main__":
    train(from_command_line(__doc__ or ""))
