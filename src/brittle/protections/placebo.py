"""Placebos: perturbations of a protection's size that were optimised for nothing.

All arithmetic is in levels (0..255), as what is compared are 8-bit files.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import ClassVar, final

import torch
from torch import Tensor
from torch.nn import functional

from brittle.component import Component, register
from brittle.errors import UserError
from brittle.images import to_levels
from brittle.networks.feature_cache import content
from brittle.noise import Seeds, coins, generators, words
from brittle.protections.base import Protection
from brittle.protections.matching import (
    STRONGEST,
    WEAKEST,
    bands,
    matched,
    moved,
    power,
    region_energies,
    scaled,
    turn_inward,
    upward,
    with_energies,
)
from brittle.protections.processing import processed
from brittle.recent import Recent

OVERLAY = 48
"""Levels beyond which a change is taken for a frame, a caption or a logo, and for no perturbation,
unless the perturbation as a whole is that large (`overlay`)."""
CELL = 4
"""Side, in pixels, of the cells in which `NoiseLocal` measures how strong a perturbation is."""
SPREAD = 16
"""Side, in pixels, of the cells in which `Change.everywhere` looks for some of the change."""
CHANGES = Recent(limit=2**28)
"""What was done to a photo: all draws of one published file share it."""
SPECTRA = Recent(limit=2**28)
"""Spectra of perturbations, which all draws of a kind share."""


@dataclass(frozen=True)
class Change:
    """What was done to a photo, in levels."""

    key: tuple[str, str, bool]
    """The content of photo and file, and whether the file was given."""
    photo: Tensor
    """(3, H, W), uint8."""
    file: Tensor
    """The published file, (3, H, W), uint8."""
    start: Tensor
    """What noise is added to, (3, H, W), uint8: the photo, or what processing made of it."""
    delta: Tensor
    """The rest of the change, which noise is matched to, (3, H, W), int16; 0 in overlays."""
    touched: Tensor
    """Where there is some of it, (H, W)."""
    covered: Tensor
    """Where something was drawn over the photo (`overlay`) of a file that was given, (H, W)."""
    measured: Tensor
    """(4,): largest and sum of squares of ``delta``, and the same with the processing."""

    @classmethod
    def between(cls, original: Tensor, protected: Tensor, *, given: bool) -> "Change":
        """From images (3, H, W) in [0, 1]; looked for once, and kept in `CHANGES`.

        Only a file that was ``given`` may have an `overlay`, or have been `processed`: what brittle
        makes is all perturbation.
        """
        photo, file = map(to_levels, (original, protected))

        def look() -> tuple[Tensor, ...]:
            delta = file.float().sub_(photo)
            covered = overlay(delta) if given else torch.zeros_like(delta[0], dtype=torch.bool)
            delta.masked_fill_(covered, 0)
            start, whole = photo, (int(delta.abs().max()), power(delta.abs().byte()))
            explained = processed(photo.float(), delta) if given else None
            if explained is not None:
                start = explained.add(photo).byte()
                delta.sub_(explained)
            size = delta.abs()
            measured = torch.tensor([int(size.max()), power(size.byte()), *whole])
            return photo, file, start, delta.short(), delta.any(0), covered, measured

        key = content(photo), content(file), given
        return cls(key, *CHANGES.get(key, look))

    @property
    def largest(self) -> int:
        """The largest level of ``delta``."""
        return int(self.measured[0])

    @property
    def energy(self) -> int:
        """The sum of the squares of ``delta``."""
        return int(self.measured[1])

    @property
    def explained(self) -> float:
        """The share of the change's energy that processing explains."""
        whole = int(self.measured[3])
        return 1 - self.energy / whole if whole else 0.0

    @property
    def everywhere(self) -> bool:
        """Whether it spreads over the picture: all but a twentieth of its cells of `SPREAD` px."""
        cells = functional.max_pool2d(self.touched[None].float(), SPREAD, ceil_mode=True)
        return bool(cells.mean() >= 0.95)


