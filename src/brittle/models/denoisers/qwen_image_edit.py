"""Qwen-Image-Edit: a transformer over packed latents; what it is told saw the photo as well."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from PIL import Image
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from brittle.errors import UserError
from brittle.models.configs import factor_of
from brittle.models.denoisers.base import Condition, Encode, Task
from brittle.models.denoisers.patches import Patches, resized
from brittle.models.denoisers.transformer import Transformer, pack, timesteps, unpack
from brittle.models.parts import Part, Parts
from brittle.models.texts import TextEncoder

TOKENS = 1024
"""How much of a prompt is read."""
_ASKED = (
    "<|im_start|>system\nDescribe the key features of the input image (color, shape, size, "
    "texture, objects, background), then explain how the user's text instruction should alter or "
    "modify the image. Generate a new image that meets the user's requirements while maintaining "
    "consistency with the original input where appropriate.<|im_end|>\n<|im_start|>user\n"
)
_PHOTO = "<|vision_start|>{}<|vision_end|>"
_ANSWERS = "<|im_end|>\n<|im_start|>assistant\n"
"""What stands around a photo and its prompt, as the model was trained (Wu et al. 2025)."""
_DROPPED = 64
"""Tokens at the beginning, of what is asked of every photo, that the transformer isn't told."""
_PAD = "<|image_pad|>"
_NOTHING = " "
"""A negative prompt that says nothing, as its authors write it."""
_MORE_INPUTS = ("guidance_embeds", "use_additional_t_cond", "use_layer3d_rope")


