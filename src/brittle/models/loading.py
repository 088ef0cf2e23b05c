"""From a model's name to the model: ``embedded``, a directory, one file, or a hub id."""

import os
import re
from pathlib import Path

import torch

from brittle.component import unknown
from brittle.errors import UserError, printable
from brittle.models import hub
from brittle.models.devices import prepare
from brittle.models.dtypes import Precision
from brittle.models.edit_model import EditModel
from brittle.models.files import FOLDERS, Directory, lacking_in
from brittle.models.known import BROUGHT, KNOWN, known_as
from brittle.models.loras import LoraFiles, is_lora
from brittle.models.parts import ModelFiles
from brittle.models.single_file import SingleFile
from brittle.models.taesd_files import TaesdFiles, holds_taesd, in_taesd_format

EMBEDDED = Path(__file__).parent / "embedded"
EMBEDDED_INSTRUCT = Path(__file__).parent / "embedded_instruct"
"""The second embedded editor's denoiser and scheduler; all other parts are the first one's."""
_HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")
_AMX, _AVX512 = ("DEFAULT", "ALL", "AMX"), ("BF16", "FP16", "AVX10")
"""What names that oneDNN gives to instruction sets contain where these have bfloat16."""
_STACKED = re.compile(r"(.+)\+(.+?\.safetensors)(?:=(.*))?")
"""A model, a file on top of it, and how much a LoRA counts: a `_SCALE`."""
_SCALE = re.compile(r"[0-9]+\.?[0-9]*|\.[0-9]+")
_PICKLES = (".ckpt", ".bin", ".pt", ".pkl")


def load_model(
    name: str | Path = "embedded",
    *,
    device: str | torch.device | None = None,
    dtype: str | torch.dtype | None = None,
    vae_dtype: torch.dtype | None = None,
    size: int | None = None,
    config: str | Path | None = None,
) -> EditModel:
    """The edit model behind a name; its parts are read when first used.

    >>> print(brittle.load_model("embedded", size=256, device="cpu", dtype="float32"))
    embedded...

    Args:
        name: ``embedded`` or ``embedded-instruct``; a directory in diffusers' format, of a
            pipeline or of an autoencoder alone; a .safetensors checkpoint of Stable Diffusion or
            FLUX.1, as ``FOLDER+FILE`` where it lacks parts that the folder has; a model with a
            LoRA on top, ``MODEL+FILE`` or ``MODEL+FILE=SCALE``; an encoder in TAESD's format
            (.safetensors, .pth, or their directory); a hub id such as
            ``stable-diffusion-v1-5/stable-diffusion-v1-5``; or one of the short names (``sd1``,
            ``flux1`` …) that `describe` lists. Only the last two may use the network.
        device: by default CUDA, MPS or the CPU, whichever is there first.
        dtype: of denoiser and text encoders, and of the encoder's gradient as protections follow it
            (`EditModel.attack_dtype`). By default bfloat16 or float16 on a GPU, bfloat16 on CPUs
            with AMX and on AMD's with AVX-512 bf16, float32 elsewhere. Results of two dtypes differ
            slightly, so it is part of every key. ``bfloat16:vae=bfloat16`` says the autoencoder's
            as well, and ``bfloat16:compiled`` has torch compile the denoiser, which takes minutes.
        vae_dtype: of the autoencoder in all other work, by default float32: Stable Diffusion XL's
            overflows in float16. Another one is part of every key, too.
        size: the long side in pixels up to which the model is shown a photo; larger ones are
            reduced to it. By default the model's own: 512 for ``embedded``, which works at 128 to
            512.
        config: for one file, a directory of configurations instead of its layout's own.

    Raises:
        UserError: there is no such model, it is of another kind, or its files are damaged; a size
            that it doesn't work at.
    """
    files = find_files(str(name), Path(config) if config else None)
    chosen_device = _as_device(device) if device else default_device()
    chosen_dtype = default_dtype(chosen_device) if dtype is None else dtype
    by_text = isinstance(chosen_dtype, str)
    precision = Precision.parse(chosen_dtype) if by_text else Precision(chosen_dtype)
    if vae_dtype is not None:
        precision = precision._replace(vae_dtype=vae_dtype)
    prepare(chosen_device, precision.dtype)
    return EditModel(files, device=chosen_device, precision=precision, size=size)


def find_files(name: str, config: Path | None = None) -> ModelFiles:
    """Where the model of this name lies; UserError as `load_model`."""
    if name == "embedded":
        return Directory(EMBEDDED, name)
    if name == "embedded-instruct":
        return Directory(EMBEDDED_INSTRUCT, name, shared=EMBEDDED)
    if known := known_as(name):
        return TaesdFiles(known.fetch(), name=known.name, size=known.size)
    path = Path(name).expanduser()
    if (stacked := _STACKED.fullmatch(name)) and not path.exists():
        return _on_top(*stacked.groups())
    if path.suffix in _PICKLES:
        raise UserError(
            f"{path} is a pickle, which can run code when it is read: brittle reads .safetensors "
            f"only; convert it first."
        )
    if path.is_dir():
        if holds_taesd(path):
            return TaesdFiles(path)
        return Directory(path, _name_of(path.resolve()))
    if path.is_file():
        return TaesdFiles(path) if in_taesd_format(path) else SingleFile(path, config)
    looks_like_path = path.is_absolute() or name.startswith((".", "~")) or path.suffix
    if _HUB_ID.fullmatch(name) and not name.startswith((".", "~")):
        if not path.parent.is_dir() and path.suffix != ".safetensors":
            return Directory(fetch(name), name)
        looks_like_path = True
    if looks_like_path or "/" in name or "\\" in name:
        raise UserError(f"There is no model at {path}.")
    raise UserError(
        f"{unknown('model', name, [*BROUGHT, *KNOWN])} Or name a directory in diffusers' "
        f"format, a .safetensors file or a hub id."
    )


