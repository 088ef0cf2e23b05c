"""Write a pipeline's weights under the names of the original Stable Diffusion checkpoints.

An independent statement of the layout: blocks are numbered as CompVis' code builds them.
"""

from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

RESNET = {
    "norm1": "in_layers.0",
    "conv1": "in_layers.2",
    "norm2": "out_layers.0",
    "conv2": "out_layers.3",
    "time_emb_proj": "emb_layers.1",
    "conv_shortcut": "skip_connection",
}
VAE_ATTENTION = {
    "group_norm": "norm",
    "to_q": "q",
    "to_k": "k",
    "to_v": "v",
    "to_out.0": "proj_out",
}


def unet_names(levels: int = 4, layers: int = 2, first: bool = False) -> dict[str, str]:
    """Prefix in diffusers -> prefix in the checkpoint; ``first``: the first level up attends."""
    names = {
        "add_embedding.linear_1": "label_emb.0.0",
        "add_embedding.linear_2": "label_emb.0.2",
        "time_embedding.linear_1": "time_embed.0",
        "time_embedding.linear_2": "time_embed.2",
        "conv_in": "input_blocks.0.0",
        "conv_norm_out": "out.0",
        "conv_out": "out.2",
        "mid_block.resnets.0": "middle_block.0",
        "mid_block.attentions.0": "middle_block.1",
        "mid_block.resnets.1": "middle_block.2",
    }
    number = 1
    for level in range(levels):
        for layer in range(layers):
            names[f"down_blocks.{level}.resnets.{layer}"] = f"input_blocks.{number}.0"
            names[f"down_blocks.{level}.attentions.{layer}"] = f"input_blocks.{number}.1"
            number += 1
        names[f"down_blocks.{level}.downsamplers.0.conv"] = f"input_blocks.{number}.0.op"
        number += 1
    number = 0
    for level in range(levels):
        for layer in range(layers + 1):
            names[f"up_blocks.{level}.resnets.{layer}"] = f"output_blocks.{number}.0"
            names[f"up_blocks.{level}.attentions.{layer}"] = f"output_blocks.{number}.1"
            number += 1
        place = 2 if level or first else 1  # after the level's attention, if it has one
        names[f"up_blocks.{level}.upsamplers.0"] = f"output_blocks.{number - 1}.{place}"
    return names


def vae_names(levels: int = 4, layers: int = 2) -> dict[str, str]:
    names = {"quant_conv": "quant_conv", "post_quant_conv": "post_quant_conv"}
    for side in ("encoder", "decoder"):
        names |= {
            f"{side}.conv_in": f"{side}.conv_in",
            f"{side}.conv_norm_out": f"{side}.norm_out",
            f"{side}.conv_out": f"{side}.conv_out",
            f"{side}.mid_block.resnets.0": f"{side}.mid.block_1",
            f"{side}.mid_block.attentions.0": f"{side}.mid.attn_1",
            f"{side}.mid_block.resnets.1": f"{side}.mid.block_2",
        }
    for level in range(levels):
        for layer in range(layers + 1):
            names[f"encoder.down_blocks.{level}.resnets.{layer}"] = (
                f"encoder.down.{level}.block.{layer}"
            )
            names[f"decoder.up_blocks.{level}.resnets.{layer}"] = (
                f"decoder.up.{levels - 1 - level}.block.{layer}"
            )
        names[f"encoder.down_blocks.{level}.downsamplers.0"] = f"encoder.down.{level}.downsample"
        names[f"decoder.up_blocks.{level}.upsamplers.0"] = (
            f"decoder.up.{levels - 1 - level}.upsample"
        )
    return names


def rename(key: str, names: dict[str, str], inner: dict[str, str]) -> str:
    prefix = max((n for n in names if key.startswith(n + ".")), key=len)
    rest = key.removeprefix(prefix + ".")
    for theirs, original in inner.items():
        if rest.startswith(theirs + "."):
            rest = original + rest.removeprefix(theirs)
            break
    return f"{names[prefix]}.{rest}"


def write(pipeline: Any, path: Path) -> Path:
    """Save a pipeline of Stable Diffusion 1.x's layout as one checkpoint."""
    tensors = _unet_and_vae(pipeline, unet_names(), vae_names())
    for key, value in pipeline.text_encoder.state_dict().items():
        name = "text_model." + key.removeprefix("text_model.")
        tensors["cond_stage_model.transformer." + name] = value
    positions = torch.arange(77)[None]
    tensors["cond_stage_model.transformer.text_model.embeddings.position_ids"] = positions
    tensors["alphas_cumprod"] = torch.ones(1000)
    return _save(tensors, path)


def write_xl(pipeline: Any, path: Path) -> Path:
    """As `write`, a pipeline of Stable Diffusion XL's layout with two levels of one layer."""
    tensors = _unet_and_vae(pipeline, unet_names(2, 1, first=True), vae_names(2, 1))
    for key, value in pipeline.text_encoder.state_dict().items():
        name = "text_model." + key.removeprefix("text_model.")
        tensors["conditioner.embedders.0.transformer." + name] = value
    for key, value in _open_clip(pipeline.text_encoder_2.state_dict()).items():
        tensors["conditioner.embedders.1.model." + key] = value
    return _save(tensors, path)


def _unet_and_vae(
    pipeline: Any, unet: dict[str, str], vae: dict[str, str]
) -> dict[str, torch.Tensor]:
    tensors: dict[str, torch.Tensor] = {}
    for key, value in pipeline.unet.state_dict().items():
        inner = RESNET if ".resnets." in key else {}
        tensors["model.diffusion_model." + rename(key, unet, inner)] = value
    for key, value in pipeline.vae.state_dict().items():
        inner = {"conv_shortcut": "nin_shortcut"} if ".resnets." in key else {}
        if ".attentions." in key:
            inner = VAE_ATTENTION
            if value.ndim == 2:  # a linear layer here was a 1 x 1 convolution there
                value = value[:, :, None, None]
        tensors["first_stage_model." + rename(key, vae, inner)] = value
    return tensors


def _open_clip(weights: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """A text encoder's weights as OpenCLIP names them: queries, keys and values in one tensor."""
    plain = {
        "embeddings.token_embedding.weight": "token_embedding.weight",
        "embeddings.position_embedding.weight": "positional_embedding",
        "final_layer_norm.": "ln_final.",
        "encoder.layers.": "transformer.resblocks.",
        "layer_norm1": "ln_1",
        "layer_norm2": "ln_2",
        "mlp.fc1": "mlp.c_fc",
        "mlp.fc2": "mlp.c_proj",
        "self_attn.out_proj": "attn.out_proj",
    }
    found = {}
    for key, value in weights.items():
        name = key.removeprefix("text_model.")
        for theirs, original in plain.items():
            name = name.replace(theirs, original)
        if name == "text_projection.weight":
            found["text_projection"] = value.T
        elif ".self_attn.q_proj." in name:
            parts = [weights[key.replace("q_proj", f"{one}_proj")] for one in "qkv"]
            joined = name.replace("self_attn.q_proj.", "attn.in_proj_")
            found[joined] = torch.cat(parts)
        elif ".self_attn." not in name and "position_ids" not in name:
            found[name] = value
    return found


def _save(tensors: dict[str, torch.Tensor], path: Path) -> Path:
    save_file({key: value.contiguous().clone() for key, value in tensors.items()}, path)
    return path
