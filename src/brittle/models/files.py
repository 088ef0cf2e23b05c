"""A model's files: a directory in diffusers' format, or one checkpoint of Stable Diffusion 1.x.

Only safetensors are read, never a pickle, and nothing is asked of a network.
"""

import json
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

import torch

from brittle.errors import UserError
from brittle.models.edit_model import Part
from brittle.models.quiet import quiet
from brittle.models.taesd import from_tiny, is_taesd

SD1 = Path(__file__).parent / "sd1"
RECOMMENDED = "recommended.json"

_CONFIG_FILES = {"tokenizer": "tokenizer_config.json", "scheduler": "scheduler_config.json"}
_WEIGHTS = {
    "vae": "diffusion_pytorch_model",
    "unet": "diffusion_pytorch_model",
    "text_encoder": "model",
}
_CLASSES = {
    "vae": ("AutoencoderKL", "AutoencoderTiny"),
    "unet": ("UNet2DConditionModel",),
    "text_encoder": ("CLIPTextModel",),
}
_MORE_INPUTS = ("addition_embed_type", "class_embed_type", "num_class_embeds", "time_cond_proj_dim")
_CALLED = {
    "vae": "autoencoder (vae)",
    "unet": "UNet (unet)",
    "text_encoder": "text encoder (text_encoder)",
    "tokenizer": "tokenizer (tokenizer)",
    "scheduler": "scheduler (scheduler)",
}


class Directory:
    """A directory in diffusers' format: a whole pipeline, or an autoencoder alone.

    A safety checker and a feature extractor are never read: the one blackens images, which would
    then score as edits.
    """

    def __init__(self, folder: Path, name: str) -> None:
        """UserError where ``folder`` holds no model that brittle can read."""
        self.directory = folder
        self.name = name
        self._configs: dict[str, Mapping[str, Any]] = {}
        self._is_autoencoder = (folder / "config.json").is_file()
        if not self._is_autoencoder and not (folder / "vae").is_dir():
            raise UserError(
                f"{folder} holds no model in diffusers' format: looked for model_index.json with "
                f"the folders vae, unet, text_encoder, tokenizer and scheduler, or for config.json "
                f"of an autoencoder."
            )
        self.config("vae")

    def config(self, part: Part | Literal["scheduler"]) -> Mapping[str, Any]:
        """As `ModelFiles.config`; UserError also for a part of another architecture."""
        if part not in self._configs:
            self._configs[part] = self._read_config(part)
        return self._configs[part]

    def _read_config(self, part: Part | Literal["scheduler"]) -> Mapping[str, Any]:
        path = self._place(part) / _CONFIG_FILES.get(part, "config.json")
        if self._is_autoencoder and part != "vae":
            raise UserError(
                f"{self.name} is an autoencoder alone, without the {_CALLED[part]}: it serves "
                f"encoder protections; to edit, name a whole model."
            )
        config = _read_json(path, missing=f"{self.name} lacks its {_CALLED[part]}")
        found = config.get("_class_name") or (config.get("architectures") or [None])[0]
        if part in _CLASSES and found not in _CLASSES[part]:
            raise UserError(
                f"{self.name}: its {_CALLED[part]} is of class {found}, and brittle edits with "
                f"{' or '.join(_CLASSES[part])}, as in Stable Diffusion 1.x."
            )
        more = [key for key in _MORE_INPUTS if config.get(key) is not None]
        if part == "unet" and more:
            raise UserError(
                f"{self.name}: its UNet needs more than latents, a timestep and one prompt "
                f"({more[0]}), as Stable Diffusion XL's does: brittle edits with Stable Diffusion "
                f"1.x and 2.x."
            )
        return config

    def load(self, part: Part, dtype: torch.dtype) -> Any:
        """As `ModelFiles.load`."""
        config = self.config(part)
        place = self._place(part)
        if part == "tokenizer":
            return _reading(f"{self.name}: its tokenizer", lambda: _load_tokenizer(place))
        files, variant = find_weights(place, _WEIGHTS[part])
        _check_weights(files)
        if part == "vae" and is_taesd(config):
            what = f"{self.name}: its {_CALLED[part]}"
            return _reading(what, lambda: from_tiny(config, _tensors(files)).to(dtype))
        cls, dtype_argument = _class_of(part, config)
        model, report = _reading(
            f"{self.name}: its {_CALLED[part]}",
            lambda: cls.from_pretrained(
                place,
                **{dtype_argument: dtype},
                variant=variant,
                use_safetensors=True,
                local_files_only=True,
                output_loading_info=True,
            ),
        )
        if report["missing_keys"]:
            raise UserError(
                f"{self.name}: the weights of its {_CALLED[part]} are incomplete, "
                f"{sorted(report['missing_keys'])[0]} is missing; export or download it again."
            )
        return model

    def count(self, part: Part) -> int:
        """As `ModelFiles.count`, from the headers of the part's files."""
        self.config(part)
        files, _ = find_weights(self._place(part), _WEIGHTS[part])
        return sum(_count(path, "") for path in files)

    def paths(self) -> list[Path]:
        """As `ModelFiles.paths`."""
        found: list[Path] = []
        for part in ("vae",) if self._is_autoencoder else _CALLED:
            place = self._place(part)
            config = place / _CONFIG_FILES.get(part, "config.json")
            if not config.is_file():
                continue
            found.append(config)
            if part in _WEIGHTS:
                found += find_weights(place, _WEIGHTS[part])[0]
            if part == "tokenizer":
                found += sorted(set(place.glob("*.json")) | set(place.glob("*.txt")))
        return list(dict.fromkeys(found))

    def recommended(self) -> Mapping[str, Any]:
        """As `ModelFiles.recommended`, from recommended.json in the directory."""
        path = self.directory / RECOMMENDED
        return _read_json(path, missing="") if path.is_file() else {}

    def _place(self, part: str) -> Path:
        return self.directory if self._is_autoencoder else self.directory / part


