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


def write_2(pipeline: Any, path: Path) -> Path:
    """As `write`, of Stable Diffusion 2.x: the text encoder has a layer more than is read."""
    tensors = _unet_and_vae(pipeline, unet_names(), vae_names())
    weights = pipeline.text_encoder.state_dict()
    last = max(int(key.split("layers.")[1].split(".")[0]) for key in weights if "layers." in key)
    more = {
        key.replace(f"layers.{last}.", f"layers.{last + 1}."): torch.ones_like(value)
        for key, value in weights.items()
        if f"layers.{last}." in key
    }
    for key, value in _open_clip({**weights, **more}).items():
        tensors["cond_stage_model.model." + key] = value
    width = pipeline.text_encoder.config.hidden_size
    tensors["cond_stage_model.model.text_projection"] = torch.ones(width, width)
    tensors["cond_stage_model.model.logit_scale"] = torch.ones(())
    return _save(tensors, path)


def write_3(pipeline: Any, path: Path, prefix: str = "model.diffusion_model.") -> Path:
    """As `write`, of Stable Diffusion 3's layout, with the text encoders that there are."""
    tensors = _vae_of(pipeline, "first_stage_model.")
    for key, value in transformer_3(pipeline.transformer).items():
        tensors[prefix + key] = value
    for part, name in (("", "clip_l"), ("_2", "clip_g"), ("_3", "t5xxl")):
        if (encoder := getattr(pipeline, f"text_encoder{part}")) is not None:
            for key, value in encoder.state_dict().items():
                tensors[f"text_encoders.{name}.transformer.{key}"] = value
    tensors.pop("text_encoders.clip_l.transformer.text_projection.weight")
    return _save(tensors, path)


def write_flux(pipeline: Any, path: Path, *, whole: bool) -> Path:
    """As `write`, of FLUX.1: its makers' transformer alone, or ComfyUI's ``whole`` model."""
    tensors = transformer_flux(pipeline.transformer)
    if whole:
        tensors = {f"model.diffusion_model.{key}": value for key, value in tensors.items()}
        tensors |= _vae_of(pipeline, "vae.")
        for part, name in (("", "clip_l.transformer.text_model."), ("_2", "t5xxl.transformer.")):
            for key, value in getattr(pipeline, f"text_encoder{part}").state_dict().items():
                own = key.removeprefix("text_model.")
                tensors[f"text_encoders.{name}{own}"] = value
    return _save(tensors, path)


def transformer_3(transformer: Any) -> dict[str, torch.Tensor]:
    """Stable Diffusion 3's transformer as its makers name it."""
    weights = transformer.state_dict()
    found = {"pos_embed": weights["pos_embed.pos_embed"]}
    outside = {
        "x_embedder.proj": "pos_embed.proj",
        "t_embedder.mlp.0": "time_text_embed.timestep_embedder.linear_1",
        "t_embedder.mlp.2": "time_text_embed.timestep_embedder.linear_2",
        "y_embedder.mlp.0": "time_text_embed.text_embedder.linear_1",
        "y_embedder.mlp.2": "time_text_embed.text_embedder.linear_2",
        "context_embedder": "context_embedder",
        "final_layer.linear": "proj_out",
    }
    for end in ("weight", "bias"):
        found |= {f"{name}.{end}": weights[f"{own}.{end}"] for name, own in outside.items()}
        name = f"final_layer.adaLN_modulation.1.{end}"
        found[name] = _other_order(weights[f"norm_out.linear.{end}"])
    last = transformer.config.num_layers - 1
    for n in range(last + 1):
        block, name = f"transformer_blocks.{n}.", f"joint_blocks.{n}."
        sides = {
            "x_block.attn.": ("attn.to_{}", "attn.to_out.0", "attn.norm_"),
            "x_block.attn2.": ("attn2.to_{}", "attn2.to_out.0", "attn2.norm_"),
            "context_block.attn.": ("attn.add_{}_proj", "attn.to_add_out", "attn.norm_added_"),
        }
        for side, (inputs, output, norm) in sides.items():
            for end in ("weight", "bias"):
                parts = [weights.get(f"{block}{inputs.format(one)}.{end}") for one in "qkv"]
                if parts[0] is not None:
                    found[f"{name}{side}qkv.{end}"] = torch.cat(parts)
                if f"{block}{output}.{end}" in weights:
                    found[f"{name}{side}proj.{end}"] = weights[f"{block}{output}.{end}"]
            for one in "qk":
                if f"{block}{norm}{one}.weight" in weights:
                    found[f"{name}{side}ln_{one}.weight"] = weights[f"{block}{norm}{one}.weight"]
        for end in ("weight", "bias"):
            found[f"{name}x_block.adaLN_modulation.1.{end}"] = weights[f"{block}norm1.linear.{end}"]
            prompts = weights[f"{block}norm1_context.linear.{end}"]
            found[f"{name}context_block.adaLN_modulation.1.{end}"] = (
                _other_order(prompts) if n == last else prompts
            )
            for side, own in (("x_block", "ff"), ("context_block", "ff_context")):
                if f"{block}{own}.net.2.{end}" in weights:
                    found[f"{name}{side}.mlp.fc1.{end}"] = weights[f"{block}{own}.net.0.proj.{end}"]
                    found[f"{name}{side}.mlp.fc2.{end}"] = weights[f"{block}{own}.net.2.{end}"]
    return found


