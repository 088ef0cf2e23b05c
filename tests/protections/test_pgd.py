"""The loop against closed forms, against a reference loop, and for what it costs."""

import math

import pytest
import torch
from torch import Tensor

from brittle.budgets import L2Budget, LinfBudget, read_budget
from brittle.noise import generators
from brittle.protections import PGD, EncoderProtection, Protection, StyleCloak, Trace
from tests.protections.conftest import Linear, run_loop


class Towards(PGD):
    """Squared distance of a linear latent to 1000, where no budget reaches."""

    name = "towards"

    def objective(self, model, perturbed, image, *, mask, seeds, prepared) -> Tensor:
        return (model.encode(perturbed) - 1000).square().flatten(1).sum(1)


SHAPE = (3, 10, 14)


@pytest.fixture
def weight() -> Tensor:
    return torch.randn(1, math.prod(SHAPE), generator=torch.Generator().manual_seed(1))


def middle_gray(rows: int = 2) -> Tensor:
    return torch.full((rows, *SHAPE), 128 / 255)


@pytest.mark.parametrize("random_start", [False, True])
def test_the_optimum_of_a_linear_map_in_linf_is_the_corner(weight, random_start) -> None:
    protection = Towards(
        budget=LinfBudget(radius=0.05), steps=12, step_size=0.01, random_start=random_start
    )
    result, _ = run_loop(protection, Linear(weight), middle_gray())
    corner = 0.05 * weight.sign().view(1, *SHAPE)
    assert torch.allclose(result - middle_gray(), corner.expand(2, -1, -1, -1), atol=1e-6)


def test_the_optimum_at_the_ends_of_the_range_is_clamped(weight) -> None:
    image = torch.cat([torch.zeros(1, *SHAPE), torch.ones(1, *SHAPE)])
    result, _ = run_loop(
        Towards(budget=LinfBudget(radius=0.05), steps=12, step_size=0.01), Linear(weight), image
    )
    sign = weight.sign().view(*SHAPE)
    assert torch.allclose(result[0], 0.05 * sign.clamp_min(0), atol=1e-6)
    assert torch.allclose(result[1], 1 + 0.05 * sign.clamp_max(0), atol=1e-6)


@pytest.mark.parametrize("random_start", [False, True])
def test_the_optimum_of_a_linear_map_in_l2_is_along_the_map(weight, random_start) -> None:
    budget = L2Budget(radius=8)
    limit = 8 * math.sqrt(10 * 14) / 512
    protection = Towards(budget=budget, steps=60, step_size=1.0, random_start=random_start)
    result, _ = run_loop(protection, Linear(weight), middle_gray())
    best = limit * (weight / weight.norm()).view(1, *SHAPE).expand(2, -1, -1, -1)
    assert torch.allclose(result - middle_gray(), best, atol=limit * 1e-3)


def test_an_l2_step_grows_with_the_photo_as_its_budget_does() -> None:
    for side in (8, 32):
        image = torch.full((1, 3, side, side), 128 / 255)
        weight = torch.randn(1, image.numel(), generator=torch.Generator().manual_seed(2))
        one = Towards(budget=L2Budget(radius=8), steps=1, step_size=2)
        result, _ = run_loop(one, Linear(weight), image)
        assert float((result - image).norm()) == pytest.approx(2 * side / 512, rel=1e-4)


@pytest.mark.parametrize(
    ("before", "after", "step"),
    [
        ("16/255", "8/255", 0.5),
        ("16/255", "perceptual:0.5", 0.5 * 0.00914 / (16 / 255)),
        ("linf:0.25", "l2:8@512", 16),
        ("l2:8@512", "linf:0.25", 1 / 64),
        ("l2:8@512", "l2:4@512", 0.5),
        ("l2:8@512", "l2:2@128", 1 / 8),  # which is the same budget
    ],
)
def test_a_step_goes_along_with_another_budget(before, after, step) -> None:
    one = Towards(budget=before, steps=1, step_size=0.5).with_budget(read_budget(after))
    assert one.budget == read_budget(after)
    assert one.step_size == pytest.approx(step, rel=1e-3)


def test_adams_rate_is_no_length() -> None:
    for optimizer, step in (("adam", 0.25), ("sign", 8)):
        cloak = StyleCloak(budget="linf:0.25", step_size=0.25, optimizer=optimizer)
        assert cloak.with_budget(read_budget("l2:8")).step_size == step


def test_the_linear_schedule_falls_towards_one_percent(weight) -> None:
    protection = Towards(budget=LinfBudget(radius=0.4), steps=5, step_size=0.01, schedule="linear")
    result, _ = run_loop(protection, Linear(weight), middle_gray())
    moved = (result - middle_gray()).abs()
    expected = sum(0.01 - (0.01 - 0.0001) / 5 * step for step in range(5))
    assert torch.allclose(moved, torch.tensor(expected), atol=1e-6)


