"""Placebos: perturbations of a protection's size that were optimised for nothing.

All arithmetic is in levels (0..255), as what is compared are 8-bit files.
"""

from typing import ClassVar, final

import torch
from torch import Tensor
from torch.nn import functional

from brittle.component import Component, register
from brittle.errors import UserError
from brittle.networks.feature_cache import content
from brittle.noise import Seeds, generators
from brittle.protections.base import Protection
from brittle.protections.processing import processed
from brittle.recent import Recent

PART = 2**16  # values at once, which stay in a processor's cache
OVERLAY = 48
"""Levels beyond which a change is taken for a frame, a caption or a logo, and for no perturbation,
unless the perturbation as a whole is that large (`overlay`)."""
CELL = 4
"""Side, in pixels, of the cells in which `NoiseLocal` measures how strong a perturbation is."""
REGION = 8
"""Side, in pixels, of the regions in each of which `NoiseLocal` has the perturbation's energy."""
EXPLANATIONS = Recent(limit=2**27)
"""What `processed` found: all draws of one published file share it."""


class Placebo(Component):
    """A random perturbation with the size, on disk, of what the protection ``of`` published.

    ``of`` says whose arm of a trial it is; None stands for a file that came from elsewhere.
    """

    family: ClassVar[str] = "placebo"

    of: Protection | None = None

    @final
    def draw(self, original: Tensor, protected: Tensor, *, seeds: Seeds) -> Tensor:
        """One placebo for each seed, (N, 3, H, W) on the 8-bit grid.

        ``original`` and ``protected`` are (N, 3, H, W) on the 8-bit grid, or (1, 3, H, W) for many
        draws of one photo. What was drawn over the photo (`overlay`) stands in every placebo as it
        does in the protected file, and what processing the photo explains (`processed`) is done to
        every placebo too: the rest alone is what noise is matched to.

        Raises:
            UserError: shapes that don't belong together.
        """
        if original.shape != protected.shape or len(original) not in (1, len(seeds)):
            raise UserError(
                f"A placebo needs the photo and its protected form in one shape, one pair or one "
                f"for each seed: got {tuple(original.shape)}, {tuple(protected.shape)} and "
                f"{len(seeds)} seeds."
            )
        start = (original * 255).round_().cpu().contiguous()
        delta = (protected * 255).round_().cpu().contiguous().sub_(start)
        largest = delta.abs().amax((1, 2, 3), keepdim=True)
        covered = torch.stack([overlay(change) for change in delta]).unsqueeze(1)
        delta.masked_fill_(covered, 0)
        photo = start
        if (known := _processed(start, delta)) is not None:
            start, delta = start + known, delta.sub_(known)
        start, delta = (one.expand(len(seeds), -1, -1, -1) for one in (start, delta))
        drawn = [
            self.perturbation(levels, change, stream) if change.any() else change
            for levels, change, stream in zip(start, delta, generators(seeds), strict=True)
        ]
        placebos = torch.stack(drawn).add_(start)
        if known is not None:
            placebos = placebos.sub_(photo).clamp_(-largest, largest).add_(photo)
        placebos = placebos.div_(start.new_tensor(255)).to(original)
        return torch.where(covered.to(original.device), protected, placebos)

    def perturbation(self, start: Tensor, delta: Tensor, stream: torch.Generator) -> Tensor:
        """A perturbation (3, H, W) in levels, of the size of ``delta``, that keeps to 0..255."""
        raise NotImplementedError


@register
class Noise(Placebo):
    """White noise: the protection's largest change, and its PSNR.

    The magnitudes are the quantiles of a distribution between uniform and constant, dealt out at
    random, which is chosen so that the mean square is the protection's after clipping.
    """

    name = "noise"
    version = 2

    def perturbation(self, start: Tensor, delta: Tensor, stream: torch.Generator) -> Tensor:
        """See `Placebo.perturbation`."""
        touched = delta.any(0).flatten().nonzero().flatten()
        levels = start.flatten(1)[:, touched].flatten()
        largest, energy = float(delta.abs().max()), power(delta)
        sign = torch.empty_like(levels).bernoulli_(0.5, generator=stream).mul_(2).sub_(1)
        turn_inward(sign, levels, largest, energy, stream)
        room = headroom(sign, levels)
        quantile = torch.randperm(len(levels), generator=stream, dtype=torch.int32)
        quantile = quantile.add(0.5).div_(len(levels))
        fullest = torch.where(room >= largest, quantile, -1).argmax()
        count = sum(torch.bincount(one.long(), minlength=256) for one in parts(room))
        size, aim = levels, energy
        for _ in range(3):  # the first is exact but for the chance of what meets which headroom
            scale, exponent = _spread(count, largest, aim)
            for one, share, most in zip(parts(size), parts(quantile), parts(room), strict=True):
                one.copy_(share.pow(exponent).mul_(scale).round_().minimum(most))
            size[fullest] = largest
            aim *= energy / power(size)
        perturbation = torch.zeros_like(delta)
        perturbation.flatten(1)[:, touched] = sign.mul_(size).view(len(delta), -1)
        return perturbation


