"""What of a model's configurations brittle itself reads, checked before anything rests on it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from brittle.errors import UserError
from brittle.models import frames
from brittle.models.parts import Part
from brittle.models.reading import read_json

MOST_PIXELS, MOST_STEPS, MOST_LAYERS = 16_384, 100_000, 1000
"""What no model states: a longer side in pixels, more timesteps, more layers of one block."""

Count = Annotated[int, Field(ge=1, le=65_536, strict=True)]
Side = Annotated[int, Field(ge=1, le=MOST_PIXELS, strict=True)]
Layers = Annotated[int, Field(ge=0, le=MOST_LAYERS, strict=True)]
Pixels = Annotated[int, Field(ge=1, le=MOST_PIXELS**2, strict=True)]
Channels = Annotated[list[float], Field(min_length=3, max_length=3)]
Factor = Annotated[float, Field(allow_inf_nan=False)]
Value = str | int | float | bool | None


class _Read(BaseModel):
    """Fields that brittle reads; what else a file holds is for the libraries."""

    model_config = ConfigDict(extra="ignore")


class _Named(_Read):
    name: str | None = Field(None, alias="_class_name")
    architectures: list[str] | None = None


class _Autoencoder(_Named):
    block_out_channels: list[Count] | None = None
    encoder_block_out_channels: list[Count] | None = None
    layers_per_block: Layers | list[Layers] | None = None
    latent_channels: Count = 4
    scaling_factor: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    shift_factor: Factor | None = None
    sample_size: Side | list[Side] | None = None


class _VideoAutoencoder(_Read):
    base_dim: Count
    dim_mult: Annotated[list[Count], Field(min_length=1)]
    z_dim: Count
    latents_mean: list[Factor]
    latents_std: list[Annotated[float, Field(gt=0, allow_inf_nan=False)]]


class _Denoiser(_Named):
    sample_size: Side | list[Side] | None = None
    in_channels: Count | None = None
    layers_per_block: Layers | list[Layers] | None = None
    transformer_layers_per_block: Layers | list[Layers | list[Layers]] | None = None


class _TextEncoder(_Named):
    max_position_embeddings: Count | None = None
    num_hidden_layers: Layers | None = None
    vocab_size: Annotated[int, Field(ge=1, strict=True)] | None = None


class _Tokenizer(_Named):
    model_max_length: Annotated[float, Field(ge=3)] | None = None


class _Size(_Read):
    shortest_edge: Pixels | None = None
    longest_edge: Pixels | None = None


class _Processor(_Read):
    patch_size: Count
    merge_size: Count
    temporal_patch_size: Count
    min_pixels: Pixels | None = None
    max_pixels: Pixels | None = None
    size: _Size = _Size()
    image_mean: Channels
    image_std: Channels

    @model_validator(mode="after")
    def _bounded(self) -> "_Processor":
        fewest = self.min_pixels or self.size.shortest_edge
        most = self.max_pixels or self.size.longest_edge
        if not fewest or not most:
            raise ValueError("it has to say how many pixels a picture has, at least and at most")
        return self


class _Scheduler(_Named):
    num_train_timesteps: Annotated[int, Field(ge=1, le=MOST_STEPS, strict=True)] = 1000
    prediction_type: str | None = None
    rescale_betas_zero_snr: bool | None = None


class _Recommended(BaseModel):
    """Fields of editors by the editors' names, and a range of sizes."""

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, dict[str, Value]]

    sizes: tuple[Side, Side] | None = None

    @model_validator(mode="after")
    def _smallest_first(self) -> "_Recommended":
        if self.sizes and self.sizes[0] > self.sizes[1]:
            raise ValueError("sizes are the smallest and the largest")
        return self


_SHAPES: dict[str, type[BaseModel]] = {
    "vae": _Autoencoder,
    "denoiser": _Denoiser,
    "text_encoder": _TextEncoder,
    "text_encoder_2": _TextEncoder,
    "tokenizer": _Tokenizer,
    "tokenizer_2": _Tokenizer,
    "text_encoder_3": _TextEncoder,
    "tokenizer_3": _Tokenizer,
    "processor": _Processor,
    "scheduler": _Scheduler,
    "recommended": _Recommended,
}


def read_config(
    path: Path, kind: Part | Literal["scheduler", "recommended"], *, missing: str
) -> Mapping[str, Any]:
    """A configuration file whose values have the types and ranges that brittle counts on.

    Raises:
        UserError: as `read_json`; a value that can't be one, with its name.
    """
    content = read_json(path, missing=missing)
    of_video = kind == "vae" and content.get("_class_name") == frames.CLASS_NAME
    if kind == "processor":  # newer versions of transformers keep all processors in one file
        content = content.get("image_processor", content)
    try:
        (_VideoAutoencoder if of_video else _SHAPES[kind]).model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"]) or "its content"
        raise UserError(
            f"{path} can't be right: {place} is {_short(first['input'])} "
            f"({first['msg'].removeprefix('Value error, ')}); export or download the model again."
        ) from None
    return frames.as_of_pictures(content) if of_video else content


def stated_size(denoiser: Mapping[str, Any], autoencoder: Mapping[str, Any]) -> int | None:
    """The long side in pixels that a model states: a denoiser in latents, an autoencoder in pixels.

    An autoencoder's below 512 is that of its training's crops, or diffusers' default.
    """
    if size := _longest(denoiser.get("sample_size")):
        return size * factor_of(autoencoder)
    size = _longest(autoencoder.get("sample_size"))
    return size if size >= 512 else None


def factor_of(autoencoder: Mapping[str, Any]) -> int:
    """How many pixels a side one latent covers."""
    widths = autoencoder.get("block_out_channels") or autoencoder.get("encoder_block_out_channels")
    return int(2 ** (len(widths or [0] * 4) - 1))


def shifted(autoencoder: Mapping[str, Any]) -> list[str]:
    """What `ModelFiles.read_as` says of an autoencoder's shift, which was ignored once."""
    shift = autoencoder.get("shift_factor")
    return [f"shift_factor {shift:g}"] if shift else []


def _longest(size: int | list[int] | None) -> int:
    return max(size, default=0) if isinstance(size, list) else size or 0


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:60]}…"
