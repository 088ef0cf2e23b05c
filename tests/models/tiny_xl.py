"""Pipelines of Stable Diffusion XL's layout with random weights, at reduced width and depth."""

from typing import Any

import torch

from brittle.models.files import SD1
from brittle.silence import silence


def build(*, unet_channels: int = 4, width: int = 8, scores: bool = False, **scheduler: Any) -> Any:
    """A text-to-image pipeline; with ``scores`` its UNet is told what the refiner's is."""
    import diffusers
    import transformers

    from brittle.models.reading import load_tokenizer

    torch.manual_seed(0)
    text = {
        "hidden_size": width,
        "intermediate_size": width,
        "num_attention_heads": 2,
        "num_hidden_layers": 2,
        "projection_dim": width,
    }
    second = load_tokenizer(SD1 / "tokenizer")
    second.pad_token = "!"
    with silence():
        return diffusers.StableDiffusionXLPipeline(
            vae=diffusers.AutoencoderKL(
                down_block_types=["DownEncoderBlock2D"] * 2,
                up_block_types=["UpDecoderBlock2D"] * 2,
                block_out_channels=[width] * 2,
                norm_num_groups=4,
                sample_size=1024,
                scaling_factor=0.13025,
                force_upcast=True,
            ).eval(),
            unet=diffusers.UNet2DConditionModel(
                sample_size=16,
                in_channels=unet_channels,
                down_block_types=["DownBlock2D", "CrossAttnDownBlock2D"],
                up_block_types=["CrossAttnUpBlock2D", "UpBlock2D"],
                block_out_channels=[width] * 2,
                layers_per_block=1,
                transformer_layers_per_block=[1, 2],
                cross_attention_dim=2 * width,
                attention_head_dim=2,
                norm_num_groups=4,
                use_linear_projection=True,
                addition_embed_type="text_time",
                addition_time_embed_dim=4,
                projection_class_embeddings_input_dim=4 * (5 if scores else 6) + width,
            ).eval(),
            text_encoder=transformers.CLIPTextModel(transformers.CLIPTextConfig(**text)).eval(),
            text_encoder_2=transformers.CLIPTextModelWithProjection(
                transformers.CLIPTextConfig(**text, hidden_act="gelu")
            ).eval(),
            tokenizer=load_tokenizer(SD1 / "tokenizer"),
            tokenizer_2=second,
            scheduler=diffusers.EulerDiscreteScheduler(
                beta_start=0.00085,
                beta_end=0.012,
                beta_schedule="scaled_linear",
                steps_offset=1,
                **scheduler,
            ),
        )
