"""AdvDM, Mist and SDS beside loops written without them, and what they refuse."""

import pytest
import torch
from torch import Tensor

from brittle.errors import UserError
from brittle.models import EditModel, load_model
from brittle.noise import gaussian, generators
from brittle.protections import DenoisingLoss, Mist, Protection, ScoreDistillation
from brittle.protections.pgd import MEASURED
from brittle.protections.target import texture
from tests.models import tiny
from tests.protections.conftest import run_loop

RADIUS, STEP, STEPS = 16 / 255, 4 / 255, 2
SETTING = {"steps": STEPS, "step_size": STEP, "random_start": False}


@pytest.fixture(scope="module")
def image(photos) -> Tensor:
    return photos[:, :, 40:72, 40:64].double()


def alphas(model: EditModel) -> Tensor:
    """Stable Diffusion's noise levels, from its configuration: betas whose roots are even."""
    config = model.scheduler_config
    ends = (config[f"beta_{end}"] ** 0.5 for end in ("start", "end"))
    return (1 - torch.linspace(*ends, config["num_train_timesteps"]).square()).cumprod(0)


def written_out(model: EditModel, image: Tensor, gradient, prompt: str = "a photo") -> Tensor:
    """Signed descent inside the ball, one photo after another, each with its own noise."""
    words, levels, rows = model.embed([prompt]), alphas(model), []
    for photo, seed in zip(image.split(1), (3, 4), strict=True):
        (stream,) = generators([seed])
        moved = photo.clone()
        for _ in range(STEPS):
            leaf = moved.clone().requires_grad_()
            latent = model.vae.encode(leaf * 2 - 1).latent_dist.mean
            latent = latent * model.vae.config.scaling_factor
            noise = gaussian(latent.shape[1:], [stream]).double()
            time = torch.randint(1000, (1,), generator=stream)
            level = levels[time]
            noisy = level.sqrt() * latent + (1 - level).sqrt() * noise
            with torch.no_grad():
                fixed = model.part("denoiser")(noisy, time, words).sample - noise
            error = model.part("denoiser")(noisy, time, words).sample - noise
            found = gradient(leaf, latent, error, fixed)
            moved = (moved - STEP * found.sign()).clamp(photo - RADIUS, photo + RADIUS).clamp(0, 1)
        rows.append(moved)
    return torch.cat(rows)


def of_loss(leaf, latent, error, fixed) -> Tensor:
    return torch.autograd.grad(-error.square().mean(), leaf)[0]


def of_mist(leaf, latent, error, fixed, *, target) -> Tensor:
    loss = (latent - target).square().sum() - 1e4 * error.square().mean()
    return torch.autograd.grad(loss, leaf)[0]


def of_latents(leaf, latent, error, fixed) -> Tensor:
    return torch.autograd.grad(latent, leaf, fixed)[0]


@pytest.mark.parametrize("name", ["advdm", "mist", "sds-minus", "sds-plus"])
def test_it_takes_the_steps_of_the_loop_written_out(name, exact, image) -> None:
    protection, gradient = {
        "advdm": (DenoisingLoss(**SETTING), of_loss),
        "mist": (Mist(**SETTING), of_mist),
        "sds-minus": (ScoreDistillation(**SETTING), of_latents),
        "sds-plus": (ScoreDistillation(**SETTING, direction="up"), lambda *a: -of_latents(*a)),
    }[name]
    if name == "mist":
        black_and_white = texture(image).double() * 2 - 1
        latent = exact.vae.encode(black_and_white).latent_dist.mean
        target = latent.detach() * exact.vae.config.scaling_factor
        gradient = lambda *a: of_mist(*a, target=target)  # noqa: E731
    result, trace = run_loop(protection, exact, image, seeds=[3, 4])
    expected = written_out(exact, image, gradient)
    # A gradient near zero may round to either sign.
    assert (result - expected).abs().gt(1e-6).double().mean() < 1e-3
    assert (result - image).abs().max() > STEP
    assert len(trace.losses) == STEPS
    assert trace.losses[0].shape == (2,)


