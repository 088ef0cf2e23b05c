"""Transforms: what happens to an image after it was published."""

from brittle.transforms.base import Transform
from brittle.transforms.chain import Chain
from brittle.transforms.codecs import Avif, Jpeg, Jpeg2000, Nothing, WebP
from brittle.transforms.colours import Brightness, Contrast, Gamma, Grayscale, Levels
from brittle.transforms.filters import Bilateral, GaussianBlur, MedianBlur
from brittle.transforms.geometry import Flip, Rotate, Shift
from brittle.transforms.noises import GaussianNoise
from brittle.transforms.resampling import Resize

__all__ = [
    "Avif",
    "Bilateral",
    "Brightness",
    "Chain",
    "Contrast",
    "Flip",
    "Gamma",
    "GaussianBlur",
    "GaussianNoise",
    "Grayscale",
    "Jpeg",
    "Jpeg2000",
    "Levels",
    "MedianBlur",
    "Nothing",
    "Resize",
    "Rotate",
    "Shift",
    "Transform",
    "WebP",
]
