"""Models of flow matching, random in their layouts: beside diffusers' pipelines, and all else."""

import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from brittle import noise
from brittle.cli import app
from brittle.editors import Img2Img, Inpaint, Instruct
from brittle.errors import UserError
from brittle.models import EditModel, chain, load_model, memory
from brittle.models.finetuning import Classroom, Course
from brittle.models.tuned import LearningScope
from brittle.protections import DenoisingLoss
from brittle.silence import silence
from tests.models import tiny, tiny_flow

DRAWS = torch.Generator().manual_seed(3)
IMAGES = torch.rand(2, 3, 32, 48, generator=DRAWS)
MASKS = torch.zeros(2, 1, 32, 48).index_fill(-1, torch.arange(21), 1)
SEEDS = [11, 12]
CLOSE = 1e-5
SETTINGS = [(1, 1.0), (4, 0.55), (3, 1.0), (50, 0.01)]
"""Steps and strengths."""


@pytest.fixture(scope="module")
def sd3(tmp_path_factory):
    pipeline = tiny_flow.sd3()
    folder = tiny_flow.save(pipeline, tmp_path_factory.mktemp("models") / "sd3")
    return pipeline, load_model(folder, device="cpu", dtype="float32", size=64)


@pytest.fixture(scope="module")
def flux(tmp_path_factory):
    pipeline = tiny_flow.flux()
    folder = tiny_flow.save(pipeline, tmp_path_factory.mktemp("models") / "flux")
    return pipeline, load_model(folder, device="cpu", dtype="float32", size=64)


@pytest.fixture(scope="module")
def kontext(tmp_path_factory):
    pipeline = tiny_flow.flux("FluxKontextPipeline")
    folder = tiny_flow.save(pipeline, tmp_path_factory.mktemp("models") / "kontext")
    return pipeline, load_model(folder, device="cpu", dtype="float32", size=64)


def edited(model: EditModel, task: chain.Task, prompts=tiny.PROMPTS, **settings):
    """The latents after each step, and the picture before it is clamped."""
    with torch.inference_mode():
        plan = chain.plan(
            model,
            prompts=prompts,
            streams=noise.generators(SEEDS),
            shape=IMAGES.shape[-2:],
            task=task,
            **settings,
        )
        start = chain.start(model, plan, IMAGES, MASKS if task == "inpaint" else None)
        steps = list(chain.denoise(model, start, plan))
        return steps, model.decode(steps[-1])


def assert_same(ours, theirs):
    assert len(ours[0]) == len(theirs[0])
    for mine, other in zip(ours[0], theirs[0], strict=True):
        assert (mine - other).abs().max() <= CLOSE
    assert (ours[1] - theirs[1]).abs().max() <= CLOSE


@pytest.mark.parametrize("task", ["img2img", "inpaint"])
@pytest.mark.parametrize("scale", [1.0, 4.0])
def test_stable_diffusion_3_equals_diffusers(sd3, task, scale):
    pipeline, model = sd3
    name, extra = {
        "img2img": ("StableDiffusion3Img2ImgPipeline", {}),
        "inpaint": ("StableDiffusion3InpaintPipeline", {"mask_image": MASKS}),
    }[task]
    for steps, strength in SETTINGS:
        settings = {"num_inference_steps": steps, "strength": strength, "guidance_scale": scale}
        expected = tiny_flow.run_pipeline(
            pipeline,
            name,
            IMAGES,
            SEEDS,
            prompt=tiny.PROMPTS,
            negative_prompt=["blurred"] * 2,
            **settings,
            **extra,
        )
        assert_same(edited(model, task, negative_prompt="blurred", **settings), expected)


def test_without_t5_its_tokens_are_zeros(tmp_path):
    pipeline = tiny_flow.sd3(with_t5=False)
    model = load_model(
        tiny_flow.save(pipeline, tmp_path / "sd3"), device="cpu", dtype="float32", size=64
    )
    settings = {"num_inference_steps": 2, "strength": 0.9, "guidance_scale": 3.0}
    name = "StableDiffusion3Img2ImgPipeline"
    expected = tiny_flow.run_pipeline(
        pipeline, name, IMAGES, SEEDS, prompt=tiny.PROMPTS, **settings
    )
    assert_same(edited(model, "img2img", **settings), expected)
    assert "text_encoder_3" not in model.denoiser.read_parts
    assert model.reader.longest == 77


def exact(folder) -> EditModel:
    return load_model(folder, device="cpu", dtype=torch.float64, vae_dtype=torch.float64, size=64)


def loss_of(model: EditModel, task: chain.Task, recompute: bool):
    """A loss of the edited picture, of the picture (2, 3, 32, 48) before the edit."""
    plan = chain.plan(
        model,
        prompts=tiny.PROMPTS,
        streams=noise.generators(SEEDS),
        shape=IMAGES.shape[-2:],
        task=task,
        num_inference_steps=3,
        strength=0.9,
        guidance_scale=2.0,
        differentiable=True,
    )
    mask = MASKS if task == "inpaint" else None

    def loss(image: torch.Tensor) -> torch.Tensor:
        start = chain.start(model, plan, image, mask, recompute=recompute)
        return chain.finish(model, start, plan, recompute=recompute).square().mean()

    return loss