class SingleFile:
    """One .safetensors checkpoint of Stable Diffusion 1.x; its configuration ships with brittle."""

    _PREFIXES = {  # noqa: RUF012
        "vae": "first_stage_model.",
        "unet": "model.diffusion_model.",
        "text_encoder": "cond_stage_model.transformer.",
    }

    def __init__(self, path: Path, configs: Path = SD1) -> None:
        """``configs`` is laid out as a directory in diffusers' format, without weights."""
        self.directory = None
        self.path = path
        self.name = path.name
        self.configs = configs
        _check_weights([path])
        with _open(path) as file:
            self._keys = list(file.keys())
            first = self._PREFIXES["unet"] + "input_blocks.0.0.weight"
            for name in (first, self._PREFIXES["vae"], self._PREFIXES["text_encoder"]):
                if not any(key.startswith(name) for key in self._keys):
                    raise UserError(
                        f"{path} is no checkpoint of Stable Diffusion 1.x: it holds no tensor "
                        f"{name}*; name a directory in diffusers' format for other models."
                    )
            self._unet_channels = int(([*file.get_slice(first).get_shape(), 0, 0])[1])

    def config(self, part: Part | Literal["scheduler"]) -> Mapping[str, Any]:
        """As `ModelFiles.config`."""
        path = self.configs / part / _CONFIG_FILES.get(part, "config.json")
        config = _read_json(path, missing=f"The configuration lacks {part}")
        return {**config, "in_channels": self._unet_channels} if part == "unet" else config

    def load(self, part: Part, dtype: torch.dtype) -> Any:
        """As `ModelFiles.load`."""
        if part == "tokenizer":
            return _reading("The tokenizer", lambda: _load_tokenizer(self.configs / part))
        prefix = self._PREFIXES[part]
        with _open(self.path) as file:
            weights = {key: file.get_tensor(key) for key in self._keys if key.startswith(prefix)}
        what = f"{self.name}: its {_CALLED[part]}"
        if part == "text_encoder":
            return _reading(what, lambda: self._text_encoder(weights, dtype))
        cls, _ = _class_of(part, self.config(part))
        extra = {"in_channels": self._unet_channels} if part == "unet" else {}
        model = _reading(
            what,
            lambda: cls.from_single_file(
                weights,
                config=str(self.configs),
                subfolder=part,
                torch_dtype=dtype,
                local_files_only=True,
                **extra,
            ),
        )
        absent = [name for name, value in model.state_dict().items() if value.is_meta]
        if absent:
            raise UserError(f"{what} is incomplete, {absent[0]} is missing; download it again.")
        return model

    def _text_encoder(self, weights: dict[str, torch.Tensor], dtype: torch.dtype) -> Any:
        from transformers import CLIPTextConfig, CLIPTextModel

        model = CLIPTextModel(CLIPTextConfig.from_dict(dict(self.config("text_encoder"))))
        named = {key.removeprefix(self._PREFIXES["text_encoder"]): weights[key] for key in weights}
        if not hasattr(model, "text_model"):  # newer versions of transformers dropped this level
            named = {key.removeprefix("text_model."): value for key, value in named.items()}
        buffers = "embeddings.position_ids"
        model.load_state_dict({k: v for k, v in named.items() if not k.endswith(buffers)})
        return model.to(dtype)

    def count(self, part: Part) -> int:
        """As `ModelFiles.count`, from the file's header."""
        return _count(self.path, self._PREFIXES[part])

    def paths(self) -> list[Path]:
        """As `ModelFiles.paths`."""
        return [self.path, *sorted(path for path in self.configs.glob("*/*") if path.is_file())]

    def recommended(self) -> Mapping[str, Any]:
        """As `ModelFiles.recommended`: none."""
        return {}


