"""The edit model: one class over any VAE, UNet and text encoder of diffusers' classes."""

import copy
import gc
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from functools import cache, cached_property
from pathlib import Path
from typing import Any, Literal, Protocol

import torch
from torch import Tensor

from brittle import images
from brittle.errors import UserError
from brittle.models.configs import factor_of
from brittle.models.encoded import LastEncoded, Moments
from brittle.models.hub import revision
from brittle.models.reading import running
from brittle.silence import silence

Part = Literal["vae", "unet", "text_encoder", "tokenizer"]
AUTOENCODER_SIZE, AUTOENCODER_SIZES = 512, (64, 4096)
"""Long sides in pixels where only the autoencoder can be used, which works at any: Stable Diffusion
1.x's is chosen unless the files state one."""
CALLED = {
    "vae": "autoencoder (vae)",
    "unet": "UNet (unet)",
    "text_encoder": "text encoder (text_encoder)",
    "tokenizer": "tokenizer (tokenizer)",
    "scheduler": "scheduler (scheduler)",
}
PARTS: tuple[Part, ...] = ("vae", "unet", "text_encoder", "tokenizer")


class ModelFiles(Protocol):
    """Where a model's parts lie, and how each is read; see ``loading.py``."""

    name: str

    @property
    def directory(self) -> Path | None:
        """The model's own folder, where calibration and advice may lie beside the weights."""

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


