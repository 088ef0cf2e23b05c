"""How noise gets the size of a change: its energy and its largest level, within 0..255.

Levels, and by how many of them a value moves, are uint8: a photo may have many megapixels.
"""

from collections.abc import Callable, Iterator

import torch
from torch import Tensor
from torch.nn import functional

PART = 2**16  # values at once, which stay in a processor's cache
THINNED = 2**20
"""Values of a picture on which a strength is looked for before all of them are measured."""
CLOSE = 0.002
"""How far, as a share, the energy of a large picture may stay from what it should be."""
ROUNDS = 3
REGION = 8
"""Side, in pixels, of the regions in each of which `with_energies` meets an energy."""
NEAR = 0.015
"""The same for a region's energy, in doublings, where whole levels allow for it."""
TRIES = 10
"""How many gains are tried for a region at most."""
WEAKEST, STRONGEST = -4.0, 12.0
"""Logarithms to base 2 of the gains among which a field's is looked for."""
HALVINGS = 16

Strengths = Callable[[float], Callable[[Tensor], Tensor]]
"""By strength, what makes whole levels (uint8) of values."""


def parts(values: Tensor) -> tuple[Tensor, ...]:
    """The values in views of `PART`, so that what is computed of them stays in the cache."""
    return values.view(-1).split(PART)


def power(levels: Tensor) -> int:
    """The sum of squares of uint8, exactly."""
    return int(torch.bincount(levels.view(-1), minlength=256) @ torch.arange(256).square())


def upward(field: Tensor) -> Tensor:
    """255 where a field is above 0, and 0 elsewhere, uint8."""
    return (field > 0).byte().mul_(255)


def headroom(up: Tensor, start: Tensor, largest: int, touched: Tensor) -> Tensor:
    """By how many levels each value can move within 0..255, at most ``largest``.

    ``up`` and ``start`` are uint8, (3, H, W): 255 where a value moves up, 0 where down. Where
    ``touched`` is false there is none.
    """
    room = (start ^ up).clamp_max_(largest)  # 255 - start where it moves up
    return room if touched.all() else room.mul_(touched)


def moved(start: Tensor, up: Tensor, size: Tensor) -> Tensor:
    """Levels ``start``, each moved by ``size``, up or down."""
    down = up ^ 255
    return (size ^ down).sub_(down).add_(start)  # in two's complement


def turn_inward(
    up: Tensor, start: Tensor, largest: int, energy: float, touched: Tensor, stream: torch.Generator
) -> Tensor:
    """Turn as many directions at the ends of the range as it takes for ``energy`` to be in reach.

    In black and white areas half of all directions point out of the range and are lost to clipping.
    ``up`` is changed in place; returned is the `headroom` that there is then.
    """
    room = headroom(up, start, largest, touched)
    missing = energy - power(room)
    if missing <= 0 and int(room.max()) == largest:
        return room
    other = headroom(up ^ 255, start, largest, touched)
    gain = power(torch.maximum(room, other)) - power(room)
    turned = torch.rand(room.shape, generator=stream) < missing / max(gain, 1e-9)
    turned &= other > room
    if int(torch.where(turned, other, room).max()) < largest:
        turned.view(-1)[other.argmax()] = True
    up.bitwise_xor_(turned.byte().mul_(255))
    return torch.where(turned, other, room)


