"""A model's parts by their roles: where they lie, reading them, running them with errors told."""

import gc
from collections.abc import Callable, Hashable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Literal, Protocol, TypeVar, get_args

import torch
from torch import Tensor

from brittle.errors import UserError
from brittle.models.devices import (
    Questions,
    channels_last,
    keeping_freed_memory,
    sound_when_narrow,
)
from brittle.models.dtypes import Precision
from brittle.models.frames import CLASS_NAME as FRAMES
from brittle.models.reading import running
from brittle.models.taesd import CLASS_NAME as TAESD

Part = Literal[
    "vae",
    "denoiser",
    "text_encoder",
    "tokenizer",
    "text_encoder_2",
    "tokenizer_2",
    "text_encoder_3",
    "tokenizer_3",
    "image_encoder",
    "processor",
]
CALLED = {
    "vae": "autoencoder (vae)",
    "denoiser": "denoiser",
    "text_encoder": "text encoder (text_encoder)",
    "tokenizer": "tokenizer (tokenizer)",
    "scheduler": "scheduler (scheduler)",
    "text_encoder_2": "second text encoder (text_encoder_2)",
    "tokenizer_2": "second tokenizer (tokenizer_2)",
    "image_encoder": "image encoder (image_encoder)",
    "text_encoder_3": "third text encoder (text_encoder_3)",
    "tokenizer_3": "third tokenizer (tokenizer_3)",
    "processor": "processor of pictures and prompts (processor)",
}
"""Parts as people are told of them, in the order in which a model's files are hashed."""

T = TypeVar("T")


class ModelFiles(Protocol):
    """Where a model's parts lie, and how each is read; see ``loading.py``."""

    name: str

    @property
    def directory(self) -> Path | None:
        """The model's own folder, where calibration and advice may lie beside the weights."""

    @property
    def base_directory(self) -> Path | None:
        """The folder of the parts that its own lacks, and of what judges its prompts.

        The own one, unless the model shares parts with another.
        """

    @property
    def pipeline(self) -> str:
        """The class of diffusers' pipeline that the files are said to be for; empty: not said."""

    @property
    def index(self) -> Mapping[str, Any]:
        """What model_index.json states; empty where there is none."""

    def config(self, part: Part | Literal["scheduler"]) -> Mapping[str, Any]:
        """A part's configuration; UserError where the model has no such part."""

    def load(self, part: Part, dtype: torch.dtype) -> Any:
        """Read one part from disk, on the CPU."""

    def count(self, part: Part) -> int:
        """How many weights a part has, without reading them."""

    def paths(self) -> list[Path]:
        """All files that decide what the model computes."""

    def stated_size(self) -> int | None:
        """The long side in pixels that some part states, usable or not; None: no part does."""

    def read_as(self) -> list[str]:
        """What of the files former versions read otherwise: it joins the content hash."""

    def recommended(self) -> Mapping[str, Any]:
        """What the model's maker recommends: fields by editor, a range of ``sizes``; or nothing."""


