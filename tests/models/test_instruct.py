"""InstructPix2Pix's layout, random: beside diffusers' pipeline, its gradient, and every command."""

from dataclasses import replace
from pathlib import Path

import diffusers
import pytest
import torch

from brittle import noise
from brittle.editors import Img2Img, Inpaint, Instruct
from brittle.errors import UserError
from brittle.models import chain, load_model
from brittle.protections import DiffusionProtection
from brittle.silence import silence
from tests.models import commands, tiny

IMAGES = torch.rand(2, 3, 16, 16, generator=torch.Generator().manual_seed(3))
SEEDS = [11, 12]
GUIDANCE = {"guidance_scale": 4.0, "image_guidance_scale": 1.4}


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("models") / "instructed"
    with silence():
        tiny.smallest(unet_channels=8).save_pretrained(path)
    return path


@pytest.fixture(scope="module")
def model(folder):
    return load_model(folder, device="cpu", dtype="float32")


@pytest.fixture(scope="module")
def exact(folder):
    return load_model(folder, device="cpu", dtype=torch.float64, vae_dtype=torch.float64)


def make_plan(model, **settings):
    return chain.plan(
        model,
        prompts=tiny.PROMPTS,
        streams=noise.generators(SEEDS),
        shape=(16, 16),
        task="instruct",
        **{"num_inference_steps": 4, **GUIDANCE, **settings},
    )


def pipeline_of(model, name):
    with silence():
        pipeline = diffusers.StableDiffusionInstructPix2PixPipeline(
            vae=model.vae,
            unet=model.part("denoiser"),
            text_encoder=model.part("text_encoder"),
            tokenizer=model.part("tokenizer"),
            scheduler=getattr(diffusers, name).from_config(dict(model.scheduler_config)),
            safety_checker=None,
            feature_extractor=None,
            requires_safety_checker=False,
        )
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


@pytest.mark.parametrize("guidance_scale", [4.0, 1.0])
@pytest.mark.parametrize(
    "name",
    ["EulerAncestralDiscrete", "PNDM", "DDIM", "EulerDiscrete", "DPMSolverMultistep", "Heun"],
)
def test_edits_equal_diffusers(model, name, guidance_scale):
    name = f"{name}DiscreteScheduler" if name == "Heun" else f"{name}Scheduler"
    settings = {**GUIDANCE, "guidance_scale": guidance_scale, "num_inference_steps": 4}
    steps, expected = tiny.run_pipeline(
        pipeline_of(model, name), IMAGES, SEEDS, prompt=tiny.PROMPTS, **settings
    )
    plan = make_plan(model, scheduler=name, **settings)
    with torch.inference_mode():
        mine = list(chain.denoise(model, chain.start(model, plan, IMAGES), plan))
        image = model.decode(mine[-1])
    tiny.assert_same_steps(mine, steps)
    assert (image - expected).abs().max() <= 1e-5 * max(1.0, float(expected.abs().max()))


@pytest.mark.parametrize("scheduler", ["ddim", "plms"])
def test_recomputed_gradients_are_those_of_plain_autograd(exact, scheduler):
    plan = make_plan(exact, scheduler=scheduler, differentiable=True)
    plan = replace(plan, noise=plan.noise.double())
    gradients = []
    for recompute in (False, True):
        image = IMAGES.double().requires_grad_()
        start = chain.start(exact, plan, image, recompute=recompute)
        chain.finish(exact, start, plan, recompute=recompute).square().mean().backward()
        gradients.append(image.grad)
    plain, recomputed = gradients
    assert plain.abs().max() > 0
    assert (plain - recomputed).norm() <= 1e-12 * plain.norm()


def test_the_diffusion_protection_goes_through_the_instruction(exact):
    protection = DiffusionProtection(evaluations=2, draws=1, eta=0, prompt="make it snow")
    image = IMAGES[:1].double().requires_grad_()

    def loss(seen: torch.Tensor) -> torch.Tensor:
        prepared = protection.prepare(exact, image, mask=None, seeds=[3])
        return protection.objective(
            exact, seen, image, mask=None, seeds=[3], prepared=prepared
        ).sum()

    (gradient,) = torch.autograd.grad(loss(image), image)
    generator = torch.Generator().manual_seed(5)
    direction = torch.randn(image.shape, generator=generator, dtype=torch.float64)
    with torch.no_grad():
        ahead, behind = (float(loss(image + step * direction)) for step in (1e-5, -1e-5))
    slope = float((gradient * direction).sum())
    assert (ahead - behind) / 2e-5 == pytest.approx(slope, rel=1e-4)
    assert protection.graphs_on(exact) == 3


def test_what_a_model_was_not_taught_is_refused(model, small_sd):
    for editor in (Img2Img(), Inpaint()):
        with pytest.raises(UserError, match="follows instructions: use the editor instruct"):
            editor.resolve(model)
    with pytest.raises(UserError, match="follows no instructions: use the editor img2img"):
        Instruct().resolve(load_model(small_sd, device="cpu"))
    assert Instruct().resolve(model).image_guidance_scale == 1.5
    with pytest.raises(UserError, match="instruct edits the whole image"):
        Instruct().edit(model, IMAGES, prompts=["a"], mask=IMAGES[:, :1], seeds=SEEDS)


def test_every_command_takes_it(folder, tmp_path):
    commands.run_all(folder, "instruct:num_inference_steps=2", tmp_path)
