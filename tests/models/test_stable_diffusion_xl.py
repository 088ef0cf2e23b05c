"""Stable Diffusion XL's layout, random: beside diffusers' pipelines, its files, its gradient."""

import json
from dataclasses import replace
from pathlib import Path

import diffusers
import pytest
import torch
import transformers

from brittle import noise
from brittle.editors import FineTune, Img2Img, Inpaint
from brittle.errors import UserError
from brittle.models import chain, load_model, single_file
from brittle.silence import silence
from tests.models import checkpoint, commands, tiny, tiny_xl

IMAGES = torch.rand(2, 3, 16, 24, generator=torch.Generator().manual_seed(3))
MASKS = torch.zeros(2, 1, 16, 24).index_fill(-1, torch.arange(9), 1)
SEEDS = [11, 12]
SETTINGS = {"num_inference_steps": 4, "strength": 0.8, "guidance_scale": 3.0}


def saved(path: Path, variant: str | None = None, **options) -> Path:
    with silence():
        tiny_xl.build(**options).save_pretrained(path, variant=variant, max_shard_size="20kB")
    return path


@pytest.fixture(scope="module")
def folders(tmp_path_factory) -> dict[int, Path]:
    path = tmp_path_factory.mktemp("models")
    return {count: saved(path / f"xl{count}", unet_channels=count) for count in (4, 9)}


def load(folder: Path):
    return load_model(folder, device="cpu", dtype="float32")


def theirs(model, task, name, settings):
    kind = {"img2img": "Img2Img", "inpaint": "Inpaint"}[task]
    with silence():
        pipeline = getattr(diffusers, f"StableDiffusionXL{kind}Pipeline")(
            vae=model.vae,
            unet=model.part("denoiser"),
            text_encoder=model.part("text_encoder"),
            text_encoder_2=model.part("text_encoder_2"),
            tokenizer=model.part("tokenizer"),
            tokenizer_2=model.part("tokenizer_2"),
            scheduler=getattr(diffusers, name).from_config(
                {"clip_sample": False, "skip_prk_steps": True, **model.scheduler_config}
            ),
            add_watermarker=False,
        )
    pipeline.set_progress_bar_config(disable=True)
    extra = {"mask_image": MASKS, "height": 16, "width": 24} if task == "inpaint" else {}
    return tiny.run_pipeline(pipeline, IMAGES, SEEDS, prompt=tiny.PROMPTS, **settings, **extra)


def planned(model, task="img2img", **settings):
    return chain.plan(
        model,
        prompts=tiny.PROMPTS,
        streams=noise.generators(SEEDS),
        shape=IMAGES.shape[-2:],
        task=task,
        **{**SETTINGS, **settings},
    )


@pytest.mark.parametrize(("channels", "task"), [(4, "img2img"), (4, "inpaint"), (9, "inpaint")])
@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("EulerDiscreteScheduler", {}),
        ("EulerAncestralDiscreteScheduler", {"guidance_scale": 0.0, "strength": 0.5}),
        ("DDIMScheduler", {"negative_prompt": "a cat", "strength": 1.0}),
        ("PNDMScheduler", {}),
        ("DPMSolverMultistepScheduler", {"strength": 1.0}),
    ],
)
def test_edits_equal_diffusers(folders, channels, task, name, settings):
    model = load(folders[channels])
    negative = settings.get("negative_prompt", "")
    given = {**SETTINGS, **settings, "negative_prompt": [negative] * 2 if negative else None}
    steps, expected = theirs(model, task, name, given)
    plan = planned(model, task, scheduler=name, **settings)
    with torch.inference_mode():
        start = chain.start(model, plan, IMAGES, MASKS if task == "inpaint" else None)
        mine = list(chain.denoise(model, start, plan))
        image = model.decode(mine[-1])
    assert len(mine) == len(steps)
    assert (image - expected).abs().max() <= 1e-5 * max(1.0, float(expected.abs().max()))


