"""Protections and their placebos; presets come from presets.yaml."""

from importlib.resources import files

import yaml

from brittle.component import Preset, registry
from brittle.protections.ace import Ace
from brittle.protections.anti_dreambooth import AntiDreamBooth
from brittle.protections.base import Protection, Trace, at_once
from brittle.protections.caat import Caat
from brittle.protections.cloak import StyleCloak
from brittle.protections.denoising import DenoisingLoss, Mist, ScoreDistillation
from brittle.protections.diffusion import DiffusionProtection
from brittle.protections.encoder import EncoderEnsemble, EncoderProtection
from brittle.protections.feed_forward import FeedForward
from brittle.protections.first_step import FirstStep
from brittle.protections.latent_shift import LatentShift
from brittle.protections.metacloak import MetaCloak
from brittle.protections.pgd import PGD
from brittle.protections.placebo import Noise, NoiseLocal, NoiseSpectrum, Placebo, Transplant
from brittle.protections.posterior import PosteriorCollapse, PosteriorShift
from brittle.protections.simac import SimAC
from brittle.protections.style_guard import StyleGuard
from brittle.protections.universal import Universal

__all__ = [
    "PGD",
    "Ace",
    "AntiDreamBooth",
    "Caat",
    "DenoisingLoss",
    "DiffusionProtection",
    "EncoderEnsemble",
    "EncoderProtection",
    "FeedForward",
    "FirstStep",
    "LatentShift",
    "MetaCloak",
    "Mist",
    "Noise",
    "NoiseLocal",
    "NoiseSpectrum",
    "Placebo",
    "PosteriorCollapse",
    "PosteriorShift",
    "Protection",
    "ScoreDistillation",
    "SimAC",
    "StyleCloak",
    "StyleGuard",
    "Trace",
    "Transplant",
    "Universal",
    "at_once",
]


def _add_presets() -> None:
    text = (files(__name__) / "presets.yaml").read_text(encoding="utf-8")
    for name, preset in yaml.safe_load(text).items():
        source = f"{preset['source']} Its range: {preset['range']}. {preset['differs']}"
        known = Preset(preset["of"], preset["fields"], source, preset["for"])
        registry(Protection.family).add_preset(name, known)


_add_presets()
