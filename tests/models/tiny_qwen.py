"""Qwen-Image-Edit's exact layout with random weights, at reduced width."""

from pathlib import Path
from typing import Any

import torch
from PIL import Image

from brittle.silence import silence

_WORDS = ("im_start", "im_end", "vision_start", "vision_end", "image_pad", "video_pad")
WIDTH = 16


def tokenizer() -> Any:
    """A tokenizer of Qwen2's kind whose words are bytes."""
    import transformers
    from transformers.convert_slow_tokenizer import bytes_to_unicode

    letters = bytes_to_unicode().values()
    return transformers.Qwen2Tokenizer(
        vocab={letter: number for number, letter in enumerate(letters)},
        merges=[],
        additional_special_tokens=[f"<|{word}|>" for word in _WORDS],
    )


def processor() -> Any:
    """Qwen2-VL's, which can't be made whole without torchvision, and needs it for films alone."""
    import transformers

    made = object.__new__(transformers.Qwen2VLProcessor)
    pixels = {"shortest_edge": 56 * 56, "longest_edge": 28 * 28 * 16}
    made.image_processor = transformers.Qwen2VLImageProcessorPil(size=pixels)
    made.tokenizer = tokenizer()
    made.image_token, made.video_token = "<|image_pad|>", "<|video_pad|>"
    made.image_token_id = made.tokenizer.convert_tokens_to_ids(made.image_token)
    made.video_token_id = made.tokenizer.convert_tokens_to_ids(made.video_token)
    made.chat_template = None
    return made


def reader(words: Any) -> Any:
    """Qwen2.5-VL: windows in one layer of its vision encoder, all of the picture in the other."""
    import transformers

    config = transformers.Qwen2_5_VLConfig(
        text_config={
            "vocab_size": len(words),
            "hidden_size": WIDTH,
            "intermediate_size": WIDTH,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "num_key_value_heads": 1,
            "rope_parameters": {
                "rope_type": "default",
                "mrope_section": [1, 1, 2],
                "rope_theta": 1e6,
            },
        },
        vision_config={
            "depth": 2,
            "hidden_size": WIDTH,
            "intermediate_size": WIDTH,
            "num_heads": 2,
            "out_hidden_size": WIDTH,
            "fullatt_block_indexes": [1],
            "window_size": 56,
        },
        image_token_id=words.convert_tokens_to_ids("<|image_pad|>"),
        video_token_id=words.convert_tokens_to_ids("<|video_pad|>"),
    )
    return transformers.Qwen2_5_VLForConditionalGeneration(config).eval()


def build(pipeline: str = "QwenImageEditPipeline", **transformer: Any) -> Any:
    """A pipeline whose autoencoder has 4 px a latent, so that pictures may be small."""
    import diffusers

    torch.manual_seed(0)
    words = processor()
    with silence():
        return getattr(diffusers, pipeline)(
            transformer=diffusers.QwenImageTransformer2DModel(
                num_layers=2,
                attention_head_dim=16,
                num_attention_heads=2,
                joint_attention_dim=WIDTH,
                axes_dims_rope=(4, 6, 6),
                **transformer,
            ).eval(),
            scheduler=diffusers.FlowMatchEulerDiscreteScheduler(
                use_dynamic_shifting=True,
                base_shift=0.5,
                max_shift=0.9,
                max_image_seq_len=8192,
                shift_terminal=0.02,
            ),
            vae=diffusers.AutoencoderKLQwenImage(
                base_dim=4, dim_mult=[1, 2, 2], temperal_downsample=[False, True], num_res_blocks=1
            ).eval(),
            text_encoder=reader(words.tokenizer),
            tokenizer=words.tokenizer,
            processor=words,
        )


def save(pipeline: Any, folder: Path, **options: Any) -> Path:
    """Save a pipeline as it is published: its processor's files lie by themselves."""
    import json

    with silence():
        for part in ("transformer", "vae", "text_encoder"):
            getattr(pipeline, part).save_pretrained(folder / part, **options)
        pipeline.scheduler.save_pretrained(folder / "scheduler")
        for part in ("tokenizer", "processor"):
            pipeline.tokenizer.save_pretrained(folder / part)
        pipeline.processor.image_processor.save_pretrained(folder / "processor")
    parts = {
        part: [library, type(getattr(pipeline, part)).__name__]
        for library, parts in (
            ("diffusers", ("transformer", "vae", "scheduler")),
            ("transformers", ("text_encoder", "tokenizer", "processor")),
        )
        for part in parts
    }
    index = {"_class_name": type(pipeline).__name__, **parts}
    (folder / "model_index.json").write_text(json.dumps(index))
    return folder


def run_pipeline(
    pipeline: Any, image: torch.Tensor, seed: int, **settings: Any
) -> tuple[list[torch.Tensor], torch.Tensor]:
    """The latents after every step, and the decoded image in [0, 1] before it is clamped.

    Of one image, whose size the pipeline has to keep by itself.
    """
    height, width = image.shape[-2:]
    photo = Image.fromarray((image[0] * 255).round().byte().permute(1, 2, 0).numpy())
    pipeline.set_progress_bar_config(disable=True)
    steps: list[torch.Tensor] = []

    def unpacked(latents: torch.Tensor) -> torch.Tensor:
        return pipeline._unpack_latents(latents, height, width, pipeline.vae_scale_factor)

    def collect(_: Any, __: int, ___: Any, values: dict[str, Any]) -> dict[str, Any]:
        steps.append(unpacked(values["latents"])[:, :, 0])
        return values

    with silence():
        latents = pipeline(
            image=photo,
            height=height,
            width=width,
            generator=[torch.Generator("cpu").manual_seed(seed)],
            output_type="latent",
            callback_on_step_end=collect,
            **settings,
        ).images
    vae = pipeline.vae
    deviation, mean = (
        torch.tensor(values)[:, None, None, None]
        for values in (vae.config.latents_std, vae.config.latents_mean)
    )
    with torch.no_grad():
        scaled = vae.post_quant_conv(unpacked(latents) * deviation + mean)
        return steps, vae.decoder(scaled)[:, :, 0] / 2 + 0.5