def matched(
    values: Tensor, room: Tensor, energy: float, sizes: Strengths, within: tuple[float, float]
) -> Tensor:
    """Whole levels of at most ``room`` that have ``energy``, in its shape, uint8.

    ``sizes`` makes levels of ``values`` at a strength, and they grow with it. The strength is
    looked for ``within`` two, on a part of the values of a large picture.
    """
    number = room.numel()
    every = max(number // THINNED, 1)
    some, most = (one.view(-1)[::every].contiguous() for one in (values, room))
    aim, found = energy * len(some) / number, torch.empty_like(room)
    for _ in range(ROUNDS):
        low, high = within
        for _ in range(HALVINGS):
            middle = (low + high) / 2
            weak = power(torch.minimum(sizes(middle)(some), most)) < aim
            low, high = (middle, high) if weak else (low, middle)
        strong = sizes(high)
        for one, part, limit in zip(*map(parts, (found, values, room)), strict=True):
            torch.minimum(strong(part), limit, out=one)
        reached = power(found)
        if every == 1 or abs(reached - energy) <= CLOSE * energy:
            break
        aim *= energy / max(reached, 1)
    return found


def scaled(strength: float) -> Callable[[Tensor], Tensor]:
    """For `matched`: magnitudes times 2 to the power of ``strength``, in whole levels."""
    return lambda field: field.mul(2**strength).clamp_max_(255).round_().byte()


def bands(*pictures: Tensor) -> Iterator[tuple[Tensor, ...]]:
    """Pictures (3, H, W) together, in views of `REGION` rows."""
    return zip(*(one.split(REGION, 1) for one in pictures), strict=True)


def to_regions(band: Tensor) -> Tensor:
    """A band (3, rows, W) by regions, (regions, 3 · rows · REGION), with zeros beyond its end."""
    padded = functional.pad(band, (0, -band.shape[2] % REGION))
    return padded.unflatten(2, (-1, REGION)).permute(2, 0, 1, 3).flatten(1)


def from_regions(regions: Tensor, *, like: Tensor) -> Tensor:
    """The way back from `to_regions` to the shape of ``like``."""
    split = regions.unflatten(1, (len(like), -1, REGION)).permute(1, 2, 0, 3)
    return split.flatten(2)[:, :, : like.shape[2]]


def region_energies(delta: Tensor) -> Tensor:
    """The energy of each region of a change (3, H, W), (bands, regions)."""
    return torch.stack([_energies(to_regions(band.float())) for (band,) in bands(delta)])


def with_energies(
    field: Tensor,
    up: Tensor,
    start: Tensor,
    largest: int,
    energy: Tensor,
    stream: torch.Generator,
) -> Tensor:
    """Magnitudes (3, rows, W) in whole levels, clipped, each region with its of ``energy``.

    Where it is out of reach, directions at the ends of the range are turned, in place of ``up``.
    """
    changed = field != 0
    size, room = to_regions(field), to_regions(headroom(up, start, largest, changed).float())
    most = _energies(room)
    if (most < energy).any():
        other = to_regions(headroom(up ^ 255, start, largest, changed).float())
        gained = _energies(torch.maximum(room, other)) - most
        chance = torch.rand(room.shape, generator=stream)
        turned = (chance * gained[:, None] < (energy - most)[:, None]) & (other > room)
        room = torch.where(turned, other, room)
        up.bitwise_xor_(from_regions(turned, like=up).byte().mul_(255))
        energy = energy.minimum(_energies(room))
    return from_regions(_with_energies(size, room, energy), like=up)


def _with_energies(size: Tensor, room: Tensor, energy: Tensor) -> Tensor:
    """Magnitudes times what gives each row its energy, in whole levels of at most ``room``.

    The logarithm of a gain goes where the last two would meet the energy on a line, or else half of
    what is left of its range, until its row is `NEAR`.
    """
    rows, all_rows = torch.arange(len(size)), (size, room)
    goal, reached = _log(energy), _log(_energies(size))
    before, slope = torch.zeros_like(energy), torch.full_like(energy, 2.0)
    gain = ((goal - reached) / slope).clamp_(WEAKEST, STRONGEST)
    gains, best = gain.clone(), torch.full_like(energy, torch.inf)
    low, high = torch.full_like(energy, WEAKEST), torch.full_like(energy, STRONGEST)
    for _ in range(TRIES):
        former, reached = reached, _log(_energies(_in_levels(size, room, gain)))
        off = (reached - goal).abs_()
        gains[rows] = torch.where(off < best, gain, gains[rows])
        best, weak = off.minimum(best), reached < goal
        low, high = torch.where(weak, gain, low), torch.where(weak, high, gain)
        far = (best > NEAR).nonzero().flatten()
        if not len(far):
            break
        slope = ((reached - former) / (gain - before)).nan_to_num_(2.0).clamp_(0.1, 4)
        before, gain = gain, gain + (goal - reached) / slope
        gain = torch.where((gain > low) & (gain < high), gain, (low + high) / 2)
        rows, size, room, goal, reached, low, high, gain, before, best = (
            one.index_select(0, far)
            for one in (rows, size, room, goal, reached, low, high, gain, before, best)
        )
    return _in_levels(*all_rows, gains)


def _log(energy: Tensor) -> Tensor:
    return energy.clamp_min(1e-3).log2_()


def _in_levels(size: Tensor, room: Tensor, gain: Tensor) -> Tensor:
    """Rows of magnitudes times 2 to the power of their gains, in whole levels."""
    return size.mul(gain.exp2()[:, None]).minimum(room).round_()


def _energies(rows: Tensor) -> Tensor:
    """The sum of squares of each row."""
    return torch.linalg.vecdot(rows, rows)