@register
class NoiseSpectrum(Placebo):
    """The protection's perturbation with random Fourier phases, clipped and scaled to its PSNR.

    The three channels share the random part of the phase, so the spectra of lightness and of colour
    are both the protection's: JPEG treats them differently.
    """

    name = "noise-spectrum"
    version = 2

    def perturbation(self, start: Tensor, delta: Tensor, stream: torch.Generator) -> Tensor:
        """See `Placebo.perturbation`."""
        field = _with_random_phases(delta, stream).mul_(delta.any(0))
        largest, energy = float(delta.abs().max()), power(delta)
        sign = field.sign()
        turn_inward(sign, start, largest, energy, stream)
        size, room = field.abs_(), headroom(sign, start).clamp_max_(largest)
        low, high = -4.0, 12.0
        for _ in range(16):
            gain = (low + high) / 2
            too_weak = _energy(size, room, 2**gain) < energy
            low, high = (gain, high) if too_weak else (low, gain)
        return size.mul_(2**gain).round_().minimum(room).mul_(sign)


@register
class NoiseLocal(Placebo):
    """Noise with the protection's spectrum that is strong where the protection is.

    The perturbation is divided by its local strength, given random Fourier phases, and multiplied
    by that strength again. Each region of `REGION` px has its energy after clipping.
    """

    name = "noise-local"

    def perturbation(self, start: Tensor, delta: Tensor, stream: torch.Generator) -> Tensor:
        """See `Placebo.perturbation`."""
        strength = _local_strength(delta)
        field = _with_random_phases(delta / strength, stream).mul_(strength).mul_(delta.any(0))
        largest = float(delta.abs().max())
        for band, levels, change in zip(*(rows(one) for one in (field, start, delta)), strict=True):
            some, begin, wanted = map(_to_regions, (band, levels, change))
            found = _with_energy(some, begin, wanted, largest, stream)
            band.copy_(_from_regions(found, like=band))
        return field


@register
class Transplant(Placebo):
    """The perturbation itself where it was not made for: moved around the picture and mirrored.

    It is no noise. It tells whether a perturbation also acts on what it was not made for.
    """

    name = "transplant"

    def perturbation(self, start: Tensor, delta: Tensor, stream: torch.Generator) -> Tensor:
        """See `Placebo.perturbation`."""
        height, width = delta.shape[-2:]
        down, right = (int(torch.randint(side, (), generator=stream)) for side in (height, width))
        mirrored = [axis for axis in (1, 2) if torch.rand((), generator=stream) < 0.5]
        moved = delta.roll((down, right), (1, 2)).flip(mirrored)
        return moved.add_(start).clamp_(0, 255).sub_(start)


def _processed(start: Tensor, delta: Tensor) -> Tensor | None:
    """`processed` for pictures (N, 3, H, W); None where it finds nothing in any."""
    found = [_explained(photo, change) for photo, change in zip(start, delta, strict=True)]
    if all(one is None for one in found):
        return None
    zero = torch.zeros_like(start[0])
    return torch.stack([zero if one is None else one for one in found])


def _explained(photo: Tensor, change: Tensor) -> Tensor | None:
    """`processed`, computed once for a photo and a change of it, both in whole levels."""

    def compute() -> tuple[Tensor, ...]:
        found = processed(photo, change)
        return () if found is None else (found,)

    key = content(photo.byte()), content(change.short())
    return next(iter(EXPLANATIONS.get(key, compute)), None)


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


def _with_random_phases(delta: Tensor, stream: torch.Generator) -> Tensor:
    size = delta.shape[-2:]
    # The phases of real noise have the symmetry that keeps the result real.
    noise = torch.fft.rfft2(torch.randn(*size, generator=stream))
    return torch.fft.irfft2(torch.fft.rfft2(delta).mul_(noise / noise.abs()), s=size)


def _local_strength(delta: Tensor) -> Tensor:
    """The root mean square of ``delta`` around each pixel, (1, H, W), nowhere 0."""
    energy = delta.square().mean(0, keepdim=True)[None]
    cells = functional.avg_pool2d(energy, CELL, ceil_mode=True, count_include_pad=False)
    around = functional.interpolate(cells, energy.shape[-2:], mode="bilinear")[0]
    return around.clamp_min_(1e-4).sqrt_()


def rows(values: Tensor) -> tuple[Tensor, ...]:
    """Values (3, H, W) in views of `REGION` rows."""
    return values.split(REGION, 1)


def _to_regions(band: Tensor) -> Tensor:
    """A band (3, rows, W) by regions, (regions, 3 · rows · REGION), with zeros beyond its end."""
    padded = functional.pad(band, (0, -band.shape[2] % REGION))
    return padded.unflatten(2, (-1, REGION)).permute(2, 0, 1, 3).flatten(1)


