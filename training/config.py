"""Settings of the recipe: one YAML file, validated, with ``section.key=value`` overrides."""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
import yaml
from pydantic import BaseModel, ConfigDict


class Section(BaseModel):
    """Part of the settings; unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Schedule(Section):
    """How one part is trained; see the comments in ``config.yaml``."""

    batch: int
    steps: int
    rate: float
    warmup: int
    decay: float
    average: float
    every: int


class TeacherSet(Section):
    """The pictures that the teacher labels."""

    chunks: int
    attacked: int
    plain: int
    signs: int
    steps: int
    radius: tuple[int, int]
    quality: tuple[int, int]


class Autoencoder(Section):
    """Shape of the student."""

    width: int
    encoder_blocks: tuple[int, ...]
    decoder_width: int
    decoder_blocks: tuple[int, ...]


class Encoder(Schedule):
    """Distillation of the encoder."""

    weights: dict[str, float]
    student_at: tuple[float, ...]
    student_crops: int


class Latents(Section):
    """The cache of latents of photos in looks."""

    shards: int
    looks: int


class Decoder(Schedule):
    """Training of the decoder."""

    perceptual: float


class Classifier(Schedule):
    """Training of the look classifier."""

    pictures: int
    noise: float


class Text(Section):
    """Tokenizer and text encoder."""

    vocabulary: int
    length: int
    width: int
    layers: int
    heads: int


class Editor(Schedule):
    """Shape of a UNet, and what it is taught to do."""

    channels: tuple[int, ...]
    layers: int
    heads: int
    no_caption: float
    plain_caption: float


class Denoiser(Editor):
    """Training of the UNet."""

    whole_target: float
    snr_limit: float


class Instruct(Editor):
    """Training of the second editor, which sees the photo beside the noise."""

    no_source: float
    start: Path | None
    export: Path
    recommended: dict[str, int | float]


class Calibrate(Section):
    """The thresholds of usable edits."""

    photos: Path
    sizes: tuple[int, ...]
    dtype: str


class Evaluate(Section):
    """What is measured of which editor, at which sizes, and on how many photos."""

    editor: str
    pictures: Path
    sizes: tuple[int, ...]
    dtype: str
    photos: dict[str, int]
    sections: tuple[str, ...]


class Universal(Section):
    """Tiles of the protection `universal`."""

    export: Path
    number: int
    side: int
    photos: int
    batch: int
    steps: int
    step: float
    measured: int


class Remover(Schedule):
    """The pairs of the remover, its training, and what it is measured on."""

    export: Path
    chunks: int
    crops: int
    radius: tuple[float, float]
    side: int
    untouched: float
    protections: dict[str, str]
    without: str
    held_out: int
    measured: tuple[str, ...]
    beside: tuple[str, ...]


class PixelDenoiser(Schedule):
    """The denoiser of pixels: its training, and how many photos it is measured on."""

    export: Path
    side: int
    held_out: int


class Immuniser(Schedule):
    """The network of the protection `feed-forward`: what it is trained and measured on."""

    export: Path
    side: int
    radius: tuple[float, float]
    compressed: float
    quality: tuple[int, int]
    held_out: int
    beside: str


class Config(Section):
    """All settings of the recipe."""

    seed: int
    photos: Path
    teacher: Path
    work: Path
    export: Path
    threads: int
    device: str
    bfloat16: bool
    teacher_set: TeacherSet
    autoencoder: Autoencoder
    encoder: Encoder
    latents: Latents
    decoder: Decoder
    classifier: Classifier
    text: Text
    denoiser: Denoiser
    instruct: Instruct
    remover: Remover
    pixel_denoiser: PixelDenoiser
    immuniser: Immuniser
    calibration: Calibrate
    evaluate: Evaluate
    universal: Universal
    sizes: tuple[int, int]
    recommended: dict[str, dict[str, int | float]]


def load_config(file: str | Path, overrides: list[str] | None = None) -> Config:
    """The settings in ``file`` after ``section.key=value`` overrides (values are YAML)."""
    raw = yaml.safe_load(Path(file).read_text())
    for override in overrides or []:
        name, _, value = override.partition("=")
        *parents, key = name.split(".")
        place = raw
        for parent in parents:
            place = place.get(parent, {})
        if key not in place:
            raise KeyError(f"{name} is no setting of {file}")
        place[key] = yaml.safe_load(value)
    return Config(**raw)


def mixed_precision(config: Config) -> torch.autocast:
    """bfloat16 for convolutions and products where the settings ask for it."""
    return torch.autocast(config.device, torch.bfloat16, enabled=config.bfloat16)


def from_command_line(description: str) -> Config:
    """Parses ``--config`` and ``--set``, and fixes threads and seed for this process."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--config", default="training/config.yaml")
    parser.add_argument("--set", action="append", default=[], metavar="section.key=value")
    arguments = parser.parse_args()
    config = load_config(arguments.config, arguments.set)
    torch.set_num_threads(config.threads)
    torch.manual_seed(config.seed)
    return config