def test_recomputed_gradients_are_those_of_plain_autograd(folders):
    model = load_model(folders[9], device="cpu", dtype=torch.float64, vae_dtype=torch.float64)
    plan = planned(model, "inpaint", scheduler="ddim", strength=1.0, differentiable=True)
    plan = replace(plan, noise=plan.noise.double())
    gradients = []
    for recompute in (False, True):
        image = IMAGES.double().requires_grad_()
        start = chain.start(model, plan, image, MASKS, recompute=recompute)
        chain.finish(model, start, plan, recompute=recompute).square().mean().backward()
        gradients.append(image.grad)
    plain, recomputed = gradients
    assert plain.abs().max() > 0
    assert (plain - recomputed).norm() <= 1e-12 * plain.norm()


def test_shards_and_half_precision_files_are_the_same_model(folders, tmp_path):
    whole, half = load(folders[4]), load(saved(tmp_path / "half", variant="fp16"))
    assert len([*(folders[4] / "unet").glob("*.safetensors")]) > 1
    with torch.inference_mode():
        for one, other in ((whole, half),):
            plans = [planned(model) for model in (one, other)]
            assert torch.equal(plans[0].condition.embeddings, plans[1].condition.embeddings)
    assert whole.size == 32  # as its denoiser states: 16 latents of 2 px
    read = sum(half.files.count(part) for part in half.denoiser.read_parts)
    assert half.unread_bytes < 4 * read + 4 * half.files.count("vae")
    assert len({whole.content_hash, half.content_hash}) == 2


def test_one_file_is_the_same_model(folders, tmp_path):
    pipeline = tiny_xl.build()
    configs = tmp_path / "configs"
    for part in ("unet", "vae", "text_encoder", "text_encoder_2", "scheduler"):
        (configs / part).mkdir(parents=True)
        for file in (folders[4] / part).glob("*config.json"):
            (configs / part / file.name).write_bytes(file.read_bytes())
    path = checkpoint.write_xl(pipeline, tmp_path / "xl.safetensors")
    one = load_model(path, config=configs, device="cpu", dtype="float32")
    whole = load(folders[4])
    for part in ("vae", "denoiser", "text_encoder", "text_encoder_2"):
        own, same = one.part(part).state_dict(), whole.part(part).state_dict()
        assert own.keys() == same.keys()
        assert all(torch.equal(own[key], same[key]) for key in own)
    told, same = (planned(model).condition for model in (one, whole))
    assert torch.equal(told.embeddings, same.embeddings)
    assert torch.equal(told.more["text_embeds"], same.more["text_embeds"])


def test_the_configuration_for_one_file_is_the_published_one():
    def read(part: str) -> dict:
        return json.loads(
            (single_file.STABLE_DIFFUSION_XL.configs / part / "config.json").read_text()
        )

    with torch.device("meta"):
        unet = diffusers.UNet2DConditionModel.from_config(read("unet"))
        text = transformers.CLIPTextModelWithProjection(
            transformers.CLIPTextConfig.from_dict(read("text_encoder_2"))
        )
    counts = [sum(weight.numel() for weight in part.parameters()) for part in (unet, text)]
    assert counts == [2_567_463_684, 694_659_840]


def test_settings_follow_what_the_files_state(folders, tmp_path):
    base = Img2Img().resolve(load(folders[4]))
    turbo = Img2Img().resolve(load(saved(tmp_path / "turbo", timestep_spacing="trailing")))
    assert (base.guidance_scale, base.num_inference_steps) == (5.0, 50)
    assert (turbo.guidance_scale, turbo.num_inference_steps) == (0.0, 4)
    assert turbo.scheduler == "EulerDiscreteScheduler"


def test_what_can_not_be_edited_with_is_refused(folders, tmp_path):
    with pytest.raises(UserError, match=r"aesthetic score .* as its refiner is"):
        Img2Img().resolve(load(saved(tmp_path / "refiner", scores=True)))
    with pytest.raises(UserError, match="of Stable Diffusion XL's kind: brittle tunes"):
        FineTune().resolve(load(folders[4]))
    with pytest.raises(UserError, match="made for inpainting"):
        Img2Img().resolve(load(folders[9]))
    assert Inpaint().resolve(load(folders[9])).strength == 1


def test_every_command_takes_it(folders, tmp_path):
    commands.run_all(folders[4], "img2img:num_inference_steps=4", tmp_path, audit=False)