def test_a_random_start_is_the_seeds_own_and_inside_the_budget(weight) -> None:
    protection = Towards(budget=LinfBudget(radius=0.05), steps=1, step_size=1e-6, random_start=True)
    model, image = Linear(weight), middle_gray(3)
    result, _ = run_loop(protection, model, image, seeds=[5, 6, 5])
    assert torch.equal(result[0], result[2])
    assert (result[0] - result[1]).abs().mean() > 0.02
    delta = result - image
    assert 0.049 < delta.abs().max() <= 0.05 + 1e-6
    assert abs(float(delta.mean())) < 0.005


def test_a_random_start_is_uniform_over_the_ball() -> None:
    image = torch.full((1, 3, 64, 64), 128 / 255)
    one = Towards(budget=LinfBudget(radius=0.05), steps=1, step_size=1e-9, random_start=True)
    result, _ = run_loop(one, Linear(torch.ones(1, image.numel())), image)
    rms = float((result - image).square().mean().sqrt())
    assert rms == pytest.approx(0.05 / math.sqrt(3), rel=0.02)


def test_nothing_moves_under_the_mask(weight) -> None:
    mask = torch.zeros(2, 1, 10, 14)
    mask[:, :, 3:, 5:] = 1
    for start in (False, True):
        protection = Towards(
            budget=LinfBudget(radius=0.05), steps=3, step_size=0.02, random_start=start
        )
        result, _ = run_loop(protection, Linear(weight), middle_gray(), mask=mask)
        moved = (result != middle_gray()).any(1, keepdim=True)
        assert torch.equal(moved, mask == 0)


def reference_loop(
    model, image: Tensor, target: Tensor, *, radius: float, step: float, steps: int, decay: bool
) -> Tensor:
    """The published algorithm as plainly as it can be written; each image's loss at the end."""
    adversarial = image.clone()
    for index in range(steps):
        size = step - (step - step / 100) / steps * index if decay else step
        adversarial = adversarial.clone().requires_grad_(True)
        loss = ((model.encode(model.fit(adversarial)) - target) ** 2).sum()
        loss.backward()
        adversarial = adversarial.detach() - size * adversarial.grad.sign()
        adversarial = torch.minimum(torch.maximum(adversarial, image - radius), image + radius)
        adversarial = adversarial.clamp(0, 1)
    with torch.no_grad():
        return ((model.encode(model.fit(adversarial)) - target) ** 2).flatten(1).sum(1)


@pytest.mark.parametrize("which", ["kl", "tiny", "embedded"])
@pytest.mark.parametrize("schedule", ["constant", "linear"])
def test_the_final_loss_is_no_worse_than_a_reference_loops(
    which, schedule, request, photos
) -> None:
    model = request.getfixturevalue(which)
    image = photos[:, :, ::2, ::2]
    protection = EncoderProtection(steps=8, schedule=schedule)
    result, _ = run_loop(protection, model, image)
    with torch.no_grad():
        target = model.encode(model.fit(torch.full_like(image[:1], 0.5)))
        ours = (model.encode(model.fit(result)) - target).square().flatten(1).sum(1)
        before = (model.encode(model.fit(image)) - target).square().flatten(1).sum(1)
    theirs = reference_loop(
        model, image, target, radius=0.05, step=0.0075, steps=8, decay=schedule == "linear"
    )
    # A gradient of nearly 0 may be rounded to either sign; a step less would cost a hundredth.
    assert (ours - theirs <= (before - theirs) / 200).all()
    assert (ours < before).all()


def test_a_row_depends_neither_on_its_neighbours_nor_on_its_place(kl, photos) -> None:
    image = photos[:, :, :64, :64]
    other = image.flip(-1)
    protection = EncoderProtection(steps=3, random_start=True)
    first, _ = run_loop(protection, kl, image, seeds=[1, 2])
    beside, _ = run_loop(protection, kl, torch.stack([image[0], other[0]]), seeds=[1, 7])
    turned, _ = run_loop(protection, kl, image.flip(0), seeds=[2, 1])
    assert torch.equal(first[0], beside[0])
    assert torch.equal(first, turned.flip(0))


def test_the_expectation_averages_the_gradients_of_its_transforms(weight) -> None:
    # Two maps whose gradients the flip exchanges: their mean is symmetric, and so is the result.
    protection = Towards(
        budget=L2Budget(radius=8), steps=40, step_size=1, expectation=("none", "flip")
    )
    result, _ = run_loop(protection, Linear(weight), middle_gray())
    delta = result - middle_gray()
    assert delta.abs().max() > 0.01
    assert torch.allclose(delta, delta.flip(-1), atol=1e-5)
    alone, _ = run_loop(
        protection.model_copy(update={"expectation": ()}), Linear(weight), middle_gray()
    )
    assert not torch.allclose(alone, alone.flip(-1), atol=1e-3)


def test_the_expectation_moves_the_mask_along(kl, photos) -> None:
    seen = []

    class Watcher(Towards):
        name = "watcher"

        def objective(self, model, perturbed, image, *, mask, seeds, prepared) -> Tensor:
            seen.append((perturbed.detach(), mask))
            return perturbed.flatten(1).sum(1)

    image = photos[:1, :, :32, :48]
    mask = torch.zeros(1, 1, 32, 48)
    mask[..., :10, :] = 1
    protection = Watcher(
        budget=LinfBudget(radius=0.1), steps=1, step_size=0.1, expectation=("rotate:degrees=90",)
    )
    run_loop(protection, kl, image, mask=mask)
    ((rotated, moved),) = seen
    assert rotated.shape == (1, 3, 48, 32)
    assert torch.equal(moved.rot90(-1, (-2, -1)), mask)


