"""ip-adapter: a picture says what to paint, without a fine-tune and past the autoencoder."""

import re
from pathlib import Path
from typing import Annotated, Any, ClassVar

from pydantic import Field, field_validator

from brittle.component import register
from brittle.editors.sampling import Chained
from brittle.errors import UserError
from brittle.models import EditModel
from brittle.models.adapters import AdaptedFiles
from brittle.models.denoisers import Task
from brittle.models.edit_model import file_hash


@register
class IPAdapter(Chained):
    """Pictures in the likeness of the received one, as diffusers' pipelines run IP-Adapter.

    The received picture is an image prompt beside the prompt, and denoising starts from noise: what
    the autoencoder makes of the picture plays no part. ``adapter`` is the .safetensors file of an
    IP-Adapter for the model (plain, plus or full face), with its folder ``image_encoder`` beside
    it; it is recorded as ``path#digest``. ``scale`` says how much the picture counts.
    """

    name = "ip-adapter"
    source = "IP-Adapter (Ye et al. 2023, arXiv:2308.06721)"
    task: ClassVar[Task] = "generate"
    FALLBACKS: ClassVar[dict[str, float]] = {"guidance_scale": 7.5, "num_inference_steps": 50}

    adapter: str = ""
    scale: Annotated[float, Field(ge=0, le=1)] = 1.0
    guidance_scale: Annotated[float, Field(ge=0)] | None = None
    num_inference_steps: Annotated[int, Field(ge=1)] | None = None
    eta: Annotated[float, Field(ge=0, le=1)] = 0.0
    negative_prompt: str = ""
    scheduler: str | None = None

    @field_validator("adapter")
    @classmethod
    def _add_digest(cls, adapter: str) -> str:
        if not adapter or re.fullmatch(r".+#[0-9a-f]{32}", adapter):
            return adapter
        if not Path(adapter).is_file():
            raise ValueError(f"there is no adapter at {adapter}")
        return f"{adapter}#{file_hash(Path(adapter))[:32]}"

    def settings(self) -> dict[str, Any]:
        """As `Chained.settings`."""
        own = {"adapter", "scale"}
        return {
            field: getattr(self, field) for field in type(self).model_fields if field not in own
        }

    def adapted(self, model: EditModel) -> EditModel:
        """As `Chained.adapted`: the model with the adapter on top.

        Raises:
            UserError: no adapter was named, it isn't the one that was recorded, or it doesn't fit.
        """
        if model.why_no_edits:
            raise UserError(model.why_no_edits)
        if not self.adapter:
            raise UserError(
                "ip-adapter needs the file of an IP-Adapter: --editor ip-adapter:adapter=FILE."
            )
        path, _, digest = self.adapter.rpartition("#")
        if not Path(path).is_file() or file_hash(Path(path))[:32] != digest:
            raise UserError(
                f"The adapter {path} isn't the one that was recorded: its file differs."
            )
        return model.once(
            (self.adapter, self.scale, model.size),
            lambda: model.with_files(
                AdaptedFiles(model.files, Path(path), self.scale),
                changed=("denoiser", "image_encoder"),
            ),
        )
