"""Whatever a plugin returns, what is published is on the grid, inside the budget and the mask."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from brittle.budgets import Budget, L2Budget, LinfBudget
from brittle.errors import UserError
from brittle.protections import Protection, Trace
from tests.protections.conftest import Linear

MODEL = Linear(torch.ones(1, 1))


class Rogue(Protection):
    """Returns what it was made with, whatever the budget."""

    name = "rogue"
    scale: float = 0.0
    garbage: int = 0

    def perturb(self, model, image, *, mask, seeds, trace) -> Tensor:
        generator = torch.Generator().manual_seed(self.garbage)
        return image + self.scale * torch.randn(image.shape, generator=generator)


class Returns(Protection):
    name = "returns"
    budget: Budget = LinfBudget(radius=0.1)
    value: float = 0.5
    shape: tuple[int, ...] = ()

    def perturb(self, model, image, *, mask, seeds, trace) -> Tensor:
        return torch.full(self.shape or image.shape, self.value)


def on_grid(*shape: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, shape, generator=generator) / 255


budgets = st.one_of(
    st.floats(0.2 / 255, 1).map(lambda radius: LinfBudget(radius=radius)),
    st.floats(0.05, 30).map(lambda radius: L2Budget(radius=radius)),
)


@settings(max_examples=60, deadline=None)
@given(budgets, st.floats(0, 10), st.integers(0, 2**16), st.integers(8, 24), st.integers(8, 24))
def test_no_plugin_can_break_the_budget(budget, scale, garbage, height, width) -> None:
    image = on_grid(2, 3, height, width, seed=garbage)
    mask = (on_grid(2, 1, height, width, seed=garbage + 1) > 0.5).float()
    protected = Rogue(budget=budget, scale=scale, garbage=garbage)(
        MODEL, image, mask=mask, seeds=[1, 2]
    )

    levels = protected * 255
    assert torch.equal(levels.round() / 255, protected)
    assert 0 <= levels.min() <= levels.max() <= 255.0
    moved = (levels.round() - image * 255).round().double() / 255
    if budget.norm == "linf":
        assert moved.abs().max() <= budget.radius + 1e-12
    else:
        limit = budget.radius * (height * width) ** 0.5 / budget.reference
        assert moved.flatten(1).norm(dim=1).max() <= limit * (1 + 1e-9)
    assert not moved[(mask == 1).expand_as(moved)].any()


def test_it_uses_the_budget_where_the_plugin_does() -> None:
    image = on_grid(1, 3, 16, 16).clamp(0.2, 0.8)
    image = (image * 255).round() / 255
    protected = Rogue(budget=LinfBudget(radius=12.75 / 255), scale=5.0)(MODEL, image, seeds=[0])
    assert ((protected - image).abs() * 255).round().unique().tolist()[-1] == 12
    assert ((protected - image).abs() * 255).round().mean() > 10


def test_the_callers_image_stays_as_it_was() -> None:
    image = on_grid(1, 3, 16, 16)
    before = image.clone()
    Rogue(budget=LinfBudget(radius=0.1), scale=1.0)(MODEL, image, seeds=[0])
    assert torch.equal(image, before)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_values_that_are_not_numbers_are_refused(value) -> None:
    with pytest.raises(UserError, match="aren't numbers"):
        Returns(value=value)(MODEL, on_grid(1, 3, 16, 16), seeds=[0])


def test_a_result_of_another_shape_is_refused() -> None:
    with pytest.raises(ValueError, match="shape"):
        Returns(shape=(1, 3, 8, 8))(MODEL, on_grid(1, 3, 16, 16), seeds=[0])


GOOD = on_grid(2, 3, 16, 16)


@pytest.mark.parametrize(
    ("image", "mask", "seeds", "message"),
    [
        (GOOD[0], None, [0, 1], "N, 3, H, W"),
        (GOOD[:, :1], None, [0, 1], "N, 3, H, W"),
        (GOOD[:0], None, [], "N, 3, H, W"),
        (GOOD, None, [0], "2 images need one seed each"),
        (GOOD * 255, None, [0, 1], r"\[0, 1\]"),
        (GOOD - 0.5, None, [0, 1], r"\[0, 1\]"),
        (GOOD * float("nan"), None, [0, 1], r"\[0, 1\]"),
        ((GOOD * 255).byte(), None, [0, 1], r"\[0, 1\]"),
        (GOOD * 0.999, None, [0, 1], "grid"),
        (GOOD, torch.zeros(2, 1, 8, 16), [0, 1], "mask"),
        (GOOD, torch.zeros(3, 1, 16, 16), [0, 1], "mask"),
        (GOOD, torch.full((2, 1, 16, 16), 0.5), [0, 1], "nothing else"),
        (GOOD, torch.stack([torch.ones(1, 16, 16), torch.zeros(1, 16, 16)]), [0, 1], "white"),
    ],
)
def test_bad_input_is_refused_in_a_sentence(image, mask, seeds, message) -> None:
    with pytest.raises(UserError, match=message):
        Returns()(MODEL, image, mask=mask, seeds=seeds)


def test_one_mask_serves_all_images() -> None:
    mask = torch.zeros(1, 1, 16, 16)
    mask[..., :8] = 1
    protected = Rogue(budget=LinfBudget(radius=0.1), scale=1.0)(
        MODEL, GOOD, mask=mask, seeds=[0, 1]
    )
    assert torch.equal(protected[..., :8], GOOD[..., :8])
    assert (protected[..., 8:] != GOOD[..., 8:]).any(1).float().mean() > 0.9


def test_a_trace_without_steps_has_no_summary() -> None:
    trace = Trace()
    Returns()(MODEL, GOOD, seeds=[0, 1], trace=trace)
    assert trace.summary() == []