class Parts:
    """The parts of a model, read from disk when first used.

    Parameters are frozen and modules in evaluation mode; gradients reach the inputs.
    """

    def __init__(
        self,
        files: ModelFiles,
        *,
        device: torch.device,
        precision: Precision,
    ) -> None:
        """The parts behind ``files``, on a device, computing as ``precision`` says."""
        self.name = files.name
        self.device = device
        self.precision = precision
        self.files = files
        self.lender: Parts | None = None
        """Whose parts these are, in memory as well, but for those in ``own``."""
        self.own: frozenset[Part] = frozenset()
        self._parts: dict[Part | Literal["attacked"], Any] = {}
        self._remembered: dict[Hashable, Any] = {}
        self._questions = Questions()

    @property
    def has_latent_distribution(self) -> bool:
        """Whether `encode` can sample: the autoencoder gives a distribution, not one latent."""
        return self.files.config("vae")["_class_name"] in ("AutoencoderKL", FRAMES)

    @property
    def has_tiny_autoencoder(self) -> bool:
        """Whether the autoencoder is of TAESD's kind."""
        return self.files.config("vae")["_class_name"] in ("AutoencoderTiny", TAESD)

    def part(self, part: Part) -> Any:
        """A part of the model, a module or a tokenizer; UserError where the model has none."""
        if (holder := self._holder(part)) is not self:
            return holder.part(part)
        if part not in self._parts:
            # Made outside of a caller's inference mode: gradients may run through it later.
            with torch.inference_mode(False):
                loaded = self.files.load(part, self.dtype_of(part))
                if isinstance(loaded, torch.nn.Module):
                    loaded = loaded.to(self.device).requires_grad_(False).eval()
                if self.device.type == "cuda" and part in ("vae", "denoiser"):
                    channels_last(loaded)
                elif part == "vae" and not self.has_latent_distribution and loaded.decoder:
                    # A third faster for AutoencoderTiny on a CPU, neutral for AutoencoderKL.
                    loaded.decoder.to(memory_format=torch.channels_last)
                if part == "denoiser" and self.precision.compiled:
                    loaded.compile()
            self._parts[part] = loaded
        return self._parts[part]

    def _holder(self, part: Part) -> "Parts":
        return self if self.lender is None or part in self.own else self.lender

    def has(self, part: Part) -> bool:
        """Whether the model has such a part."""
        try:
            self.files.config(part)
        except UserError:
            return False
        return True

    def dtype_of(self, part: Part) -> torch.dtype:
        """The dtype in which a part computes."""
        return self.vae_dtype if part == "vae" else self.dtype

    @property
    def dtype(self) -> torch.dtype:
        """Of all parts but the autoencoder."""
        return self.precision.dtype

    @property
    def vae_dtype(self) -> torch.dtype:
        """Of the autoencoder."""
        return self.precision.vae_dtype

    def has_read(self, part: Part) -> bool:
        """Whether a part is in memory."""
        return part in self._holder(part)._parts

    def release(self, *parts: Part) -> None:
        """Forget parts (all of them unless named) to free memory; they are read again when used."""
        for part in parts or get_args(Part):
            self._parts.pop(part, None)
        if "vae" not in self._parts:
            self._parts.pop("attacked", None)
        gc.collect()
        if self.device.type == "cuda":
            torch.cuda.empty_cache()

    def weights(self) -> Iterator[Tensor]:
        """The weights of all parts that were read."""
        others = self.lender._parts if self.lender is not None else {}
        lent = {name: part for name, part in others.items() if name not in self.own}
        for part in (lent | self._parts).values():
            if isinstance(part, torch.nn.Module):
                yield from part.parameters()

    def once(self, key: Hashable, compute: Callable[[], T]) -> T:
        """What ``compute`` gives, remembered under ``key`` for as long as the model lives."""
        if key not in self._remembered:
            self._remembered[key] = compute()
        found: T = self._remembered[key]
        return found

    def evaluate(self, given: Tensor, *inputs: Any, **named: Any) -> Tensor:
        """The denoiser's output of ``given``, the noisy latents as it takes them, in their dtype.

        They come first among what the module is called with, cast to its own dtype.

        Raises:
            UserError: the module can't run, or computes no numbers.
        """
        noisy = given.to(self.dtype)
        with self.running("denoiser"), sound_when_narrow(noisy):
            output: Tensor = self.part("denoiser")(noisy, *inputs, **named, return_dict=False)[0]
        return self.numbers(output.to(given.dtype), "denoiser", noisy)

    @contextmanager
    def running(self, part: Part) -> Iterator[None]:
        """Run a part: what its code raises is told as a fault of the model's files."""
        with running(f"{self.name}: its {CALLED[part]}"), keeping_freed_memory():
            yield

    def numbers(self, output: Tensor, part: Part, given: Tensor | None = None) -> Tensor:
        """What a part computed of ``given``, which has to be numbers; one sum finds out.

        A GPU isn't waited for: what it computed is refused at the next call, or by `settle`.

        Raises:
            UserError: some are NaN or infinite.
        """
        found, seen = output.detach(), None if given is None else given.detach()
        refuse = partial(self._refuse_without_numbers, found, part, seen)
        self._questions.ask(found.sum().isfinite(), refuse)
        return output

    def settle(self) -> None:
        """Wait until it is known whether the last call gave numbers; UserError as `numbers`."""
        self._questions.settle()

    def _refuse_without_numbers(self, output: Tensor, part: Part, given: Tensor | None) -> None:
        if output.isfinite().all():  # their sum overflowed
            return
        if given is not None and not given.isfinite().all():
            raise UserError(
                f"{self.name}: its {CALLED[part]} was given values that are no numbers (NaN or "
                f"infinite), which the step before made of numbers: choose scheduler=ddim, another "
                f"number of steps or --dtype float32."
            )
        dtype = self.dtype if given is None else given.dtype
        whole = torch.promote_types(dtype, torch.float32) == dtype
        instead = (
            "export or download it again, or name another model"
            if whole
            else ("try --dtype float32 or another file of the model")
        )
        raise UserError(
            f"{self.name}: its {CALLED[part]} computes no numbers (NaN or infinite) in "
            f"{str(dtype)[6:]}: {instead}."
        )