def find_weights(folder: Path, base: str) -> tuple[list[Path], str | None]:
    """The weight files in a part's folder, whole or sharded, and their variant.

    Full precision is preferred where there are several.

    Raises:
        UserError: no safetensors; with the reason where there is a pickle instead.
    """
    for variant in (None, "fp16", "bf16"):
        infix = f".{variant}" if variant else ""
        whole = folder / f"{base}{infix}.safetensors"
        index = folder / f"{base}.safetensors.index{infix}.json"
        if whole.is_file():
            return [whole], variant
        if index.is_file():
            shards = _read_json(index, missing="").get("weight_map")
            if not shards or not isinstance(shards, dict):
                raise UserError(f"{index} names no files of weights.")
            return [folder / str(shard) for shard in sorted(set(shards.values()))], variant
    pickles = [*folder.glob("*.bin"), *folder.glob("*.ckpt"), *folder.glob("*.pt")]
    if pickles:
        raise UserError(
            f"{pickles[0]} is a pickle, which can run code when it is read: brittle reads "
            f"safetensors only; convert it first."
        )
    raise UserError(f"{folder} holds no weights: looked for {base}.safetensors.")


def _class_of(part: str, config: Mapping[str, Any]) -> tuple[Any, str]:
    """A part's class, without importing a pipeline, and the name of its argument for a dtype."""
    with quiet():
        if part == "text_encoder":
            from transformers import CLIPTextModel

            return CLIPTextModel, "dtype"
        import diffusers

        return getattr(diffusers, config["_class_name"]), "torch_dtype"


def _load_tokenizer(folder: Path) -> Any:
    """A saved tokenizer, or CLIP's own where the folder holds its merges alone."""
    import transformers

    config = folder / _CONFIG_FILES["tokenizer"]
    if config.is_file():
        name = str(_read_json(config, missing="").get("tokenizer_class", "CLIPTokenizer"))
        cls = getattr(transformers, name, transformers.CLIPTokenizer)
        return cls.from_pretrained(folder, local_files_only=True)
    lines = (folder / "merges.txt").read_text(encoding="utf-8").splitlines()
    merges = [(left, right) for left, right in (line.split() for line in lines)]
    vocabulary = _clip_vocabulary(merges)
    return transformers.CLIPTokenizer(vocab=vocabulary, merges=merges, model_max_length=77)


def _clip_vocabulary(merges: list[tuple[str, str]]) -> dict[str, int]:
    """CLIP's token numbers, which follow from its merges: bytes, bytes ending a word, merges."""
    from transformers.convert_slow_tokenizer import bytes_to_unicode

    letters = list(bytes_to_unicode().values())
    words = [*letters, *(letter + "</w>" for letter in letters)]
    words += ["".join(merge) for merge in merges] + ["<|startoftext|>", "<|endoftext|>"]
    return {word: number for number, word in enumerate(words)}


def _read_json(path: Path, *, missing: str) -> Mapping[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{missing}: there is no {path}.") from None
    except (OSError, ValueError) as error:
        raise UserError(f"{path} can't be read as JSON: {error}.") from None
    if not isinstance(content, dict):
        raise UserError(f"{path} holds no configuration.")
    return content


def _check_weights(files: list[Path]) -> None:
    for path in files:
        with _open(path):
            pass


def _tensors(files: list[Path]) -> dict[str, torch.Tensor]:
    from safetensors.torch import load_file

    return {name: tensor for path in files for name, tensor in load_file(path).items()}


def _count(path: Path, prefix: str) -> int:
    """How many numbers a file's tensors hold whose names begin with ``prefix``."""
    with _open(path) as file:
        names = [name for name in file.keys() if name.startswith(prefix)]  # noqa: SIM118
        return sum(math.prod(file.get_slice(name).get_shape()) for name in names)


def _open(path: Path) -> Any:
    """Open a safetensors file; its header is checked against the file's length."""
    from safetensors import SafetensorError, safe_open

    try:
        return safe_open(path, framework="pt")
    except FileNotFoundError:
        raise UserError(f"{path} is missing: export or download the model again.") from None
    except (SafetensorError, OSError) as error:
        raise UserError(f"{path} is damaged or no safetensors file: {_first(error)}") from None


def _reading(what: str, read: Callable[[], Any]) -> Any:
    """Run a library's loading function: without its chatter, and its errors in a sentence."""
    try:
        with quiet():
            return read()
    except (torch.OutOfMemoryError, MemoryError):
        raise
    except Exception as error:  # what the libraries raise about files has no common class
        raise UserError(f"{what} can't be read: {_first(error)}") from error


def _first(error: Exception) -> str:
    """An error's first line that says something."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{lines[0].rstrip('.')}." if lines else f"{type(error).__name__}."