def test_nested_transforms_are_part_of_the_record() -> None:
    one, other = (
        EncoderProtection(expectation=(f"jpeg:quality={quality}", "none")) for quality in (50, 95)
    )
    assert one.record() != other.record()
    assert one.record()["fields"]["expectation"][0]["fields"]["quality"] == 50
    assert Protection.from_record(one.record()) == one
    assert Protection.parse("encoder:expectation=[jpeg:quality=50,none]") == one


def test_the_encoder_runs_once_a_step_and_once_for_the_target(tiny, photos, monkeypatch) -> None:
    calls = []
    encode = tiny.vae.encode
    monkeypatch.setattr(tiny.vae, "encode", lambda image: calls.append(len(image)) or encode(image))
    run_loop(EncoderProtection(steps=5), tiny, photos[:, :, :32, :32])
    assert sorted(calls) == [1, 2, 2, 2, 2, 2]


def test_no_gradient_reaches_the_models_weights_or_the_callers_image(kl, photos) -> None:
    image = photos[:, :, :32, :32]
    with torch.no_grad():
        result, _ = run_loop(EncoderProtection(steps=2), kl, image)
    assert not result.requires_grad
    assert image.grad is None
    assert all(parameter.grad is None for parameter in kl.vae.parameters())


def test_the_trace_counts_steps_and_holds_losses(kl, photos) -> None:
    image = photos[:, :, :64, :64]
    done = []
    trace = Trace(on_step=lambda step, total: done.append((step, total)))
    EncoderProtection(steps=4)(kl, image, seeds=[0, 1], trace=trace)
    assert done == [(1, 4), (2, 4), (3, 4), (4, 4)]
    with torch.no_grad():
        target = kl.encode(torch.full_like(image[:1], 0.5))
        first = (kl.encode(image) - target).square().flatten(1).sum(1)
    assert torch.allclose(trace.losses[0], first, rtol=1e-4)
    for row, start in zip(trace.summary(), first.tolist(), strict=True):
        assert row["first_loss"] == pytest.approx(start, rel=1e-4)
        assert row["last_loss"] < row["first_loss"]
        assert row["gradient_vanished"] is False


def test_the_trace_tells_whose_gradient_vanished(weight) -> None:
    class Deaf(PGD):
        name = "deaf"

        def objective(self, model, perturbed, image, *, mask, seeds, prepared) -> Tensor:
            return perturbed.flatten(1).sum(1) * perturbed.new_tensor([1.0, 0.0])

    protection = Deaf(budget=LinfBudget(radius=0.1), steps=2, step_size=0.01)
    _, trace = run_loop(protection, Linear(weight), middle_gray())
    assert [row["gradient_vanished"] for row in trace.summary()] == [False, True]


@pytest.mark.parametrize(
    ("moving", "vanished"),
    [
        ((0, 1, 0, 0), True),
        ((0, 0, 0, 1), True),
        ((0, 1, 0, 1), True),
        ((0, 1, 1, 1), False),
        ((1, 1, 1, 0), False),
    ],
)
def test_a_gradient_vanished_where_half_of_the_steps_had_none(weight, moving, vanished) -> None:
    class Sometimes(PGD):
        name = "sometimes"

        def prepare(self, model, image, *, mask, seeds) -> list[int]:
            return list(moving)

        def objective(self, model, perturbed, image, *, mask, seeds, prepared) -> Tensor:
            return perturbed.flatten(1).sum(1) * perturbed.new_tensor([prepared.pop(0), 1])

    protection = Sometimes(budget=LinfBudget(radius=0.1), steps=4, step_size=0.01)
    _, trace = run_loop(protection, Linear(weight), middle_gray())
    assert [row["gradient_vanished"] for row in trace.summary()] == [vanished, False]


def test_a_loss_that_draws_is_compared_under_the_same_draws(weight) -> None:
    class Drawing(PGD):
        """A distance beside noise a thousand times as large as all that the budget moves."""

        name = "drawing"
        draws_noise = True

        def prepare(self, model, image, *, mask, seeds) -> list[torch.Generator]:
            return generators(seeds)

        def objective(self, model, perturbed, image, *, mask, seeds, prepared) -> Tensor:
            drawn = torch.stack([torch.randn((), generator=stream) for stream in prepared])
            return perturbed.flatten(1).mean(1) + 100 * drawn

    protection = Drawing(budget=LinfBudget(radius=0.1), steps=4, step_size=0.05)
    _, trace = run_loop(protection, Linear(weight), middle_gray(20), seeds=[*range(20)])
    fell = [row["first_loss"] - row["last_loss"] for row in trace.summary()]
    assert fell == pytest.approx([0.1] * 20, abs=1e-4)
    assert any(first < last for first, last in zip(trace.losses[0], trace.losses[-1], strict=True))
