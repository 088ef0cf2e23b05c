"""A model's files: a directory in diffusers' format."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import torch

from brittle.errors import UserError
from brittle.models import deep_compression, frames
from brittle.models.configs import read_config, shifted, stated_size
from brittle.models.marks import LORA
from brittle.models.parts import CALLED, Part
from brittle.models.reading import (
    check_weights,
    class_of,
    config_path,
    count_weights,
    find_weights,
    load_tokenizer,
    read_json,
    read_tensors,
    reading,
)
from brittle.models.taesd import from_tiny, is_taesd

SD1 = Path(__file__).parent / "sd1"
RECOMMENDED = "recommended.json"
FOLDERS: Mapping[str, str] = {
    part: {"denoiser": "unet"}.get(part, part) for part in CALLED if part != "image_encoder"
}
"""The folder of each part, in the order of `CALLED`; a denoiser's may be `TRANSFORMER` instead."""
TRANSFORMER = "transformer"
KONTEXT = "FluxKontextPipeline"
_PIPELINES = (KONTEXT, "QwenImageEditPlusPipeline")
"""Pipelines whose parts compute something else than their configurations alone say."""
_LORA_FILES = ("pytorch_lora_weights.safetensors", "adapter_config.json")

_WEIGHTS = {
    "vae": "diffusion_pytorch_model",
    "denoiser": "diffusion_pytorch_model",
    "text_encoder": "model",
    "text_encoder_2": "model",
    "text_encoder_3": "model",
}
_FACES = {
    frames.CLASS_NAME: frames.FrameAutoencoder,
    deep_compression.CLASS_NAME: deep_compression.DeepAutoencoder,
}
"""What puts an autoencoder of this class behind the face of AutoencoderKL or AutoencoderTiny."""
_AUTOENCODERS = ("AutoencoderKL", "AutoencoderTiny", *_FACES)
_TEXT_ENCODERS: Mapping[str, Mapping[str, str]] = {
    "UNet2DConditionModel": {
        "text_encoder": "CLIPTextModel",
        "text_encoder_2": "CLIPTextModelWithProjection",
    },
    "SD3Transformer2DModel": {
        "text_encoder": "CLIPTextModelWithProjection",
        "text_encoder_2": "CLIPTextModelWithProjection",
        "text_encoder_3": "T5EncoderModel",
    },
    "FluxTransformer2DModel": {
        "text_encoder": "CLIPTextModel",
        "text_encoder_2": "T5EncoderModel",
    },
    "QwenImageTransformer2DModel": {"text_encoder": "Qwen2_5_VLForConditionalGeneration"},
}
"""The classes of denoisers, and for each those of its text encoders."""


def lacking_in(folder: Path) -> str:
    """Which file of a pipeline is not there although its model_index.json lists the part.

    Nothing where all are, or where there is no such list.
    """
    index = folder / "model_index.json"
    listed = read_json(index, missing="") if index.is_file() else {}
    for part, place in [*FOLDERS.items(), ("denoiser", TRANSFORMER)]:
        value = listed.get(place)
        if not isinstance(value, list) or not value or value[0] is None:
            continue
        if place == TRANSFORMER and value[-1] not in _TEXT_ENCODERS:
            continue  # it serves encoder protections without its denoiser
        config = config_path(folder / place, part)
        if not config.is_file():
            return f"it lacks its {CALLED[part]}, there is no {config}."
        try:
            found = find_weights(folder / place, _WEIGHTS[part])[0] if part in _WEIGHTS else []
        except UserError as error:
            return str(error)
        for path in found:
            if not path.is_file():
                return f"there is no {path}."
    return ""


