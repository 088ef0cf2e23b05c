"""Real codecs: what happens to a photo when it is saved and opened again."""

import io
import math
from collections.abc import Sequence
from dataclasses import replace
from threading import Lock
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from PIL import Image, ImageFile, features
from pydantic import Field
from torch import Tensor
from torch.nn import functional

from brittle.component import register
from brittle.decoding import Levels
from brittle.images import as_file, check_side, from_bytes, quantise, to_bytes
from brittle.transforms.base import Capabilities, Transform
from brittle.transforms.soft_jpeg import soft_jpeg

_ROOM = Lock()


def through_file(levels: Levels, kind: str, **options: Any) -> Levels:
    """One picture (H, W, 3) saved in one of Pillow's formats and opened again."""
    with Image.open(io.BytesIO(_as_file(levels, kind, **options)), formats=(kind,)) as picture:
        return np.array(picture)


def _as_file(levels: Levels, kind: str, **options: Any) -> bytes:
    if options.get("progressive"):
        _make_room(levels)
    return as_file(levels, kind, **options)


def _make_room(levels: Levels) -> None:
    """Let Pillow hold a progressive JPEG of noise, for which its own buffer is too small."""
    with _ROOM:
        ImageFile.MAXBLOCK = max(ImageFile.MAXBLOCK, 2 * levels.size)


class Codec(Transform):
    """A transform that works on 8-bit pictures alone; subclasses write ``reopened``.

    ``kind`` is the format as Pillow names it; ``feature`` is what Pillow calls an optional part of
    it, and what people do.
    """

    kind: ClassVar[str]
    feature: ClassVar[tuple[str, str] | None] = None

    def reopened(self, levels: Levels) -> Levels:
        """One picture (H, W, 3) saved and opened again."""
        raise NotImplementedError

    def receive(self, image: Tensor, *, seed: int | None) -> Tensor:
        """The image after the real codec."""
        return from_bytes(self.reopened(to_bytes(image)[0])[None]).to(image)

    def on_levels(self, levels: Levels, *, seed: int | None) -> Levels:
        """The same without floats."""
        self.check(None)
        return self.reopened(levels)

    def received_size(self, size: Sequence[int]) -> Sequence[int]:
        """See `Transform.received_size`: as large as before, and as the format allows."""
        check_side(size, self.kind)
        return super().received_size(size)

    @property
    def capabilities(self) -> Capabilities:
        """See `Transform.capabilities`; Pillow may lack the codec."""
        if self.feature is None or features.check(self.feature[0]):
            return super().capabilities
        missing = f"this Pillow was built without {self.feature[1]}"
        return replace(super().capabilities, missing=missing)


@register
class Nothing(Transform):
    """The file as it was published: its pixels stay equal to the byte."""

    name = "none"
    example = "none"

    def receive(self, image: Tensor, *, seed: int | None) -> Tensor:
        """The image itself."""
        return quantise(image)

    def on_levels(self, levels: Levels, *, seed: int | None) -> Levels:
        """The picture itself."""
        return levels

    def surrogate(self, image: Tensor) -> Tensor:
        """The image itself."""
        return image


