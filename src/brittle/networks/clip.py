"""CLIP, where the user has it: images and prompts as vectors of one space."""

import functools
import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from brittle.errors import Unavailable
from brittle.networks.feature_cache import MEMORY
from brittle.silence import silence

MEAN, STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)


class Clip:
    """A CLIP model, or the image tower of SD 1.x's safety checker.

    ``source`` is a directory or a downloaded hub id: of a CLIP, of a safety checker, or of a whole
    Stable Diffusion 1.x, whose safety checker is then taken. A safety checker has no text side:
    `text` then raises Unavailable.
    """

    def __init__(self, source: str, device: str) -> None:
        self.source, self.device = source, device
        self.model = _read(source).to(device).eval().requires_grad_(False)
        self.size = int(self.model.config.vision_config.image_size)

    def image(self, image: Tensor) -> Tensor:
        """The unit vector (1, width) of an image (1, 3, H, W) in [0, 1], computed once an image.

        As CLIP's own preparation: short side to the tower's size (bicubic, antialiased), centre.
        """
        (vector,) = MEMORY.recall(f"clip:{self.source}", image, lambda x: (self._image(x),))
        return vector

    def maps(self, image: Tensor) -> tuple[Tensor, ...]:
        """What the middle layers see of an image, as maps (1, C, h, w), computed once an image.

        They are the patches as the layers at a quarter, half and three quarters of the depth read
        them, after the norm that each begins with; at each place the channels have unit length.
        """
        return MEMORY.recall(f"clip-maps:{self.source}", image, self._maps)

    def text(self, prompt: str) -> Tensor:
        """The unit vector (1, width) of a prompt, cut after 77 tokens."""
        if not hasattr(self.model, "text_projection"):
            raise Unavailable(f"{self.source} has an image tower only: give a whole CLIP")
        tokens = _tokenizer(self.source)(
            [prompt], padding=True, truncation=True, max_length=77, return_tensors="pt"
        ).to(self.device)
        return _unit(self.model.text_projection(self.model.text_model(**tokens).pooler_output))

    def _image(self, image: Tensor) -> Tensor:
        pooled = self.model.vision_model(pixel_values=prepared(image, self.size)).pooler_output
        return _unit(self.model.visual_projection(pooled))

    def _maps(self, image: Tensor) -> tuple[Tensor, ...]:
        tower = self.model.vision_model
        seen = tower(
            pixel_values=prepared(image, self.size), output_hidden_states=True
        ).hidden_states
        # A safety checker's tower has a level more in older versions of transformers.
        layers = getattr(tower, "vision_model", tower).encoder.layers
        depths = sorted({len(layers) * quarter // 4 for quarter in (1, 2, 3)})
        read = [layers[depth].layer_norm1(seen[depth]) for depth in depths]
        side = self.size // int(self.model.config.vision_config.patch_size)
        # The first token stands for the whole image and has no place in it.
        return tuple(_unit(one[:, 1:]).mT.unflatten(2, (side, side)) for one in read)


def prepared(image: Tensor, size: int) -> Tensor:
    """What a tower for pictures of ``size`` px reads of an image (N, 3, H, W); differentiable."""
    shorter = min(image.shape[-2:])
    height, width = (side * size // shorter for side in image.shape[-2:])
    x = torch.nn.functional.interpolate(
        image, (height, width), mode="bicubic", antialias=True, align_corners=False
    ).clamp(0, 1)
    top, left = (height - size) // 2, (width - size) // 2
    x = x[..., top : top + size, left : left + size]
    mean, std = (x.new_tensor(values).view(1, 3, 1, 1) for values in (MEAN, STD))
    return (x - mean) / std


@functools.lru_cache(maxsize=1)
def load_clip(source: str, device: str = "cpu") -> Clip:
    """The CLIP at a directory or downloaded hub id, loaded once; Unavailable if there is none."""
    return Clip(source, device)


def _read(source: str) -> Any:
    from transformers import CLIPModel

    folder = _folder(source)
    config = folder / "config.json"
    if folder.exists() and not config.is_file():
        raise Unavailable(f"{source} holds no CLIP: it has no config.json")
    kind: Any = CLIPModel
    if config.is_file() and "StableDiffusionSafetyChecker" in _architectures(config):
        from diffusers.pipelines.stable_diffusion.safety_checker import (
            StableDiffusionSafetyChecker,
        )

        kind = StableDiffusionSafetyChecker
    try:
        with silence():
            return kind.from_pretrained(
                folder,
                use_safetensors=True,
                local_files_only=True,
                trust_remote_code=False,
                dtype=torch.float32,
            )
    except (OSError, ValueError, RuntimeError) as error:
        raise Unavailable(
            f"no CLIP in safetensors at {source}, neither as a directory nor as a downloaded hub "
            f"id: {str(error).splitlines()[0]}"
        ) from None


def clip_files(source: str) -> tuple[Path, ...]:
    """The files behind `load_clip`; none where there is no such folder."""
    folder = _folder(source)
    kinds = (".json", ".safetensors", ".txt")
    return tuple(sorted(path for path in folder.glob("*") if path.suffix in kinds))


def _folder(source: str) -> Path:
    """Where the tower lies: in the folder, in the cache, or in a pipeline's safety checker."""
    from huggingface_hub import try_to_load_from_cache

    folder = Path(source)
    if not folder.exists() and source.count("/") == 1:
        for name in ("config.json", "model_index.json"):
            if isinstance(found := try_to_load_from_cache(source, name), str):
                folder = Path(found).parent
                break
    checker = folder / "safety_checker"
    return checker if (checker / "config.json").is_file() else folder


def _architectures(config: Path) -> list[str]:
    return list(json.loads(config.read_text()).get("architectures") or [])


@functools.lru_cache(maxsize=1)
def _tokenizer(source: str) -> Any:
    from transformers import CLIPTokenizer

    return CLIPTokenizer.from_pretrained(source, local_files_only=True, trust_remote_code=False)


def _unit(vector: Tensor) -> Tensor:
    return vector / vector.norm(dim=-1, keepdim=True)
