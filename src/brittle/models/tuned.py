"""A fine-tuned model: another model's files, and weights that were learned on top of them."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from brittle.errors import UserError
from brittle.models.parts import ModelFiles, Part

WEIGHTS = "weights.safetensors"
NAMED: Mapping[Part, str] = {"denoiser": "unet", "text_encoder": "text_encoder"}
"""Parts that can learn, by their names in diffusers' LoRA files."""
LORA_LAYERS: Mapping[Part, list[str]] = {
    "denoiser": ["to_q", "to_k", "to_v", "to_out.0"],
    "text_encoder": ["q_proj", "k_proj", "v_proj", "out_proj"],
}
CROSS_ATTENTION = ("attn2.to_k", "attn2.to_v")
"""The UNet's layers that turn a prompt into keys and values."""
CONVOLUTIONS = ["conv1", "conv2", "conv_shortcut", "proj_in", "proj_out", "conv"]


@dataclass(frozen=True)
class LearningScope:
    """What of a model learns.

    ``rank`` is LoRA's: a product of two thin matrices is added to each layer named in
    ``LORA_LAYERS``, the attention's; None lets all weights learn, or those of ``layers`` alone,
    which are named by how their names end. With ``convolutions``, LoRA reaches the UNet's
    convolutions as well.
    """

    parts: tuple[Part, ...]
    rank: int | None
    convolutions: bool = False
    layers: tuple[str, ...] = ()

    def open(self, part: Part, module: Any, seed: int = 0) -> Any:
        """The module with exactly those parameters trainable that learn; LoRA's start from seed.

        Raises:
            UserError: LoRA without the package peft.
        """
        module.requires_grad_(self.rank is None and not self.layers)
        if self.rank is None:
            for name, layer in module.named_modules():
                if self.layers and name.endswith(self.layers):
                    layer.requires_grad_(True)
            return module
        try:
            from peft import LoraConfig, inject_adapter_in_model
        except ImportError:
            raise UserError(
                "LoRA needs the package peft: pip install 'brittle[finetune]'."
            ) from None
        layers = LORA_LAYERS[part] + CONVOLUTIONS * (self.convolutions and part == "denoiser")
        config = LoraConfig(r=self.rank, lora_alpha=self.rank, target_modules=layers)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            opened = inject_adapter_in_model(config, module)
        for parameter in opened.parameters():
            if parameter.requires_grad:
                parameter.data = parameter.data.float()
        return opened


def learning(modules: Mapping[Part, Any]) -> dict[str, nn.Parameter]:
    """The trainable parameters by the names of diffusers' LoRA files: ``unet.….lora_A.weight``."""
    return {
        f"{NAMED[part]}.{name.replace('.default.', '.')}": parameter
        for part, module in modules.items()
        for name, parameter in module.named_parameters()
        if parameter.requires_grad
    }


def take(modules: Mapping[Part, Any], weights: Mapping[str, Tensor]) -> None:
    """Put learned weights into opened modules."""
    with torch.no_grad():
        for name, parameter in learning(modules).items():
            parameter.copy_(weights[name])


class OnTop:
    """A model's files (`ModelFiles`) as they are: for what puts something on top of them."""

    def __init__(self, base: ModelFiles) -> None:
        self.base, self.name = base, base.name

    @property
    def directory(self) -> Path | None:
        """As `ModelFiles.directory`."""
        return self.base.directory

    @property
    def base_directory(self) -> Path | None:
        """As `ModelFiles.base_directory`: the base model's."""
        return self.base.base_directory

    @property
    def pipeline(self) -> str:
        """As `ModelFiles.pipeline`."""
        return self.base.pipeline

    @property
    def index(self) -> Mapping[str, Any]:
        """As `ModelFiles.index`."""
        return self.base.index

    def config(self, part: Part | Literal["scheduler"]) -> Mapping[str, Any]:
        """As `ModelFiles.config`."""
        return self.base.config(part)

    def load(self, part: Part, dtype: torch.dtype) -> Any:
        """As `ModelFiles.load`."""
        return self.base.load(part, dtype)

    def count(self, part: Part) -> int:
        """As `ModelFiles.count`."""
        return self.base.count(part)

    def paths(self) -> list[Path]:
        """As `ModelFiles.paths`."""
        return self.base.paths()

    def recommended(self) -> Mapping[str, Any]:
        """As `ModelFiles.recommended`."""
        return self.base.recommended()

    def stated_size(self) -> int | None:
        """As `ModelFiles.stated_size`."""
        return self.base.stated_size()

    def read_as(self) -> list[str]:
        """As `ModelFiles.read_as`."""
        return self.base.read_as()


class TunedFiles(OnTop):
    """A model's files (`ModelFiles`) with the learned ``weights`` on top, whose bytes count too."""

    def __init__(self, base: ModelFiles, scope: LearningScope, weights: Path) -> None:
        super().__init__(base)
        self.scope, self.weights = scope, weights
        self.name = f"{base.name} + {weights.parent.name[:8]}"

    def load(self, part: Part, dtype: torch.dtype) -> Any:
        """As `ModelFiles.load`; LoRA's weights stay beside the layers, in float32."""
        loaded = self.base.load(part, dtype)
        if part not in self.scope.parts:
            return loaded
        opened = self.scope.open(part, loaded)
        take({part: opened}, load_file(self.weights))
        return opened

    def paths(self) -> list[Path]:
        """As `ModelFiles.paths`."""
        return [*self.base.paths(), self.weights]