@register
class Jpeg(Codec):
    """Saved as a JPEG with libjpeg's tables, and opened with smooth chroma upsampling.

    ``quality`` is libjpeg's, a whole number from 1 to 100; ``subsampling`` is that of the colours.
    A ``progressive`` file holds the same pixels as a baseline one. ``saves`` is how often it is
    saved and opened: at the same quality, the first save does nearly all of it, unless ``shift``
    moves the grid of blocks by that many pixels right and down before each further save, as when
    a photo is cut a little and saved anew. The pixels stay where they are.
    """

    name = "jpeg"
    kind = "JPEG"
    mild_if_large = frozenset({"quality"})
    source = "ITU-T T.81; Pillow's codec, which is libjpeg-turbo"
    example = "jpeg:quality=75"

    # Strict and bounded here, since Pillow quietly takes 0, -5 and 101.
    quality: Annotated[int, Field(strict=True, ge=1, le=100)]
    subsampling: Literal["4:4:4", "4:2:2", "4:2:0"] = "4:2:0"
    progressive: bool = False
    saves: Annotated[int, Field(strict=True, ge=1, le=100)] = 1
    shift: Annotated[int, Field(strict=True, ge=0, le=15)] = 0

    def reopened(self, levels: Levels) -> Levels:
        """The picture after the real codec."""
        for moved in self._moves():
            # Nothing to pad is no copy.
            wide = np.pad(levels, ((moved, 0), (moved, 0), (0, 0)), "edge") if moved else levels
            levels = through_file(wide, self.kind, **self._options)[moved:, moved:]
        return levels

    def bits_a_pixel(self, levels: Levels) -> float:
        """How much one save leaves of a picture (H, W, 3): bits of its file over its pixels."""
        height, width = levels.shape[:2]
        return 8 * len(_as_file(levels, self.kind, **self._options)) / (height * width)

    @property
    def _options(self) -> dict[str, Any]:
        return {
            "quality": self.quality,
            "subsampling": self.subsampling,
            "optimize": False,
            "progressive": self.progressive,
        }

    def surrogate(self, image: Tensor) -> Tensor:
        """The same in torch, see `soft_jpeg`; rounding has a slope there."""
        for moved in self._moves():
            wide = functional.pad(image, [moved, 0, moved, 0], mode="replicate")
            image = soft_jpeg(wide, self.quality, self.subsampling)[..., moved:, moved:]
        return image

    def _moves(self) -> list[int]:
        """Where the grid of blocks is at each save; 16 pixels are its largest period."""
        return [index * self.shift % 16 for index in range(self.saves)]


@register
class WebP(Codec):
    """Saved as a lossy WebP, and opened again; its colours are always 4:2:0.

    ``quality`` is libwebp's, a whole number from 0 to 100.
    """

    name = "webp"
    kind = "WEBP"
    mild_if_large = frozenset({"quality"})
    source = "RFC 9649; Pillow's codec, which is libwebp"
    example = "webp:quality=75"

    quality: Annotated[int, Field(strict=True, ge=0, le=100)]

    feature = ("webp", "WebP")

    def reopened(self, levels: Levels) -> Levels:
        """The picture after the real codec; there is no surrogate."""
        return through_file(levels, self.kind, quality=self.quality, method=4)


@register
class Avif(Codec):
    """Saved as an AVIF, and opened again.

    ``quality`` is libavif's, a whole number from 0 to 100; ``subsampling`` is that of the colours.
    """

    name = "avif"
    kind = "AVIF"
    mild_if_large = frozenset({"quality"})
    source = "AV1 Image File Format; Pillow's codec, which is libavif"
    example = "avif:quality=60"

    quality: Annotated[int, Field(strict=True, ge=0, le=100)]
    subsampling: Literal["4:4:4", "4:2:2", "4:2:0"] = "4:2:0"

    feature = ("avif", "AVIF")

    def reopened(self, levels: Levels) -> Levels:
        """The picture after the real codec; there is no surrogate."""
        # One thread, since the number of threads changes the pixels.
        return through_file(
            levels,
            self.kind,
            quality=self.quality,
            subsampling=self.subsampling,
            speed=6,
            max_threads=1,
        )


@register
class Jpeg2000(Codec):
    """Saved as a lossy JPEG 2000 of a given size, and opened again.

    ``ratio`` is how many times smaller than the raw pixels the file is to be, from 1 to 1000.
    """

    name = "jpeg2000"
    kind = "JPEG2000"
    source = "ITU-T T.800; Pillow's codec, which is OpenJPEG"
    example = "jpeg2000:ratio=20"

    ratio: Annotated[float, Field(ge=1, le=1000)]

    feature = ("jpg_2000", "JPEG 2000")

    def reopened(self, levels: Levels) -> Levels:
        """The picture after the real codec; there is no surrogate."""
        halvings = int(math.log2(min(levels.shape[:2])))
        return through_file(
            levels,
            self.kind,
            quality_mode="rates",
            quality_layers=[self.ratio],
            irreversible=True,
            num_resolutions=min(6, halvings + 1),
        )
