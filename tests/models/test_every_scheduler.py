"""Edits with every scheduler that diffusers ships for these pipelines, beside the pipelines.

diffusers encodes the pictures of a batch one by one and brittle together, which differs in the last
bit. Schedulers of EDM's kind start at a sigma of 80, where latents are hundreds and float32 knows
them to 1.5e-5, so that one bit is more than a comparison of batches allows. For a picture alone
both compute the same.
"""

import contextlib
import copy
from pathlib import Path
from typing import Any

import diffusers
import pytest
import torch
from diffusers.schedulers.scheduling_utils import KarrasDiffusionSchedulers

from brittle import noise
from brittle.errors import UserError
from brittle.models import EditModel, chain, load_model
from brittle.silence import silence
from tests.models import tiny, tiny_xl

NEEDS_TORCHSDE = "DPMSolverSDEScheduler"
NAMES = sorted(
    {member.name for member in KarrasDiffusionSchedulers} - {NEEDS_TORCHSDE}
    | {"LCMScheduler", "TCDScheduler", "SASolverScheduler"}
    | {"DDIMParallelScheduler", "DDPMParallelScheduler"}
)
EDM_NAMES = ["EDMDPMSolverMultistepScheduler", "EDMEulerScheduler"]
"""Those that files alone can ask for, as CosXL's and Playground's do."""
QUICK = [*EDM_NAMES, "DDIMScheduler", "EulerDiscreteScheduler", "TCDScheduler"]
OTHERS = sorted(
    name
    for name in dir(diffusers.schedulers)
    if name.endswith("Scheduler") and name not in (*NAMES, *EDM_NAMES, NEEDS_TORCHSDE)
)
EVERY = pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[] if name in QUICK else pytest.mark.slow)
        for name in [*NAMES, *EDM_NAMES]
    ],
)
KINDS = {"img2img": "Img2Img", "inpaint": "Inpaint"}
IMAGES = torch.rand(2, 3, 16, 16, generator=torch.Generator().manual_seed(3))
MASKS = torch.zeros(2, 1, 16, 16).index_fill(-1, torch.arange(9), 1)
SEEDS = [11, 12]
ENDS = [(1, 1.0), (2, 0.5), (3, 1.0), (20, 0.05), (6, 0.6), (5, 0.99), (100, 0.02)]
"""Steps (of 100) and strengths: both ends of each, and the middle."""


def saved(pipeline: Any, folder: Path) -> EditModel:
    with silence():
        pipeline.save_pretrained(folder)
    return load_model(folder, device="cpu", dtype="float32")


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> EditModel:
    return saved(tiny.smallest(), tmp_path_factory.mktemp("models") / "smallest")


@pytest.fixture(scope="module")
def xl(tmp_path_factory) -> EditModel:
    return saved(tiny_xl.build(), tmp_path_factory.mktemp("models") / "xl")


@pytest.fixture(scope="module")
def instruct(tmp_path_factory) -> EditModel:
    return saved(tiny.smallest(unet_channels=8), tmp_path_factory.mktemp("models") / "instruct")


class OtherScheduler:
    """The files of a model with another scheduler's configuration."""

    def __init__(self, files: Any, name: str) -> None:
        self.files = files
        stated = {
            key: value for key, value in files.config("scheduler").items() if value is not None
        }
        self.scheduler = {**stated, "_class_name": name, "num_train_timesteps": 100}

    def config(self, part: str) -> Any:
        return self.scheduler if part == "scheduler" else self.files.config(part)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.files, name)


def with_scheduler(model: EditModel, name: str) -> EditModel:
    other = copy.copy(model)  # the parts are shared
    other.files = OtherScheduler(model.files, name)
    return other


