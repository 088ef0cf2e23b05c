import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from brittle.budgets import STRENGTHS, L2Budget, LinfBudget, read_budget
from brittle.errors import UserError
from brittle.metrics import PSNR
from brittle.protections import EncoderProtection, Protection

radii = st.floats(0.5 / 255, 1) | st.integers(1, 255).map(lambda level: level / 255)
l2_radii = st.floats(1e-3, 200)
shapes = st.tuples(st.integers(1, 3), st.just(3), st.integers(16, 40), st.integers(16, 40))


def grid(shape, seed: int, kind: str = "any") -> torch.Tensor:
    """An image on the 8-bit grid; ``edges``: only black and white, where clipping bites."""
    levels = np.random.default_rng(seed).integers(0, 256, shape)
    levels = np.where(levels > 127, 255, 0) if kind == "edges" else levels
    return torch.from_numpy(levels).float() / 255


def noise(shape, seed: int, size: float) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed).normal(0, size, shape)).float()


def moved(original: torch.Tensor, saved: torch.Tensor) -> np.ndarray:
    """The difference as the two 8-bit files have it, in whole levels."""
    on_disk = [np.rint(image.numpy().astype(np.float64) * 255) for image in (saved, original)]
    assert np.abs(on_disk[0] / 255 - saved.numpy()).max() < 1e-7
    return on_disk[0] - on_disk[1]


def size(budget, delta: torch.Tensor) -> torch.Tensor:
    return budget.spent(torch.zeros_like(delta), delta)


# Reading.


def test_budgets_as_text():
    assert read_budget("8/255") == LinfBudget(radius=8 / 255)
    assert read_budget(" linf : 12.75/255 ") == LinfBudget(radius=12.75 / 255)
    assert read_budget("0.05") == LinfBudget(radius=0.05)
    assert read_budget("l2:8") == L2Budget(radius=8, reference=512)
    assert read_budget("l2:4@128") == L2Budget(radius=4, reference=128)
    assert read_budget("l2:4@128").reference == 128
    assert read_budget(0.05) == LinfBudget(radius=0.05)


@pytest.mark.parametrize("name", STRENGTHS)
def test_a_strength_is_the_budget_that_it_names(name):
    budget = read_budget(name)
    assert budget == read_budget(name) == read_budget(STRENGTHS[name].budget)
    assert str(budget) == STRENGTHS[name].budget
    protection = EncoderProtection(budget=name)
    assert protection == EncoderProtection(budget=STRENGTHS[name].budget)
    assert name not in str(protection.record())
    assert Protection.from_record(protection.record()) == protection
    assert Protection.parse(f"encoder:budget={name}") == protection


def test_strengths_grow():
    radii = [read_budget(name).radius for name in STRENGTHS]
    decibels = [strength.decibels for strength in STRENGTHS.values()]
    assert radii == sorted(radii)
    assert decibels == sorted(decibels, reverse=True)


@pytest.mark.parametrize(("budget", "psnr"), [("12.75/255", 26.02), ("l2:8@512", 40.89)])
def test_the_least_psnr_is_that_of_a_budget_spent_everywhere(budget, psnr):
    limit = read_budget(budget).limit(64, 48)
    share = 1 if read_budget(budget).norm == "linf" else (3 * 64 * 48) ** -0.5
    spent = torch.full((1, 3, 64, 48), limit * share, dtype=torch.float64)
    assert read_budget(budget).least_psnr == pytest.approx(psnr, abs=0.01)
    measured = PSNR().score(spent, torch.zeros_like(spent))
    assert float(measured) == pytest.approx(psnr, abs=0.01)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("mildly", "write mild, medium, strong, 8/255"),
        ("8", r"budgets are in \[0, 1\] units: write 8/255, not 8"),
        ("300/255", "more than the whole range"),
        ("0", "greater than 0"),
        ("0/255", "greater than 0"),
        ("-8/255", "greater than 0"),
        ("nan", "isn't understood"),
        ("inf", "isn't understood"),
        ("l2:inf", "finite"),
        ("8/0", "divides by zero"),
        ("l1:8/255", "isn't understood"),
        ("l2:8@512px", "isn't understood"),
        ("l2:8@0", "greater than or equal to 1"),
        ("8/255@256", "belongs to the l2 norm"),
        ("eight", "isn't understood"),
        ("1.2.3/255", "1.2.3"),
        ("linf:", "isn't understood"),
        ("", "isn't understood"),
    ],
)
def test_budgets_that_are_none(text, message):
    with pytest.raises(UserError, match=message) as caught:
        read_budget(text)
    assert "\n" not in str(caught.value)


