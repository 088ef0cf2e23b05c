"""IP-Adapter: a model's files with an adapter on top, which lets a picture speak as a prompt does.

An adapter is one .safetensors file; the image encoder that it was trained with lies beside it, in
the folder ``image_encoder``.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import torch

from brittle.errors import UserError, printable
from brittle.models.parts import CALLED, ModelFiles, Part
from brittle.models.reading import (
    check_weights,
    count_weights,
    find_weights,
    read_json,
    read_tensors,
    reading,
)
from brittle.models.tuned import OnTop

IMAGE_ENCODER = "image_encoder"
_PARTS = ("image_proj", "ip_adapter")
_PLAIN, _OF_TOKENS = "proj.weight", ("latents", "proj.3.weight")
"""Tensors by which diffusers tells the plain kind; and plus and full face, told place by place."""


class AdaptedFiles(OnTop):
    """A model's files (`ModelFiles`), whose denoiser attends to a picture as well, by ``scale``."""

    def __init__(self, base: ModelFiles, adapter: Path, scale: float) -> None:
        """UserError where there is no adapter of a known kind, or no image encoder beside it."""
        super().__init__(base)
        self.adapter, self.scale = adapter, scale
        self.encoder = adapter.parent / IMAGE_ENCODER
        self.name = f"{base.name} + {printable(adapter.name)}"
        check_weights([adapter])
        weights = self._weights()
        if not all(weights.values()):
            raise UserError(f"{adapter} is no IP-Adapter: it lacks tensors {' or '.join(_PARTS)}.")
        projection = weights["image_proj"].keys()
        self.sees_places = not projection.isdisjoint(_OF_TOKENS)
        """Whether it is told what is where in the picture, and not the picture's sum alone."""
        if _PLAIN not in projection and not self.sees_places:
            raise UserError(
                f"{adapter} is an IP-Adapter of another kind, such as FaceID: brittle reads the "
                f"plain one, plus and full face, such as ip-adapter_sd15.safetensors."
            )
        find_weights(self.encoder, "model")

    def config(self, part: Part | Literal["scheduler"]) -> Mapping[str, Any]:
        """As `ModelFiles.config`."""
        if part != IMAGE_ENCODER:
            return self.base.config(part)
        return read_json(self.encoder / "config.json", missing=f"{self.name} lacks its encoder")

    def load(self, part: Part, dtype: torch.dtype) -> Any:
        """As `ModelFiles.load`."""
        if part == IMAGE_ENCODER:
            return reading(f"{self.name}: its {CALLED[part]}", lambda: self._image_encoder(dtype))
        loaded = self.base.load(part, dtype)
        if part == "denoiser":
            reading(f"{self.name}: its adapter", lambda: self._adapt(loaded))
        return loaded

    def count(self, part: Part) -> int:
        """As `ModelFiles.count`; the adapter's own weights are of the denoiser."""
        if part == IMAGE_ENCODER:
            return sum(count_weights(path, "") for path in find_weights(self.encoder, "model")[0])
        own = count_weights(self.adapter, "") if part == "denoiser" else 0
        return self.base.count(part) + own

    def paths(self) -> list[Path]:
        """As `ModelFiles.paths`."""
        encoder = [self.encoder / "config.json", *find_weights(self.encoder, "model")[0]]
        return [*self.base.paths(), self.adapter, *encoder]

    def read_as(self) -> list[str]:
        """As `ModelFiles.read_as`: the scale as well."""
        return [*self.base.read_as(), f"adapter scale {self.scale:g}"]

    def _weights(self) -> dict[str, dict[str, torch.Tensor]]:
        tensors = read_tensors([self.adapter])
        return {
            part: {
                name.removeprefix(f"{part}."): value
                for name, value in tensors.items()
                if name.startswith(f"{part}.")
            }
            for part in _PARTS
        }

    def _adapt(self, unet: Any) -> None:
        unet._load_ip_adapter_weights([self._weights()], low_cpu_mem_usage=False)
        for processor in unet.attn_processors.values():
            if hasattr(processor, "to_k_ip"):
                processor.scale = [self.scale]

    def _image_encoder(self, dtype: torch.dtype) -> Any:
        from transformers import CLIPVisionModelWithProjection

        _, variant = find_weights(self.encoder, "model")
        return CLIPVisionModelWithProjection.from_pretrained(
            self.encoder,
            dtype=dtype,
            variant=variant,
            use_safetensors=True,
            local_files_only=True,
            trust_remote_code=False,
        )
