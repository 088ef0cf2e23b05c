"""The perceptual budget: read as text, never exceeded on the file, used up, and guarded."""

import numpy as np
import pytest
import torch
from skimage import data

from brittle.budgets import PerceptualBudget, read_budget
from brittle.errors import UserError
from brittle.metrics import Perceptual
from brittle.models import load_model
from brittle.protections import EncoderProtection, Protection


@pytest.fixture
def small(photos) -> torch.Tensor:
    return photos[:, :, :64, :80]


def noisy(image: torch.Tensor, size: float) -> torch.Tensor:
    noise = torch.randn(image.shape, generator=torch.Generator().manual_seed(0))
    return image + size * noise


def test_it_is_read_from_text_and_record() -> None:
    budget = read_budget("perceptual:0.5")
    assert budget == PerceptualBudget(radius=0.5)
    assert budget.levels == 32
    assert read_budget("lpips:0.05@16/255") == PerceptualBudget(
        norm="lpips", radius=0.05, within=16 / 255
    )
    for text in ("perceptual:0.5", "lpips:0.05@16/255", "perceptual:0.125@0.1"):
        assert str(read_budget(str(read_budget(text)))) == str(read_budget(text))
        protection = EncoderProtection(budget=text)
        assert Protection.from_record(protection.record()) == protection
        assert Protection.parse(str(protection)) == protection
    assert budget.describe() == "0.5 in perceptual distance, no value by more than 32 levels"


def test_its_fields_leave_other_budgets_records_alone() -> None:
    assert "within" not in EncoderProtection().record()["fields"]["budget"]
    assert EncoderProtection(budget="perceptual:1").record()["fields"]["budget"]["within"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("perceptual", "isn't understood"),
        ("perceptual:0", "greater than 0"),
        ("perceptual:inf", "finite"),
        ("perceptual:0.5@2", "less than or equal to 1"),
        ("perceptual:half", "valid number"),
    ],
)
def test_budgets_that_are_none(text, message) -> None:
    with pytest.raises(UserError, match=message) as caught:
        read_budget(text)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("radius", [0.05, 0.5, 2.0])
def test_the_file_is_inside_and_near_the_radius(radius, small) -> None:
    budget = PerceptualBudget(radius=radius)
    saved = budget.round_inside(small, noisy(small, 0.1))
    levels = saved.numpy().astype(np.float64) * 255
    assert np.abs(levels - np.rint(levels)).max() < 1e-4
    distance = Perceptual().score(saved, small)
    assert (distance <= radius).all()
    assert (distance > 0.7 * radius).all()  # whole levels leave gaps
    assert np.abs(levels - np.rint(small.numpy() * 255)).max() <= 32 + 1e-4


def test_what_is_inside_stays(small) -> None:
    budget = PerceptualBudget(radius=5)
    near = (noisy(small, 0.01).clamp(0, 1) * 255).round() / 255
    assert torch.allclose(budget.round_inside(small, near), near, atol=1e-6)
    assert torch.allclose(budget.bring_inside(small, near), near, atol=1e-6)


@pytest.mark.parametrize("radius", [0.5, 1.0, 2.0])
def test_a_step_comes_back_near_the_radius(radius, small) -> None:
    """An iterate at the radius, one step on, and what the step's one measurement makes of it."""
    budget = PerceptualBudget(radius=radius)
    moved = budget.round_inside(small, noisy(small, 0.1)) - small
    beyond = small + 1.3 * moved
    assert (budget.spent(small, beyond.clamp(0, 1)) > 1.1 * radius).all()
    distance = budget.spent(small, budget.bring_inside(small, beyond))
    assert (distance > 0.85 * radius).all()
    assert (distance < 1.15 * radius).all()


def test_of_a_large_picture_a_step_measures_a_sample() -> None:
    photo = torch.from_numpy(data.rocket().copy()).permute(2, 0, 1)[None] / 255
    photo = torch.cat([photo, photo.flip(-1)], -1)
    budget = PerceptualBudget(radius=0.5)
    saved = budget.round_inside(photo, noisy(photo, 0.05))
    assert float(Perceptual().score(saved, photo)) <= 0.5
    near = budget.bring_inside(photo, photo + 1.3 * (saved - photo))
    assert float(budget.spent(photo, near)) == pytest.approx(0.5, rel=0.25)


def test_the_guard_holds_where_the_distance_would_allow_more(small) -> None:
    budget = PerceptualBudget(radius=20, within=3.5 / 255)
    moved = (budget.round_inside(small, noisy(small, 0.5)) - small) * 255
    assert moved.abs().max() == pytest.approx(3, abs=1e-3)


def test_a_protection_uses_its_budget_and_keeps_to_it(small_sd, small) -> None:
    kl = load_model(small_sd, device="cpu", dtype="float32")
    protection = EncoderProtection(budget="perceptual:0.4", steps=4)
    protected = protection(kl, small, seeds=[1, 2])
    spent = protection.budget.spent(small, protected)
    assert (spent <= 0.4).all()
    assert (spent > 0.2).all()
    again = protection(kl, small.flip(0), seeds=[2, 1])
    assert torch.equal(protected, again.flip(0))


def test_without_the_network_it_says_so(small, monkeypatch, tmp_path) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    with pytest.raises(UserError, match="can't be measured: LPIPS needs"):
        read_budget("lpips:0.05").round_inside(small, noisy(small, 0.1))
    with pytest.raises(UserError, match="at least 32 pixels"):
        read_budget("perceptual:0.5").round_inside(small[..., :16], noisy(small[..., :16], 0.1))