def gradient_of(loss) -> torch.Tensor:
    image = IMAGES.double().requires_grad_()
    (gradient,) = torch.autograd.grad(loss(image), image)
    return gradient


def kept_by(loss) -> int:
    """Bytes that the gradient of a loss keeps."""
    kept: dict[int, int] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        loss(IMAGES.double().requires_grad_())
    return sum(kept.values())


@pytest.mark.parametrize("task", ["img2img", "inpaint"])
def test_the_gradient_of_stable_diffusion_3_is_exact(sd3, task):
    model = exact(sd3[1].directory)
    plain, recomputed = (loss_of(model, task, recompute) for recompute in (False, True))
    gradient = gradient_of(recomputed)
    assert torch.equal(gradient, gradient_of(plain))
    direction = torch.randn(IMAGES.shape, generator=DRAWS).double()
    with torch.no_grad():
        step = 1e-5 * direction
        ahead, behind = (recomputed(IMAGES.double() + sign * step) for sign in (1, -1))
    assert (ahead - behind) / 2e-5 == pytest.approx(float((gradient * direction).sum()), rel=1e-4)
    assert kept_by(recomputed) < 0.6 * kept_by(plain)


def test_what_a_gradient_keeps_is_told_from_two_small_pictures(sd3, monkeypatch):
    model = sd3[1]
    fixed, growing = memory.kept_for_gradient(model, denoiser=True)
    assert fixed > 0
    monkeypatch.setattr(memory, "TRIED", 80)
    again = memory.kept_for_gradient(model, denoiser=True)
    assert again[0] + again[1] * 128**2 == pytest.approx(fixed + growing * 128**2, rel=0.05)


@pytest.mark.parametrize("task", ["img2img", "inpaint"])
def test_flux_equals_diffusers(flux, task):
    pipeline, model = flux
    name, extra = {
        "img2img": ("FluxImg2ImgPipeline", {}),
        "inpaint": ("FluxInpaintPipeline", {"mask_image": MASKS}),
    }[task]
    for steps, strength in SETTINGS:
        settings = {"num_inference_steps": steps, "strength": strength, "guidance_scale": 4.0}
        expected = tiny_flow.run_pipeline(
            pipeline, name, IMAGES, SEEDS, prompt=tiny.PROMPTS, **settings, **extra
        )
        assert_same(edited(model, task, **settings), expected)


def test_flux_kontext_equals_diffusers(kontext):
    pipeline, model = kontext
    settings = {"num_inference_steps": 3, "guidance_scale": 2.5}
    own_size = {"max_area": IMAGES[0, 0].numel(), "_auto_resize": False}
    expected = tiny_flow.run_pipeline(
        pipeline,
        "FluxKontextPipeline",
        IMAGES,
        SEEDS,
        prompt=tiny.PROMPTS,
        **settings,
        **own_size,
    )
    assert_same(edited(model, "instruct", **settings), expected)


def test_flux_fill_equals_diffusers(tmp_path):
    pipeline = tiny_flow.flux("FluxFillPipeline", fill=True)
    folder = tiny_flow.save(pipeline, tmp_path / "fill")
    model = load_model(folder, device="cpu", dtype="float32", size=64)
    for steps, strength in SETTINGS:
        settings = {"num_inference_steps": steps, "strength": strength, "guidance_scale": 30.0}
        expected = tiny_flow.run_pipeline(
            pipeline,
            "FluxFillPipeline",
            IMAGES,
            SEEDS,
            prompt=tiny.PROMPTS,
            mask_image=MASKS,
            **settings,
        )
        assert_same(edited(model, "inpaint", **settings), expected)


@pytest.mark.parametrize("kind", ["flux", "kontext"])
def test_recomputed_gradients_of_flux_are_those_of_plain_autograd(kind, request):
    model = exact(request.getfixturevalue(kind)[1].directory)
    task = "instruct" if kind == "kontext" else "inpaint"
    plain, recomputed = (loss_of(model, task, recompute) for recompute in (False, True))
    gradient = gradient_of(recomputed)
    assert gradient.abs().max() > 0
    assert torch.equal(gradient, gradient_of(plain))
    assert kept_by(recomputed) < 0.6 * kept_by(plain)