class QwenImageEdit(Transformer):
    """Editing by instruction as diffusers' QwenImageEditPipeline runs it.

    Qwen2.5-VL reads photo and prompt together, and its last layer is what the transformer is told;
    the photo's latents stand beside its own, as FLUX.1 Kontext's do. With guidance each token gets
    back the norm that it has under the prompt alone. The photo is seen at its own size, where
    diffusers brings it to a megapixel.

    Source: Wu et al. 2025, arXiv:2508.02324.
    """

    evenly_spaced = True
    own_side = 128
    read_parts: tuple[Part, ...] = ("denoiser", "text_encoder")
    before_photo = ""
    steps = 50

    def __init__(self, parts: Parts) -> None:
        """UserError for its kin that is told more."""
        super().__init__(parts)
        if more := [key for key in _MORE_INPUTS if self.config.get(key)]:
            raise UserError(
                f"{parts.name}: its transformer needs more than Qwen-Image-Edit's ({more[0]}): "
                f"brittle has no such edit."
            )

    @property
    def reader(self) -> TextEncoder:
        """As `Denoiser.reader`: Qwen2.5-VL."""
        return TextEncoder(self.parts, "text_encoder", "processor", TOKENS)

    @property
    def patches(self) -> Patches:
        """How a photo becomes what Qwen2.5-VL reads."""
        return Patches.of(self.parts.files.config("processor"))

    def why_not(self, task: Task) -> str:
        """As `Denoiser.why_not`."""
        made_for = f"{self.parts.name} follows instructions: use the editor instruct."
        return made_for if task != "instruct" else super().why_not("img2img")

    def fallbacks(self, task: Task) -> Mapping[str, Any]:
        """As `Denoiser.fallbacks`: as published."""
        return {
            "num_inference_steps": self.steps,
            "guidance_scale": 4.0,
            "image_guidance_scale": 1.0,
        }

    def ignored(self, task: Task) -> Mapping[str, Any]:
        """As `Denoiser.ignored`: guidance by the image."""
        return {"image_guidance_scale": 1.0}

    def condition(
        self,
        prompts: Sequence[str],
        negative_prompts: Sequence[str],
        *,
        shape: Sequence[int],
        guidance_scale: float,
        image_guidance_scale: float = 1.0,
    ) -> Condition:
        """As `Denoiser.condition`: tokens alone, which mean something beside the photo."""
        guided = self.rows(guidance_scale) > 1
        nothing = [prompt or _NOTHING for prompt in negative_prompts]
        said = [*nothing, *prompts] if guided else prompts
        texts = tuple(self._tokens(text, shape) for text in said)
        return Condition(torch.empty(len(texts), 0, 0), guidance_scale, texts=texts)

    def _tokens(self, prompt: str, shape: Sequence[int]) -> Tensor:
        """Photo and prompt as Qwen2.5-VL takes them, (length,): the photo's tokens left blank."""
        tokenizer = self.parts.part("processor")
        photo = _PHOTO.format(_PAD * self.patches.tokens(*self.read_at(*shape)))
        with self.parts.running("processor"):
            before, said, after = (
                tokenizer(text, add_special_tokens=False).input_ids
                for text in (_ASKED + self.before_photo + photo, prompt, _ANSWERS)
            )
        return torch.tensor([*before, *said[:TOKENS], *after], device=self.parts.device)

    def read_at(self, height: int, width: int) -> tuple[int, int]:
        """The size at which Qwen2.5-VL's processor is given a photo of that size."""
        return height, width

    def show(
        self,
        task: Task,
        image: Tensor,
        mask: Tensor | None,
        encode: Encode,
        noise: Tensor | None,
        condition: Condition,
    ) -> tuple[Tensor, ...]:
        """As `Denoiser.show`.

        The photo's latents, what Qwen2.5-VL says of photo and prompt (rows, tokens, width), and a
        mask (rows, tokens) of what of it isn't padding.
        """
        photos = image.split(1) * (len(condition.texts) // len(image))
        said = [self._read(*pair) for pair in zip(condition.texts, photos, strict=True)]
        there = [one.new_ones(len(one), dtype=torch.bool) for one in said]
        return encode(image, None), *(pad_sequence(one, batch_first=True) for one in (said, there))

    def _read(self, tokens: Tensor, photo: Tensor) -> Tensor:
        """What Qwen2.5-VL's last layer says of a photo (1, 3, H, W) and the tokens around it."""
        shape = self.read_at(*photo.shape[-2:])
        if shape != tuple(photo.shape[-2:]):
            photo = resized(photo, shape, Image.Resampling.LANCZOS)
        encoder = self.parts.part("text_encoder")
        with self.parts.running("text_encoder"):
            output = encoder.model(
                input_ids=tokens[None],
                attention_mask=torch.ones_like(tokens)[None],
                pixel_values=self.patches.cut(photo).to(self.parts.device),
                image_grid_thw=tokens.new_tensor([[1, *self.patches.grid(*shape)]]),
                use_cache=False,
            )
        said: Tensor = self.parts.numbers(output.last_hidden_state, "text_encoder")
        return said[0, _DROPPED:]

    def blank(self, latents: Tensor, condition: Condition) -> tuple[Tensor, ...]:
        """As `Denoiser.blank`: of a gray photo, whose gradient is kept as well."""
        factor = factor_of(self.parts.files.config("vae"))
        shape = [side * factor for side in latents.shape[-2:]]
        gray = latents.new_full((len(latents), 3, *shape), 0.5)
        gray.requires_grad_(torch.is_grad_enabled())
        return self.show("instruct", gray, None, lambda *_: latents, None, condition)

    def predict(self, latents: Tensor, timestep: int | Tensor, condition: Condition) -> Tensor:
        """As `Denoiser.predict`: without and with the prompt in one evaluation."""
        photo, said, there = condition.shown
        tokens = torch.cat([pack(latents), pack(photo)], dim=1)
        tokens = tokens.repeat(self.rows(condition.guidance_scale), 1, 1)
        height, width = (side // self.patch for side in latents.shape[2:])
        output = self.parts.evaluate(
            tokens,
            timestep=timesteps(tokens, timestep) / 1000,
            encoder_hidden_states=said,
            encoder_hidden_states_mask=None if there.all() else there,
            img_shapes=[[(1, height, width)] * 2] * len(tokens),
        )[:, : height * width]
        if len(tokens) > len(latents):
            without, with_prompt = output.chunk(2)
            guided = without + condition.guidance_scale * (with_prompt - without)
            norms = [one.norm(dim=-1, keepdim=True) for one in (with_prompt, guided)]
            output = guided * (norms[0] / norms[1])
        return unpack(output, height, width)


class QwenImageEditPlus(QwenImageEdit):
    """Its later versions (2509, 2511) as diffusers' QwenImageEditPlusPipeline runs them.

    Qwen2.5-VL reads the photo reduced or enlarged to about 384 x 384 px. It may read several
    photos, and is given one.
    """

    before_photo = "Picture 1: "
    steps = 40
    _READ_PIXELS, _READ_MULTIPLE = 384 * 384, 32

    def read_at(self, height: int, width: int) -> tuple[int, int]:
        """As `QwenImageEdit.read_at`: of the same proportions, as nearly as multiples of 32 are."""
        across = math.sqrt(self._READ_PIXELS * (width / height))
        down = across / (width / height)
        rows, columns = (max(1, round(side / self._READ_MULTIPLE)) for side in (down, across))
        return rows * self._READ_MULTIPLE, columns * self._READ_MULTIPLE


PIPELINES: Mapping[str, type[QwenImageEdit]] = {
    "QwenImageEditPipeline": QwenImageEdit,
    "QwenImageEditPlusPipeline": QwenImageEditPlus,
}


def qwen_of(parts: Parts) -> QwenImageEdit:
    """The kind of Qwen-Image-Edit that a model's files are of, by their pipeline.

    Raises:
        UserError: another pipeline around the same transformer, such as Qwen-Image's.
    """
    if made := PIPELINES.get(parts.files.pipeline):
        return made(parts)
    raise UserError(
        f"{parts.name} has Qwen-Image's transformer, and its model_index.json names "
        f"{parts.files.pipeline or 'no pipeline'}: brittle edits with Qwen-Image-Edit "
        f"({' and '.join(PIPELINES)})."
    )
