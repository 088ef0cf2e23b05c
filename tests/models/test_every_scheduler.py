"""Edits with every scheduler that diffusers ships for these pipelines, beside the pipelines."""

import copy
from typing import Any

import diffusers
import pytest
import torch
from diffusers.schedulers.scheduling_utils import KarrasDiffusionSchedulers

from brittle import noise
from brittle.errors import UserError
from brittle.models import EditModel, chain, load_model
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
ENDS = [(1, 1.0), (2, 0.5), (3, 1.0), (20, 0.05), (6, 0.6), (5, 0.99), (100, 0.02)]
"""Steps (of 100) and strengths: both ends of each, and the middle."""


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> EditModel:
    folder = tmp_path_factory.mktemp("models") / "smallest"
    with silence():
        tiny.smallest().save_pretrained(folder)
    return load_model(folder, device="cpu", dtype="float32")


class OtherScheduler:
    """The files of a model with another scheduler's configuration."""

    def __init__(self, files: Any, name: str) -> None:
        self.files = files
        changes = {"_class_name": name, "num_train_timesteps": 100}
        self.scheduler = {**files.config("scheduler"), **changes}

    def config(self, part: str) -> Any:
        return self.scheduler if part == "scheduler" else self.files.config(part)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.files, name)


def pipeline_of(model: EditModel, inpaint: bool) -> Any:
    """diffusers' pipeline around the model's parts; it changes the scheduler as it always does."""
    kind = "Inpaint" if inpaint else "Img2Img"
    config = dict(model.scheduler_config)
    with silence():
        pipeline = getattr(diffusers, f"StableDiffusion{kind}Pipeline")(
            vae=model.vae,
            unet=model.part("denoiser"),
            text_encoder=model.part("text_encoder"),
            tokenizer=model.part("tokenizer"),
            scheduler=getattr(diffusers, config["_class_name"]).from_config(config),
            safety_checker=None,
            feature_extractor=None,
            requires_safety_checker=False,
        )
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


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
                task="inpaint" if inpaint else "img2img",
            )
            if inpaint:
                start = chain.start(model, plan, IMAGES, MASKS)
            else:
                start = chain.start(model, plan, IMAGES)
            return chain.finish(model, start, plan)
    except UserError:
        return None


@pytest.mark.parametrize("inpaint", [False, True], ids=["img2img", "inpaint"])
@pytest.mark.parametrize("name", NAMES)
def test_edits_equal_diffusers_at_both_ends(model, name, inpaint):
    other = copy.copy(model)  # the parts are shared
    other.files = OtherScheduler(model.files, name)
    pipeline = pipeline_of(other, inpaint)
    ran = 0
    for steps, strength in ENDS:
        expected = theirs(pipeline, steps, strength, inpaint)
        found = ours(other, steps, strength, inpaint)
        assert (found is None) == (expected is None), (steps, strength)
        if found is not None and expected is not None:
            scale = max(1.0, float(expected.abs().max()))
            assert (found - expected).abs().max() <= tiny.SAME * scale, (steps, strength)
            ran += 1
    assert ran >= 4
