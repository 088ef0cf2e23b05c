"""The diffusion protection: its gradient, its noise, its loss beside the published loop's."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from brittle import noise
from brittle.budgets import L2Budget
from brittle.component import registry
from brittle.errors import UserError
from brittle.models import chain, load_model
from brittle.protections import DiffusionProtection, Protection
from brittle.protections.diffusion import with_new_noise
from tests.models import tiny
from tests.protections.conftest import run_loop

LITTLE = {"steps": 2, "draws": 1, "evaluations": 2}


@pytest.fixture(scope="module")
def inpainting(tmp_path_factory):
    """A model of SD inpainting's layout, random: its UNet takes 9 channels; 64 px."""
    folder = tiny.save(tmp_path_factory.mktemp("models") / "tiny-inpainting", unet_channels=9)
    return load_model(folder, device="cpu", dtype="float32")


@pytest.fixture(scope="module")
def image(photos) -> Tensor:
    return photos[:, :, 40:72, 40:72]


@pytest.fixture(scope="module")
def mask() -> Tensor:
    mask = torch.zeros(2, 1, 32, 32)
    mask[:, :, 8:24, 8:24] = 1
    return mask


def one_loss(protection, model, image, mask=None, seeds=(0, 1)) -> Tensor:
    prepared = protection.prepare(model, image, mask=mask, seeds=seeds)
    return protection.objective(model, image, image, mask=mask, seeds=seeds, prepared=prepared)


@pytest.mark.parametrize("masked", [False, True])
def test_its_gradient_passes_finite_differences(masked, small_sd, photos) -> None:
    model = load_model(small_sd, device="cpu", dtype=torch.float64, vae_dtype=torch.float64)
    protection = DiffusionProtection(evaluations=3, prompt="a dog", guidance_scale=3, draws=1)
    image = photos[:1, :, 40:72, 40:64].double().requires_grad_()
    mask = torch.zeros(1, 1, 32, 24, dtype=torch.float64)
    mask[..., 8:] = 1
    mask = mask if masked else None
    (gradient,) = torch.autograd.grad(
        one_loss(protection, model, image, mask, seeds=[3]).sum(), image
    )
    generator = torch.Generator().manual_seed(5)
    direction = torch.randn(image.shape, generator=generator, dtype=torch.float64)
    with torch.no_grad():
        ahead, behind = (
            float(one_loss(protection, model, image + step * direction, mask, seeds=[3]))
            for step in (1e-5, -1e-5)
        )
    slope = float((gradient * direction).sum())
    assert (ahead - behind) / 2e-5 == pytest.approx(slope, rel=1e-4)


@pytest.mark.parametrize(("scheduler", "eta"), [("ddim", 1.0), ("plms", 0.0)])
@pytest.mark.parametrize(("masked", "strength"), [(False, 0.5), (False, 0.3), (True, 0.5)])
def test_as_many_evaluations_run_as_it_says(
    scheduler, eta, masked, strength, kl, monkeypatch, image, mask
) -> None:
    calls = []
    evaluate = kl.evaluate
    monkeypatch.setattr(
        kl, "evaluate", lambda *a, **named: calls.append(len(a[0])) or evaluate(*a, **named)
    )
    for evaluations in (3, 4, 6):
        protection = DiffusionProtection(
            scheduler=scheduler, eta=eta, evaluations=evaluations, strength=strength
        )
        calls.clear()
        with torch.no_grad():
            one_loss(protection, kl, image, mask if masked else None)
        # The empty prompt isn't guided against itself: two rows an evaluation, not four.
        assert calls == [2] * evaluations


def test_leaving_out_the_guidance_of_equal_prompts_changes_nothing(embedded, image) -> None:
    protection = DiffusionProtection(**LITTLE)
    prepared = protection.prepare(embedded, image, mask=None, seeds=[0, 1])
    settings = {"mask": None, "seeds": [0, 1], "prepared": prepared}
    with torch.no_grad():
        protection.objective(embedded, image, image, **settings)
        plan, target = prepared.plans[image.shape]
        twice = plan.condition.embeddings.repeat(2, 1, 1)
        guided = replace(
            plan, condition=replace(plan.condition, guidance_scale=7.5, embeddings=twice)
        )
        prepared.plans[image.shape] = guided, target
        prepared.streams[:] = noise.generators([0, 1])
        expected = protection.objective(embedded, image, image, **settings)
    assert torch.allclose(one_loss(protection, embedded, image).detach(), expected, rtol=1e-4)


def test_each_gradient_has_noise_of_its_own_from_the_rows_seed(embedded, image) -> None:
    plan = chain.plan(
        embedded,
        prompts=["", ""],
        streams=noise.generators([0, 1]),
        shape=(32, 32),
        num_inference_steps=2,
        strength=1.0,
        guidance_scale=1.0,
        eta=1.0,
        scheduler="ddim",
    )
    streams = noise.generators([4, 5])
    first, second = with_new_noise(plan, streams), with_new_noise(plan, streams)
    assert not torch.equal(first.noise, second.noise)
    assert not torch.equal(first.step_noise[0], first.step_noise[1])
    alone = with_new_noise(
        replace(plan, noise=plan.noise[:1], step_noise=tuple(n[:1] for n in plan.step_noise)),
        noise.generators([4]),
    )
    assert torch.equal(alone.noise[0], first.noise[0])
    assert torch.equal(alone.step_noise[1][0], first.step_noise[1][0])


