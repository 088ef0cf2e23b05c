"""Transforms: what happens to an image after it was published; presets come from presets.yaml."""

from importlib.resources import files

import yaml

from brittle.component import Preset, registry
from brittle.transforms.base import Transform
from brittle.transforms.chain import Chain
from brittle.transforms.codecs import Avif, Jpeg, Jpeg2000, Nothing, WebP
from brittle.transforms.colours import Brightness, Contrast, Gamma, Grayscale, Levels
from brittle.transforms.filters import (
    Bilateral,
    GaussianBlur,
    Guided,
    MedianBlur,
    NonLocalMeans,
    TotalVariation,
)
from brittle.transforms.framing import Crop, Perspective
from brittle.transforms.moves import Flip, Rotate, Shift
from brittle.transforms.noises import GaussianNoise
from brittle.transforms.pixel_diffusion import DiffPure, GridPure
from brittle.transforms.purifiers import Autoencode, Denoise, Impress
from brittle.transforms.removing import Remover
from brittle.transforms.resampling import Resize
from brittle.transforms.screens import Screenshot
from brittle.transforms.upscaling import NoisyUpscaling

__all__ = [
    "Autoencode",
    "Avif",
    "Bilateral",
    "Brightness",
    "Chain",
    "Contrast",
    "Crop",
    "Denoise",
    "DiffPure",
    "Flip",
    "Gamma",
    "GaussianBlur",
    "GaussianNoise",
    "Grayscale",
    "GridPure",
    "Guided",
    "Impress",
    "Jpeg",
    "Jpeg2000",
    "Levels",
    "MedianBlur",
    "NoisyUpscaling",
    "NonLocalMeans",
    "Nothing",
    "Perspective",
    "Remover",
    "Resize",
    "Rotate",
    "Screenshot",
    "Shift",
    "TotalVariation",
    "Transform",
    "WebP",
]


def _add_presets() -> None:
    text = (files(__name__) / "presets.yaml").read_text(encoding="utf-8")
    for name, preset in yaml.safe_load(text).items():
        source = preset.get("source") or f"Modelled, not measured. {preset['assumed']}"
        registry(Transform.family).add_preset(name, Preset(preset["of"], preset["fields"], source))


_add_presets()
