"""The transformers of FLUX.1 and Stable Diffusion 3, from their makers' names to diffusers'."""

import re
from collections.abc import Mapping

import torch
from torch import Tensor

from brittle.errors import UserError

Names = Mapping[str, str | tuple[str, ...]]
"""By the original name without ``.weight``; of several new ones each gets a part of the rows."""


def _attention(name: str, of: str = "to_{}") -> tuple[str, ...]:
    return tuple(f"{name}.{of.format(one)}" for one in "qkv")


_FLUX: Names = {
    "time_in.in_layer": "time_text_embed.timestep_embedder.linear_1",
    "time_in.out_layer": "time_text_embed.timestep_embedder.linear_2",
    "vector_in.in_layer": "time_text_embed.text_embedder.linear_1",
    "vector_in.out_layer": "time_text_embed.text_embedder.linear_2",
    "guidance_in.in_layer": "time_text_embed.guidance_embedder.linear_1",
    "guidance_in.out_layer": "time_text_embed.guidance_embedder.linear_2",
    "txt_in": "context_embedder",
    "img_in": "x_embedder",
    "final_layer.linear": "proj_out",
    "final_layer.adaLN_modulation.1": "norm_out.linear",
    "double_blocks.img_mod.lin": "transformer_blocks.norm1.linear",
    "double_blocks.txt_mod.lin": "transformer_blocks.norm1_context.linear",
    "double_blocks.img_attn.qkv": _attention("transformer_blocks.attn"),
    "double_blocks.txt_attn.qkv": _attention("transformer_blocks.attn", "add_{}_proj"),
    "double_blocks.img_attn.norm.query_norm": "transformer_blocks.attn.norm_q",
    "double_blocks.img_attn.norm.key_norm": "transformer_blocks.attn.norm_k",
    "double_blocks.txt_attn.norm.query_norm": "transformer_blocks.attn.norm_added_q",
    "double_blocks.txt_attn.norm.key_norm": "transformer_blocks.attn.norm_added_k",
    "double_blocks.img_attn.proj": "transformer_blocks.attn.to_out.0",
    "double_blocks.txt_attn.proj": "transformer_blocks.attn.to_add_out",
    "double_blocks.img_mlp.0": "transformer_blocks.ff.net.0.proj",
    "double_blocks.img_mlp.2": "transformer_blocks.ff.net.2",
    "double_blocks.txt_mlp.0": "transformer_blocks.ff_context.net.0.proj",
    "double_blocks.txt_mlp.2": "transformer_blocks.ff_context.net.2",
    "single_blocks.modulation.lin": "single_transformer_blocks.norm.linear",
    "single_blocks.linear1": (
        *_attention("single_transformer_blocks.attn"),
        "single_transformer_blocks.proj_mlp",
    ),
    "single_blocks.linear2": "single_transformer_blocks.proj_out",
    "single_blocks.norm.query_norm": "single_transformer_blocks.attn.norm_q",
    "single_blocks.norm.key_norm": "single_transformer_blocks.attn.norm_k",
}
_SD3: Names = {
    "pos_embed": "pos_embed.pos_embed",
    "x_embedder.proj": "pos_embed.proj",
    "t_embedder.mlp.0": "time_text_embed.timestep_embedder.linear_1",
    "t_embedder.mlp.2": "time_text_embed.timestep_embedder.linear_2",
    "y_embedder.mlp.0": "time_text_embed.text_embedder.linear_1",
    "y_embedder.mlp.2": "time_text_embed.text_embedder.linear_2",
    "context_embedder": "context_embedder",
    "final_layer.linear": "proj_out",
    "final_layer.adaLN_modulation.1": "norm_out.linear",
    "joint_blocks.x_block.adaLN_modulation.1": "transformer_blocks.norm1.linear",
    "joint_blocks.context_block.adaLN_modulation.1": "transformer_blocks.norm1_context.linear",
    "joint_blocks.x_block.attn.qkv": _attention("transformer_blocks.attn"),
    "joint_blocks.x_block.attn2.qkv": _attention("transformer_blocks.attn2"),
    "joint_blocks.context_block.attn.qkv": _attention("transformer_blocks.attn", "add_{}_proj"),
    "joint_blocks.x_block.attn.ln_q": "transformer_blocks.attn.norm_q",
    "joint_blocks.x_block.attn.ln_k": "transformer_blocks.attn.norm_k",
    "joint_blocks.x_block.attn2.ln_q": "transformer_blocks.attn2.norm_q",
    "joint_blocks.x_block.attn2.ln_k": "transformer_blocks.attn2.norm_k",
    "joint_blocks.context_block.attn.ln_q": "transformer_blocks.attn.norm_added_q",
    "joint_blocks.context_block.attn.ln_k": "transformer_blocks.attn.norm_added_k",
    "joint_blocks.x_block.attn.proj": "transformer_blocks.attn.to_out.0",
    "joint_blocks.x_block.attn2.proj": "transformer_blocks.attn2.to_out.0",
    "joint_blocks.context_block.attn.proj": "transformer_blocks.attn.to_add_out",
    "joint_blocks.x_block.mlp.fc1": "transformer_blocks.ff.net.0.proj",
    "joint_blocks.x_block.mlp.fc2": "transformer_blocks.ff.net.2",
    "joint_blocks.context_block.mlp.fc1": "transformer_blocks.ff_context.net.0.proj",
    "joint_blocks.context_block.mlp.fc2": "transformer_blocks.ff_context.net.2",
}
_NAMES: Mapping[str, Names] = {"FluxTransformer2DModel": _FLUX, "SD3Transformer2DModel": _SD3}
_SWAPPED = ("norm_out.linear", "norm1_context.linear")
"""Where these hold a shift and a scale alone, the original has them in the other order."""
_NAME = re.compile(r"(?:(\w+_blocks)\.(\d+)\.)?(.+?)(?:\.(weight|bias|scale))?")


def in_diffusers_names(class_name: str, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A transformer's weights, without a prefix, under the names of diffusers' class.

    Raises:
        UserError: a tensor that no transformer of this class has.
    """
    names, found = _NAMES[class_name], {}
    pair = len(weights.get("final_layer.adaLN_modulation.1.bias", ()))
    for name, value in weights.items():
        blocks, number, layer, kind = _NAME.fullmatch(name).groups()  # type: ignore[union-attr]
        new = names.get(f"{blocks}.{layer}" if blocks else layer)
        if new is None:
            raise UserError(f"it holds a tensor {name}, which the class {class_name} has not.")
        new = (new,) if isinstance(new, str) else new
        for one, rows in zip(new, _divided(value, len(new)), strict=True):
            place = one.replace("blocks.", f"blocks.{number}.", 1) if blocks else one
            end = f".{kind.replace('scale', 'weight')}" if kind else ""
            swapped = one.endswith(_SWAPPED) and len(value) == pair
            found[place + end] = torch.cat(rows.chunk(2)[::-1]) if swapped else rows
    return found


def _divided(value: Tensor, parts: int) -> tuple[Tensor, ...]:
    """The rows of queries, keys and values, and of a perceptron four times as wide after them."""
    if parts < 4:
        return value.chunk(parts)
    width = len(value) // 7
    return value.split([width, width, width, len(value) - 3 * width])