def test_draws_at_once_are_averaged_as_draws_in_turn_are(embedded, image) -> None:
    at_once = DiffusionProtection(**{**LITTLE, "draws": 2}, draws_at_once=2)
    in_turn = DiffusionProtection(**{**LITTLE, "draws": 2})
    assert (at_once.passes, in_turn.passes) == (1, 2)
    with torch.no_grad():
        together = one_loss(at_once, embedded, image)
        prepared = at_once.prepare(embedded, image, mask=None, seeds=[0, 1])
        assert len(prepared.streams) == 4
        single = []
        for half in (0, 1):
            # The second half of the rows continues the same two streams.
            streams = noise.generators([0, 1])
            plan, target = self_plan(at_once, embedded, image)
            full = with_new_noise(plan, streams * 2)
            rows = slice(2 * half, 2 * half + 2)
            part = replace(
                full,
                noise=full.noise[rows],
                step_noise=tuple(n[rows] for n in full.step_noise),
                condition=replace(full.condition, embeddings=full.condition.embeddings[rows]),
            )
            start = chain.start(embedded, part, image)
            *_, latents = chain.denoise(embedded, start, part)
            single.append((embedded.decode(latents) - target).flatten(1).norm(dim=1))
    assert torch.allclose(together, sum(single) / 2, rtol=1e-4)


def self_plan(protection, model, image):
    prepared = protection.prepare(model, image, mask=None, seeds=[0, 1])
    protection.objective(model, image, image, mask=None, seeds=[0, 1], prepared=prepared)
    return prepared.plans[image.shape]


def published_loop(model, image, mask, plans, *, limit, step) -> Tensor:
    """PhotoGuard's inpainting loop with an L2 ball, plainly, under noise that is handed to it."""
    adversarial = image.clone()
    for step_plans in plans:
        gradients = []
        for plan in step_plans:
            leaf = adversarial.clone().requires_grad_(True)
            start = chain.start(model, plan, leaf, mask)
            *_, latents = chain.denoise(model, start, plan)
            (model.decode(latents) - 0.5).flatten(1).norm(dim=1).sum().backward()
            gradients.append(leaf.grad * (1 - mask))
        gradient = torch.stack(gradients).mean(0)
        norm = gradient.flatten(1).norm(dim=1).view(-1, 1, 1, 1)
        adversarial = adversarial - gradient / (norm + 1e-10) * step
        delta = torch.renorm(adversarial - image, p=2, dim=0, maxnorm=limit)
        adversarial = (image + delta).clamp(0, 1)
    return adversarial


def test_it_takes_the_steps_of_the_published_loop(inpainting, image, mask) -> None:
    protection = DiffusionProtection(
        budget=L2Budget(radius=8), step_size=4, steps=3, draws=2, evaluations=2
    )
    result, trace = run_loop(protection, inpainting, image, mask=mask, seeds=[0, 1])
    prepared = protection.prepare(inpainting, image, mask=mask, seeds=[0, 1])
    with torch.no_grad():
        protection.objective(inpainting, image, image, mask=mask, seeds=[0, 1], prepared=prepared)
    plan, _ = prepared.plans[image.shape]
    streams = noise.generators([0, 1])
    plans = [[with_new_noise(plan, streams) for _ in range(2)] for _ in range(3)]
    expected = published_loop(inpainting, image, mask, plans, limit=8 * 32 / 512, step=4 * 32 / 512)
    assert (result - image).abs().max() > 1e-3
    assert torch.allclose(result, expected, atol=1e-5)
    assert not (result - image)[(mask == 1).expand_as(image)].any()
    assert len(trace.losses) == 3


def test_the_loss_falls_on_the_same_noise(embedded, image) -> None:
    protection = DiffusionProtection(steps=6, step_size=0.01, draws=2, evaluations=2)
    protected = protection(embedded, image, seeds=[0, 1])
    with torch.no_grad():
        before, after = (
            one_loss(protection, embedded, x, seeds=[7, 8]) for x in (image, protected)
        )
    assert (after < before).all()


def test_settings_that_cannot_run_are_refused_in_a_sentence(embedded, inpainting, image) -> None:
    for text, message in [
        ("diffusion:draws=10,draws_at_once=3", "must divide"),
        ("diffusion:scheduler=plms", "adds no noise"),
        ("diffusion:scheduler=euler", "ddim"),
        ("diffusion:scheduler=plms,eta=0,evaluations=2", "3 evaluations"),
        ("diffusion:target=zero", "neither gray, nor an image"),
    ]:
        with pytest.raises(UserError, match=message):
            Protection.parse(text)
    with pytest.raises(UserError, match="1 to 1000 steps"):
        DiffusionProtection(evaluations=600)(embedded, image, seeds=[0, 1])
    with pytest.raises(UserError, match="made for inpainting"):
        DiffusionProtection(**LITTLE)(inpainting, image, seeds=[0, 1])


def test_the_presets_hold_their_sources_numbers() -> None:
    paper = Protection.parse("photoguard-diffusion")
    assert paper == DiffusionProtection()
    assert (paper.budget.radius, paper.step_size) == pytest.approx((0.1 / 2, 0.006 / 2))
    assert (paper.steps, paper.draws, paper.evaluations, paper.eta) == (200, 5, 4, 1)
    notebook = Protection.parse("photoguard-notebook-diffusion")
    assert (notebook.budget, notebook.step_size) == (L2Budget(radius=16 / 2), 1 / 2)
    assert notebook.draws == 10
    table = Protection.parse("photoguard-table9-diffusion")
    assert (table.budget.radius, table.step_size, table.steps) == (16 / 255, 2 / 255, 200)
    full = Protection.parse("photoguard-diffusion-full")
    assert full.budget == paper.budget
    work = [one.steps * one.draws * one.evaluations for one in (full, paper)]
    assert work[0] == work[1]
    assert all(preset.source for preset in registry("protection").presets.values())
