"""Reading a model's files: weights, configurations and tokenizers, with errors in a sentence.

Only safetensors are read, never a pickle, and nothing is asked of a network.
"""

import json
import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch

from brittle.errors import UserError, out_of_memory, shortened
from brittle.models.marks import refuse_scaled
from brittle.silence import silence

TOKENIZERS = tuple(
    f"{kind}Tokenizer{fast}" for kind in ("CLIP", "T5", "Qwen2") for fast in ("", "Fast")
)
"""Classes whose code is transformers' own, which the text encoders that brittle reads go with."""
_FAULTS = (RuntimeError, ValueError, TypeError, ArithmeticError, LookupError, AttributeError)
"""What a part's code raises; not what torch raises to end a recomputation."""


def config_path(folder: Path, part: str) -> Path:
    """The file in a part's folder that holds its configuration."""
    if part == "processor":
        own, of_all = folder / "preprocessor_config.json", folder / "processor_config.json"
        return of_all if of_all.is_file() and not own.is_file() else own
    kind = part.partition("_")[0]
    named = kind in ("tokenizer", "scheduler")
    return folder / (f"{kind}_config.json" if named else "config.json")


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
            return [folder / shard for shard in _shards(index)], variant
    pickles = [*folder.glob("*.bin"), *folder.glob("*.ckpt"), *folder.glob("*.pt")]
    if pickles:
        raise UserError(
            f"{pickles[0]} is a pickle, which can run code when it is read: brittle reads "
            f"safetensors only; convert it first."
        )
    raise UserError(f"{folder} holds no weights: looked for {base}.safetensors.")


def _shards(index: Path) -> list[str]:
    """The files that an index of weights names, all in its own folder."""
    shards = read_json(index, missing="").get("weight_map")
    names = shards.values() if isinstance(shards, dict) else []
    if not names or not all(isinstance(name, str) and Path(name).name == name for name in names):
        raise UserError(f"{index} names no files of weights beside it: download the model again.")
    return sorted(set(names))


def class_of(
    part: str, config: Mapping[str, Any], dtype: torch.dtype
) -> tuple[Any, dict[str, Any]]:
    """A part's class, without importing a pipeline, and how it is told the dtype."""
    with silence():
        if part.startswith("text_encoder"):
            import transformers

            named = (config.get("architectures") or ["CLIPTextModel"])[0]
            return getattr(transformers, named), {"dtype": dtype, "trust_remote_code": False}
        import diffusers

        return getattr(diffusers, config["_class_name"]), {"torch_dtype": dtype}


def load_tokenizer(folder: Path) -> Any:
    """A saved tokenizer, or CLIP's own where the folder holds its merges alone.

    A saved one takes up to half a second, and is read once a process while its files don't change.
    """
    import transformers

    if config_path(folder, "tokenizer").is_file():
        files = [(path.name, path.stat()) for path in sorted(folder.iterdir()) if path.is_file()]
        state = tuple((name, stat.st_size, stat.st_mtime_ns) for name, stat in files)
        return _saved_tokenizer(folder, state)
    lines = (folder / "merges.txt").read_text(encoding="utf-8").splitlines()
    merges = [(left, right) for left, right in (line.split() for line in lines)]
    vocabulary = _clip_vocabulary(merges)
    return transformers.CLIPTokenizer(vocab=vocabulary, merges=merges, model_max_length=77)


@lru_cache(maxsize=4)
def _saved_tokenizer(folder: Path, state: tuple[tuple[str, int, int], ...]) -> Any:
    """The tokenizer in a folder whose files have this ``state``."""
    import transformers

    config = config_path(folder, "tokenizer")
    name = read_json(config, missing="").get("tokenizer_class") or TOKENIZERS[0]
    if name not in TOKENIZERS:
        raise UserError(
            f"{config} asks for the class {name!r}, and brittle reads tokenizers of the "
            f"classes {', '.join(TOKENIZERS)}: nothing that a model brings along is run."
        )
    tokenizer = getattr(transformers, name).from_pretrained(
        folder, local_files_only=True, trust_remote_code=False
    )
    if tokenizer.pad_token is None:
        raise UserError(
            f"{config} names no pad_token, with which prompts are made of one length: add it "
            f"(CLIP's is <|endoftext|>)."
        )
    return tokenizer


def _clip_vocabulary(merges: list[tuple[str, str]]) -> dict[str, int]:
    """CLIP's token numbers, which follow from its merges: bytes, bytes ending a word, merges."""
    from transformers.convert_slow_tokenizer import bytes_to_unicode

    letters = list(bytes_to_unicode().values())
    words = [*letters, *(letter + "</w>" for letter in letters)]
    words += ["".join(merge) for merge in merges] + ["<|startoftext|>", "<|endoftext|>"]
    return {word: number for number, word in enumerate(words)}


def read_json(path: Path, *, missing: str) -> Mapping[str, Any]:
    """A configuration; UserError if it is none, with what is ``missing`` if there is no file."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{missing}: there is no {path}.") from None
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f"{path} can't be read as JSON: {_first(error)}") from None
    if not isinstance(content, dict):
        raise UserError(f"{path} holds no configuration.")
    return content


def check_weights(files: list[Path]) -> None:
    """Raise UserError if one of the files is no whole safetensors file, or of scaled weights."""
    for path in files:
        with open_weights(path) as file:
            refuse_scaled(path, file.keys())


def read_tensors(files: list[Path]) -> dict[str, torch.Tensor]:
    """All tensors of some safetensors files, by name."""
    from safetensors.torch import load_file

    return {name: tensor for path in files for name, tensor in load_file(path).items()}


def count_weights(path: Path, prefix: str) -> int:
    """How many numbers a file's tensors hold whose names begin with ``prefix``."""
    with open_weights(path) as file:
        names = [name for name in file.keys() if name.startswith(prefix)]  # noqa: SIM118
        return sum(math.prod(file.get_slice(name).get_shape()) for name in names)


def open_weights(path: Path) -> Any:
    """Open a safetensors file; its header is checked against the file's length."""
    from safetensors import SafetensorError, safe_open

    try:
        return safe_open(path, framework="pt")
    except FileNotFoundError:
        raise UserError(f"{path} is missing: export or download the model again.") from None
    except (SafetensorError, OSError) as error:
        raise UserError(f"{path} is damaged or no safetensors file: {_first(error)}") from None


def reading(what: str, read: Callable[[], Any]) -> Any:
    """Run a library's loading function: without its chatter, and its errors in a sentence."""
    dtype = torch.get_default_dtype()
    try:
        with silence():
            return read()
    except Exception as error:  # what the libraries raise about files has no common class
        if isinstance(error, UserError) or out_of_memory(error):
            raise
        raise UserError(f"{what} can't be read: {_first(error)}") from error
    finally:
        torch.set_default_dtype(dtype)  # which a library that fails leaves changed


@contextmanager
def running(what: str) -> Iterator[None]:
    """Run a part of a model: what its code raises is told as a fault of the model's files."""
    try:
        yield
    except _FAULTS as error:
        if isinstance(error, UserError) or out_of_memory(error):
            raise
        raise UserError(
            f"{what} can't run ({_first(error).rstrip('.')}): its files don't belong together; "
            f"export or download the model again."
        ) from error


def _first(error: Exception) -> str:
    """An error's first line that says something."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{shortened(lines[0], 200).rstrip('.')}." if lines else f"{type(error).__name__}."
