"""Edits with every scheduler that diffusers ships for these pipelines, beside the pipelines."""

import json
import shutil
from pathlib import Path
from typing import Any

import diffusers
import pytest
import torch
from diffusers.schedulers.scheduling_utils import KarrasDiffusionSchedulers

from brittle import noise
from brittle.errors import UserError
from brittle.models import chain, load_model
from brittle.silence import silence
from tests.models import tiny

NEEDS_TORCHSDE = "DPMSolverSDEScheduler"
NAMES = sorted(
    {member.name for member in KarrasDiffusionSchedulers} - {NEEDS_TORCHSDE}
    | {"LCMScheduler", "TCDScheduler", "SASolverScheduler"}
    | {"DDIMParallelScheduler", "DDPMParallelScheduler"}
)
IMAGES = torch.rand(2, 3, 16, 16, generator=torch.Generator().manual_seed(3))
MASKS = torch.zeros(2, 1, 16, 16).index_fill(-1, torch.arange(9), 1)
SEEDS = [11, 12]
ENDS = [(1, 1.0), (2, 0.5), (3, 1.0), (20, 0.05), (8, 0.6), (9, 0.99), (100, 0.02)]
"""Steps (of 100) and strengths: both ends of each, and the middle."""


@pytest.fixture(scope="module")
def saved(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "smallest"
    with silence():
        tiny.smallest().save_pretrained(folder)
    return folder


def folder_with(saved: Path, into: Path, **config: Any) -> Path:
    """The pipeline with another scheduler's configuration."""
    shutil.copytree(saved, into)
    path = into / "scheduler" / "scheduler_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | config))
    return into


def theirs(pipeline: Any, steps: int, strength: float, inpaint: bool) -> torch.Tensor | None:
    """What diffusers' pipeline makes; None where it can't run or makes no numbers."""
    extra = {"mask_image": MASKS, "height": 16, "width": 16} if inpaint else {}
    settings = {"num_inference_steps": steps, "strength": strength, "guidance_scale": 2.0}
    try:
        _, image = tiny.run_pipeline(
            pipeline, IMAGES, SEEDS, prompt=tiny.PROMPTS, **settings, **extra
        )
    except (ValueError, TypeError, IndexError, AttributeError, RuntimeError):
        return None
    return image if image.isfinite().all() else None


def ours(model: Any, steps: int, strength: float, inpaint: bool) -> torch.Tensor | None:
    """What brittle makes; None where it refuses."""
    try:
        with torch.inference_mode():
            plan = chain.plan(
                model,
                prompts=tiny.PROMPTS,
                streams=noise.generators(SEEDS),
                shape=(16, 16),
                num_inference_steps=steps,
                strength=strength,
                guidance_scale=2.0,
                inpaint=inpaint,
            )
            if inpaint:
                start = chain.start_inpaint(model, IMAGES, MASKS, plan)
            else:
                start = chain.start_img2img(model, IMAGES, plan)
            return chain.finish(model, start, plan)
    except UserError:
        return None


@pytest.mark.parametrize("inpaint", [False, True], ids=["img2img", "inpaint"])
@pytest.mark.parametrize("name", NAMES)
def test_edits_equal_diffusers_at_both_ends(saved, tmp_path, name, inpaint):
    folder = folder_with(saved, tmp_path / "model", _class_name=name, num_train_timesteps=100)
    scheduler = getattr(diffusers, name).from_pretrained(folder / "scheduler")
    make = tiny.diffusers_inpaint if inpaint else tiny.diffusers_img2img
    pipeline = make(folder, scheduler=scheduler)
    model = load_model(folder, device="cpu", dtype="float32")
    ran = 0
    for steps, strength in ENDS:
        expected = theirs(pipeline, steps, strength, inpaint)
        found = ours(model, steps, strength, inpaint)
        assert (found is None) == (expected is None), (steps, strength)
        if found is not None and expected is not None:
            scale = max(1.0, float(expected.abs().max()))
            assert (found - expected).abs().max() <= tiny.SAME * scale, (steps, strength)
            ran += 1
    assert ran >= 4