class Placebo(Component):
    """A random perturbation with the size, on disk, of what the protection ``of`` published.

    ``of`` says whose arm of a trial it is; None stands for a file that was given.
    """

    family: ClassVar[str] = "placebo"

    of: Protection | None = None

    @final
    def draw(self, original: Tensor, protected: Tensor, *, seeds: Seeds) -> Tensor:
        """One placebo for each seed, (N, 3, H, W) on the 8-bit grid.

        ``original`` and ``protected`` are (N, 3, H, W) on the 8-bit grid, or (1, 3, H, W) for many
        draws of one photo. Of a file that was given, what was drawn over the photo (`overlay`)
        stands in every placebo as it does in the file, and what processing the photo explains
        (`processed`) is done to every placebo too: the rest alone is what noise is matched to.

        Raises:
            UserError: shapes that don't belong together.
        """
        if original.shape != protected.shape or len(original) not in (1, len(seeds)):
            raise UserError(
                f"A placebo needs the photo and its protected form in one shape, one pair or one "
                f"for each seed: got {tuple(original.shape)}, {tuple(protected.shape)} and "
                f"{len(seeds)} seeds."
            )
        given = self.of is None
        pairs = zip(original, protected, strict=True)
        changes = [Change.between(*pair, given=given) for pair in pairs]
        if len(changes) < len(seeds):
            changes *= len(seeds)
        drawn = [
            self._drawn(change, stream)
            for change, stream in zip(changes, generators(seeds), strict=True)
        ]
        return torch.stack(drawn).to(original).div_(255)

    def _drawn(self, change: Change, stream: torch.Generator) -> Tensor:
        """One placebo in levels, (3, H, W), uint8."""
        placebo = self.placed(change, stream) if change.energy else change.start
        if change.start is not change.photo:
            most = int(change.measured[2])
            moved = placebo.short().sub_(change.photo).clamp_(-most, most)
            placebo = moved.add_(change.photo).byte()
        if change.covered.any():
            placebo = torch.where(change.covered, change.file, placebo)
        return placebo

    def placed(self, change: Change, stream: torch.Generator) -> Tensor:
        """A perturbation of the size of ``change.delta`` on ``change.start``: levels, uint8."""
        raise NotImplementedError


@register
class Noise(Placebo):
    """White noise: the protection's largest change, and its PSNR.

    The magnitudes are drawn from a distribution between uniform and constant, which is chosen so
    that the mean square is the protection's after clipping.
    """

    name = "noise"
    version = 5

    def placed(self, change: Change, stream: torch.Generator) -> Tensor:
        """See `Placebo.placed`."""
        start, largest = change.start, change.largest
        up = coins(start.numel(), stream).view(start.shape).mul_(255)
        room = turn_inward(up, start, largest, change.energy, change.touched, stream)
        codes = words(start.numel(), stream)
        sizes = partial(_quantiles, largest)
        size = matched(torch.from_numpy(codes), room, change.energy, sizes, (0.0, 2.0))
        if int(size.max()) < largest:  # one value has it: the next after any place that can
            at = int(torch.randint(start.numel(), (), generator=stream))
            able = room.view(-1).roll(-at) == largest
            size.view(-1)[(at + int(able.byte().argmax())) % start.numel()] = largest
        return moved(start, up, size)


@register
class NoiseSpectrum(Placebo):
    """The protection's perturbation with random Fourier phases, clipped and scaled to its PSNR.

    The three channels share the random part of the phase, so the spectra of lightness and of colour
    are both the protection's: JPEG treats them differently.
    """

    name = "noise-spectrum"
    version = 5

    def placed(self, change: Change, stream: torch.Generator) -> Tensor:
        """See `Placebo.placed`."""

        def look() -> tuple[Tensor, ...]:
            return (_spectrum(change.delta),)

        (spectrum,) = SPECTRA.get((self.name, change.key), look)
        field = _with_random_phases(spectrum, change.delta.shape[-2:], stream)
        start, up = change.start, upward(field)
        room = turn_inward(up, start, change.largest, change.energy, change.touched, stream)
        size = matched(field.abs_(), room, change.energy, scaled, (WEAKEST, STRONGEST))
        return moved(start, up, size)