class EditModel:
    """A latent diffusion model whose parts are read from disk when first used.

    Images are (N, 3, H, W) in [0, 1], latents (N, C, H / factor, W / factor), scaled as the UNet
    takes them. Parameters are frozen and modules in evaluation mode; gradients reach the inputs.
    """

    def __init__(
        self,
        files: ModelFiles,
        *,
        device: torch.device,
        dtype: torch.dtype,
        vae_dtype: torch.dtype = torch.float32,
        size: int | None = None,
    ) -> None:
        """``dtype`` is the UNet's and the text encoder's, ``vae_dtype`` the autoencoder's.

        ``size`` is the long side, in pixels, up to which photos are shown; None: the model's own.

        Raises:
            UserError: a size that the model doesn't work at.
        """
        self.name = files.name
        self.device = device
        self.dtype = dtype
        self.vae_dtype = vae_dtype
        self.files = files
        self._parts: dict[Part | Literal["attacked"], Any] = {}
        self._embeddings: dict[str, Tensor] = {}
        self._last = LastEncoded()
        self.size = self._checked(size) if size else self._own_size

    def __repr__(self) -> str:
        return (
            f"EditModel({self.name!r}, device={str(self.device)!r}, dtype={self.dtype}, "
            f"size={self.size})"
        )

    def __str__(self) -> str:
        """What results depend on beside the weights, as one says it."""
        return f"{self.name} at {self.size} px, {self.device}, {str(self.dtype)[6:]}"

    def with_files(self, files: ModelFiles) -> "EditModel":
        """Another model on the same device, in the same dtypes, at the same size."""
        return EditModel(
            files, device=self.device, dtype=self.dtype, vae_dtype=self.vae_dtype, size=self.size
        )

    def at(self, size: int | None) -> "EditModel":
        """The same model at another size, in pixels (None: its own); its weights are shared.

        Raises:
            UserError: as `EditModel`.
        """
        other = copy.copy(self)
        other.size = self._checked(size) if size else self._own_size
        return other

    # What the files say, without reading weights.

    @cached_property
    def content_hash(self) -> str:
        """32 hexadecimal digits over the names and SHA-256 of all files that the model uses.

        Files are hashed whole (about a second a gigabyte), once a process while they don't change,
        and looked at once.
        """
        lines = [f"{path.name} {file_hash(path)}" for path in self.files.paths()]
        lines += self.files.read_as()
        return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:32]

    @property
    def revision(self) -> str:
        """Which commit of which hub's model its files are of; empty for files from elsewhere."""
        return revision(self.files.paths()[0])

    @property
    def factor(self) -> int:
        """How many pixels a side one latent covers."""
        return factor_of(self.files.config("vae"))

    @property
    def _own_size(self) -> int:
        """The long side in pixels at which the model is used unless another is chosen."""
        otherwise = 64 * self.factor if self.edits else AUTOENCODER_SIZE
        return self.files.stated_size() or otherwise

    @property
    def sizes(self) -> tuple[int, int]:
        """The smallest and the largest long side, in pixels, that may be chosen.

        As the model's maker recommends; where nobody says, a quarter to twice the model's own.
        """
        if not self.edits:
            return AUTOENCODER_SIZES
        own = self._own_size
        smallest, largest = self.recommended.get("sizes", (own // 4, 2 * own))
        return int(smallest), int(largest)

    def _checked(self, size: int) -> int:
        smallest, largest = self.sizes
        if not smallest <= size <= largest or size % self.factor:
            raise UserError(
                f"{self.name} works at {smallest} to {largest} px, in multiples of {self.factor}, "
                f"and {size} px were asked for; its own size is {self._own_size} px."
            )
        return size

    @property
    def latent_channels(self) -> int:
        """The number C of latent channels."""
        return int(self.files.config("vae").get("latent_channels", 4))

    @property
    def unet_channels(self) -> int:
        """The UNet's input channels: C, or 2 C + 1 where it was made for inpainting.

        Raises:
            UserError: the model is an autoencoder alone.
        """
        return int(self.files.config("unet").get("in_channels", 4))

    @property
    def edits(self) -> bool:
        """Whether there is a UNet that can be used; without one, encoder protections only."""
        return not self.why_no_edits

    @property
    def why_no_edits(self) -> str:
        """Why the model can't edit, in a sentence; nothing if it can."""
        try:
            self.files.config("unet")
        except UserError as error:
            return str(error)
        return ""

    @property
    def has_latent_distribution(self) -> bool:
        """Whether `encode` can sample: the autoencoder gives a distribution, not one latent."""
        return bool(self.files.config("vae")["_class_name"] == "AutoencoderKL")

    @property
    def scheduler_config(self) -> Mapping[str, Any]:
        """The contents of scheduler_config.json."""
        return self.files.config("scheduler")

    @property
    def recommended(self) -> Mapping[str, Any]:
        """What the model's maker recommends: values for editors' fields, and the range of sizes."""
        return self.files.recommended()

    @property
    def directory(self) -> Path | None:
        """The directory of the model's files, with whatever else its maker put there; or None."""
        return self.files.directory

    @property
    def attack_dtype(self) -> torch.dtype:
        """What protections follow the encoder's gradient in; it follows from the model's dtype.

        bfloat16 where that is bfloat16 and the autoencoder is of TAESD's kind, for which it was
        measured (`benchmarks/encoder_attack.py`); else ``vae_dtype``.
        """
        low = self.dtype == torch.bfloat16 and not self.has_latent_distribution
        return self.dtype if low else self.vae_dtype

    # The parts.

    @property
    def vae(self) -> Any:
        """The autoencoder, ``AutoencoderKL`` or ``TaesdAutoencoder``."""
        return self._part("vae")

    @property
    def unet(self) -> Any:
        """The denoiser, ``UNet2DConditionModel``; UserError where the model has none."""
        return self._part("unet")

    @property
    def text_encoder(self) -> Any:
        """The text encoder, ``CLIPTextModel``; UserError where the model has none."""
        return self._part("text_encoder")

    @property
    def tokenizer(self) -> Any:
        """The text encoder's tokenizer; UserError where the model has none."""
        return self._part("tokenizer")

    def release(self, *parts: Part) -> None:
        """Forget parts (all of them unless named) to free memory; they are read again when used."""
        for part in parts or PARTS:
            self._parts.pop(part, None)
        if "vae" not in self._parts:
            self._parts.pop("attacked", None)
        gc.collect()
        if self.device.type == "cuda":
            torch.cuda.empty_cache()

    def _part(self, part: Part) -> Any:
        if part not in self._parts:
            dtype = self.vae_dtype if part == "vae" else self.dtype
            # Made outside of a caller's inference mode: gradients may run through it later.
            with torch.inference_mode(False):
                loaded = self.files.load(part, dtype)
                if isinstance(loaded, torch.nn.Module):
                    loaded = loaded.to(self.device).requires_grad_(False).eval()
                if part == "vae" and not self.has_latent_distribution and loaded.decoder:
                    # A third faster for AutoencoderTiny on a CPU, neutral for AutoencoderKL.
                    loaded.decoder.to(memory_format=torch.channels_last)
            self._parts[part] = loaded
        return self._parts[part]

    def weights(self) -> Iterator[Tensor]:
        """The weights of all parts that were read."""
        for part in self._parts.values():
            if isinstance(part, torch.nn.Module):
                yield from part.parameters()

    @property
    def unread_bytes(self) -> int:
        """Bytes of the weights that editing reads and that are not in memory yet."""
        parts: tuple[Part, ...] = ("vae", "unet", "text_encoder")
        return sum(
            self.files.count(part) * (self.vae_dtype if part == "vae" else self.dtype).itemsize
            for part in parts
            if part not in self._parts
        )

    # What it computes.

    def fit(self, image: Tensor) -> Tensor:
        """The photo as this model takes it: at its own size up to `size`; see `images.fit`."""
        return images.fit(image, size=self.size, multiple=self.factor)

    def fit_mask(self, mask: Tensor) -> Tensor:
        """The mask for `fit`'s output; see `brittle.images.fit_mask`."""
        return images.fit_mask(mask, size=self.size, multiple=self.factor)

    def encode(self, image: Tensor, *, noise: Tensor | None = None) -> Tensor:
        """Scaled latents (N, C, h, w) of a fitted image in [0, 1]; differentiable, float32.

        They are the mean of the autoencoder's distribution, or with ``noise`` of the latents'
        shape mean + deviation x noise, which is how diffusers samples. An autoencoder without a
        distribution ignores the noise.
        """
        pixels = (image * 2 - 1).to(self.device, self.vae_dtype)
        if pixels.requires_grad and not self.has_latent_distribution:
            # As in the decoder; edits encode in diffusers' layout, to agree with it to 1e-5.
            pixels = pixels.contiguous(memory_format=torch.channels_last)
        if torch.is_inference_mode_enabled():  # as in editors
            mean, *spread = self._last.moments(image, lambda: self._moments(pixels))
        else:
            mean, *spread = self._moments(pixels)
        if noise is not None and spread:
            mean = mean + spread[0] * noise.to(self.device, self.vae_dtype)
        return self._latents(mean, pixels)

    def _moments(self, pixels: Tensor) -> Moments:
        with self._running("vae"):
            output = self.vae.encode(pixels)
        if self.has_latent_distribution:
            return output.latent_dist.mean, output.latent_dist.std
        return (output.latents,)

    def posterior(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log-variance, each (N, C, h, w), of the latents of a fitted image in [0, 1].

        As the autoencoder gives them, without the latents' scale; differentiable.

        Raises:
            UserError: the autoencoder gives one latent and no distribution.
        """
        if not self.has_latent_distribution:
            raise UserError(
                f"{self.name}: its autoencoder gives a latent and no variance: name a model with "
                f"an AutoencoderKL, such as Stable Diffusion's."
            )
        pixels = (image * 2 - 1).to(self.device, self.vae_dtype)
        with self._running("vae"):
            found = self.vae.encode(pixels).latent_dist
        mean, spread = (
            self._numbers(_at_least_float32(one), "vae", pixels)
            for one in (found.mean, found.logvar)
        )
        return mean, spread

    def encode_to_attack(self, image: Tensor) -> Tensor:
        """As `encode`, in `attack_dtype`: for gradients' directions and latents' distances."""
        if self.attack_dtype == self.vae_dtype:
            return self.encode(image)
        if "attacked" not in self._parts:
            lower = copy.deepcopy(self.vae).to(self.attack_dtype)
            self._parts["attacked"] = lower.to(memory_format=torch.channels_last)
        pixels = (image * 2 - 1).to(self.device, self.attack_dtype)
        pixels = pixels.contiguous(memory_format=torch.channels_last)
        with self._running("vae"):
            latents = self._parts["attacked"].encode(pixels).latents
        return self._latents(latents, pixels)

    def _latents(self, encoded: Tensor, pixels: Tensor) -> Tensor:
        """The autoencoder's latents as the UNet takes them."""
        if self._shift:
            encoded = encoded - self._shift
        scaled = _at_least_float32(encoded * self.vae.config.scaling_factor).contiguous()
        return self._numbers(scaled, "vae", pixels)

    @property
    def _shift(self) -> float:
        """What the latents of SD 3's and FLUX's autoencoders are moved by; of others, nothing."""
        return float(self.files.config("vae").get("shift_factor") or 0)

    def decode(self, latents: Tensor) -> Tensor:
        """The image (N, 3, H, W) in units of [0, 1], not clamped; differentiable, float32."""
        scaled = latents.to(self.device, self.vae_dtype) / self.vae.config.scaling_factor
        if self._shift:
            scaled = scaled + self._shift
        with self._running("vae"):
            image = self.vae.decode(scaled, return_dict=False)[0]
        return self._numbers(_at_least_float32(image) / 2 + 0.5, "vae", scaled)

    def embed(self, prompts: Sequence[str]) -> Tensor:
        """What the UNet sees of the prompts, (N, tokens, width); each distinct one computed once.

        A prompt that is longer than the text encoder reads is cut; `is_cut` says so.
        """
        for prompt in prompts:
            if prompt not in self._embeddings:
                self._embeddings[prompt] = self._embed(prompt)
        return torch.cat([self._embeddings[prompt] for prompt in prompts])

    def _embed(self, prompt: str) -> Tensor:
        tokens = self.tokens(prompt)
        with torch.inference_mode(False), torch.no_grad(), self._running("text_encoder"):
            embedding: Tensor = self.text_encoder(tokens)[0]
        return self._numbers(embedding, "text_encoder")

    @property
    def tokens_read(self) -> int:
        """How many tokens of a prompt the text encoder reads, first and last included."""
        positions = self.files.config("text_encoder").get("max_position_embeddings") or 77
        try:
            longest = self.files.config("tokenizer").get("model_max_length") or positions
        except UserError:  # a tokenizer without a configuration is CLIP's
            longest = positions
        return int(min(longest, positions))

    def may_be_cut(self, prompt: str) -> bool:
        """Whether `is_cut` has to be asked: a token is a byte at least, and two are around them."""
        return len(prompt.encode("utf-8", "replace")) + 2 > self.tokens_read

    def is_cut(self, prompt: str) -> bool:
        """Whether the end of a prompt has no effect, since it is longer than `tokens_read`."""
        if not self.may_be_cut(prompt):
            return False
        with silence():
            return len(self.tokenizer(prompt).input_ids) > self.tokens_read

    def tokens(self, prompt: str) -> Tensor:
        """What the text encoder reads of a prompt, (1, length), padded or cut.

        Raises:
            UserError: the tokenizer belongs to another text encoder.
        """
        shape = {"padding": "max_length", "max_length": self.tokens_read, "return_tensors": "pt"}
        with silence(), self._running("tokenizer"):
            tokens: Tensor = self.tokenizer(prompt, truncation=True, **shape).input_ids
        if int(tokens.max()) >= self.text_encoder.config.vocab_size:
            raise UserError(
                f"{self.name}: its tokenizer has more words than its text encoder knows: they "
                f"belong to different models; export or download the model again."
            )
        with torch.inference_mode(False):
            return tokens.to(self.device, copy=True)

    def predict(self, latents: Tensor, timestep: int | Tensor, embeddings: Tensor) -> Tensor:
        """The UNet's output (N, C, h, w) in the latents' dtype, for noisy latents at a timestep."""
        noisy = latents.to(self.dtype)
        with self._running("unet"):
            output: Tensor = self.unet(
                noisy, timestep, encoder_hidden_states=embeddings, return_dict=False
            )[0]
        return self._numbers(output.to(latents.dtype), "unet", noisy)

    def _running(self, part: Part) -> AbstractContextManager[None]:
        return running(f"{self.name}: its {CALLED[part]}")

    def _numbers(self, output: Tensor, part: Part, given: Tensor | None = None) -> Tensor:
        """What a part computed of ``given``, which has to be numbers; one sum finds out.

        Raises:
            UserError: some are NaN or infinite.
        """
        if output.detach().sum().isfinite() or output.isfinite().all():  # a sum may overflow
            return output
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


def _at_least_float32(tensor: Tensor) -> Tensor:
    return tensor.to(torch.promote_types(tensor.dtype, torch.float32))


def file_hash(path: Path) -> str:
    """A file's SHA-256 in hexadecimal, computed once a process while it doesn't change."""
    stat = path.stat()
    return _hash_once(path, stat.st_size, stat.st_mtime_ns)


@cache
def _hash_once(path: Path, size: int, modified: int) -> str:
    """The file's SHA-256; size and time of change only serve as the cache's key."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