def test_fields_are_checked_and_frozen():
    with pytest.raises(ValidationError):
        LinfBudget(radius=-1)
    with pytest.raises(ValueError, match="Unknown norm 'l1'"):
        read_budget({"norm": "l1", "radius": 0.1})
    with pytest.raises(ValidationError):
        LinfBudget(radius=0.1, reference=256)
    with pytest.raises(ValidationError):
        LinfBudget(radius=0.1, epsilon=0.2)
    with pytest.raises(ValidationError):
        LinfBudget(radius=0.1).radius = 0.2


@given(st.floats(1e-9, 1) | radii, l2_radii, st.integers(1, 4096))
def test_text_is_read_back_exactly(linf, l2, reference):
    for budget in (LinfBudget(radius=linf), L2Budget(radius=l2, reference=reference)):
        assert read_budget(str(budget)) == budget


def test_descriptions():
    assert str(LinfBudget(radius=12.75 / 255)) == "linf:12.75/255"
    assert str(L2Budget(radius=8)) == "l2:8@512"
    assert read_budget("12.75/255").describe() == "12.75/255 linf: 12 levels on disk"
    assert read_budget("1/255").describe() == "1/255 linf: 1 level on disk"
    # 16 in [-1, 1] at 512 px, and the same number at 128 px: known to be 40.9 and 28.9 dB.
    assert read_budget("l2:8@512").describe().endswith("RMS 2.30/255, PSNR 40.9 dB")
    assert read_budget("l2:8@128").describe().endswith("PSNR 28.9 dB")


# Levels.


@pytest.mark.parametrize("level", range(1, 256))
def test_whole_levels_are_kept_whatever_floating_point_makes_of_them(level):
    assert LinfBudget(radius=level / 255).levels == level
    assert read_budget(f"{level}/255").levels == level
    assert LinfBudget(radius=float(np.float32(level / 255))).levels in (level, level - 1)
    if level < 255:
        assert read_budget(f"{level}.99/255").levels == level


# Distance and projection.


def test_distances_against_numpy():
    delta = noise((3, 3, 20, 30), 0, 0.1)
    flat = delta.numpy().reshape(3, -1).astype(np.float64)
    linf, l2 = LinfBudget(radius=0.1), L2Budget(radius=8, reference=64)
    assert size(linf, delta).numpy() == pytest.approx(np.abs(flat).max(1))
    expected = np.linalg.norm(flat, axis=1) * 64 / math.sqrt(20 * 30)
    assert size(l2, delta).numpy() == pytest.approx(expected, rel=1e-5)


def test_the_l2_radius_means_the_same_rms_at_every_size():
    budget = L2Budget(radius=8)
    for height, width in ((512, 512), (128, 128), (100, 640)):
        delta = torch.full((1, 3, height, width), 8 / math.sqrt(3) / 512)
        assert size(budget, delta).item() == pytest.approx(8, rel=1e-5)


@given(radii, l2_radii, shapes, st.floats(1e-4, 10))
@settings(max_examples=100, deadline=None)
def test_projections_stay_inside_and_are_idempotent(linf, l2, shape, spread):
    delta = noise(shape, 1, spread)
    for budget in (LinfBudget(radius=linf), L2Budget(radius=l2)):
        inside = budget.project(delta)
        assert (size(budget, inside) <= budget.radius * (1 + 1e-6)).all()
        assert torch.equal(budget.project(inside), inside)
        within = size(budget, delta) <= budget.radius * (1 - 1e-5)
        assert torch.equal(inside[within], delta[within])


