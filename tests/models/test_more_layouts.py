"""Layouts beside the published ones: other widths, heads and blocks, random."""

from typing import Any

import diffusers
import pytest
import torch

from brittle import noise
from brittle.models import chain, load_model
from brittle.silence import silence
from tests.models import tiny

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


def assert_same(folder) -> None:
    """Edits equal those of diffusers' pipeline from the same folder."""
    with silence():
        pipeline = diffusers.StableDiffusionImg2ImgPipeline.from_pretrained(
            folder, local_files_only=True, torch_dtype=torch.float32
        )
    pipeline.set_progress_bar_config(disable=True)
    _, expected = tiny.run_pipeline(pipeline, IMAGES, SEEDS, prompt=tiny.PROMPTS, **SETTINGS)
    model = load_model(folder, device="cpu", dtype="float32")
    with torch.inference_mode():
        plan = chain.plan(
            model,
            prompts=tiny.PROMPTS,
            streams=noise.generators(SEEDS),
            shape=IMAGES.shape[-2:],
            **SETTINGS,
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
