"""Qwen-Image-Edit's layout, random: beside diffusers' pipelines, its files, its gradient."""

import json
from dataclasses import replace
from typing import Any

import pytest
import torch
from diffusers.pipelines.qwenimage import pipeline_qwenimage_edit, pipeline_qwenimage_edit_plus
from PIL import Image
from safetensors.torch import save_file

from brittle import images, noise
from brittle.editors import Img2Img, Inpaint, Instruct
from brittle.errors import UserError
from brittle.models import EditModel, chain, load_model, memory
from brittle.models.denoisers.patches import Patches
from brittle.protections import DenoisingLoss
from tests.models import commands, tiny, tiny_qwen

HEIGHT, WIDTH = 64, 96
IMAGES = images.quantise(
    torch.rand(2, 3, HEIGHT, WIDTH, generator=torch.Generator().manual_seed(3))
)
SEEDS = [11, 12]
SETTINGS = {"num_inference_steps": 3, "guidance_scale": 4.0}
EDIT, PLUS = "QwenImageEditPipeline", "QwenImageEditPlusPipeline"


@pytest.fixture(scope="module", params=[EDIT, PLUS])
def kind(request, tmp_path_factory):
    """diffusers' pipeline, and the model from its folder."""
    pipeline = tiny_qwen.build(request.param, zero_cond_t=request.param == PLUS)
    folder = tiny_qwen.save(pipeline, tmp_path_factory.mktemp("models") / "qwen")
    return pipeline, load(folder)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tiny_qwen.save(tiny_qwen.build(), tmp_path_factory.mktemp("models") / "qwen")


@pytest.fixture
def own_size(monkeypatch):
    """diffusers' pipelines as they are but for the megapixel, to which they bring every photo."""
    edit, plus = pipeline_qwenimage_edit, pipeline_qwenimage_edit_plus
    monkeypatch.setattr(edit, "calculate_dimensions", lambda *_: (WIDTH, HEIGHT, None))
    monkeypatch.setattr(plus, "VAE_IMAGE_SIZE", HEIGHT * WIDTH)


def load(folder, dtype: Any = "float32", vae_dtype: torch.dtype = torch.float32) -> EditModel:
    return load_model(folder, device="cpu", dtype=dtype, vae_dtype=vae_dtype, size=128)


def planned(model: EditModel, prompts=tiny.PROMPTS, **settings: Any) -> chain.EditPlan:
    return chain.plan(
        model,
        prompts=prompts,
        streams=noise.generators(SEEDS),
        shape=(HEIGHT, WIDTH),
        task="instruct",
        **{**SETTINGS, **settings},
    )


@pytest.mark.parametrize(
    ("steps", "scale", "negative"), [(3, 4.0, "blurred"), (2, 4.0, ""), (2, 1.0, "")]
)
@pytest.mark.usefixtures("own_size")
def test_edits_equal_diffusers(kind, steps, scale, negative):
    pipeline, model = kind
    with torch.inference_mode():
        plan = planned(
            model, num_inference_steps=steps, guidance_scale=scale, negative_prompt=negative
        )
        found = list(chain.denoise(model, chain.start(model, plan, IMAGES), plan))
        edited = model.decode(found[-1])
    for row, (prompt, seed) in enumerate(zip(tiny.PROMPTS, SEEDS, strict=True)):
        expected, picture = tiny_qwen.run_pipeline(
            pipeline,
            IMAGES[row : row + 1],
            seed,
            prompt=prompt,
            negative_prompt=negative or " ",
            true_cfg_scale=scale,
            num_inference_steps=steps,
        )
        assert len(found) == len(expected) == steps
        for mine, other in zip(found, expected, strict=True):
            assert (mine[row] - other[0]).abs().max() <= 1e-5
        assert (edited[row] - picture[0]).abs().max() <= 1e-5


