"""What noise is made as large as, in whole levels."""

import pytest
import torch

from brittle.noise import generators
from brittle.protections.matching import (
    NEAR,
    STRONGEST,
    WEAKEST,
    from_regions,
    headroom,
    matched,
    moved,
    power,
    scaled,
    to_regions,
    turn_inward,
    upward,
    with_energies,
)


def test_levels_move_up_and_down_by_at_most_their_headroom() -> None:
    start = torch.tensor([[[0, 3, 128, 255]]], dtype=torch.uint8)
    up = upward(torch.tensor([[[1.0, -1.0, 1.0, -1.0]]]))
    room = headroom(up, start, 9, torch.ones(1, 4, dtype=torch.bool))
    assert room.tolist() == [[[9, 3, 9, 9]]]
    assert moved(start, up, room).tolist() == [[[9, 0, 137, 246]]]
    outward = headroom(up ^ 255, start, 9, torch.tensor([[True, True, False, True]]))
    assert outward.tolist() == [[[0, 9, 0, 0]]]


@pytest.mark.parametrize("level", [0, 255])
def test_as_many_directions_are_turned_inward_as_the_energy_takes(level) -> None:
    (stream,) = generators([1])
    start = torch.full((3, 64, 64), level, dtype=torch.uint8)
    up = upward(torch.randn(start.shape, generator=stream))
    energy, touched = 0.75 * start.numel() * 16, torch.ones(64, 64, dtype=torch.bool)
    room = turn_inward(up, start, 4, energy, touched, stream)
    assert power(room) == pytest.approx(energy, rel=0.03)
    assert torch.equal(room, headroom(up, start, 4, touched))


def test_a_large_pictures_energy_is_met_from_a_part_of_it() -> None:
    """Its first half is ten times as strong, and every second value is looked at."""
    field = torch.randn(2, 1_100_000, generator=generators([2])[0]).abs_()
    field[0] *= 10
    room = torch.full(field.shape, 40, dtype=torch.uint8)
    energy = 30 * field.numel()
    found = matched(field, room, energy, scaled, (WEAKEST, STRONGEST))
    assert power(found) == pytest.approx(energy, rel=0.002)
    assert found.max() <= 40


def test_regions_meet_their_energies_where_they_can() -> None:
    (stream,) = generators([4])
    field = torch.randn(3, 8, 200, generator=stream)
    start = torch.full(field.shape, 100, dtype=torch.uint8)
    start[:, :, :40] = 0
    energy = torch.linspace(50, 3000, 25)
    up = upward(field)
    found = with_energies(field.abs(), up, start, 6, energy, stream)
    reached = to_regions(found).square().sum(1)
    assert torch.allclose(reached.log2(), energy.log2(), atol=2 * NEAR)
    changed = moved(start, up, found.byte()).short() - start
    assert torch.equal(changed.abs(), found.short())


def test_regions_are_put_together_as_they_were() -> None:
    band = torch.randn(3, 8, 37)
    assert torch.equal(from_regions(to_regions(band), like=band), band)
