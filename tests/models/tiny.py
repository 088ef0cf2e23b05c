"""Pipelines of Stable Diffusion's exact layout with random weights, at reduced width."""

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch

from brittle.models.files import SD1
from brittle.silence import silence

PROMPTS = ["a bank at night", "a dog in the snow"]
SAME = 1e-4
"""Pictures in [0, 1] that differ less are the same: a fortieth of a level."""


def build(*, unet_channels: int = 4, scheduler: str = "PNDMScheduler", seed: int = 0) -> Any:
    """SD 1.5 with safety checker and feature extractor: widths divided, every depth kept."""
    import diffusers
    import transformers
    from diffusers.pipelines.stable_diffusion import StableDiffusionSafetyChecker

    from brittle.models.reading import load_tokenizer

    def config(part: str) -> dict[str, Any]:
        import json

        file = "scheduler_config.json" if part == "scheduler" else "config.json"
        return dict(json.loads((SD1 / part / file).read_text()))

    torch.manual_seed(seed)
    unet = config("unet") | {
        "block_out_channels": [32, 64, 64, 64],
        "cross_attention_dim": 32,
        "in_channels": unet_channels,
        "norm_num_groups": 8,
        "sample_size": 8,
    }
    vae = config("vae") | {"block_out_channels": [16, 16, 32, 32], "norm_num_groups": 8}
    text = config("text_encoder") | {
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_attention_heads": 4,
    }
    vision = {
        "hidden_size": 16,
        "intermediate_size": 16,
        "num_attention_heads": 2,
        "num_hidden_layers": 1,
        "image_size": 224,
        "patch_size": 112,
    }
    clip = transformers.CLIPConfig(vision_config=vision, projection_dim=16)
    pipeline = {
        4: diffusers.StableDiffusionPipeline,
        9: diffusers.StableDiffusionInpaintPipeline,
    }[unet_channels]
    with silence():
        return pipeline(
            vae=diffusers.AutoencoderKL.from_config(vae).eval(),
            unet=diffusers.UNet2DConditionModel.from_config(unet).eval(),
            text_encoder=transformers.CLIPTextModel(
                transformers.CLIPTextConfig.from_dict(text)
            ).eval(),
            tokenizer=load_tokenizer(SD1 / "tokenizer"),
            scheduler=getattr(diffusers, scheduler).from_config(config("scheduler")),
            safety_checker=StableDiffusionSafetyChecker(clip),
            feature_extractor=transformers.CLIPImageProcessor(),
        )


def smallest(*, width: int = 8, vae_levels: int = 2, unet_channels: int = 4) -> Any:
    """A pipeline whose UNet has two levels, for tests that run it hundreds of times."""
    import diffusers
    import transformers

    from brittle.models.reading import load_tokenizer

    torch.manual_seed(0)
    text = {"hidden_size": width, "intermediate_size": width, "num_attention_heads": 2}
    with silence():
        return diffusers.StableDiffusionPipeline(
            vae=diffusers.AutoencoderKL(
                down_block_types=["DownEncoderBlock2D"] * vae_levels,
                up_block_types=["UpDecoderBlock2D"] * vae_levels,
                block_out_channels=[width] * vae_levels,
                norm_num_groups=4,
            ).eval(),
            unet=diffusers.UNet2DConditionModel(
                sample_size=8,
                in_channels=unet_channels,
                down_block_types=["CrossAttnDownBlock2D", "DownBlock2D"],
                up_block_types=["UpBlock2D", "CrossAttnUpBlock2D"],
                block_out_channels=[width] * 2,
                layers_per_block=1,
                cross_attention_dim=width,
                attention_head_dim=4,
                norm_num_groups=4,
            ).eval(),
            text_encoder=transformers.CLIPTextModel(
                transformers.CLIPTextConfig(num_hidden_layers=1, **text)
            ).eval(),
            tokenizer=load_tokenizer(SD1 / "tokenizer"),
            scheduler=diffusers.PNDMScheduler.from_pretrained(SD1 / "scheduler"),
            safety_checker=None,
            feature_extractor=None,
            requires_safety_checker=False,
        )


def small(**options: Any) -> Any:
    """As `build`, with the same latents and size but a third as deep: for what any model shows."""
    return smallest(width=32, vae_levels=4, **options)


def save(folder: Path, **options: Any) -> Path:
    """Build such a pipeline and save it to ``folder``."""
    with silence():
        build(**options).save_pretrained(folder)
    return folder


def diffusers_img2img(folder: Path, **parts: Any) -> Any:
    """diffusers' own img2img pipeline from a folder, silent, without the safety checker."""
    with silence():
        from diffusers import StableDiffusionImg2ImgPipeline

        pipeline = StableDiffusionImg2ImgPipeline.from_pretrained(
            folder,
            safety_checker=None,
            feature_extractor=None,
            requires_safety_checker=False,
            torch_dtype=torch.float32,
            local_files_only=True,
            **parts,
        )
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def diffusers_inpaint(folder: Path) -> Any:
    """diffusers' own inpainting pipeline around the same parts."""
    from diffusers import StableDiffusionInpaintPipeline

    with silence():
        components = diffusers_img2img(folder).components
        pipeline = StableDiffusionInpaintPipeline(**components, requires_safety_checker=False)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def run_pipeline(
    pipeline: Any, image: torch.Tensor, seeds: list[int], **settings: Any
) -> tuple[list[torch.Tensor], torch.Tensor]:
    """The latents after every step, and the decoded image in [0, 1] before it is clamped."""
    steps: list[torch.Tensor] = []

    def collect(_: Any, __: int, ___: Any, values: dict[str, Any]) -> dict[str, Any]:
        steps.append(values["latents"].clone())
        return values

    with silence():
        latents = pipeline(
            image=image,
            generator=[torch.Generator("cpu").manual_seed(seed) for seed in seeds],
            output_type="latent",
            callback_on_step_end=collect,
            **settings,
        ).images
    with torch.no_grad():
        decoded = pipeline.vae.decode(latents / pipeline.vae.config.scaling_factor).sample
    return steps, decoded / 2 + 0.5


def assert_same_steps(ours: Sequence[torch.Tensor], theirs: Sequence[torch.Tensor]) -> None:
    """Latents after every step agree to a hundredth of what the smallest step moves.

    How float32 rounds is far less than that, and a wrong coefficient far more.
    """
    assert len(ours) == len(theirs)
    moved = min((after - before).abs().max() for before, after in pairwise(theirs))
    for mine, other in zip(ours, theirs, strict=True):
        assert (mine - other).abs().max() <= moved / 100
