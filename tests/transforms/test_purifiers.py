import pytest
import torch

from brittle import api
from brittle.editors import Img2Img
from brittle.errors import UserError
from brittle.images import quantise
from brittle.metrics import Perceptual
from brittle.models import load_model
from brittle.protections import EncoderProtection, Protection
from brittle.transforms import Autoencode, Chain, Denoise, GaussianBlur, Impress, Jpeg, Transform
from tests.models import taesd

IMPRESS = Impress(steps=12, learning_rate=0.01)


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """An autoencoder without a denoiser."""
    folder = taesd.write(tmp_path_factory.mktemp("alone"), "taesd", channels=4, pooled=False)
    return load_model(folder, device="cpu")


@pytest.fixture(scope="module")
def half(photos):
    """A photo of 64 px."""
    return photos[:1, :, ::2, ::2]


@pytest.fixture(scope="module")
def protected(embedded, half):
    protection = EncoderProtection(budget="12.75/255", steps=6)
    return protection(embedded, half, seeds=[0])


def inconsistency(model, image):
    with torch.no_grad():
        return float((model.decode(model.encode(image)) - image).square().mean())


def test_the_round_trip_is_the_autoencoders(embedded, photos):
    with torch.no_grad():
        expected = quantise(embedded.decode(embedded.encode(photos[:1])))
    assert torch.equal(Autoencode().apply(photos, model=embedded)[:1], expected)


def test_round_trips_follow_each_other(embedded, photos):
    image = photos[:1]
    with torch.no_grad():
        for _ in range(3):
            image = embedded.decode(embedded.encode(image)).clamp(0, 1)
    assert torch.equal(Autoencode(times=3).apply(photos[:1], model=embedded), quantise(image))


@pytest.mark.parametrize("strength", [0.1, 0.3])
def test_denoise_is_an_edit_with_an_empty_prompt(embedded, half, strength):
    editor = Img2Img(strength=strength, guidance_scale=1, num_inference_steps=50)
    edit = editor.edit(embedded, half, prompts=[""], seeds=[7])
    denoise = Denoise(strength=strength)
    assert torch.equal(denoise.apply(half, seeds=[7], model=embedded), quantise(edit))
    assert denoise.evaluations(embedded) == editor.evaluations(embedded) == 50 * strength


def test_impress_lowers_its_objective_and_stays_near(embedded, half, protected):
    received = IMPRESS.apply(protected, seeds=[3], model=embedded)
    with torch.no_grad():
        before, after = (
            float(IMPRESS.objective(embedded, one, protected)) for one in (protected, received)
        )
    assert after < before
    # The protected file agrees with its round trip less than the photo does, the purified one more.
    purified, photo, broken = (inconsistency(embedded, one) for one in (received, half, protected))
    assert purified < photo < broken
    free = IMPRESS.model_copy(update={"alpha": 0.0}).apply(protected, seeds=[3], model=embedded)
    apart, unheld = (float(Perceptual().score(one, protected)) for one in (received, free))
    assert apart < unheld  # the hinge holds it


def test_the_objective_is_the_papers(embedded, photos):
    moved = (photos[:1] + 0.05).clamp(0, 1)
    found = float(Impress(eps=0.02, alpha=0.3).objective(embedded, moved, photos[:1]))
    apart = float(Perceptual().score(moved, photos[:1]))
    assert apart > 0.02
    expected = 4 * inconsistency(embedded, moved) + 0.3 * (apart - 0.02)
    assert found == pytest.approx(expected, rel=1e-4)
    same = float(Impress().objective(embedded, moved, moved))
    assert same == pytest.approx(4 * inconsistency(embedded, moved), rel=1e-4)


@pytest.mark.parametrize("purifier", [Denoise(strength=0.1), Autoencode(), IMPRESS], ids=str)
def test_a_photo_keeps_its_size(embedded, purifier):
    from skimage import data

    cut = torch.from_numpy(data.astronaut()[:150, 150:350].copy()).permute(2, 0, 1)[None]
    photo = cut.float() / 255
    received = purifier.apply(photo, seeds=[0], model=embedded)
    assert received.shape == photo.shape
    assert torch.equal(received, quantise(received))
    assert 15 < -10 * (received - photo).square().mean().log10() < 40


@pytest.mark.parametrize("purifier", [Denoise(strength=0.1), Impress(steps=3)], ids=str)
def test_noise_belongs_to_the_seed(embedded, half, purifier):
    twice = half.expand(2, -1, -1, -1)
    first, second = purifier.apply(twice, seeds=[1, 2], model=embedded)
    assert not torch.equal(first, second)
    assert torch.equal(purifier.apply(half, seeds=[2], model=embedded)[0], second)
    with pytest.raises(ValueError, match="give a seed"):
        purifier.apply(half, model=embedded)


def test_a_chain_hands_the_model_on(embedded, photos):
    chain = Transform.parse("jpeg:quality=75+autoencode+gaussian-blur:sigma=1")
    assert chain.capabilities.needs_model
    assert not Chain(steps=(Jpeg(quality=75), GaussianBlur(sigma=1))).capabilities.needs_model
    step = Autoencode().apply(Jpeg(quality=75).apply(photos), model=embedded)
    received = chain.apply(photos, model=embedded, seeds=[0, 0])
    assert torch.equal(received, GaussianBlur(sigma=1).apply(step))
    work = Transform.parse("denoise:strength=0.1+denoise:strength=0.2+impress:steps=30")
    assert (work.evaluations(embedded), work.capabilities.steps) == (15, 30)


@pytest.mark.parametrize("text", ["autoencode", "denoise:strength=0.1", "impress", "flip+impress"])
def test_without_a_model_they_are_refused(photos, text):
    with pytest.raises(UserError, match="runs an edit model, and none was given"):
        Transform.parse(text).apply(photos, seeds=[0, 1])


def test_an_autoencoder_alone_serves_all_but_denoise(alone, photos):
    for purifier in (Autoencode(), Impress(steps=1)):
        received = purifier.apply(photos[:1], seeds=[0], model=alone)
        assert received.shape == photos[:1].shape
    for text in ("denoise:strength=0.1", "flip+denoise:strength=0.1"):
        with pytest.raises(UserError, match="is an autoencoder alone"):
            Transform.parse(text).apply(photos[:1], seeds=[0], model=alone)


def test_what_can_not_run_is_said_in_a_sentence(embedded, photos):
    with pytest.raises(UserError, match="leaves no step"):
        Denoise(strength=0.01).apply(photos[:1], seeds=[0], model=embedded)
    with pytest.raises(UserError, match="impress can't run on this picture: EfficientNet"):
        IMPRESS.apply(photos[:1, :, :16, :16], seeds=[0], model=embedded)


def test_what_overflows_is_said_in_a_sentence(embedded, photos, monkeypatch):
    nothing = torch.full_like(photos[:1], torch.nan)
    monkeypatch.setattr(embedded, "decode", lambda latents: nothing)
    with pytest.raises(UserError, match="produced values that aren't numbers"):
        Autoencode().receive_with(embedded, photos[:1], seed=0)
    with pytest.raises(UserError, match="alpha"):
        Transform.parse("impress:alpha=.inf")


def test_no_protection_can_foresee_them():
    for text in ("autoencode", "denoise:strength=0.1", "impress"):
        with pytest.raises(UserError, match="no gradient"):
            Protection.parse(f"encoder:expectation=[{text}]")


def test_the_library_takes_the_embedded_model_where_none_is_named(embedded, photos):
    expected = Autoencode().apply(photos[:1], model=embedded)
    assert torch.equal(api.transform(photos[:1], "autoencode"), expected)