def pipeline_of(model: EditModel, kind: str) -> Any:
    """diffusers' pipeline around the model's parts; it changes the scheduler as it always does.

    Only those of Stable Diffusion 1.x say themselves that latents aren't clipped.
    """
    config = {"clip_sample": False, "skip_prk_steps": True, **model.scheduler_config}
    parts = {
        part: model.part(part)
        for part in ("text_encoder", "tokenizer", "text_encoder_2", "tokenizer_2")
        if model.has(part)
    }
    checked = {"safety_checker": None, "feature_extractor": None, "requires_safety_checker": False}
    with silence():
        pipeline = getattr(diffusers, f"StableDiffusion{kind}Pipeline")(
            vae=model.vae,
            unet=model.part("denoiser"),
            scheduler=getattr(diffusers, config["_class_name"]).from_config(config),
            **parts,
            **({"add_watermarker": False} if kind.startswith("XL") else checked),
        )
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def theirs(pipeline: Any, count: int, task: chain.Task, **settings: Any) -> torch.Tensor | None:
    """What diffusers' pipeline makes; None where it can't run or makes no numbers."""
    inpaint = {"mask_image": MASKS[:count], "height": 16, "width": 16}
    try:
        _, image = tiny.run_pipeline(
            pipeline,
            IMAGES[:count],
            SEEDS[:count],
            prompt=tiny.PROMPTS[:count],
            guidance_scale=2.0,
            **settings,
            **(inpaint if task == "inpaint" else {}),
        )
    except (ValueError, TypeError, IndexError, AttributeError, RuntimeError):
        return None
    return image if image.isfinite().all() else None


def ours(model: Any, count: int, task: chain.Task, **settings: Any) -> torch.Tensor | None:
    """What brittle makes; None where it refuses."""
    try:
        with torch.inference_mode():
            plan = chain.plan(
                model,
                prompts=tiny.PROMPTS[:count],
                streams=noise.generators(SEEDS[:count]),
                shape=(16, 16),
                guidance_scale=2.0,
                task=task,
                **settings,
            )
            mask = MASKS[:count] if task == "inpaint" else None
            return chain.finish(model, chain.start(model, plan, IMAGES[:count], mask), plan)
    except UserError:
        return None


def assert_same(
    found: torch.Tensor | None, expected: torch.Tensor | None, close: float, setting: Any
) -> bool:
    """Both are the same, or nothing; whether there is something."""
    assert (found is None) == (expected is None), setting
    if found is None or expected is None:
        return False
    scale = max(1.0, float(expected.abs().max()))
    assert (found - expected).abs().max() <= close * scale, setting
    return True


@pytest.mark.parametrize("task", KINDS)
@pytest.mark.parametrize("name", NAMES)
def test_edits_equal_diffusers_at_both_ends(model, name, task):
    other = with_scheduler(model, name)
    pipeline = pipeline_of(other, KINDS[task])
    ran = 0
    for steps, strength in ENDS:
        setting = {"num_inference_steps": steps, "strength": strength}
        expected = theirs(pipeline, 2, task, **setting)
        ran += assert_same(ours(other, 2, task, **setting), expected, tiny.SAME, setting)
    assert ran >= 4


@pytest.mark.parametrize("task", KINDS)
@EVERY
def test_edits_with_stable_diffusion_xl_equal_diffusers(xl, name, task):
    other = with_scheduler(xl, name)
    pipeline = pipeline_of(other, f"XL{KINDS[task]}")
    ran = 0
    for steps, strength in ENDS[::2]:
        setting = {"num_inference_steps": steps, "strength": strength}
        expected = theirs(pipeline, 1, task, **setting)
        ran += assert_same(ours(other, 1, task, **setting), expected, 1e-5, setting)
    assert ran >= 2


@EVERY
def test_edits_by_instruction_equal_diffusers(instruct, name):
    other = with_scheduler(instruct, name)
    pipeline = pipeline_of(other, "InstructPix2Pix")
    ran = 0
    tolerance = 5e-5 if name in EDM_NAMES else 1e-5  # they begin at 80, whose last bit is 8e-6
    for steps in (1, 3):
        setting = {"num_inference_steps": steps, "image_guidance_scale": 1.5}
        expected = theirs(pipeline, 1, "instruct", **setting)
        ran += assert_same(ours(other, 1, "instruct", **setting), expected, tolerance, setting)
    assert ran


@pytest.mark.slow
@pytest.mark.parametrize("name", OTHERS)
def test_whatever_else_files_ask_for_is_the_same_or_refused(xl, name):
    other, expected = with_scheduler(xl, name), None
    setting = {"num_inference_steps": 6, "strength": 0.6}
    with contextlib.suppress(Exception):  # what diffusers raises here has no common class
        expected = theirs(pipeline_of(other, "XLImg2Img"), 1, "img2img", **setting)
    assert_same(ours(other, 1, "img2img", **setting), expected, 1e-5, setting)
