"""DiffusionGuard beside a loop written out, and the masks under which it looks."""

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from brittle.models import EditModel, load_model
from brittle.noise import derive_seed, gaussian, generators
from brittle.protections import FirstStep, Protection, Trace
from brittle.protections.first_step import around_ellipse, grown
from tests.models import tiny, tiny_flow
from tests.protections.conftest import descend, run_loop

SETTING = {"steps": 2, "step_size": 4 / 255}
FIRST = {1.0: 751, 0.5: 251}
"""The first timestep of four by strength, as Stable Diffusion's scheduler spaces them."""


@pytest.fixture(scope="module")
def inpainting(tmp_path_factory) -> EditModel:
    folder = tmp_path_factory.mktemp("models") / "nine"
    tiny.small(unet_channels=9).save_pretrained(folder)
    return load_model(folder, device="cpu", dtype=torch.float64, vae_dtype=torch.float64)


@pytest.fixture(scope="module")
def image(photos) -> Tensor:
    return photos[:1, :, 40:72, 40:64].double()


def stream_of(seed: int, *labels: str) -> torch.Generator:
    return generators([derive_seed(seed, *labels) if labels else seed])[0]


def latent(model: EditModel, picture: Tensor, noise: Tensor) -> Tensor:
    found = model.vae.encode(2 * picture - 1).latent_dist
    return (found.mean + found.std * noise.double()) * model.vae.config.scaling_factor


def assert_same_steps(result: Tensor, expected: Tensor, image: Tensor) -> None:
    # A gradient near zero may round to either sign; under a mask there is none.
    assert (result - expected).abs().gt(1e-6).double().mean() < 1e-3
    assert (result - image).abs().max() > SETTING["step_size"]


@pytest.mark.parametrize("masked", [True, False])
def test_inpainting_starts_from_noise_and_sees_the_photo_around_a_mask(
    masked, inpainting, image
) -> None:
    mask = torch.zeros(1, 1, 32, 24, dtype=torch.float64)
    mask[..., 8:24, 6:14] = 1
    noises, masks, shapes = stream_of(3), stream_of(3, "masks"), (4, 4, 3)
    words = inpainting.embed([""])

    def gradient(leaf: Tensor) -> Tensor:
        drawn = grown(mask[0], masks, 0.5) if masked else around_ellipse(leaf.shape[2:], masks)
        drawn = drawn[None].double()
        start, spread = (gaussian(shapes, [noises]).double() for _ in range(2))
        hidden = latent(inpainting, leaf * (1 - drawn) + 0.5 * drawn, spread)
        small = functional.interpolate(drawn, (4, 3))
        seen = torch.cat([start, small, hidden], 1)
        norm = inpainting.part("denoiser")(seen, FIRST[1.0], words).sample.norm()
        return torch.autograd.grad(-norm, leaf)[0] * (1 - mask if masked else 1)

    protection = FirstStep(**SETTING)
    given = mask if masked else None
    result, _ = run_loop(protection, inpainting, image, seeds=[3], mask=given)
    assert_same_steps(result, descend(gradient, image, protection), image)
    if masked:
        assert not (result - image)[(mask == 1).expand_as(image)].any()


def test_other_models_start_from_the_noised_latent(exact, image) -> None:
    noises, shapes = stream_of(3), (4, 4, 3)
    betas = torch.linspace(0.00085**0.5, 0.012**0.5, 1000).square()
    level = (1 - betas).cumprod(0)[FIRST[0.5]]

    def gradient(leaf: Tensor) -> Tensor:
        spread, start = (gaussian(shapes, [noises]).double() for _ in range(2))
        noisy = level.sqrt() * latent(exact, leaf, spread) + (1 - level).sqrt() * start
        norm = exact.part("denoiser")(noisy, FIRST[0.5], exact.embed([""])).sample.norm()
        return torch.autograd.grad(-norm, leaf)[0]

    protection = FirstStep(**SETTING)
    result, _ = run_loop(protection, exact, image, seeds=[3])
    assert_same_steps(result, descend(gradient, image, protection), image)


def test_a_model_of_flow_matching_starts_where_its_own_scheduler_does(photos, tmp_path) -> None:
    tiny_flow.sd3().save_pretrained(tmp_path)
    model = load_model(tmp_path, device="cpu", dtype="float32", size=32)
    protection = FirstStep(steps=6, step_size=4 / 255)
    image = photos[:1, :, 40:72, 40:72]
    trace = Trace()
    result = protection(model, image, seeds=[3], trace=trace)
    assert (result - image).abs().max() > 4 / 255
    assert min(trace.losses[1:]) < trace.losses[0]


def test_a_mask_only_grows_and_always_leaves_something() -> None:
    mask = torch.zeros(1, 40, 56)
    mask[:, 10:30, 4:20] = 1
    shares = set()
    for seed in range(20):
        larger = grown(mask, stream_of(seed), 1.0)
        assert set(larger.unique().tolist()) == {0.0, 1.0}
        assert (larger >= mask).all()
        shares.add(float(larger.mean()))
    assert len(shares) > 15
    assert torch.equal(grown(mask, stream_of(1), 0.0), mask)
    nothing = torch.zeros(1, 8, 8)
    assert torch.equal(grown(nothing, stream_of(1), 0.5), nothing)


def test_without_a_mask_an_ellipse_is_kept() -> None:
    kept = [1 - around_ellipse(torch.Size((60, 80)), stream_of(seed)) for seed in range(20)]
    shares = [float(one.mean()) for one in kept]
    assert 0.02 < min(shares) < 0.2 < max(shares) < 0.65
    assert len(set(shares)) > 15


def test_the_preset_is_the_codes_setting() -> None:
    preset = Protection.parse("diffusionguard")
    assert (preset.budget.radius * 2, preset.step_size * 2) == pytest.approx((16 / 255, 1 / 255))
    assert (preset.steps, preset.num_inference_steps, preset.prompt) == (800, 4, "")
    assert preset.cost == "800 runs of the denoiser, forward and backward"
