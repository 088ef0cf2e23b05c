"""The recipes of the pixel denoiser and of the network that immunises, in miniature."""

from pathlib import Path

import torch
from safetensors.torch import load_file

from tests.training.recipe import small_config, write_photos
from training import immuniser, pixel_denoiser


def test_the_denoiser_learns_and_is_measured(tmp_path: Path, capsys) -> None:
    write_photos(tmp_path / "photos")
    export = tmp_path / "weights" / "pixel_denoiser.safetensors"
    config = small_config(
        tmp_path, f"pixel_denoiser.export={export}", "pixel_denoiser.steps=30",
        "pixel_denoiser.batch=4", "pixel_denoiser.side=16", "pixel_denoiser.every=15",
        "pixel_denoiser.warmup=2", "pixel_denoiser.held_out=2",
    )  # fmt: skip
    pixel_denoiser.train(config)
    weights = load_file(export)
    assert all(value.dtype == torch.float16 for value in weights.values())
    printed = capsys.readouterr().out
    losses = [float(line.split()[3].rstrip(",")) for line in printed.splitlines() if "loss" in line]
    assert losses[1] < losses[0]  # what is on their first and on their last 15 steps
    assert "after 100 levels: noised" in printed


def test_the_immuniser_learns_to_move_latents(tmp_path: Path, capsys) -> None:
    write_photos(tmp_path / "photos")
    export = tmp_path / "weights" / "immuniser.safetensors"
    config = small_config(
        tmp_path, f"immuniser.export={export}", "immuniser.steps=8", "immuniser.batch=2",
        "immuniser.side=32", "immuniser.every=4", "immuniser.warmup=1",
        "immuniser.held_out=2", "immuniser.beside='encoder:steps=1'",
    )  # fmt: skip
    immuniser.train(config)
    assert all(value.dtype == torch.float16 for value in load_file(export).values())
    printed = capsys.readouterr().out
    losses = [float(line.split()[3].rstrip(",")) for line in printed.splitlines() if "loss" in line]
    assert losses[1] < losses[0]
    assert "further than every placebo" in printed