def transformer_flux(transformer: Any) -> dict[str, torch.Tensor]:
    """FLUX.1's transformer as its makers name it."""
    weights, found = transformer.state_dict(), {}
    outside = {
        "img_in": "x_embedder",
        "txt_in": "context_embedder",
        "time_in.in_layer": "time_text_embed.timestep_embedder.linear_1",
        "time_in.out_layer": "time_text_embed.timestep_embedder.linear_2",
        "vector_in.in_layer": "time_text_embed.text_embedder.linear_1",
        "vector_in.out_layer": "time_text_embed.text_embedder.linear_2",
        "final_layer.linear": "proj_out",
    }
    if transformer.config.guidance_embeds:
        outside |= {
            "guidance_in.in_layer": "time_text_embed.guidance_embedder.linear_1",
            "guidance_in.out_layer": "time_text_embed.guidance_embedder.linear_2",
        }
    double = {"img": ("norm1", "to_{}", "to_out.0", "norm_", "ff"), "txt": ()}
    double["txt"] = ("norm1_context", "add_{}_proj", "to_add_out", "norm_added_", "ff_context")
    for end in ("weight", "bias"):
        found |= {f"{name}.{end}": weights[f"{own}.{end}"] for name, own in outside.items()}
        name = f"final_layer.adaLN_modulation.1.{end}"
        found[name] = _other_order(weights[f"norm_out.linear.{end}"])
        for n in range(transformer.config.num_layers):
            block, name = f"transformer_blocks.{n}.", f"double_blocks.{n}."
            for side, (norm, inputs, output, _, feed) in double.items():
                parts = [weights[f"{block}attn.{inputs.format(one)}.{end}"] for one in "qkv"]
                found[f"{name}{side}_mod.lin.{end}"] = weights[f"{block}{norm}.linear.{end}"]
                found[f"{name}{side}_attn.qkv.{end}"] = torch.cat(parts)
                found[f"{name}{side}_attn.proj.{end}"] = weights[f"{block}attn.{output}.{end}"]
                found[f"{name}{side}_mlp.0.{end}"] = weights[f"{block}{feed}.net.0.proj.{end}"]
                found[f"{name}{side}_mlp.2.{end}"] = weights[f"{block}{feed}.net.2.{end}"]
        for n in range(transformer.config.num_single_layers):
            block, name = f"single_transformer_blocks.{n}.", f"single_blocks.{n}."
            inputs = [f"attn.to_{one}" for one in "qkv"] + ["proj_mlp"]
            parts = [weights[f"{block}{one}.{end}"] for one in inputs]
            found[f"{name}linear1.{end}"] = torch.cat(parts)
            found[f"{name}linear2.{end}"] = weights[f"{block}proj_out.{end}"]
            found[f"{name}modulation.lin.{end}"] = weights[f"{block}norm.linear.{end}"]
    for one, norm in (("q", "query_norm.scale"), ("k", "key_norm.scale")):
        for n in range(transformer.config.num_layers):
            for side, (*_, own, _) in double.items():
                value = weights[f"transformer_blocks.{n}.attn.{own}{one}.weight"]
                found[f"double_blocks.{n}.{side}_attn.norm.{norm}"] = value
        for n in range(transformer.config.num_single_layers):
            value = weights[f"single_transformer_blocks.{n}.attn.norm_{one}.weight"]
            found[f"single_blocks.{n}.norm.{norm}"] = value
    return found


def _other_order(scale_and_shift: torch.Tensor) -> torch.Tensor:
    scale, shift = scale_and_shift.chunk(2)
    return torch.cat([shift, scale])


def _vae_of(pipeline: Any, prefix: str) -> dict[str, torch.Tensor]:
    levels = len(pipeline.vae.config.block_out_channels)
    names = vae_names(levels, pipeline.vae.config.layers_per_block)
    tensors = _vae(pipeline, names)
    return {prefix + key: value for key, value in tensors.items()}


def _unet_and_vae(
    pipeline: Any, unet: dict[str, str], vae: dict[str, str]
) -> dict[str, torch.Tensor]:
    tensors: dict[str, torch.Tensor] = {}
    for key, value in pipeline.unet.state_dict().items():
        inner = RESNET if ".resnets." in key else {}
        tensors["model.diffusion_model." + rename(key, unet, inner)] = value
    for key, value in _vae(pipeline, vae).items():
        tensors["first_stage_model." + key] = value
    return tensors


def _vae(pipeline: Any, names: dict[str, str]) -> dict[str, torch.Tensor]:
    tensors = {}
    for key, value in pipeline.vae.state_dict().items():
        inner = {"conv_shortcut": "nin_shortcut"} if ".resnets." in key else {}
        if ".attentions." in key:
            inner = VAE_ATTENTION
            if value.ndim == 2:  # a linear layer here was a 1 x 1 convolution there
                value = value[:, :, None, None]
        tensors[rename(key, names, inner)] = value
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