def _on_top(base: str, file: str, scale: str | None) -> ModelFiles:
    """The model ``base`` with a LoRA, or the checkpoint with ``base``'s parts where it lacks some.

    Raises:
        UserError: as `load_model`; a scale of what isn't a LoRA.
    """
    path = Path(file).expanduser()
    if not path.is_file():
        raise UserError(f"There is no file {path} to put on top of {base}.")
    if scale is not None and not _SCALE.fullmatch(scale):
        raise UserError(f"{scale!r} is no scale of a LoRA: say a number, as {path}=0.8.")
    if is_lora(path):
        return LoraFiles(find_files(base), path, float(scale or 1))
    if scale:
        raise UserError(f"{path} is no LoRA: only a LoRA takes a scale, leave out ={scale}.")
    folder = Path(base).expanduser()
    if not folder.is_dir():
        if not _HUB_ID.fullmatch(base) or folder.parent.is_dir():
            raise UserError(f"There is no folder {folder} in diffusers' format.")
        folder = fetch(base)
    return SingleFile(path, folder)


def _name_of(folder: Path) -> str:
    """The folder's name; of a pipeline's part with the pipeline's, as many have a part ``vae``."""
    name = f"{folder.parent.name}-{folder.name}" if folder.name in FOLDERS.values() else folder.name
    return printable(name)


def _as_device(device: str | torch.device) -> torch.device:
    try:
        chosen = torch.device(device)
    except RuntimeError:
        raise UserError(f"Unknown device {str(device)!r}: say cpu, cuda or mps.") from None
    there = {"cuda": torch.cuda.is_available, "mps": torch.backends.mps.is_available}
    if chosen.type in there and not there[chosen.type]():
        raise UserError(f"This machine has no {chosen.type} device that torch can use: say cpu.")
    return chosen


def default_device() -> torch.device:
    """CUDA, MPS or the CPU, whichever is there first."""
    if torch.cuda.is_available():
        return torch.device("cuda")
    return torch.device("mps" if torch.backends.mps.is_available() else "cpu")


def default_dtype(device: torch.device) -> torch.dtype:
    """The fastest dtype that edits well on this device."""
    if device.type == "cuda":
        return torch.bfloat16 if _cuda_has_bfloat16() else torch.float16
    if device.type == "mps":
        return torch.float16
    return torch.bfloat16 if _cpu_has_bfloat16() else torch.float32


def _cuda_has_bfloat16() -> bool:
    """Whether the GPU computes in bfloat16; older ones, as T4 and V100, imitate it slowly."""
    return torch.cuda.is_bf16_supported(including_emulation=False)


def _cpu_has_bfloat16() -> bool:
    """Whether the CPU multiplies bfloat16 faster, and oneDNN was not told to do without it.

    AMX does, and AVX-512 bf16 on AMD's. Intel's do so no faster than float32 (docs/performance.md).
    """
    limit = os.environ.get("ONEDNN_MAX_CPU_ISA", "DEFAULT").upper()
    amx, avx512 = (any(part in limit for part in parts) for parts in (_AMX, _AMX + _AVX512))
    if amx and _cpu_says("_is_amx_tile_supported"):
        return True
    return avx512 and _cpu_says("_is_avx512_bf16_supported") and not _cpu_is_intels()


def _cpu_says(name: str) -> bool:
    """What torch says of the CPU; an old one lacks some questions."""
    return bool(getattr(torch.cpu, name, lambda: False)())


def _cpu_is_intels() -> bool:
    """By its name, which an old torch doesn't know."""
    capabilities: dict[str, object] = getattr(torch.cpu, "get_capabilities", dict)()
    return str(capabilities.get("cpu_name", "")).startswith("Intel")


def fetch(hub_id: str) -> Path:
    """The folder of a hub's pipeline, from the cache or downloaded: only what `Directory` reads.

    Raises:
        UserError: as `hub.fetch`.
    """
    wanted = [
        "model_index.json",
        "vae/*",
        "unet/*",
        "text_encoder/*",
        "tokenizer/*",
        "text_encoder_2/*",
        "tokenizer_2/*",
        "text_encoder_3/*",
        "tokenizer_3/*",
        "processor/*",
        "transformer/*",
        "scheduler/*",
    ]
    unwanted = ["*.bin", "*.ckpt", "*.msgpack", "*.onnx*", "*non_ema*", "*.h5"]
    return hub.fetch(hub_id, wanted, unwanted, lacking_in, spare=["*.fp16*"])
