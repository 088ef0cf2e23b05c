from pathlib import Path

import pytest
import torch

from brittle import noise
from brittle.editors import FineTune, Img2Img, Inpaint
from brittle.errors import UserError
from brittle.models import chain, load_model
from tests.models import tiny

IMAGES = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(3))
SEEDS = [11, 12]


@pytest.fixture(scope="module")
def masks() -> torch.Tensor:
    masks = torch.zeros(2, 1, 64, 64)
    masks[0, :, 10:50, 20:45] = 1
    masks[1, :, :, 30:] = 1
    return masks


@pytest.fixture(scope="module")
def small_inpainting(tmp_path_factory) -> Path:
    """As SD inpainting: a UNet of 9 input channels."""
    folder = tmp_path_factory.mktemp("models") / "nine"
    tiny.small(unet_channels=9).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module", params=[4, 9], ids=["4 channels", "9 channels"])
def folder(request, small_sd, small_inpainting) -> Path:
    return {4: small_sd, 9: small_inpainting}[request.param]


def ours(model, masks, images=IMAGES, scheduler=None, **settings):
    plan = chain.plan(
        model,
        prompts=tiny.PROMPTS,
        streams=noise.generators(SEEDS),
        shape=images.shape[-2:],
        task="inpaint",
        scheduler=scheduler,
        **settings,
    )
    with torch.inference_mode():
        steps = list(chain.denoise(model, chain.start(model, plan, images, masks), plan))
        return steps, model.decode(steps[-1])


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("plms", {"strength": 1.0, "num_inference_steps": 5, "guidance_scale": 3.0}),
        ("ddim", {"strength": 0.7, "num_inference_steps": 6, "guidance_scale": 1.0, "eta": 1.0}),
        ("ddim", {"strength": 1.0, "num_inference_steps": 4, "guidance_scale": 3.0, "eta": 0.5}),
        (
            "EulerDiscreteScheduler",
            {"strength": 1.0, "num_inference_steps": 4, "guidance_scale": 3.0},
        ),
    ],
)
def test_inpainting_equals_diffusers_step_by_step(folder, masks, name, settings):
    import diffusers

    pipeline = tiny.diffusers_inpaint(folder)
    cls = {"plms": "PNDMScheduler", "ddim": "DDIMScheduler"}.get(name, name)
    pipeline.scheduler = getattr(diffusers, cls).from_config(pipeline.scheduler.config)
    extra = {"height": 64, "width": 64, "mask_image": masks, "eta": settings.get("eta", 0.0)}
    steps, decoded = tiny.run_pipeline(
        pipeline, IMAGES, SEEDS, prompt=tiny.PROMPTS, **{**settings, **extra}
    )
    model = load_model(folder, device="cpu", dtype="float32")
    mine, image = ours(model, masks, scheduler=name, **settings)
    tiny.assert_same_steps(mine, steps)
    assert (image - decoded).abs().max() <= tiny.SAME


def test_blending_keeps_the_latents_of_any_number_of_channels(embedded, photos):
    masks = torch.zeros(2, 1, 128, 128)
    masks[..., 64:] = 1
    steps, _ = ours(
        embedded, masks, photos, strength=1.0, num_inference_steps=3, guidance_scale=3.0
    )
    with torch.inference_mode():
        clean = embedded.encode(photos)
    kept = steps[-1][..., :8] - clean[..., :8]
    painted = steps[-1][..., 8:] - clean[..., 8:]
    assert kept.abs().max() == 0
    assert painted.abs().max() > 0.1


def test_gradients_reach_the_image_through_mask_and_channels(small_inpainting, masks):
    model = load_model(small_inpainting, device="cpu", dtype="float32")
    plan = chain.plan(
        model,
        prompts=tiny.PROMPTS,
        streams=noise.generators(SEEDS),
        shape=(64, 64),
        num_inference_steps=3,
        strength=1.0,
        guidance_scale=2.0,
        scheduler="ddim",
        task="inpaint",
        differentiable=True,
    )
    gradients = []
    for recompute in (False, True):
        image = IMAGES.clone().requires_grad_()
        start = chain.start(model, plan, image, masks, recompute=recompute)
        *_, latents = chain.denoise(model, start, plan, recompute=recompute)
        model.decode(latents).square().mean().backward()
        gradients.append(image.grad)
    plain, recomputed = gradients
    outside = (1 - masks).expand_as(plain) > 0
    assert plain[outside].abs().max() > 0
    assert plain[~outside].abs().max() == 0  # a UNet made for inpainting never sees under the mask
    assert (plain - recomputed).norm() <= 1e-5 * plain.norm()


@pytest.mark.parametrize("editor", [Img2Img(), FineTune()])
def test_an_editor_that_a_model_can_not_run_is_refused_before_work(small_inpainting, editor):
    model = load_model(small_inpainting, device="cpu", dtype="float32")
    with pytest.raises(UserError, match="nine is made for inpainting"):
        editor.resolve(model)
    assert Inpaint().resolve(model).strength == 1


def test_a_unet_for_inpainting_is_refused_without_a_mask(small_inpainting):
    model = load_model(small_inpainting, device="cpu", dtype="float32")
    with pytest.raises(UserError, match="made for inpainting"):
        chain.plan(
            model,
            prompts=["a"],
            streams=noise.generators([0]),
            shape=(64, 64),
            num_inference_steps=2,
            strength=1.0,
            guidance_scale=1.0,
        )
