"""The cloak: its target, its loss, its penalty, and what its record tells of the file."""

import pytest
import torch

from brittle.budgets import LinfBudget
from brittle.errors import UserError
from brittle.metrics import Perceptual
from brittle.protections import Protection, StyleCloak, Trace, cloak
from brittle.protections.cloak import STYLES, perceptual_distance

STYLE = {"style": "a pencil sketch", "evaluations": 2, "guidance_scale": 3.0}


@pytest.fixture(scope="module")
def restyled(embedded, photos) -> torch.Tensor:
    return StyleCloak(**STYLE).restyle(embedded, photos, seeds=[0, 1])


def latents_apart(model, image, other) -> torch.Tensor:
    difference = model.encode(model.fit(image)) - model.encode(other)
    return difference.square().flatten(1).mean(1)


def test_the_budgeted_form_moves_the_files_latents_to_the_restyled_pictures(
    embedded, photos, restyled
):
    protection = StyleCloak(
        **STYLE,
        budget=LinfBudget(radius=8 / 255),
        steps=12,
        step_size=2 / 255,
        optimizer="sign",
        alpha=0,
    )
    trace = Trace()
    file = protection(embedded, photos, seeds=[0, 1], trace=trace)
    before, after = (latents_apart(embedded, one, restyled) for one in (photos, file))
    assert (after < 0.8 * before).all()
    assert torch.allclose(trace.losses[0].double(), before.double(), rtol=1e-4)
    assert ((file - photos).abs().amax((1, 2, 3)) <= 8 / 255 + 1e-6).all()


def test_the_record_tells_the_perceptual_distance_of_the_file(embedded, photos):
    trace = Trace()
    file = StyleCloak(**STYLE, steps=2)(embedded, photos, seeds=[0, 1], trace=trace)
    told = [row["perceptual_distance"] for row in trace.summary()]
    assert told == pytest.approx(Perceptual().score(file, photos).tolist(), rel=1e-5)


def test_without_the_penalty_a_picture_may_be_too_small_for_the_distance(embedded, photos):
    trace, photo = Trace(), photos[:1, :, :24, :64]
    StyleCloak(**STYLE, steps=1, alpha=0)(embedded, photo, seeds=[0], trace=trace)
    (told,) = trace.summary()
    assert "perceptual_distance" not in told
    with pytest.raises(UserError, match="32 pixels"):
        StyleCloak(**STYLE, steps=1)(embedded, photo, seeds=[0])


def test_the_penalty_keeps_the_picture_near(embedded, photos):
    photo = photos[:1]

    def distance(alpha: float) -> torch.Tensor:
        protection = StyleCloak(**STYLE, steps=6, alpha=alpha, p=0.01)
        return Perceptual().score(protection(embedded, photo, seeds=[0]), photo)

    assert (distance(1000) < 0.8 * distance(0)).all()


def test_adam_is_torchs_own():
    protection = StyleCloak(step_size=0.01, budget=LinfBudget(radius=1))
    start = torch.full((1, 3, 4, 4), 0.5)
    theirs = start.clone().requires_grad_()
    adam, ours = torch.optim.Adam([theirs], lr=0.01), start
    update = protection.update(start, None)
    for step in range(5):
        gradient = torch.randn(start.shape, generator=torch.Generator().manual_seed(step))
        theirs.grad = gradient.clone()
        adam.step()
        ours = update(ours, gradient, step)
    assert torch.allclose(ours, theirs.detach(), atol=1e-6)


def test_the_target_is_unlike_the_picture_but_not_the_farthest(embedded, photos, monkeypatch):
    """Styles that only take light away, with brightness as distance: their order is known."""

    def darker(self, model, seen, style, seeds):
        return seen * (1 - STYLES.index(style) / 8)

    monkeypatch.setattr(StyleCloak, "_restyled", darker)
    monkeypatch.setattr(cloak, "perceptual_distance", lambda a, b: (b - a).mean((1, 2, 3)))
    chosen = StyleCloak().restyle(embedded, photos, seeds=[0, 1])
    assert torch.allclose(chosen, photos * (1 - 5 / 8))


def test_the_distance_is_the_metric_and_has_a_gradient(photos):
    moved = (photos + 0.02).clamp(0, 1).requires_grad_()
    distance = perceptual_distance(moved, photos)
    assert torch.allclose(distance.detach(), Perceptual().score(moved.detach(), photos))
    distance.sum().backward()
    assert moved.grad is not None
    assert moved.grad.flatten(1).any(1).all()


def test_it_says_what_it_is_after_and_what_it_is_not():
    for name in ("style-cloak", "style-cloak-pgd", "style-cloak-jpeg"):
        assert isinstance(Protection.parse(name), StyleCloak)
    assert "closed" in StyleCloak.source


@pytest.mark.parametrize("moving", ["flip", "none,shift:right=1..4", "rotate:degrees=5"])
def test_a_target_that_would_not_move_along_is_refused(moving):
    with pytest.raises(UserError, match="moves pixels, and the style's target stays"):
        Protection.parse(f"style-cloak:expectation=[{moving}]")