class Directory:
    """A directory in diffusers' format: a whole pipeline, or an autoencoder alone.

    A safety checker and a feature extractor are never read: the one blackens images, which would
    then score as edits.
    """

    def __init__(
        self, folder: Path, name: str, shared: Path | None = None, *, whole: bool = True
    ) -> None:
        """UserError where ``folder`` holds no model that brittle can read.

        Parts that it lacks are those of the pipeline in the folder ``shared``. Unless ``whole``,
        parts that model_index.json lists may be missing.
        """
        self.directory = folder
        self.base_directory = shared or folder
        self.name = name
        self._configs: dict[str, Mapping[str, Any]] = {}
        listed = (folder / "model_index.json").is_file()
        self._is_autoencoder = not listed and (folder / "config.json").is_file()
        if any((folder / file).is_file() for file in _LORA_FILES):
            raise UserError(f"{folder} is {LORA}.")
        if not self._is_autoencoder and not self._place("vae").is_dir():
            raise UserError(
                f"{folder} holds no model in diffusers' format: looked for model_index.json with "
                f"the folders vae, unet, text_encoder, tokenizer and scheduler, or for config.json "
                f"of an autoencoder."
            )
        if whole and (lacking := lacking_in(folder)):
            raise UserError(
                f"{name} is incomplete, as after a download that was interrupted: {lacking} "
                f"Download it again, or name its folder vae to use the autoencoder alone."
            )
        self.config("vae")

    def config(self, part: Part | Literal["scheduler"]) -> Mapping[str, Any]:
        """As `ModelFiles.config`; UserError also for a part of another architecture."""
        if part not in self._configs:
            self._configs[part] = self._read_config(part)
        return self._configs[part]

    def _read_config(self, part: Part | Literal["scheduler"]) -> Mapping[str, Any]:
        path = config_path(self._place(part), part)
        if self._is_autoencoder and part != "vae":
            raise UserError(
                f"{self.name} is an autoencoder alone, without the {CALLED[part]}: it serves "
                f"encoder protections; to edit, name a whole model."
            )
        config = read_config(path, part, missing=f"{self.name} lacks its {CALLED[part]}")
        found = config.get("_class_name") or (config.get("architectures") or [None])[0]
        taken = self._classes(part)
        if self._is_autoencoder and found not in taken:
            raise UserError(
                f"{self.directory} is no model that brittle takes: its config.json is of class "
                f"{found}; name a whole pipeline's folder, or an autoencoder's "
                f"({' or '.join(taken)})."
            )
        if path.parent.name == TRANSFORMER and found not in taken:
            raise UserError(
                f"{self.name}: its denoiser is a transformer ({found}), and brittle edits with "
                f"those of Stable Diffusion 3, FLUX.1 and Qwen-Image-Edit, and with the UNet of "
                f"Stable Diffusion 1.x, 2.x and XL."
            )
        if taken and found not in taken:
            raise UserError(
                f"{self.name}: its {CALLED[part]} is of class {found}, and brittle edits with "
                f"{' or '.join(taken)}, as in Stable Diffusion 1.x."
            )
        other = self._other_scheduler(config) if part == "scheduler" else ""
        return {**config, "_class_name": other} if other else config

    def _classes(self, part: str) -> tuple[str, ...]:
        """The classes that a part may have; none where brittle doesn't care."""
        if part == "vae":
            return _AUTOENCODERS
        if part == "denoiser":
            return tuple(_TEXT_ENCODERS)
        path = config_path(self._place("denoiser"), "denoiser")
        denoiser = read_json(path, missing="") if path.is_file() else {}
        readers = _TEXT_ENCODERS.get(str(denoiser.get("_class_name")), {})
        return (readers[part],) if part in readers else ()

    @property
    def pipeline(self) -> str:
        """As `ModelFiles.pipeline`."""
        return str(self.index.get("_class_name") or "")

    @property
    def index(self) -> Mapping[str, Any]:
        """As `ModelFiles.index`."""
        index = self.directory / "model_index.json"
        return read_json(index, missing="") if index.is_file() else {}

    def _other_scheduler(self, config: Mapping[str, Any]) -> str:
        """The scheduler that model_index.json names, which diffusers builds, if it is another."""
        listed = self.index.get("scheduler")
        named = listed[-1] if isinstance(listed, list) and listed else None
        return named if isinstance(named, str) and named != config.get("_class_name") else ""

    def load(self, part: Part, dtype: torch.dtype) -> Any:
        """As `ModelFiles.load`."""
        config = self.config(part)
        place = self._place(part)
        if part.startswith("tokenizer") or part == "processor":
            return reading(f"{self.name}: its {CALLED[part]}", lambda: load_tokenizer(place))
        files, variant = find_weights(place, _WEIGHTS[part])
        check_weights(files)
        if part == "vae" and is_taesd(config):
            what = f"{self.name}: its {CALLED[part]}"
            return reading(what, lambda: from_tiny(config, read_tensors(files)).to(dtype))
        cls, options = class_of(part, config, dtype)
        model, report = reading(
            f"{self.name}: its {CALLED[part]}",
            lambda: cls.from_pretrained(
                place,
                **options,
                variant=variant,
                use_safetensors=True,
                local_files_only=True,
                output_loading_info=True,
            ),
        )
        if report["missing_keys"]:
            raise UserError(
                f"{self.name}: the weights of its {CALLED[part]} are incomplete, "
                f"{sorted(report['missing_keys'])[0]} is missing; export or download it again."
            )
        face = _FACES.get(str(config.get("_class_name"))) if part == "vae" else None
        return face(model) if face else model

    def count(self, part: Part) -> int:
        """As `ModelFiles.count`, from the headers of the part's files."""
        self.config(part)
        files, _ = find_weights(self._place(part), _WEIGHTS[part])
        return sum(count_weights(path, "") for path in files)

    def paths(self) -> list[Path]:
        """As `ModelFiles.paths`."""
        found: list[Path] = []
        for part in ("vae",) if self._is_autoencoder else FOLDERS:
            place = self._place(part)
            config = config_path(place, part)
            if not config.is_file():
                continue
            found.append(config)
            if part in _WEIGHTS:
                found += find_weights(place, _WEIGHTS[part])[0]
            if part.startswith("tokenizer") or part == "processor":
                found += sorted(set(place.glob("*.json")) | set(place.glob("*.txt")))
        return list(dict.fromkeys(found))

    def recommended(self) -> Mapping[str, Any]:
        """As `ModelFiles.recommended`, from recommended.json in the directory."""
        path = self.directory / RECOMMENDED
        return read_config(path, "recommended", missing="") if path.is_file() else {}

    def stated_size(self) -> int | None:
        """As `ModelFiles.stated_size`: the denoiser's, whether it can be used or not."""
        path = config_path(self._place("denoiser"), "denoiser")
        denoiser = not self._is_autoencoder and path.is_file()
        config = read_config(path, "denoiser", missing="") if denoiser else {}
        return stated_size(config, self.config("vae"))

    def read_as(self) -> list[str]:
        """As `ModelFiles.read_as`."""
        eta = ["eta 0"] if self._scheduler_class == "TCDScheduler" else []
        path = config_path(self._place("scheduler"), "scheduler")
        written = read_config(path, "scheduler", missing="") if path.is_file() else {}
        other = self._other_scheduler(written) if written else ""
        shows = [f"pipeline {self.pipeline}"] if self.pipeline in _PIPELINES else []
        named = [f"scheduler {other}"] if other else []
        return [*eta, *named, *shifted(self.config("vae")), *shows]

    @property
    def _scheduler_class(self) -> str:
        path = config_path(self._place("scheduler"), "scheduler")
        return str(self.config("scheduler").get("_class_name")) if path.is_file() else ""

    def _place(self, part: str) -> Path:
        """The folder of a part."""
        if self._is_autoencoder:
            return self.directory
        place = self.directory / FOLDERS[part]
        transformer = self.directory / TRANSFORMER
        other = part == "denoiser" and not (place / "config.json").is_file()
        if other and (transformer / "config.json").is_file():
            return transformer
        return place if place.is_dir() else self.base_directory / FOLDERS[part]
