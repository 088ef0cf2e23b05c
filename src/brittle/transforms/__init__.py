"""Transforms: what happens to an image after it was published."""

from brittle.transforms.base import Transform
from brittle.transforms.chain import Chain
from brittle.transforms.codecs import Jpeg, Nothing
from brittle.transforms.filters import GaussianBlur, MedianBlur
from brittle.transforms.geometry import Flip, Rotate

__all__ = ["Chain", "Flip", "GaussianBlur", "Jpeg", "MedianBlur", "Nothing", "Rotate", "Transform"]
