import pytest
import torch

from brittle.editors import Img2Img, Inpaint
from brittle.editors.base import Editor
from brittle.errors import UserError
from brittle.models import load_model
from tests.models import tiny

IMAGES = torch.rand(2, 3, 48, 64, generator=torch.Generator().manual_seed(3))
SEEDS = [11, 12]


@pytest.fixture(scope="module")
def model(tiny_sd):
    return load_model(tiny_sd, device="cpu", dtype="float32")


def test_a_seed_is_the_seed_of_diffusers_generator(model, tiny_sd):
    pipeline = tiny.diffusers_img2img(tiny_sd)
    settings = {"strength": 0.6, "num_inference_steps": 5, "guidance_scale": 4.0}
    _, decoded = tiny.run_pipeline(
        pipeline, IMAGES, SEEDS, prompt=tiny.PROMPTS, negative_prompt=["rain"] * 2, **settings
    )
    editor = Img2Img(**settings, negative_prompt="rain")
    edited = editor.edit(model, IMAGES, prompts=tiny.PROMPTS, seeds=SEEDS)
    assert edited.shape == IMAGES.shape
    assert (edited - decoded.clamp(0, 1)).abs().max() <= tiny.SAME


def test_a_row_is_the_same_whatever_its_neighbours_and_their_order(model):
    editor = Img2Img(strength=0.5, num_inference_steps=4)
    edited = editor.edit(model, IMAGES, prompts=tiny.PROMPTS, seeds=SEEDS)
    turned = editor.edit(model, IMAGES.flip(0), prompts=tiny.PROMPTS[::-1], seeds=SEEDS[::-1])
    assert torch.equal(edited, turned.flip(0))
    assert not torch.equal(edited[0], edited[1])


def test_photos_are_fitted_to_the_model(model):
    photo = torch.rand(1, 3, 90, 121)
    edited = Img2Img(num_inference_steps=2).edit(model, photo, prompts=["night"], seeds=[0])
    assert edited.shape == model.fit(photo).shape == (1, 3, 48, 64)
    assert 0 <= edited.min() <= edited.max() <= 1


def test_open_fields_are_resolved_and_recorded(model):
    open_editor = Img2Img(strength=0.3)
    resolved = open_editor.resolve(model)
    assert resolved.record()["fields"] == {
        "strength": 0.3,
        "guidance_scale": 7.5,
        "num_inference_steps": 50,
        "eta": 0.0,
        "negative_prompt": "",
        "scheduler": "plms",
    }
    assert resolved.resolve(model) == resolved
    assert Editor.from_record(resolved.record()) == resolved
    assert Editor.parse(str(resolved)) == resolved


def test_a_models_recommendation_fills_open_fields(model, monkeypatch):
    advice = {"img2img": {"guidance_scale": 3.0, "scheduler": "ddim"}}
    monkeypatch.setattr(type(model), "recommended", property(lambda _: advice))
    resolved = Img2Img(num_inference_steps=20).resolve(model)
    assert (resolved.guidance_scale, resolved.scheduler) == (3.0, "ddim")
    assert Img2Img(guidance_scale=5.0).resolve(model).guidance_scale == 5.0
    assert (resolved.num_inference_steps, resolved.strength) == (20, 0.5)


def test_evaluations_are_those_that_run(model, monkeypatch):
    editor = Img2Img(strength=0.5, num_inference_steps=10)
    calls = []
    evaluate = model.evaluate
    monkeypatch.setattr(
        model, "evaluate", lambda *a, **named: calls.append(a) or evaluate(*a, **named)
    )
    editor.edit(model, IMAGES, prompts=tiny.PROMPTS, seeds=SEEDS)
    assert len(calls) == editor.evaluations(model) == 6


def test_an_edit_computes_no_gradients_and_gradients_still_work_afterwards(model):
    edited = Img2Img(num_inference_steps=2).edit(model, IMAGES, prompts=["a", "b"], seeds=SEEDS)
    assert not edited.requires_grad
    image = IMAGES.clone().requires_grad_()
    model.encode(image).sum().backward()
    noisy = torch.zeros(1, 4, 8, 8, requires_grad=True)
    model.evaluate(noisy, 10, model.embed(["a"])).sum().backward()
    assert image.grad.abs().max() > 0
    assert noisy.grad.abs().max() > 0


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ("img2img:strength=0.1,num_inference_steps=5", "leaves no step to run"),
        ("img2img:strength=1.5", "less than or equal to 1"),
        ("img2img:strength=0", "greater than 0"),
        ("img2img:strengh=0.5", "did you mean 'strength'"),
        ("img2img:scheduler=eular", "Unknown scheduler"),
        ("img2img:eta=0.5", "needs scheduler=ddim"),
    ],
)
def test_settings_that_cannot_run_are_refused_in_a_sentence(model, fields, sentence):
    with pytest.raises(UserError, match=sentence):
        Editor.parse(fields).edit(model, IMAGES, prompts=tiny.PROMPTS, seeds=SEEDS)


def test_a_mask_belongs_to_inpaint(model):
    with pytest.raises(UserError, match="editor inpaint"):
        Img2Img().edit(model, IMAGES, prompts=["a"] * 2, seeds=SEEDS, mask=torch.ones(2, 1, 48, 64))
    with pytest.raises(UserError, match="needs a mask"):
        Inpaint().edit(model, IMAGES, prompts=["a"] * 2, seeds=SEEDS)
    with pytest.raises(UserError, match="differ in size"):
        Inpaint().edit(model, IMAGES, prompts=["a"] * 2, seeds=SEEDS, mask=torch.ones(2, 1, 9, 9))


def test_inpaint_keeps_the_pixels_outside_of_the_mask(model):
    mask = torch.zeros(2, 1, 48, 64)
    mask[..., 20:40] = 1
    editor = Inpaint(num_inference_steps=2)
    edited = editor.edit(model, IMAGES, prompts=tiny.PROMPTS, seeds=SEEDS, mask=mask)
    unpasted = Inpaint(num_inference_steps=2, paste=False).edit(
        model, IMAGES, prompts=tiny.PROMPTS, seeds=SEEDS, mask=mask
    )
    white = mask.expand_as(edited) == 1
    assert torch.equal(edited[~white], IMAGES[~white])
    assert torch.equal(edited[white], unpasted[white])
    assert not torch.equal(unpasted[~white], IMAGES[~white])
    assert editor.resolve(model).strength == 1.0