def test_what_is_said_of_a_photo_decides_the_edit(folder):
    model = load(folder)
    with torch.inference_mode():
        plan = planned(model)
        start = chain.start(model, plan, IMAGES)
        edited = chain.finish(model, start, plan)
        _, said, there = start.condition.shown
        assert said.shape[:2] == there.shape
        assert there.sum(1).unique().numel() == 3  # two prompts, and twice what says nothing
        other = planned(model, prompts=["make it day", tiny.PROMPTS[1]])
        changed = chain.finish(model, chain.start(model, other, IMAGES), other)
        assert torch.allclose(edited[1], changed[1], atol=1e-6)
        assert (edited[0] - changed[0]).abs().max() > 1e-4
        # Neither reader nor transformer knows of the padding.
        long = said.clone()
        long[~there] = 7
        start = replace(start, condition=replace(start.condition, shown=(
            start.condition.shown[0], long, there,
        )))  # fmt: skip
        assert torch.allclose(chain.finish(model, start, plan), edited, atol=1e-6)


def test_gradients_are_those_of_plain_autograd_by_both_ways(folder):
    with torch.inference_mode():  # an edit before leaves nothing that gradients can't pass
        plan = planned(load(folder))
    model = load(folder, torch.float64, torch.float64)
    with torch.inference_mode():
        chain.start(model, plan, IMAGES)
    plan = planned(model, differentiable=True)
    gradients = []
    for recompute in (False, True):
        image = IMAGES.double().requires_grad_()
        start = chain.start(model, plan, image, recompute=recompute)
        chain.finish(model, start, plan, recompute=recompute).square().mean().backward()
        gradients.append(image.grad)
    assert torch.equal(*gradients)
    image = IMAGES.double().requires_grad_()
    photo, said, _ = chain.start(model, plan, image).condition.shown
    for way in (photo, said):
        (gradient,) = torch.autograd.grad(way.square().mean(), image, retain_graph=True)
        assert gradient.abs().max() > 0


@pytest.mark.parametrize("shape", [(56, 56), (64, 96), (30, 41), (150, 400), (20, 300)])
def test_patches_are_those_of_transformers(shape):
    processor = tiny_qwen.processor()
    image = images.quantise(torch.rand(1, 3, *shape, generator=torch.Generator().manual_seed(1)))
    photo = Image.fromarray(images.to_bytes(image)[0])
    expected = processor(text=["<|image_pad|>"], images=photo, return_tensors="pt")
    patches = Patches.of(processor.image_processor.to_dict())
    assert expected["image_grid_thw"].tolist() == [[1, *patches.grid(*shape)]]
    assert len(expected["input_ids"][0]) == patches.tokens(*shape)
    assert (patches.cut(image) - expected["pixel_values"]).abs().max() <= 1e-5
    again = image.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(patches.cut(again).sum(), again)
    assert gradient.abs().min() > 0


def test_the_autoencoder_is_that_of_a_video_of_one_frame(folder):
    model, video = load(folder), tiny_qwen.build().vae
    deviation, mean = (
        torch.tensor(values)[:, None, None]
        for values in (video.config.latents_std, video.config.latents_mean)
    )
    with torch.no_grad():
        found = video.encode(IMAGES[:, :, None] * 2 - 1).latent_dist
        drawn = torch.randn(found.mean[:, :, 0].shape)
        sample = (found.mean + found.std * drawn[:, :, None])[:, :, 0]
        latents = model.encode(IMAGES, noise=drawn)
        torch.testing.assert_close(latents, (sample - mean) / deviation, atol=1e-5, rtol=1e-5)
        frame = (latents * deviation + mean)[:, :, None]
        expected = video.decode(3 * frame).sample[:, :, 0] / 2 + 0.5
        decoded = model.decode((3 * frame[:, :, 0] - mean) / deviation)
        assert (decoded.clamp(0, 1) - expected).abs().max() <= 1e-5


