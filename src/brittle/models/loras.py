"""LoRA files on top of a model: kohya's names (as A1111's and ComfyUI's users have) or diffusers'.

A LoRA is added to the weights when they are read, so a model with one is a model like any other.
"""

import json
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from brittle.errors import UserError, printable
from brittle.models.marks import is_lora_name
from brittle.models.parts import CALLED, ModelFiles, Part
from brittle.models.reading import check_weights, open_weights, read_tensors, reading
from brittle.models.tuned import OnTop

_PREFIXES: Mapping[str, Part] = {
    "lora_unet_": "denoiser",
    "lora_te_": "text_encoder",
    "lora_te1_": "text_encoder",
    "lora_te2_": "text_encoder_2",
    "unet.": "denoiser",
    "text_encoder.": "text_encoder",
    "text_encoder_2.": "text_encoder_2",
}
"""What tensors' names begin with: kohya's end in ``_``, diffusers' in a dot."""
_DOWN, _UP, _ALPHA = "down", "up", "alpha"
_NAME = re.compile(
    r"(.+?)(?:\.(alpha)|[._]lora_(down|up|A|B)\.weight|[._]lora(?:_linear_layer)?\.(down|up)\.weight)"
)
_KINDS = {"A": _DOWN, "B": _UP}
_METADATA = "lora_adapter_metadata"
_OTHER_SUMS = ("use_rslora", "use_dora", "alpha_pattern", "lora_bias")
"""Of diffusers' metadata, what makes another sum of a LoRA than alpha / rank x up x down."""
_ORIGINAL = re.compile(r"(?:(input|output)_blocks_(\d+)|(middle)_block)_(\d+)_(.+)")
_LAYERS = {
    "in_layers_2": "conv1",
    "out_layers_3": "conv2",
    "emb_layers_1": "time_emb_proj",
    "skip_connection": "conv_shortcut",
}
_OUTSIDE = {
    "time_embed_0": "time_embedding_linear_1",
    "time_embed_2": "time_embedding_linear_2",
    "label_emb_0_0": "add_embedding_linear_1",
    "label_emb_0_2": "add_embedding_linear_2",
    "input_blocks_0_0": "conv_in",
    "out_2": "conv_out",
}
"""Layers in no block, by the names of the original UNet, which kohya's files for XL have."""


def is_lora(path: Path) -> bool:
    """Whether a .safetensors file holds a LoRA; UserError where it is damaged."""
    with open_weights(path) as file:
        return is_lora_name(file.keys())


