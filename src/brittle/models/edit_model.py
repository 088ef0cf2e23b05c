"""The edit model: an autoencoder, a denoiser and its text encoders, of diffusers' classes."""

import copy
import hashlib
from collections.abc import Collection, Mapping, Sequence
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from brittle import images
from brittle.errors import UserError
from brittle.models.configs import factor_of
from brittle.models.denoisers import Denoiser, denoiser_of
from brittle.models.dtypes import Precision
from brittle.models.encoded import LastEncoded, Moments
from brittle.models.hub import revision
from brittle.models.parts import ModelFiles, Part, Parts
from brittle.models.schedulers import AnyScheduler
from brittle.models.texts import TextEncoder

AUTOENCODER_SIZE, AUTOENCODER_SIZES = 512, (64, 4096)
"""Long sides in pixels where only the autoencoder can be used, which works at any: Stable Diffusion
1.x's is chosen unless the files state one."""


class EditModel(Parts):
    """A latent diffusion model whose parts are read from disk when first used.

    Images are (N, 3, H, W) in [0, 1], latents (N, C, H / factor, W / factor), scaled as the
    denoiser takes them. Parameters are frozen and modules in evaluation mode; gradients reach the
    inputs.
    """

    def __init__(
        self,
        files: ModelFiles,
        *,
        device: torch.device,
        precision: Precision,
        size: int | None = None,
    ) -> None:
        """As `Parts`.

        ``size`` is the long side, in pixels, up to which photos are shown; None: the model's own.

        Raises:
            UserError: a size that the model doesn't work at.
        """
        super().__init__(files, device=device, precision=precision)
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

    def with_files(
        self, files: ModelFiles, *, changed: Collection[Part] | None = None
    ) -> "EditModel":
        """Another model on the same device, in the same dtypes, at the same size.

        Where ``changed`` names the parts in which it differs, this one lends it the others.
        """
        other = EditModel(files, device=self.device, precision=self.precision, size=self.size)
        if changed is not None:
            other.lender, other.own = self, frozenset(changed)
        return other

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
    def in_keys(self) -> tuple[str, str, int]:
        """What of it every key has: its files, the dtypes and the size."""
        return self.content_hash, f"torch.{self.precision}", self.size

    @property
    def encoder_hashes(self) -> frozenset[str]:
        """SHA-256 of the files with the autoencoder's weights, or of a file with all parts."""
        weights = [path for path in self.files.paths() if path.suffix == ".safetensors"]
        own = [path for path in weights if path.parent.name == "vae"]
        return frozenset(map(file_hash, own or weights))

    @property
    def revision(self) -> str:
        """Which commit of which hub's model its files are of; empty for files from elsewhere."""
        return revision(self.files.paths()[0])

    @property
    def factor(self) -> int:
        """How many pixels a side one latent covers."""
        return factor_of(self.files.config("vae"))

    @property
    def multiple(self) -> int:
        """What the sides of a photo are multiples of, in pixels, where the model is shown it."""
        return self.factor * (self.denoiser.patch if self.edits else 1)

    @property
    def _own_size(self) -> int:
        """The long side in pixels at which the model is used unless another is chosen."""
        otherwise = self.denoiser.own_side * self.factor if self.edits else AUTOENCODER_SIZE
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
        if not smallest <= size <= largest or size % self.multiple:
            raise UserError(
                f"{self.name} works at {smallest} to {largest} px, in multiples of "
                f"{self.multiple}, and {size} px were asked for; its own size is "
                f"{self._own_size} px."
            )
        return size

    @property
    def latent_channels(self) -> int:
        """The number C of latent channels."""
        return int(self.files.config("vae").get("latent_channels", 4))

    @property
    def denoiser(self) -> Denoiser:
        """What denoises the latents, and how it is told what to make of them.

        Raises:
            UserError: it has none, or one of an architecture that brittle doesn't know.
        """
        return denoiser_of(self)

    @property
    def edits(self) -> bool:
        """Whether there is a denoiser that can be used; without one, encoder protections only."""
        return not self.why_no_edits

    @property
    def why_no_edits(self) -> str:
        """Why the model can't edit, in a sentence; nothing if it can."""
        try:
            _found = self.denoiser
        except UserError as error:
            return str(error)
        return ""

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
    def base_directory(self) -> Path | None:
        """As `ModelFiles.base_directory`."""
        return self.files.base_directory

    @property
    def attack_dtype(self) -> torch.dtype:
        """What protections follow the encoder's gradient in; it follows from the model's dtype.

        bfloat16 where that is bfloat16 and the autoencoder is of TAESD's kind, for which it was
        measured (`benchmarks/encoder_attack.py`); else ``vae_dtype``.
        """
        low = self.dtype == torch.bfloat16 and self.has_tiny_autoencoder
        return self.dtype if low else self.vae_dtype

    @property
    def vae(self) -> Any:
        """The autoencoder, with the face of ``AutoencoderKL`` or ``TaesdAutoencoder``."""
        return self.part("vae")

    @property
    def unread_bytes(self) -> int:
        """Bytes of the weights that editing reads and that are not in memory yet."""
        parts: tuple[Part, ...] = ("vae", *self.denoiser.read_parts)
        return sum(
            self.files.count(part) * self.dtype_of(part).itemsize
            for part in parts
            if not self.has_read(part)
        )

    # What it computes.

    def fit(self, image: Tensor) -> Tensor:
        """The photo as this model takes it: at its own size up to `size`; see `images.fit`."""
        return images.fit(image, size=self.size, multiple=self.multiple)

    def fit_mask(self, mask: Tensor) -> Tensor:
        """The mask for `fit`'s output; see `brittle.images.fit_mask`."""
        return images.fit_mask(mask, size=self.size, multiple=self.multiple)

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
        with self.running("vae"):
            output = self.vae.encode(pixels)
        if self.has_latent_distribution:
            return output.latent_dist.mean, output.latent_dist.std
        return (output.latents,)

    def posterior(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log-variance, each (N, C, h, w), of the latents of a fitted image in [0, 1].

        As the autoencoder gives them, without the latents' scale (Qwen-Image's: with that of each
        channel); differentiable.

        Raises:
            UserError: the autoencoder gives one latent and no distribution.
        """
        if not self.has_latent_distribution:
            raise UserError(
                f"{self.name}: its autoencoder gives a latent and no variance: name a model with "
                f"an AutoencoderKL, such as Stable Diffusion's."
            )
        pixels = (image * 2 - 1).to(self.device, self.vae_dtype)
        with self.running("vae"):
            found = self.vae.encode(pixels).latent_dist
        mean, spread = (
            self.numbers(_at_least_float32(one), "vae", pixels)
            for one in (found.mean, found.logvar)
        )
        return mean, spread

    def encode_to_attack(self, image: Tensor) -> Tensor:
        """As `encode`, in `attack_dtype`: for gradients' directions and latents' distances.

        A tiny autoencoder's convolutions run channels last, which takes a third less time.
        """
        if not self.has_tiny_autoencoder:
            return self.encode(image)
        pixels = (image * 2 - 1).to(self.device, self.attack_dtype)
        pixels = pixels.contiguous(memory_format=torch.channels_last)
        with self.running("vae"):
            latents = self._to_attack.encode(pixels).latents
        return self._latents(latents, pixels)

    @property
    def _to_attack(self) -> Any:
        """The autoencoder in `attack_dtype`."""
        if self.attack_dtype == self.vae_dtype:
            return self.vae
        if "attacked" not in self._parts:
            lower = copy.deepcopy(self.vae).to(self.attack_dtype)
            self._parts["attacked"] = lower.to(memory_format=torch.channels_last)
        return self._parts["attacked"]

    def _latents(self, encoded: Tensor, pixels: Tensor) -> Tensor:
        """The autoencoder's latents as the denoiser takes them."""
        if self._shift:
            encoded = encoded - self._shift
        scaled = _at_least_float32(encoded * self.vae.config.scaling_factor).contiguous()
        return self.numbers(scaled, "vae", pixels)

    @property
    def _shift(self) -> float:
        """What the latents of SD 3's and FLUX's autoencoders are moved by; of others, nothing."""
        return float(self.files.config("vae").get("shift_factor") or 0)

    def decode(self, latents: Tensor) -> Tensor:
        """The image (N, 3, H, W) in units of [0, 1], not clamped; differentiable, float32."""
        scaled = latents.to(self.device, self.vae_dtype) / self.vae.config.scaling_factor
        if self._shift:
            scaled = scaled + self._shift
        with self.running("vae"):
            image = self.vae.decode(scaled, return_dict=False)[0]
        found = self.numbers(_at_least_float32(image) / 2 + 0.5, "vae", scaled)
        if not found.requires_grad:  # an edit's end
            self.settle()
        return found

    @property
    def reader(self) -> TextEncoder:
        """The text encoder that reads the most of a prompt; UserError where there is none."""
        return self.denoiser.reader

    def embed(self, prompts: Sequence[str]) -> Tensor:
        """What the denoiser sees of the prompts alone, (N, tokens, width).

        A prompt that is longer than the text encoder reads is cut; `reader` says so.
        """
        shape = (self.size, self.size)
        return self.denoiser.condition(prompts, (), shape=shape, guidance_scale=1).embeddings

    def schedule(
        self,
        name: str | None = None,
        *,
        num_inference_steps: int,
        strength: float = 1.0,
        eta: float = 0.0,
        streams: Sequence[torch.Generator] = (),
        shape: Sequence[int] | None = None,
    ) -> AnyScheduler:
        """The scheduler of an edit, by default the model's own; see `Denoiser.schedule`."""
        return self.denoiser.schedule(
            name,
            num_inference_steps=num_inference_steps,
            strength=strength,
            eta=eta,
            streams=streams,
            shape=shape or (self.size, self.size),
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