def test_a_linf_loop_is_brought_inside_as_the_published_ones_to_the_bit():
    original, perturbed = torch.rand(2, 3, 16, 16), torch.rand(2, 3, 16, 16) * 1.4 - 0.2
    published = perturbed.clamp(original - 0.05, original + 0.05).clamp(0, 1)
    assert torch.equal(LinfBudget(radius=0.05).around(original)(perturbed), published)


def test_an_l2_projection_keeps_the_direction_and_zero():
    budget = L2Budget(radius=1, reference=16)
    delta = noise((2, 3, 16, 16), 2, 1)
    delta[1] = 0
    inside = budget.project(delta)
    assert torch.allclose(inside[0] / inside[0].norm(), delta[0] / delta[0].norm(), atol=1e-6)
    assert inside[0].norm().item() == pytest.approx(1, rel=1e-5)
    assert (inside[1] == 0).all()


# Rounding inside.


@given(radii, shapes, st.floats(1e-3, 1), st.sampled_from(["any", "edges"]), st.integers(0, 99))
@settings(max_examples=100, deadline=None)
def test_saved_files_never_exceed_linf(radius, shape, size, kind, seed):
    budget, original = LinfBudget(radius=radius), grid(shape, seed, kind)
    wanted = (original + noise(shape, seed + 1, size)).clamp(0, 1)
    saved = budget.round_inside(original, wanted)
    levels = moved(original, saved)
    assert np.abs(levels).max() <= radius * 255 + 1e-9
    assert saved.min() >= 0
    assert saved.max() <= 1
    # Nothing is lost beyond the rounding: as near as whole levels inside the ball can be.
    ideal = np.clip((wanted - original).numpy() * 255, -budget.levels, budget.levels)
    assert np.abs(levels - ideal).max() <= 0.51


@given(l2_radii, shapes, st.floats(1e-3, 1), st.sampled_from(["any", "edges"]), st.integers(0, 99))
@settings(max_examples=100, deadline=None)
def test_saved_files_never_exceed_l2(radius, shape, size, kind, seed):
    budget, original = L2Budget(radius=radius), grid(shape, seed, kind)
    wanted = original + noise(shape, seed + 1, size)
    saved = budget.round_inside(original, wanted)
    norm = np.sqrt((moved(original, saved) ** 2).sum((1, 2, 3)))
    limit = radius * 255 * math.sqrt(shape[2] * shape[3]) / 512
    assert (norm <= limit * (1 + 1e-9)).all()
    assert saved.min() >= 0
    assert saved.max() <= 1


def test_l2_rounding_wastes_little_of_the_budget():
    original, budget = grid((1, 3, 128, 128), 3) * 0.8 + 0.1, L2Budget(radius=8)
    original = (original * 255).round() / 255
    saved = budget.round_inside(original, original + noise(original.shape, 4, 0.1))
    norm = np.sqrt((moved(original, saved) ** 2).sum())
    assert norm / (8 * 255 / 4) > 0.999


def test_rounding_repeats_itself_and_what_is_inside_already_stays():
    original = grid((2, 3, 32, 32), 5)
    for budget in (read_budget("8/255"), read_budget("l2:8")):
        wanted = original + noise(original.shape, 6, 0.05)
        saved = budget.round_inside(original, wanted)
        assert torch.equal(saved, budget.round_inside(original, wanted))
        assert torch.equal(saved, budget.round_inside(original, saved))
        assert torch.equal(saved[1:], budget.round_inside(original[1:], wanted[1:]))
        assert torch.equal(original, budget.round_inside(original, original))


def test_less_than_a_level_leaves_the_original():
    original = grid((1, 3, 16, 16), 7)
    for budget in (read_budget("0.9/255"), read_budget("l2:0.01")):
        assert torch.equal(budget.round_inside(original, original + 0.5), original)