class LoraFiles(OnTop):
    """A model's files (`ModelFiles`) with a LoRA, ``scale`` times, in their weights."""

    def __init__(self, base: ModelFiles, lora: Path, scale: float = 1.0) -> None:
        """UserError for a LoRA of a kind that brittle can't add, or of another kind of model."""
        super().__init__(base)
        self.lora, self.scale = lora, scale
        self.name = f"{base.name} + {printable(lora.name)}"
        check_weights([lora])
        with open_weights(lora) as file:
            self._stated = _stated_in(lora, (file.metadata() or {}).get(_METADATA, "{}"))
            self.parts = {self._place(name)[0] for name in file.keys()}  # noqa: SIM118
        if other := [key for key in self._stated if key.endswith(_OTHER_SUMS)]:
            for key in other:
                if self._stated[key]:
                    raise UserError(f"{lora} is a LoRA of a kind that brittle can't add ({key}).")
        for part in self.parts:
            try:
                base.config(part)
            except UserError:
                raise UserError(
                    f"{lora} changes a {CALLED[part]}, which {base.name} hasn't: it was made for "
                    f"another kind of model."
                ) from None

    def load(self, part: Part, dtype: torch.dtype) -> Any:
        """As `ModelFiles.load`."""
        loaded = self.base.load(part, dtype)
        if part in self.parts:
            reading(f"{self.name}: its {CALLED[part]}", lambda: self._add_to(part, loaded))
        return loaded

    def paths(self) -> list[Path]:
        """As `ModelFiles.paths`."""
        return [*self.base.paths(), self.lora]

    def read_as(self) -> list[str]:
        """As `ModelFiles.read_as`: the scale as well."""
        return [*self.base.read_as(), f"lora scale {self.scale:g}"]

    def _place(self, name: str) -> tuple[Part, str, str]:
        """The part, the layer and the kind of a tensor: ``down``, ``up`` or ``alpha``."""
        prefix = next((one for one in _PREFIXES if name.startswith(one)), None)
        found = _NAME.fullmatch(name)
        if prefix is None or found is None:
            raise UserError(
                f"{self.lora} holds a tensor {name}: brittle adds LoRAs and LoCons of Stable "
                f"Diffusion 1.x, 2.x and XL, in kohya's names or diffusers', and no other kinds "
                f"(DoRA, LoHa, LoKr): merge it into its model and name the result."
            )
        layer = found[1].removeprefix(prefix).replace(".processor.", ".")
        if found[4] and layer.endswith("to_out"):  # as diffusers' former names have it
            layer += ".0"
        kind = found[2] or found[3] or found[4]
        return _PREFIXES[prefix], layer.replace(".", "_"), _KINDS.get(kind, kind)

    def _add_to(self, part: Part, module: nn.Module) -> None:
        layers: dict[str, dict[str, Tensor]] = defaultdict(dict)
        for name, value in read_tensors([self.lora]).items():
            own, layer, kind = self._place(name)
            if own == part:
                layers[layer][kind] = value.float()
        per_block = self.base.config(part).get("layers_per_block", 2)
        known = _by_flat_name(module.named_modules())
        for layer, tensors in layers.items():
            target = known.get(_flat(layer), known.get(_in_diffusers_names(layer, per_block)))
            if target is None or not {_DOWN, _UP} <= tensors.keys():
                raise UserError(
                    f"{self.lora} changes a layer {layer} that {self.base.name} hasn't: it was "
                    f"made for another kind of model."
                )
            self._add(target, tensors, self._alpha(part))

    def _alpha(self, part: Part) -> float | None:
        """What alpha is where it is no tensor, as diffusers notes it; None: a layer's rank."""
        place = {"denoiser": "unet"}.get(part, part)
        alpha = self._stated.get(f"{place}.lora_alpha")
        return None if alpha is None else float(alpha)

    def _add(self, layer: Any, tensors: Mapping[str, Tensor], stated: float | None) -> None:
        down, up = tensors[_DOWN], tensors[_UP]
        rank = len(down)
        alpha = float(tensors[_ALPHA]) if _ALPHA in tensors else stated or rank
        change = (up.flatten(1) @ down.flatten(1)).reshape(layer.weight.shape)
        changed = layer.weight.data.float() + self.scale * alpha / rank * change
        layer.weight.data = changed.to(layer.weight.dtype)


def _stated_in(lora: Path, text: str) -> Mapping[str, Any]:
    """What diffusers notes in a file; UserError if it is no mapping."""
    stated = reading(f"{lora}: its {_METADATA}", lambda: json.loads(text))
    if not isinstance(stated, dict):
        raise UserError(f"{lora}: its {_METADATA} is no mapping: download or export it again.")
    return stated


def _by_flat_name(modules: Iterable[tuple[str, nn.Module]]) -> dict[str, nn.Module]:
    kinds = (nn.Linear, nn.Conv2d)
    return {_flat(name.replace(".", "_")): one for name, one in modules if isinstance(one, kinds)}


def _flat(layer: str) -> str:
    """A layer's name without the level that versions of transformers have or lack."""
    return layer.removeprefix("text_model_")


def _in_diffusers_names(layer: str, per_block: int) -> str:
    """A layer of the original UNet, in kohya's names, by that of diffusers' UNet."""
    found = _ORIGINAL.fullmatch(layer)
    if layer in _OUTSIDE or not found:
        return _OUTSIDE.get(layer, "")
    side, within, rest = found[1] or found[3], int(found[4]), _LAYERS.get(found[5], found[5])
    if side == "middle":
        return f"mid_block_{('resnets_0', 'attentions_0', 'resnets_1')[within]}_{rest}"
    level, place = divmod(int(found[2]) - (side == "input"), per_block + 1)
    if side == "input" and rest == "op":
        return f"down_blocks_{level}_downsamplers_0_conv"
    if side == "output" and rest == "conv":
        return f"up_blocks_{level}_upsamplers_0_conv"
    kind = "resnets" if within == 0 else "attentions"
    return f"{'down' if side == 'input' else 'up'}_blocks_{level}_{kind}_{place}_{rest}"
