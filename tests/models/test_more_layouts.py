"""Layouts beside the published ones: widths, heads, blocks, schedulers, autoencoders, random."""

from typing import Any

import diffusers
import pytest
import torch

from brittle import noise
from brittle.models import chain, load_model
from brittle.silence import silence
from tests.models import tiny, tiny_xl

IMAGES = torch.rand(2, 3, 16, 24, generator=torch.Generator().manual_seed(3))
SEEDS = [11, 12]
SETTINGS = {"num_inference_steps": 5, "strength": 0.8, "guidance_scale": 3.0}
UNETS: dict[str, dict[str, Any]] = {
    "heads by level": {"attention_head_dim": [2, 4], "block_out_channels": [8, 16]},
    "no attention in the middle": {"mid_block_type": "UNetMidBlock2D"},
    "no attention at all but the middle's": {
        "down_block_types": ["DownBlock2D"] * 2,
        "up_block_types": ["UpBlock2D"] * 2,
    },
    "linear projections, depth by level": {
        "use_linear_projection": True,
        "transformer_layers_per_block": [2, 1],
        "upcast_attention": True,
    },
    "attention to words alone": {"only_cross_attention": [True, False]},
    "scale and shift": {"resnet_time_scale_shift": "scale_shift", "dropout": 0.1},
}
SCHEDULERS: dict[str, dict[str, Any]] = {
    "velocity": {"prediction_type": "v_prediction"},
    "velocity, trailing, no signal at the end": {
        "_class_name": "DDIMScheduler",
        "prediction_type": "v_prediction",
        "timestep_spacing": "trailing",
        "rescale_betas_zero_snr": True,
    },
    "Karras": {"_class_name": "DPMSolverMultistepScheduler", "use_karras_sigmas": True},
    "exponential": {"_class_name": "EulerDiscreteScheduler", "use_exponential_sigmas": True},
    "beta": {"_class_name": "EulerDiscreteScheduler", "use_beta_sigmas": True},
}


def tiny_autoencoder() -> Any:
    """TAESD's layout in diffusers' class, of 2 px a latent."""
    torch.manual_seed(1)
    return diffusers.AutoencoderTiny(
        encoder_block_out_channels=(8, 8),
        decoder_block_out_channels=(8, 8),
        num_encoder_blocks=(1, 1),
        num_decoder_blocks=(1, 1),
        latent_channels=4,
        scaling_factor=0.7,
    ).eval()


def assert_same(folder, *, kind: str = "StableDiffusion", **settings: Any) -> None:
    """Edits equal those of diffusers' pipeline from the same folder."""
    asked = {**SETTINGS, **settings}
    with silence():
        pipeline = getattr(diffusers, f"{kind}Img2ImgPipeline").from_pretrained(
            folder, local_files_only=True, torch_dtype=torch.float32
        )
    pipeline.set_progress_bar_config(disable=True)
    _, expected = tiny.run_pipeline(pipeline, IMAGES, SEEDS, prompt=tiny.PROMPTS, **asked)
    model = load_model(folder, device="cpu", dtype="float32")
    with torch.inference_mode():
        plan = chain.plan(
            model,
            prompts=tiny.PROMPTS,
            streams=noise.generators(SEEDS),
            shape=IMAGES.shape[-2:],
            **asked,
        )
        image = chain.finish(model, chain.start(model, plan, IMAGES), plan)
    assert expected.isfinite().all()
    assert (image - expected).abs().max() <= 1e-5 * max(1.0, float(expected.abs().max()))


@pytest.mark.parametrize("name", UNETS)
def test_unets_of_other_shapes(tmp_path, name):
    pipeline = tiny.smallest()
    torch.manual_seed(2)
    with silence():
        config = {**pipeline.unet.config, **UNETS[name]}
        pipeline.unet = diffusers.UNet2DConditionModel.from_config(config).eval()
        pipeline.save_pretrained(tmp_path)
    assert_same(tmp_path)


@pytest.mark.parametrize("name", SCHEDULERS)
def test_schedulers_of_other_settings(tmp_path, name):
    pipeline = tiny.smallest()
    changes = SCHEDULERS[name]
    chosen = getattr(diffusers, changes.get("_class_name", "PNDMScheduler"))
    with silence():
        pipeline.scheduler = chosen.from_config({**pipeline.scheduler.config, **changes})
        pipeline.save_pretrained(tmp_path)
    assert_same(tmp_path, strength=1.0 if "trailing" in name else 0.8)


@pytest.mark.parametrize("kind", ["StableDiffusion", "StableDiffusionXL"])
def test_a_small_autoencoder_in_the_place_of_the_large(tmp_path, kind):
    pipeline = tiny.smallest() if kind == "StableDiffusion" else tiny_xl.build()
    pipeline.vae = tiny_autoencoder()
    with silence():
        pipeline.save_pretrained(tmp_path)
    assert_same(tmp_path, kind=kind)
