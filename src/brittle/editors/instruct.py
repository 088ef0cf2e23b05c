"""instruct: a model that was taught to follow instructions changes the photo as it is told."""

from typing import Annotated, Any, ClassVar

from pydantic import Field

from brittle.component import register
from brittle.editors.sampling import Chained
from brittle.models.denoisers import IMAGE_GUIDANCE, Task


@register
class Instruct(Chained):
    """Editing by instruction, as diffusers' StableDiffusionInstructPix2PixPipeline runs it.

    The prompt says what to change ("make it snow"). Denoising starts from noise and sees the photo
    all along: there is no strength, and ``image_guidance_scale`` says how closely the edit keeps to
    the photo. ``edit`` equals that pipeline on the same fitted image with generator seed
    ``seeds[i]`` to 1e-5.
    """

    name = "instruct"
    source = "InstructPix2Pix (Brooks et al. 2022, arXiv:2211.09800)"
    task: ClassVar[Task] = "instruct"
    FALLBACKS: ClassVar[dict[str, float]] = {
        "guidance_scale": 7.5,
        "image_guidance_scale": IMAGE_GUIDANCE,
        "num_inference_steps": 100,
    }

    guidance_scale: Annotated[float, Field(ge=0)] | None = None
    image_guidance_scale: Annotated[float, Field(ge=1)] | None = None
    num_inference_steps: Annotated[int, Field(ge=1)] | None = None
    eta: Annotated[float, Field(ge=0, le=1)] = 0.0
    negative_prompt: str = ""
    scheduler: str | None = None

    def settings(self) -> dict[str, Any]:
        """As `Chained.settings`."""
        return {field: getattr(self, field) for field in type(self).model_fields}