def _from_regions(regions: Tensor, *, like: Tensor) -> Tensor:
    """The way back from `_to_regions` to the shape of ``like``."""
    split = regions.unflatten(1, (len(like), -1, REGION)).permute(1, 2, 0, 3)
    return split.flatten(2)[:, :, : like.shape[2]]


def _with_energy(
    field: Tensor, start: Tensor, delta: Tensor, largest: float, stream: torch.Generator
) -> Tensor:
    """The field in whole levels, clipped, with the energy of ``delta`` in each region (a row)."""
    sign, energy = field.sign(), delta.square().sum(1, keepdim=True)
    room, other = _rooms(sign, start, largest)
    missing = energy - room.square().sum(1, keepdim=True)
    gained = (other.square() - room.square()).clamp_min_(0).sum(1, keepdim=True)
    chance = torch.rand(field.shape, generator=stream)
    turned = (chance * gained < missing) & (other > room)
    room, sign = torch.where(turned, other, room), torch.where(turned, -sign, sign)
    size = field.abs()
    low, high = torch.full_like(energy, -4), torch.full_like(energy, 12)
    for _ in range(16):
        gain = (low + high) / 2
        reached = size.mul(gain.exp2()).round_().minimum(room).square_().sum(1, keepdim=True)
        weak = reached < energy
        low, high = torch.where(weak, gain, low), torch.where(weak, high, gain)
    return size.mul_(high.exp2()).round_().minimum(room).mul_(sign)


def parts(values: Tensor) -> tuple[Tensor, ...]:
    """The values in views of `PART`, so that what is computed of them stays in the cache."""
    return values.view(-1).split(PART)


def _energy(size: Tensor, room: Tensor, gain: float) -> float:
    """The power of ``size`` times ``gain`` in whole levels, clipped to ``room``."""
    pairs = zip(parts(size), parts(room), strict=True)
    return sum(power(one.mul(gain).round_().minimum(most)) for one, most in pairs)


def power(levels: Tensor) -> float:
    """The sum of squares of whole levels, exactly."""
    return sum(float(one.square().sum(dtype=torch.float64)) for one in parts(levels))


def headroom(sign: Tensor, start: Tensor) -> Tensor:
    """By how many levels each value can move in the direction of ``sign`` within 0..255."""
    return torch.where(sign > 0, 255 - start, start)


def turn_inward(
    sign: Tensor, start: Tensor, largest: float, energy: float, stream: torch.Generator
) -> None:
    """Turn as many signs at the ends of the range as it takes for ``energy`` to be within reach.

    In black and white areas half of all signs point out of the range and are lost to clipping.
    """
    missing, gain, most = energy, 0.0, (-1.0, sign.new_empty(1), 0.0)
    for side, levels in zip(parts(sign), parts(start), strict=True):
        room, other = _rooms(side, levels, largest)
        missing -= power(room)
        gain += float((other.square() - room.square()).clamp_min_(0).sum(dtype=torch.float64))
        if (widest := float(other.max())) > most[0]:
            place = other.argmax()
            most = widest, side[place : place + 1], -float(side[place])
    share, reached = missing / max(gain, 1e-9), False
    chances = torch.rand(sign.shape, generator=stream)
    for side, levels, chance in zip(parts(sign), parts(start), parts(chances), strict=True):
        room, other = _rooms(side, levels, largest)
        turned = (chance < share) & (other > room)
        reached = reached or bool((torch.where(turned, other, room) >= largest).any())
        side.copy_(torch.where(turned, -side, side))
    if not reached:
        _, one, inward = most
        one.fill_(inward)


def _rooms(sign: Tensor, start: Tensor, largest: float) -> tuple[Tensor, Tensor]:
    """`headroom` up to ``largest`` in the direction of ``sign`` and in the other; 0 where it is."""
    ways = (headroom(side, start).clamp_max_(largest) for side in (sign, -sign))
    room, other = (way.mul_(sign.abs()) for way in ways)
    return room, other


def _spread(count: Tensor, largest: float, energy: float) -> tuple[float, float]:
    """(scale, power) for which the magnitudes round(scale · u^power), clipped, have ``energy``.

    ``count`` (256,) says how many values have how much headroom. u is uniform on [0, 1]. From
    (0, 1), nothing, to (largest, 1), uniform, to (largest, 0), constant; the mean square grows all
    the way.
    """
    level = torch.arange(1, int(largest) + 1, dtype=torch.float64)
    # How much the total square grows when all magnitudes grow from level - 1 to level.
    growth = (2 * level - 1) * count.double().flip(0).cumsum(0).flip(0)[level.long()]
    low, high = 0.0, 2.0
    for _ in range(40):
        middle = (low + high) / 2
        scale, power = largest * min(middle, 1), max(2 - max(middle, 1), 1e-9)
        at_least = 1 - ((level - 0.5) / max(scale, 1e-9)).clamp_max(1).pow(1 / power)
        too_weak = float((at_least * growth).sum()) < energy
        low, high = (middle, high) if too_weak else (low, middle)
    return scale, power
