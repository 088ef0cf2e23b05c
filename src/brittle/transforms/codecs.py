"""Real codecs: what happens to a photo when it is saved and opened again."""

import io
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from PIL import Image
from pydantic import Field
from torch import Tensor

from brittle.component import register
from brittle.errors import UserError
from brittle.images import from_bytes, quantise, to_bytes
from brittle.transforms.base import Transform


def through_file(image: Tensor, kind: str, **options: Any) -> Tensor:
    """One image (1, 3, H, W) saved in one of Pillow's formats and opened again, on the grid."""
    file = io.BytesIO()
    Image.fromarray(to_bytes(image)[0]).save(file, kind, **options)
    with Image.open(file, formats=(kind,)) as picture:
        return from_bytes(np.array(picture)[None]).to(image)


@register
class Nothing(Transform):
    """The file as it was published: its pixels stay equal to the byte."""

    name: ClassVar[str] = "none"
    example: ClassVar[str] = "none"

    def receive(self, image: Tensor, *, seed: int | None) -> Tensor:
        """The image itself."""
        return quantise(image)

    def surrogate(self, image: Tensor) -> Tensor:
        """The image itself."""
        return image


@register
class Jpeg(Transform):
    """Saved as a baseline JPEG with libjpeg's tables, and opened with smooth chroma upsampling.

    ``quality`` is libjpeg's, a whole number from 1 to 100; ``subsampling`` is that of the colours.
    """

    name: ClassVar[str] = "jpeg"
    source: ClassVar[str] = "ITU-T T.81; Pillow's codec, which is libjpeg-turbo"
    example: ClassVar[str] = "jpeg:quality=75"

    # Strict and bounded here, since Pillow quietly takes 0, -5 and 101.
    quality: Annotated[int, Field(strict=True, ge=1, le=100)]
    subsampling: Literal["4:4:4", "4:2:2", "4:2:0"] = "4:2:0"

    def receive(self, image: Tensor, *, seed: int | None) -> Tensor:
        """The image after the real codec."""
        return through_file(
            image,
            "JPEG",
            quality=self.quality,
            subsampling=self.subsampling,
            optimize=False,
            progressive=False,
        )

    def surrogate(self, image: Tensor) -> Tensor:
        """Kornia's differentiable JPEG (Reich et al., WACV 2024), which knows 4:2:0 alone."""
        if self.subsampling != "4:2:0":
            raise UserError(f"{self} has no differentiable form: only subsampling 4:2:0 has one.")
        from kornia.enhance import jpeg_codec_differentiable

        received: Tensor = jpeg_codec_differentiable(image, image.new_tensor([self.quality]))
        return received