def test_shards_a_newer_processor_and_the_autoencoder_alone(folder, tmp_path):
    model = load(folder)
    pipeline = tiny_qwen.build()
    other = tiny_qwen.save(pipeline, tmp_path / "shards", max_shard_size="20kB")
    assert len([*other.glob("text_encoder/*-of-*.safetensors")]) > 1
    newer = other / "processor"
    settings = json.loads((newer / "preprocessor_config.json").read_text())
    (newer / "processor_config.json").write_text(json.dumps({"image_processor": settings}))
    (newer / "preprocessor_config.json").unlink()
    sharded = load(other)
    assert sharded.unread_bytes == model.with_files(model.files).unread_bytes > 0
    with torch.inference_mode():
        edits = []
        for one in (model, sharded):
            plan = planned(one, num_inference_steps=2)
            edits.append(chain.finish(one, chain.start(one, plan, IMAGES), plan))
    assert torch.equal(*edits)
    alone = load_model(folder / "vae", device="cpu", dtype="float32")
    assert not alone.edits
    assert torch.equal(alone.encode(IMAGES), model.encode(IMAGES))
    (newer / "processor_config.json").unlink()
    with pytest.raises(UserError, match="is incomplete"):
        load(other)


def test_plus_reads_the_photo_at_its_own_size_and_is_another_model(folder, tmp_path):
    plus = load(tiny_qwen.save(tiny_qwen.build(PLUS), tmp_path / "plus"))
    edit = load(folder)
    assert plus.content_hash != edit.content_hash
    assert plus.denoiser.read_at(1024, 768) == (448, 320)
    assert plus.denoiser.read_at(HEIGHT, WIDTH) == (320, 480)
    assert edit.denoiser.read_at(HEIGHT, WIDTH) == (HEIGHT, WIDTH)
    assert Instruct().resolve(plus).num_inference_steps == 40


def test_settings_are_as_published(folder):
    model = load_model(folder, device="cpu", dtype="float32")
    assert model.size == 512  # 128 latents of 4 px
    resolved = Instruct().resolve(model)
    assert (resolved.num_inference_steps, resolved.guidance_scale) == (50, 4.0)
    assert resolved.scheduler == "flow"


def test_what_it_does_not_do_is_refused(folder, tmp_path):
    model = load(folder)
    for editor in (Img2Img(), Inpaint()):
        with pytest.raises(UserError, match="follows instructions: use the editor instruct"):
            editor.resolve(model)
    with pytest.raises(UserError, match="no use for image_guidance_scale"):
        Instruct(image_guidance_scale=1.5).resolve(model)
    with pytest.raises(UserError, match="follows instructions"):
        DenoisingLoss().check_model(model)
    file = tmp_path / "qwen_image_edit.safetensors"
    save_file({"transformer_blocks.0.img_mod.1.weight": torch.zeros(1)}, file)
    with pytest.raises(UserError, match="Qwen-Image's transformer alone"):
        load_model(file)
    for name, change, said in [
        ("model_index.json", {"_class_name": "QwenImagePipeline"}, "names QwenImagePipeline"),
        ("transformer/config.json", {"guidance_embeds": True}, "needs more than .*guidance_embeds"),
        ("vae/config.json", {"latents_std": [0.0] * 16}, "can't be right: latents_std"),
        ("processor/preprocessor_config.json", {"size": {}}, "has to say how many pixels"),
    ]:
        other = tiny_qwen.save(tiny_qwen.build(), tmp_path / name.partition("/")[0])
        content = json.loads((other / name).read_text())
        (other / name).write_text(json.dumps({**content, **change}))
        with pytest.raises(UserError, match=said):
            planned(load(other))


def test_a_gradient_s_memory_counts_what_reads_the_photo(folder):
    model = load(folder)
    fixed, growing = memory.kept_for_gradient(model, denoiser=True)
    assert fixed > 0
    assert growing > memory.kept_for_gradient(model, denoiser=False)[1]


def test_commands_take_it(folder, tmp_path):
    commands.run_all(
        folder, "instruct:num_inference_steps=2", tmp_path, audit=False, scheduler="flow,eta=0"
    )