@register
class NoiseLocal(Placebo):
    """Noise with the protection's spectrum that is strong where the protection is.

    The perturbation is divided by its local strength, given random Fourier phases, and multiplied
    by that strength again. Each region of `REGION` px has its energy after clipping.
    """

    name = "noise-local"
    version = 4

    def placed(self, change: Change, stream: torch.Generator) -> Tensor:
        """See `Placebo.placed`."""

        def look() -> tuple[Tensor, ...]:
            delta = change.delta.float()
            strength, energies = _local_strength(delta), region_energies(delta)
            return strength, energies, _spectrum(delta.div_(strength))

        strength, energies, spectrum = SPECTRA.get((self.name, change.key), look)
        field = _with_random_phases(spectrum, change.delta.shape[-2:], stream)
        field.mul_(strength * change.touched)
        up, size = upward(field), torch.empty_like(change.start)
        field.abs_()
        pictures = bands(size, field, up, change.start)
        for (found, some, ways, begin), energy in zip(pictures, energies, strict=True):
            found.copy_(with_energies(some, ways, begin, change.largest, energy, stream))
        return moved(change.start, up, size)


@register
class Transplant(Placebo):
    """The perturbation itself where it was not made for: moved around the picture and mirrored.

    It is no noise. It tells whether a perturbation also acts on what it was not made for.
    """

    name = "transplant"
    version = 3

    def placed(self, change: Change, stream: torch.Generator) -> Tensor:
        """See `Placebo.placed`."""
        height, width = change.delta.shape[-2:]
        down, right = (int(torch.randint(side, (), generator=stream)) for side in (height, width))
        mirrored = [axis for axis in (1, 2) if torch.rand((), generator=stream) < 0.5]
        moved = change.delta.roll((down, right), (1, 2)).flip(mirrored)
        return moved.add_(change.start).clamp_(0, 255).byte()


def overlay(delta: Tensor) -> Tensor:
    """Where (H, W) a change in levels (3, H, W) was drawn over the photo: frame, caption, logo.

    A pixel whose largest change is above `OVERLAY`, and above four times that of the median pixel;
    and two pixels around it, where edges are smoothed.
    """
    size = delta.abs().amax(0)
    far = size > OVERLAY
    if not far.any():
        return far
    far &= size > 4 * size.median()
    return functional.max_pool2d(far[None].float(), 5, stride=1, padding=2)[0] > 0


def _quantiles(largest: int, strength: float) -> Callable[[Tensor], Tensor]:
    """White noise's levels of random numbers of 16 bits, for `matched`.

    round(largest · scale · u^power) for u uniform on [0, 1]: at a ``strength`` of 0 nothing, at 1
    uniform, at 2 constant; the mean square grows all the way.
    """
    scale, exponent = min(strength, 1.0), max(2 - max(strength, 1.0), 1e-9)
    table = (torch.arange(0.5, 2**16) / 2**16).pow_(exponent).mul_(scale * largest)
    levels = table.round_().byte().numpy()
    return lambda codes: torch.from_numpy(levels[codes.numpy()])


def _spectrum(delta: Tensor) -> Tensor:
    """The half of the Fourier transform (3, H, W // 2 + 1) that tells all of a real (3, H, W)."""
    from scipy.fft import rfft2

    return torch.from_numpy(rfft2(delta.float().numpy()))


def _with_random_phases(spectrum: Tensor, size: Sequence[int], stream: torch.Generator) -> Tensor:
    """Real noise (3, H, W) of a `_spectrum`, all channels turned by the same random phases."""
    from scipy.fft import irfft2

    height, width = size
    angles = torch.arange(2**16).mul(2 * torch.pi / 2**16)
    circle = torch.polar(torch.ones_like(angles), angles).numpy()
    turns = circle[words(spectrum[0].numel(), stream).reshape(height, -1)]
    for column in {0, *([width // 2] if width % 2 == 0 else [])}:
        # What stays real has the phases of real noise there.
        line = torch.fft.fft(torch.randn(height, generator=stream))
        turns[:, column] = line / line.abs()
    noise = torch.empty(len(spectrum), height, width)
    for one, channel in zip(noise, spectrum.numpy(), strict=True):
        one.copy_(torch.from_numpy(irfft2(channel * turns, s=(height, width), overwrite_x=True)))
    return noise


def _local_strength(delta: Tensor) -> Tensor:
    """The root mean square of ``delta`` around each pixel, (1, H, W), nowhere 0."""
    energy = delta.square().mean(0, keepdim=True)[None]
    cells = functional.avg_pool2d(energy, CELL, ceil_mode=True, count_include_pad=False)
    around = functional.interpolate(cells, energy.shape[-2:], mode="bilinear")[0]
    return around.clamp_min_(1e-4).sqrt_()
