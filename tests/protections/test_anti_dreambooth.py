"""Anti-DreamBooth: what it does to DreamBooth's loss, and that its surrogate forgets and learns."""

import pytest
import torch

from brittle.errors import UserError
from brittle.models.finetuning import Course
from brittle.models.surrogate import Surrogate
from brittle.models.tuned import LearningScope
from brittle.noise import generators
from brittle.protections import AntiDreamBooth, NoiseSpectrum, Protection, Trace

SHORT = AntiDreamBooth(rounds=2, steps=3, learning_rate=1e-4, training_steps=1)
PROMPT = SHORT.instance_prompt


def surrogate_of(model, *, steps: int = 2, rate: float = 1e-3) -> Surrogate:
    course = Course(LearningScope(("denoiser", "text_encoder"), None), steps, rate, batch=1, seed=0)
    return Surrogate(model, course, PROMPT)


def errors(surrogate: Surrogate, latents: torch.Tensor, streams) -> torch.Tensor:
    """DreamBooth's loss under a fresh draw of each row's stream."""
    return surrogate.errors(latents, surrogate.task.draw(latents, streams))


def denoising_loss(model, images) -> torch.Tensor:
    """DreamBooth's loss under the model that has learned nothing, a mean over eight draws."""
    surrogate, streams = surrogate_of(model), generators([5, 6])
    with torch.no_grad():
        latents = model.encode(model.fit(images))
        return sum(errors(surrogate, latents, streams) for _ in range(8)) / 8


def test_the_files_are_harder_to_learn_from_than_the_placebos(embedded, photos):
    photos, trace = photos[..., ::2, ::2], Trace()
    files = SHORT(embedded, photos, seeds=[0, 1], trace=trace)
    placebos = NoiseSpectrum(of=SHORT).draw(photos, files, seeds=[0, 1])
    assert ((files - photos).abs() <= SHORT.budget.radius + 1e-6).all()
    protected, placebo, photo = (denoising_loss(embedded, x) for x in (files, placebos, photos))
    # Noise of its size moves the loss a little, up or down; the protection far more, and up.
    little = (placebo - photo).abs()
    assert (protected - photo > 5 * little).all()
    # The record tells the same of photo and perturbed picture, under the learned surrogate.
    for told, noise in zip(trace.summary(), little.tolist(), strict=True):
        assert told["first_loss"] - told["last_loss"] > 5 * noise
        assert not told["gradient_vanished"]


def test_pictures_of_a_collection_may_differ_in_size_and_matter_to_each_other(small_sd_model):
    model, one, other, third = small_sd_model
    protection = SHORT.model_copy(update={"rounds": 1, "steps": 1})
    files = protection.together(model, [one, other], seeds=[0, 1])
    assert [file.shape for file in files] == [one.shape, other.shape]
    turned = protection.together(model, [other, one], seeds=[1, 0])
    assert all(torch.equal(a, b) for a, b in zip(files, reversed(turned), strict=True))
    beside = protection.together(model, [one, third], seeds=[0, 1])
    assert not torch.equal(files[0], beside[0])


@pytest.fixture
def small_sd_model(small_sd, photos):
    from brittle.models import load_model

    model = load_model(small_sd, device="cpu", dtype="float32")
    return model, photos[:1, :, :70, :90], photos[1:], photos[:1].flip(-1)


def test_what_a_surrogate_learns_aside_is_forgotten(embedded, photos):
    surrogate, photos = surrogate_of(embedded), photos[..., ::2, ::2]

    def loss() -> torch.Tensor:
        with torch.no_grad():
            return errors(surrogate, embedded.encode(photos), generators([0, 1]))

    before = loss()
    with surrogate.aside():
        surrogate.learn(photos.split(1))
        assert not torch.equal(loss(), before)
    assert torch.equal(loss(), before)
    surrogate.learn(photos.split(1))
    assert not torch.equal(loss(), before)


def test_a_surrogate_learns_what_dreambooth_learns(embedded, photos):
    surrogate = surrogate_of(embedded, steps=12)

    def loss() -> float:
        streams = generators([0])
        with torch.no_grad():
            latents = embedded.encode(photos[:1])
            return sum(float(errors(surrogate, latents, streams)) for _ in range(8))

    before = loss()
    surrogate.learn([photos[:1]] * 2)
    assert loss() < before


def test_the_model_itself_learns_nothing(embedded, photos):
    before = {name: value.clone() for name, value in embedded.part("denoiser").state_dict().items()}
    few = SHORT.model_copy(update={"rounds": 1, "steps": 1})
    few(embedded, photos[:1, :, ::2, ::2], seeds=[0])
    assert all(
        torch.equal(value, before[name])
        for name, value in embedded.part("denoiser").state_dict().items()
    )


def test_the_preset_is_the_codes_setting():
    preset = Protection.parse("anti-dreambooth-aspl")
    assert isinstance(preset, AntiDreamBooth)
    assert (preset.total_steps, preset.budget.radius * 2, preset.step_size * 2) == (
        300,
        0.05,
        0.005,
    )


def test_an_autoencoder_alone_has_no_surrogate(small_sd, photos):
    from brittle.models import load_model

    model = load_model(small_sd / "vae", device="cpu", dtype="float32")
    with pytest.raises(UserError, match="autoencoder alone"):
        SHORT(model, photos, seeds=[0, 1])


def test_a_model_for_inpainting_is_no_surrogate(tmp_path, photos):
    from brittle.models import load_model
    from tests.models import tiny

    model = load_model(tiny.save(tmp_path / "nine", unet_channels=9), device="cpu")
    with pytest.raises(UserError, match="can't teach this model: nine is made for inpainting"):
        SHORT(model, photos, seeds=[0, 1])