def test_down_and_up_are_opposite_and_report_the_errors_size(exact, image) -> None:
    losses = []
    for direction in ("down", "up"):
        protection = ScoreDistillation(direction=direction)
        prepared = protection.prepare(exact, image, mask=None, seeds=[3, 4])
        losses.append(protection.objective(exact, image, image, prepared=prepared))
    assert torch.equal(losses[0], -losses[1])
    assert (losses[0] > 0.1).all()


def test_no_gradient_passes_the_denoiser_of_score_distillation(exact, image, monkeypatch) -> None:
    modes = []
    evaluate = exact.evaluate
    monkeypatch.setattr(
        exact,
        "evaluate",
        lambda *a, **named: modes.append(torch.is_grad_enabled()) or evaluate(*a, **named),
    )
    run_loop(ScoreDistillation(steps=1), exact, image, seeds=[3, 4])
    assert not any(modes)
    modes.clear()
    run_loop(DenoisingLoss(steps=1), exact, image, seeds=[3, 4])
    assert modes == [True] + [False] * 2 * MEASURED  # and start and result, compared


def test_timesteps_are_drawn_from_the_range_that_is_set(exact, image) -> None:
    def drawn(timesteps) -> set[int]:
        protection = DenoisingLoss(timesteps=timesteps)
        prepared = protection.prepare(exact, image, mask=None, seeds=[3, 4])
        latents = torch.zeros(2, 4, 2, 2)
        return {int(t) for _ in range(40) for t in protection.draw(latents, prepared).times}

    assert drawn((200, 203)) == {200, 201, 202, 203}
    assert drawn((7, 7)) == {7}
    everywhere = drawn(None)
    assert min(everywhere) < 200
    assert max(everywhere) > 800


def test_draws_are_averaged(exact, image) -> None:
    """Two draws a step: the sum of the gradients of both, in the stream's order."""
    protection = DenoisingLoss(draws=2)
    assert (protection.passes, DenoisingLoss(draws=2, steps=3).gradients) == (2, 6)
    batch = protection.batches(exact, image, None, [3, 4])[0]
    together, _ = protection._gradient(exact, batch, 0)
    alone = DenoisingLoss().batches(exact, image, None, [3, 4])[0]
    alone.perturbed = batch.perturbed
    parts = [DenoisingLoss()._gradient(exact, alone, 0)[0] for _ in range(2)]
    assert torch.allclose(together, sum(parts))


def test_settings_and_models_that_cannot_run_are_refused(exact, image, tmp_path) -> None:
    for timesteps in ("[5,4]", "[-1,4]"):
        with pytest.raises(UserError, match="is no range: give the first and the last"):
            Protection.parse(f"denoising-loss:timesteps={timesteps}")
    late = Protection.parse("advdm:timesteps=[0,1000]")
    with pytest.raises(UserError, match="has the timesteps 0 to 999: change timesteps"):
        late(exact, image.float(), seeds=[0, 1])
    nine = load_model(tiny.save(tmp_path / "nine", unet_channels=9), device="cpu")
    with pytest.raises(UserError, match=r"mist shows .*nine is made for inp"):
        Mist().check_model(nine)


def test_the_texture_is_black_and_white_and_does_not_repeat() -> None:
    picture = texture(torch.zeros(2, 3, 64, 96))
    assert picture.shape == (1, 3, 64, 96)
    assert set(picture.unique().tolist()) == {0.0, 1.0}
    assert torch.equal(picture[0, 0, :8, :8], torch.zeros(8, 8))
    signs = picture[0, 0, ::8, ::8] * 2 - 1
    assert torch.equal(signs[0, :8], torch.tensor([-1.0, 1, 1, -1, 1, -1, -1, 1]))


@pytest.mark.parametrize(
    ("name", "cost", "gradients"),
    [
        ("advdm", "100 runs of the denoiser, forward and backward", 100),
        ("mist-fused:draws=2", "200 runs of the denoiser, forward and backward", 200),
        (
            "sds-minus",
            "100 passes through the encoder, forward and backward, and 100 runs of the denoiser, "
            "forward",
            0,
        ),
    ],
)
def test_costs_are_counted(name, cost, gradients) -> None:
    protection = Protection.parse(name)
    assert protection.cost == cost
    assert protection.denoiser_gradients == gradients
