from dataclasses import replace

import pytest
import torch

from brittle import noise
from brittle.errors import UserError
from brittle.models import EditModel, chain, load_model
from tests.models import tiny

IMAGES = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(3))
SEEDS = [11, 12]


@pytest.fixture(scope="module")
def model(small_sd):
    return load_model(small_sd, device="cpu", dtype="float32")


@pytest.fixture(scope="module")
def pipeline(small_sd):
    return tiny.diffusers_img2img(small_sd)


def make_plan(model: EditModel, **settings) -> chain.EditPlan:
    defaults = {"num_inference_steps": 4, "strength": 1.0, "guidance_scale": 3.0}
    return chain.plan(
        model,
        **{
            "prompts": tiny.PROMPTS,
            "streams": noise.generators(SEEDS),
            "shape": (64, 64),
            **defaults,
            **settings,
        },
    )


def assert_equal_to(pipeline, model, images=IMAGES, scheduler_name=None, **settings):
    eta = settings.get("eta", 0.0)
    steps, decoded = tiny.run_pipeline(
        pipeline, images, SEEDS, prompt=tiny.PROMPTS, **{**settings, "eta": eta}
    )
    plan = make_plan(
        model,
        scheduler=scheduler_name,
        shape=images.shape[-2:],
        **settings,
    )
    with torch.inference_mode():
        ours = list(chain.denoise(model, chain.start(model, plan, images), plan))
        image = model.decode(ours[-1])
    assert len(ours) == plan.evaluations
    tiny.assert_same_steps(ours, steps)
    assert (image - decoded).abs().max() <= tiny.SAME


def with_scheduler(pipeline, name, **changes):
    import diffusers

    cls = getattr(diffusers, name)
    pipeline.scheduler = cls.from_config(dict(pipeline.scheduler.config) | changes)
    return pipeline


@pytest.mark.parametrize(
    "settings",
    [
        {"strength": 0.5, "num_inference_steps": 10, "guidance_scale": 7.5},
        {"strength": 1.0, "num_inference_steps": 6, "guidance_scale": 3.0},
        {"strength": 0.9, "num_inference_steps": 5, "guidance_scale": 1.0},
    ],
)
def test_plms_equals_diffusers_step_by_step(model, pipeline, settings):
    assert_equal_to(with_scheduler(pipeline, "PNDMScheduler"), model, **settings)


@pytest.mark.parametrize("eta", [0.0, 1.0])
def test_ddim_equals_diffusers_step_by_step(model, pipeline, eta):
    settings = {"strength": 0.5, "num_inference_steps": 10, "guidance_scale": 7.5, "eta": eta}
    assert_equal_to(
        with_scheduler(pipeline, "DDIMScheduler"), model, scheduler_name="ddim", **settings
    )


@pytest.mark.parametrize("name", ["PNDMScheduler", "DDIMScheduler"])
def test_v_prediction_equals_diffusers_step_by_step(small_sd, tmp_path, name):
    import json
    import shutil

    folder = tmp_path / "v"
    shutil.copytree(small_sd, folder)
    config = folder / "scheduler" / "scheduler_config.json"
    changed = json.loads(config.read_text()) | {"prediction_type": "v_prediction"}
    config.write_text(json.dumps(changed))
    pipeline = with_scheduler(tiny.diffusers_img2img(folder), name)
    model = load_model(folder, device="cpu", dtype="float32")
    short = {"PNDMScheduler": "plms", "DDIMScheduler": "ddim"}[name]
    settings = {"strength": 0.6, "num_inference_steps": 8, "guidance_scale": 3.0}
    assert_equal_to(pipeline, model, scheduler_name=short, **settings)


@pytest.mark.parametrize(
    "name", ["EulerDiscrete", "EulerAncestralDiscrete", "DPMSolverMultistep", "Heun"]
)
def test_other_schedulers_equal_diffusers_step_by_step(model, pipeline, name):
    full = f"{name}DiscreteScheduler" if name == "Heun" else f"{name}Scheduler"
    settings = {"strength": 0.6, "num_inference_steps": 5, "guidance_scale": 2.0}
    assert_equal_to(with_scheduler(pipeline, full), model, scheduler_name=full, **settings)