def test_shards_and_half_precision_are_read(sd3, tmp_path):
    pipeline, model = sd3
    folder = tiny_flow.save(pipeline, tmp_path / "sd3")
    for part, options in {
        "transformer": {"max_shard_size": "20KB"},
        "text_encoder_3": {"variant": "fp16"},
    }.items():
        for file in (folder / part).glob("*.safetensors"):
            file.unlink()
        with silence():
            getattr(pipeline, part).save_pretrained(folder / part, **options)
    assert len([*folder.glob("transformer/*-of-*.safetensors")]) > 1
    other = load_model(folder, device="cpu", dtype="float32", size=64)
    assert other.unread_bytes == model.with_files(model.files).unread_bytes > 0
    settings = {"num_inference_steps": 1, "strength": 1.0, "guidance_scale": 1.0}
    assert torch.equal(
        edited(other, "img2img", **settings)[1], edited(model, "img2img", **settings)[1]
    )
    next(folder.glob("transformer/*-of-*.safetensors")).unlink()
    with pytest.raises(UserError, match="is incomplete"):
        load_model(folder)


def test_what_they_do_not_do_is_refused(sd3, flux, kontext):
    _, model = sd3
    for editor, asked, said in [
        (Instruct(), model, "follows no instructions"),
        (Img2Img(scheduler="ddim"), model, "say scheduler=flow,eta=0"),
        (Img2Img(eta=0.5), model, "eta=0.5 needs scheduler=ddim"),
        (Img2Img(), kontext[1], "use the editor instruct"),
    ]:
        with pytest.raises(UserError, match=said):
            editor.resolve(asked)
    with pytest.raises(UserError, match="no use for a negative prompt"):
        edited(flux[1], "img2img", negative_prompt="a", num_inference_steps=1, guidance_scale=1.0)
    with pytest.raises(UserError, match="denoises by flow matching"):
        Classroom(model, [], Course(LearningScope(("denoiser",), 4), 1, 1e-4, 1, 0))
    with pytest.raises(UserError, match="no use for image_guidance_scale"):
        Instruct(image_guidance_scale=1.5).resolve(kontext[1])
    assert Instruct(image_guidance_scale=1.0).resolve(kontext[1]) == Instruct().resolve(kontext[1])


@pytest.mark.parametrize("kind", ["sd3", "flux"])
def test_the_denoising_loss_of_flow_matching_is_that_of_its_formula(kind, request):
    pipeline, model = request.getfixturevalue(kind)
    model, seeds = exact(model.directory), [5, 6]
    protection = DenoisingLoss(prompt="a bank")
    prepared = protection.prepare(model, IMAGES, mask=None, seeds=seeds)
    image = IMAGES.double().requires_grad_()
    found = protection.objective(model, image, IMAGES, mask=None, prepared=prepared)
    (gradient,) = torch.autograd.grad(found.sum(), image)

    condition = model.denoiser.condition(["a bank"], [""], shape=(32, 48), guidance_scale=1)
    sigmas = pipeline.scheduler.from_config(pipeline.scheduler.config).sigmas.flip(0)
    for row, (seed, stream) in enumerate(zip(seeds, noise.generators(seeds), strict=True)):
        own = IMAGES[row : row + 1].double().requires_grad_()
        latents = model.encode(own)
        drawn = noise.gaussian(latents.shape[1:], [stream]).double()
        sigma = sigmas[torch.randint(0, 1000, (1,), generator=stream)]
        noisy = (1 - sigma) * latents + sigma * drawn
        output = model.denoiser.predict(noisy, sigma * 1000, condition)
        loss = (output - (drawn - latents)).square().mean()
        (expected,) = torch.autograd.grad(-loss, own)
        assert float(found[row]) == pytest.approx(-float(loss), rel=1e-9), seed
        torch.testing.assert_close(gradient[row : row + 1], expected, atol=1e-12, rtol=1e-6)
    assert len(prepared.task) == len(sigmas) == 1000


def test_open_fields_are_as_published(sd3, flux, kontext):
    for editor, model, expected in [
        (Img2Img(), sd3[1], (40, 4.5)),
        (Inpaint(), flux[1], (28, 3.5)),
        (Instruct(), kontext[1], (28, 2.5)),
    ]:
        resolved = editor.resolve(model)
        assert (resolved.num_inference_steps, resolved.guidance_scale) == expected
        assert resolved.scheduler == "flow"


@pytest.mark.parametrize("kind", ["sd3", "kontext"])
def test_commands_take_them(kind, request, tmp_path):
    folder = request.getfixturevalue(kind)[1].directory
    photo = tmp_path / "photo.png"
    Image.fromarray((IMAGES[0] * 255).byte().permute(1, 2, 0).numpy()).save(photo)
    model = ("--model", folder, "--size", 64, "--device", "cpu", "--dtype", "float32")
    editor = ("instruct" if kind == "kontext" else "img2img") + ":num_inference_steps=2"
    few = "photoguard-diffusion:steps=1,draws=1,evaluations=2,scheduler=flow,eta=0"
    protected = tmp_path / "protected.png"
    for line in (
        ("edit", photo, "--prompt", "a bank", "--editor", editor, *model, "-o", tmp_path / "e.png"),
        ("protect", photo, "--with", few, *model, "-o", protected),
        ("audit", photo, protected, "--prompt", "a bank", "--editor", editor, "--quick", *model),
    ):
        done = CliRunner().invoke(app, [str(word) for word in line])
        assert done.exit_code == 0, (line[0], done.output)
