"""Pipelines of flow matching in their exact layouts with random weights, at reduced width."""

from pathlib import Path
from typing import Any

import torch

from brittle.models.files import SD1
from brittle.silence import silence

WIDTH, WIDTH_OF_T5 = 16, 40
"""Of the text encoders: as in SD 3, T5's is more than twice CLIP's."""


def t5_tokenizer() -> Any:
    """A tokenizer of T5's kind whose words are letters."""
    import transformers
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors

    special = ["<pad>", "</s>", "<unk>"]
    letters = ["▁", *"abcdefghijklmnopqrstuvwxyz"]
    words = [(word, 0.0) for word in special] + [(letter, -1.0) for letter in letters]
    tokenizer = Tokenizer(models.Unigram(words, unk_id=2))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="$A </s>", special_tokens=[("</s>", 1)]
    )
    return transformers.T5TokenizerFast(
        tokenizer_object=tokenizer, model_max_length=512, extra_ids=0
    )


def t5(vocabulary: int = 32) -> Any:
    """T5's encoder with gated activations, as in SD 3 and FLUX."""
    import transformers

    return transformers.T5EncoderModel(
        transformers.T5Config(
            vocab_size=vocabulary,
            d_model=WIDTH_OF_T5,
            d_kv=8,
            d_ff=16,
            num_layers=1,
            num_heads=2,
            feed_forward_proj="gated-gelu",
        )
    ).eval()


def clip(projected: bool) -> Any:
    """CLIP's text encoder, with a projection (SD 3) or without (FLUX)."""
    import transformers

    config = transformers.CLIPTextConfig(
        hidden_size=WIDTH,
        intermediate_size=WIDTH,
        num_attention_heads=2,
        num_hidden_layers=2,
        projection_dim=WIDTH,
        hidden_act="gelu" if projected else "quick_gelu",
    )
    kind = transformers.CLIPTextModelWithProjection if projected else transformers.CLIPTextModel
    return kind(config).eval()


def autoencoder(channels: int) -> Any:
    """Their autoencoders: shifted latents, and no convolutions around them; 4 px a latent."""
    import diffusers

    levels = 3
    return diffusers.AutoencoderKL(
        down_block_types=["DownEncoderBlock2D"] * levels,
        up_block_types=["UpDecoderBlock2D"] * levels,
        block_out_channels=[8] * levels,
        norm_num_groups=4,
        latent_channels=channels,
        sample_size=64,
        scaling_factor=1.5305,
        shift_factor=0.0609,
        use_quant_conv=False,
        use_post_quant_conv=False,
    ).eval()


def sd3(
    *,
    with_t5: bool = True,
    sample_size: int = 16,
    head: int = 8,
    heads: int = 2,
    **scheduler: Any,
) -> Any:
    """Stable Diffusion 3.5 medium: dual attention in a block, normalised queries and keys."""
    import diffusers

    from brittle.models.reading import load_tokenizer

    torch.manual_seed(0)
    with silence():
        return diffusers.StableDiffusion3Pipeline(
            transformer=diffusers.SD3Transformer2DModel(
                sample_size=sample_size,
                patch_size=2,
                in_channels=16,
                num_layers=2,
                attention_head_dim=head,
                num_attention_heads=heads,
                joint_attention_dim=WIDTH_OF_T5,
                caption_projection_dim=head * heads,
                pooled_projection_dim=2 * WIDTH,
                out_channels=16,
                pos_embed_max_size=2 * sample_size,
                dual_attention_layers=(0,),
                qk_norm="rms_norm",
            ).eval(),
            scheduler=diffusers.FlowMatchEulerDiscreteScheduler(**{"shift": 3.0, **scheduler}),
            vae=autoencoder(16),
            text_encoder=clip(projected=True),
            tokenizer=load_tokenizer(SD1 / "tokenizer"),
            text_encoder_2=clip(projected=True),
            tokenizer_2=load_tokenizer(SD1 / "tokenizer"),
            text_encoder_3=t5() if with_t5 else None,
            tokenizer_3=t5_tokenizer() if with_t5 else None,
        )


def flux(
    pipeline: str = "FluxPipeline", *, guidance: bool = True, fill: bool = False, **scheduler: Any
) -> Any:
    """FLUX.1: packed latents, positions by three axes, guidance as an embedding (dev, not schnell).

    With ``fill`` the transformer reads the masked image and the mask as well.
    """
    import diffusers

    from brittle.models.reading import load_tokenizer

    torch.manual_seed(0)
    moved = {"use_dynamic_shifting": True, "shift": 3.0, **scheduler}
    with silence():
        return getattr(diffusers, pipeline)(
            transformer=diffusers.FluxTransformer2DModel(
                patch_size=1,
                in_channels=2 * 64 + 4 * 16 if fill else 64,
                out_channels=64,
                num_layers=1,
                num_single_layers=1,
                attention_head_dim=16,
                num_attention_heads=2,
                joint_attention_dim=WIDTH_OF_T5,
                pooled_projection_dim=WIDTH,
                guidance_embeds=guidance,
                axes_dims_rope=(4, 6, 6),
            ).eval(),
            scheduler=diffusers.FlowMatchEulerDiscreteScheduler(**moved),
            vae=autoencoder(16),
            text_encoder=clip(projected=False),
            tokenizer=load_tokenizer(SD1 / "tokenizer"),
            text_encoder_2=t5(),
            tokenizer_2=t5_tokenizer(),
        )


def save(pipeline: Any, folder: Path) -> Path:
    """Save a pipeline in diffusers' format."""
    with silence():
        pipeline.save_pretrained(folder)
    return folder


def run_pipeline(
    pipeline: Any, name: str, image: torch.Tensor, seeds: list[int], **settings: Any
) -> tuple[list[torch.Tensor], torch.Tensor]:
    """As `tiny.run_pipeline`, of diffusers' pipeline ``name`` around the same parts.

    What it is called with beside the image is its size, unless the settings say otherwise.
    """
    import diffusers

    height, width = image.shape[-2:]
    with silence():
        other = getattr(diffusers, name)(**pipeline.components)
    other.set_progress_bar_config(disable=True)
    steps: list[torch.Tensor] = []

    def unpacked(latents: torch.Tensor) -> torch.Tensor:
        if latents.ndim == 4:
            return latents.clone()
        return other._unpack_latents(latents, height, width, other.vae_scale_factor)

    def collect(_: Any, __: int, ___: Any, values: dict[str, Any]) -> dict[str, Any]:
        steps.append(unpacked(values["latents"]))
        return values

    with silence():
        latents = other(
            image=image,
            height=height,
            width=width,
            generator=[torch.Generator("cpu").manual_seed(seed) for seed in seeds],
            output_type="latent",
            callback_on_step_end=collect,
            **settings,
        ).images
    vae = other.vae
    scaled = unpacked(latents) / vae.config.scaling_factor + vae.config.shift_factor
    with torch.no_grad():
        return steps, vae.decode(scaled).sample / 2 + 0.5