def test_the_embedded_model_equals_diffusers_step_by_step(embedded, photos):
    from brittle.models.loading import EMBEDDED

    pipeline = tiny.diffusers_img2img(EMBEDDED)
    settings = {"strength": 0.5, "num_inference_steps": 10, "guidance_scale": 3.0}
    assert_equal_to(pipeline, embedded, images=photos, **settings)


@pytest.mark.parametrize("scheduler", ["ddim", "plms"])
def test_recomputed_gradients_are_those_of_plain_autograd(model, scheduler):
    plan = make_plan(model, scheduler=scheduler, strength=0.8, num_inference_steps=6)

    def gradient(recompute: bool) -> torch.Tensor:
        image = IMAGES.clone().requires_grad_()
        start = chain.start(model, plan, image, recompute=recompute)
        *_, latents = chain.denoise(model, start, plan, recompute=recompute)
        model.decode(latents).square().mean().backward()
        assert image.grad is not None
        return image.grad

    plain, recomputed = gradient(False), gradient(True)
    assert plain.abs().max() > 0
    assert (plain - recomputed).norm() <= 1e-5 * plain.norm()


def test_the_gradient_of_the_whole_chain_passes_finite_differences(small_sd):
    model = load_model(small_sd, device="cpu", dtype=torch.float64, vae_dtype=torch.float64)
    plan = make_plan(model, num_inference_steps=2, guidance_scale=1.5)
    plan = replace(plan, noise=plan.noise.double())
    direction = torch.randn(IMAGES.shape, generator=torch.Generator().manual_seed(5)).double()

    def loss(image: torch.Tensor) -> torch.Tensor:
        start = chain.start(model, plan, image, recompute=True)
        *_, latents = chain.denoise(model, start, plan, recompute=True)
        return model.decode(latents).square().mean()

    image = IMAGES.double().requires_grad_()
    loss(image).backward()
    slope = (image.grad * direction).sum()
    with torch.no_grad():
        step = 1e-6
        measured = (loss(image + step * direction) - loss(image - step * direction)) / (2 * step)
    assert measured == pytest.approx(float(slope), rel=1e-5)


def test_a_row_of_the_plan_does_not_depend_on_its_neighbours(model):
    both = make_plan(model, scheduler="ddim", eta=1.0)
    alone = make_plan(
        model,
        scheduler="ddim",
        eta=1.0,
        prompts=tiny.PROMPTS[1:],
        streams=noise.generators(SEEDS[1:]),
    )
    assert torch.equal(both.noise[1:], alone.noise)
    assert torch.equal(both.encoder_noise[1:], alone.encoder_noise)
    assert torch.equal(both.step_noise[-1][1:], alone.step_noise[-1])
    assert torch.equal(both.condition.embeddings[[1, 3]], alone.condition.embeddings)


def test_gradients_are_refused_where_the_scheduler_has_none(model):
    with pytest.raises(UserError, match="choose scheduler=ddim or plms"):
        make_plan(model, scheduler="EulerDiscrete", differentiable=True)


def test_a_float64_chain_is_the_float32_chain(small_sd, model):
    exact = load_model(small_sd, device="cpu", dtype=torch.float64, vae_dtype=torch.float64)
    plan = make_plan(model, num_inference_steps=3, strength=0.7)
    with torch.inference_mode():
        *_, single = chain.denoise(model, chain.start(model, plan, IMAGES), plan)
        embeddings = exact.embed([""] * 2 + tiny.PROMPTS)
        wide = replace(plan, condition=replace(plan.condition, embeddings=embeddings))
        start = chain.start(exact, wide, IMAGES.double())
        *_, double = chain.denoise(exact, start, wide)
    torch.testing.assert_close(single.double(), double.double(), atol=1e-3, rtol=1e-3)
