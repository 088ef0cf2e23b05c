"""PID, the posterior collapse attack and EditShield beside loops written without them."""

import pytest
import torch
from torch import Tensor

from brittle.errors import UserError
from brittle.protections import LatentShift, PosteriorCollapse, PosteriorShift, Protection
from brittle.transforms import Transform
from tests.protections.conftest import descend, run_loop

STEPS = {"steps": 3, "step_size": 4 / 255}


@pytest.fixture(scope="module")
def image(photos) -> Tensor:
    return photos[:1, :, 40:72, 40:64].double()


def assert_same_steps(protection, model, image, loss) -> None:
    """The protection's loop and the plain one on ``loss`` of mean and log-variance agree."""

    def gradient(leaf: Tensor) -> Tensor:
        found = model.vae.encode(2 * leaf - 1).latent_dist
        return torch.autograd.grad(loss(found.mean, found.logvar, leaf), leaf)[0]

    result, _ = run_loop(protection, model, image, seeds=[0])
    expected = descend(gradient, image, protection)
    # A gradient near zero may round to either sign.
    assert (result - expected).abs().gt(1e-6).double().mean() < 1e-3
    assert (result - image).abs().max() > protection.step_size


def test_pid_shifts_mean_and_log_variance(exact, image) -> None:
    with torch.no_grad():
        own = exact.vae.encode(2 * image - 1).latent_dist

    def loss(mean, logvar, _) -> Tensor:
        mse = torch.nn.functional.mse_loss
        return -mse(mean, own.mean) - mse(logvar, own.var.log())

    assert_same_steps(PosteriorShift(**STEPS), exact, image, loss)


@pytest.mark.parametrize(("direction", "variance"), [("down", 1e-8), ("up", 1.0)])
def test_pca_descends_or_ascends_the_divergence(direction, variance, exact, image) -> None:
    def loss(mean, logvar, _) -> Tensor:
        own = torch.distributions.Normal(mean, (logvar / 2).exp())
        narrow = torch.distributions.Normal(torch.zeros_like(mean), variance**0.5)
        divergence = torch.distributions.kl_divergence(own, narrow).sum()
        return divergence if direction == "down" else -divergence

    protection = PosteriorCollapse(**STEPS, direction=direction, variance=variance)
    assert_same_steps(protection, exact, image, loss)


def test_editshield_leaves_the_latent_at_a_price(exact, image) -> None:
    with torch.no_grad():
        own = exact.vae.encode(2 * image - 1).latent_dist.mean
    scale = exact.vae.config.scaling_factor

    def loss(mean, _, leaf) -> Tensor:
        shift = (scale * (mean - own)).square().mean()
        return 1e3 * (leaf - image).square().mean() - shift

    assert_same_steps(LatentShift(**STEPS, weight=1e3), exact, image, loss)


def test_what_is_received_of_the_photo_is_what_is_compared_with(exact, image) -> None:
    blur = Transform.parse("gaussian-blur:sigma=1.5")
    away = (image + 0.1).clamp(0, 1)
    for protection in (PosteriorShift(), LatentShift(weight=0)):
        prepared = protection.prepare(exact, image, mask=None, seeds=[0])
        settings = {"mask": None, "prepared": prepared}
        received = blur.apply(image, seeds=[0])
        assert float(protection.objective(exact, away, image, **settings)) < 0
        assert float(protection.objective(exact, received, received, **settings)) == 0


def test_an_autoencoder_without_a_variance_is_refused(embedded, photos) -> None:
    for name in ("pid", "pca-minus", "pca-plus"):
        protection = Protection.parse(name)
        with pytest.raises(UserError, match="needs the variance of a latent, and the autoencoder"):
            protection.check_model(embedded)
        with pytest.raises(UserError, match="name a model with an AutoencoderKL"):
            protection(embedded, photos, seeds=[0, 1])
    with pytest.raises(UserError, match="gives a latent and no variance"):
        embedded.posterior(photos)


@pytest.mark.parametrize("name", ["posterior-shift", "latent-shift"])
def test_without_a_random_start_there_is_no_gradient(name) -> None:
    with pytest.raises(UserError, match=f"{name} needs random_start=true"):
        Protection.parse(f"{name}:random_start=false")


def test_the_presets_are_the_codes_settings() -> None:
    settings = {
        "pid": (12.75, 1, 1000),
        "pca-minus": (16, 2, 40),
        "pca-plus": (16, 2, 40),
        "editshield": (12.75, 1, 30),
    }
    for name, (radius, step, steps) in settings.items():
        preset = Protection.parse(name)
        assert preset.budget.radius * 255 == pytest.approx(radius)
        assert preset.step_size * 255 == pytest.approx(step)
        assert preset.steps == steps
    assert Protection.parse("pca-minus").variance == 1e-8
    assert Protection.parse("pca-plus").variance == 1
    assert Protection.parse("pid").cost == "1,000 passes through the encoder, forward and backward"
    assert Protection.parse("editshield").gradients == 120
