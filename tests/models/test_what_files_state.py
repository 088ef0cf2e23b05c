"""Models from the world: what their files state is followed, or refused in one sentence."""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import diffusers
import pytest
import torch
from safetensors.torch import load_file, save_file

from brittle import api
from brittle.editors import Img2Img
from brittle.errors import UserError
from brittle.models import load_model
from brittle.models.files import SD1
from brittle.silence import silence
from tests.models import checkpoint, tiny
from tests.models.test_loading import small_configs

IMAGES = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(3))
NAN = float("nan")


def rewrite(path: Path, **changes: Any) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def copy_of(tiny_sd: Path, folder: Path) -> Path:
    return shutil.copytree(tiny_sd, folder / "model")


# Models that compute nothing.


@pytest.mark.parametrize(
    ("part", "file", "tensor", "said"),
    [
        ("vae", "diffusion_pytorch_model", "encoder.conv_in.bias", "autoencoder"),
        ("vae", "diffusion_pytorch_model", "decoder.conv_out.bias", "autoencoder"),
        ("unet", "diffusion_pytorch_model", "conv_out.bias", "denoiser"),
        ("text_encoder", "model", "final_layer_norm.bias", "text encoder"),
    ],
)
@pytest.mark.parametrize(("value", "dtype"), [(NAN, "float32"), (float("inf"), "bfloat16")])
def test_what_is_no_number_names_the_part_the_dtype_and_what_to_try(
    tiny_sd, tmp_path, part, file, tensor, said, value, dtype
):
    folder = copy_of(tiny_sd, tmp_path)
    path = folder / part / f"{file}.safetensors"
    weights = load_file(path)
    name = next(name for name in weights if name.endswith(tensor))
    weights[name][0] = value
    save_file(weights, path, metadata={"format": "pt"})
    model = load_model(folder, device="cpu", dtype=dtype)
    used = "float32" if part == "vae" else dtype
    advice = "name another model" if used == "float32" else "--dtype float32"
    sentence = rf"{folder.name}: its {said}.*computes no numbers.* in {used}: .*{advice}"
    with pytest.raises(UserError, match=sentence):
        Img2Img(num_inference_steps=2).edit(model, IMAGES, prompts=["night"], seeds=[0])


def test_a_protection_by_a_model_without_numbers_writes_nothing(tiny_sd, tmp_path):
    folder = copy_of(tiny_sd, tmp_path)
    path = folder / "vae" / "diffusion_pytorch_model.safetensors"
    weights = load_file(path)
    weights["encoder.conv_in.weight"][:] = NAN
    save_file(weights, path, metadata={"format": "pt"})
    model = load_model(folder, device="cpu", dtype="float32")
    with pytest.raises(UserError, match=r"autoencoder.*computes no numbers"):
        api.protect(IMAGES, "encoder:steps=2", model=model)


def test_numbers_whose_sum_overflows_are_numbers(tiny_sd):
    model = load_model(tiny_sd, device="cpu", dtype="float32")
    large = torch.full((2, 2), 3e38)
    assert model.numbers(large, "vae") is large


# Single files.


@pytest.fixture(scope="module")
def single(tmp_path_factory) -> tuple[Path, Path]:
    """A checkpoint, and the configurations of its width."""
    folder = tmp_path_factory.mktemp("single")
    pipeline = tiny.build()
    return (
        checkpoint.write(pipeline, folder / "model.safetensors"),
        small_configs(pipeline, folder / "configs"),
    )


def marked(
    single: tuple[Path, Path], path: Path, marks: list[str], metadata: Mapping[str, str]
) -> Any:
    tensors = load_file(single[0]) | {name: torch.zeros(0) for name in marks}
    save_file(tensors, path, metadata=dict(metadata))
    return load_model(path, device="cpu", dtype="float32", config=single[1])


@pytest.mark.parametrize(
    ("marks", "metadata"),
    [
        (["v_pred"], {}),
        ([], {"modelspec.prediction_type": "v"}),
        ([], {"ss_v_parameterization": "True"}),
        (["v_pred", "ztsnr"], {}),
        (["ztsnr"], {"modelspec.prediction_type": "v"}),
    ],
)
def test_marks_of_a_checkpoint_are_followed(single, tmp_path, marks, metadata):
    model = marked(single, tmp_path / "marked.safetensors", marks, metadata)
    # The right answer: diffusers' pipeline with the scheduler that such a model was trained for.
    config = json.loads((SD1 / "scheduler" / "scheduler_config.json").read_text())
    config["prediction_type"] = "v_prediction"
    right: Any = diffusers.PNDMScheduler.from_config(config)
    if "ztsnr" in marks:
        zero = {"rescale_betas_zero_snr": True, "timestep_spacing": "trailing"}
        with silence():
            right = diffusers.DDIMScheduler.from_config(config | zero)
    folder = tmp_path / "directory"
    with silence():
        pipeline = tiny.build()
        pipeline.scheduler = right
        pipeline.save_pretrained(folder)
    settings = {"num_inference_steps": 4, "strength": 1.0, "guidance_scale": 2.0}
    _, expected = tiny.run_pipeline(
        tiny.diffusers_img2img(folder, scheduler=right), IMAGES, [5], prompt=["night"], **settings
    )
    found = Img2Img(**settings).edit(model, IMAGES, prompts=["night"], seeds=[5])
    assert (found - expected.clamp(0, 1)).abs().max() <= tiny.SAME


def test_marks_that_say_what_is_read_anyway_change_nothing(single, tmp_path):
    metadata = {"modelspec.prediction_type": "epsilon"}
    model = marked(single, tmp_path / "m.safetensors", [], metadata)
    assert model.scheduler_config == load_model(single[0], config=single[1]).scheduler_config
    assert model.files.read_as() == []


@pytest.mark.parametrize(
    ("marks", "metadata", "sentence"),
    [
        (["ztsnr"], {}, "ztsnr .* without v_pred"),
        (["v_pred"], {"modelspec.prediction_type": "epsilon"}, "contradicts itself"),
        ([], {"modelspec.prediction_type": "flow"}, "knows epsilon and v"),
        (["edm_mean"], {}, "edm_mean"),
        (["scaled_fp8"], {}, "scaled, quantised"),
        (["model.diffusion_model.out.2.scale_weight"], {}, "scaled, quantised"),
    ],
)
def test_marks_that_cannot_be_followed_are_refused(single, tmp_path, marks, metadata, sentence):
    with pytest.raises(UserError, match=sentence):
        marked(single, tmp_path / "m.safetensors", marks, metadata)


def test_scales_in_a_folder_are_refused_too(tiny_sd, tmp_path):
    folder = copy_of(tiny_sd, tmp_path)
    path = folder / "unet" / "diffusion_pytorch_model.safetensors"
    weights = load_file(path) | {"conv_in.scale_weight": torch.ones(1)}
    save_file(weights, path, metadata={"format": "pt"})
    with pytest.raises(UserError, match="scaled, quantised"):
        _ = load_model(folder, device="cpu").part("denoiser")


@pytest.mark.parametrize(
    ("names", "sentence"),
    [
        (["lora_unet_mid_block.alpha", "lora_unet_mid_block.lora_down.weight"], "is a LoRA"),
        (["unet.mid_block.lora_A.weight"], "is a LoRA"),
        (["encoder.down.0.block.0.conv1.weight"], "an autoencoder alone"),
        (["down_blocks.0.resnets.0.conv1.weight"], "a UNet alone"),
        (["conditioner.embedders.0.x"], "Stable Diffusion XL"),
        (["model.diffusion_model.joint_blocks.0.x"], "Stable Diffusion 3"),
        (["double_blocks.0.img_attn.x"], "FLUX"),
    ],
)
def test_a_file_that_is_no_whole_model_is_called_what_it_is(tmp_path, names, sentence):
    path = tmp_path / "file.safetensors"
    save_file({name: torch.zeros(1) for name in names}, path)
    with pytest.raises(UserError, match=sentence):
        load_model(path)


# A shift, and zero signal.


@pytest.mark.parametrize("shift", [0.0609, -0.3, None])
def test_latents_are_shifted_as_the_autoencoder_states(tiny_sd, tmp_path, shift):
    folder = copy_of(tiny_sd, tmp_path)
    rewrite(folder / "vae" / "config.json", shift_factor=shift)
    model, plain = (load_model(one, device="cpu", dtype="float32") for one in (folder, tiny_sd))
    with torch.no_grad():
        scale = plain.vae.config.scaling_factor
        mean = plain.vae.encode(IMAGES * 2 - 1).latent_dist.mean
        latents = model.encode(IMAGES)
        torch.testing.assert_close(latents, (mean - (shift or 0)) * scale)
        torch.testing.assert_close(model.decode(latents), plain.decode(plain.encode(IMAGES)))
    assert model.files.read_as() == ([f"shift_factor {shift:g}"] if shift else [])


def test_a_scheduler_that_lacks_what_the_model_was_trained_with_is_refused(tiny_sd, tmp_path):
    folder = copy_of(tiny_sd, tmp_path)
    rewrite(folder / "scheduler" / "scheduler_config.json", rescale_betas_zero_snr=True)
    model = load_model(folder, device="cpu", dtype="float32")
    with pytest.raises(UserError, match=r"rescale_betas_zero_snr=True.*choose scheduler=ddim"):
        Img2Img(num_inference_steps=2).edit(model, IMAGES, prompts=["night"], seeds=[0])


# Code in a model's folder.


@pytest.mark.parametrize("name", ["AutoConfig", "AutoTokenizer", "Payload", "CLIPTokenizer"])
def test_nothing_that_a_folder_brings_along_is_run(tiny_sd, tmp_path, monkeypatch, name):
    monkeypatch.setattr("builtins.input", lambda *_: "y")
    folder, ran = copy_of(tiny_sd, tmp_path), tmp_path / "ran"
    code = f"open({str(ran)!r}, 'w').close()\n"
    classes = "class Payload:\n    from_pretrained = classmethod(lambda cls, *a, **k: cls())\n"
    kinds = ("AutoConfig", "AutoTokenizer", "AutoModel", "CLIPTextModel")
    auto: dict[str, Any] = dict.fromkeys(kinds, "payload.Payload")
    auto["AutoTokenizer"] = ["payload.Payload", "payload.Payload"]
    for part in ("tokenizer", "text_encoder", "unet", "vae", "scheduler", "."):
        (folder / part / "payload.py").write_text(code + classes)
    rewrite(folder / "tokenizer" / "tokenizer_config.json", tokenizer_class=name, auto_map=auto)
    for part in ("text_encoder", "unet", "vae"):
        rewrite(folder / part / "config.json", auto_map=auto)
    rewrite(folder / "model_index.json", unet=["payload", "Payload"])
    model = load_model(folder, device="cpu", dtype="float32")
    try:
        Img2Img(num_inference_steps=2).edit(model, IMAGES, prompts=["night"], seeds=[0])
        refused = ""
    except UserError as error:
        refused = str(error)
    assert not ran.exists()
    assert bool(refused) == (name != "CLIPTokenizer")
    assert "nothing that a model brings along is run" in refused or not refused


# Folders with something wrong.


def name_scheduler(folder: Path, name: str) -> None:
    rewrite(folder / "scheduler" / "scheduler_config.json", _class_name=name)
    rewrite(folder / "model_index.json", scheduler=["diffusers", name])


def test_of_two_schedulers_the_index_decides_as_in_diffusers(tiny_sd, tmp_path):
    folder = tmp_path / "two"
    shutil.copytree(tiny_sd, folder)
    before = load_model(folder, device="cpu", dtype="float32").content_hash
    name_scheduler(folder, "DDIMScheduler")
    rewrite(folder / "scheduler" / "scheduler_config.json", _class_name="PNDMScheduler")
    model = load_model(folder, device="cpu", dtype="float32")
    theirs = tiny.diffusers_img2img(folder).scheduler
    assert model.scheduler_config["_class_name"] == type(theirs).__name__ == "DDIMScheduler"
    assert model.content_hash != before


def break_folder(folder: Path, how: str) -> None:
    scheduler = folder / "scheduler" / "scheduler_config.json"
    if how == "an index that lists a list":
        index = folder / "unet" / "diffusion_pytorch_model.safetensors.index.json"
        (folder / "unet" / "diffusion_pytorch_model.safetensors").rename(index.with_suffix(".x"))
        index.write_text(json.dumps({"weight_map": {"conv_in.weight": ["a", "b"]}}))
    elif how == "an index that leads out":
        index = folder / "unet" / "diffusion_pytorch_model.safetensors.index.json"
        (folder / "unet" / "diffusion_pytorch_model.safetensors").rename(index.with_suffix(".x"))
        index.write_text(json.dumps({"weight_map": {"conv_in.weight": "../vae/weights"}}))
    elif how == "no pad token":
        path = folder / "tokenizer" / "tokenizer_config.json"
        rewrite(path, pad_token=None)
    elif how == "sizes of the wrong shape":
        (folder / "recommended.json").write_text('{"sizes": [512]}')
    elif how == "advice of the wrong shape":
        (folder / "recommended.json").write_text('{"img2img": [0.5]}')
    elif how == "advice of the wrong kind":
        (folder / "recommended.json").write_text('{"img2img": {"strength": "strong"}}')
    elif how == "advice that is a list":
        (folder / "recommended.json").write_text("[1, 2]")
    elif how == "1e12 timesteps":
        rewrite(scheduler, num_train_timesteps=10**12)
    elif how == "timesteps in words":
        rewrite(scheduler, num_train_timesteps="many")
    elif how == "SD 3's scheduler":
        name_scheduler(folder, "FlowMatchEulerDiscreteScheduler")
    elif how == "no scheduler at all":
        name_scheduler(folder, "StableDiffusionPipeline")
    elif how == "65,537 layers":
        rewrite(folder / "unet" / "config.json", transformer_layers_per_block=65_537)
    elif how == "a size in words":
        rewrite(folder / "unet" / "config.json", sample_size="large")
    elif how == "widths that are none":
        rewrite(folder / "vae" / "config.json", block_out_channels=16)
    elif how == "a scale of zero":
        rewrite(folder / "vae" / "config.json", scaling_factor=0)
    elif how == "deep nesting":
        (folder / "vae" / "config.json").write_text("[" * 100_000)
    elif how == "half a download":
        shutil.rmtree(folder / "unet")
    elif how == "a missing shard":
        path = folder / "unet" / "diffusion_pytorch_model.safetensors"
        index = {"weight_map": {"conv_in.weight": "a-00001-of-00002.safetensors"}}
        path.with_suffix(".safetensors.index.json").write_text(json.dumps(index))
        path.unlink()


@pytest.mark.parametrize(
    ("how", "sentence"),
    [
        ("an index that lists a list", "names no files of weights"),
        ("an index that leads out", "names no files of weights"),
        ("no pad token", "names no pad_token"),
        ("sizes of the wrong shape", "recommended.json can't be right: sizes"),
        ("advice of the wrong shape", "recommended.json can't be right: img2img"),
        ("advice of the wrong kind", "recommended.json.*strength"),
        ("advice that is a list", "holds no configuration"),
        ("1e12 timesteps", "num_train_timesteps is 1000000000000"),
        ("timesteps in words", "num_train_timesteps is 'many'"),
        ("SD 3's scheduler", "isn't made for the models of Stable Diffusion"),
        ("no scheduler at all", "isn't made for the models of Stable Diffusion"),
        ("65,537 layers", "transformer_layers_per_block.* is 65537"),
        ("a size in words", "sample_size"),
        ("widths that are none", "block_out_channels is 16"),
        ("a scale of zero", "scaling_factor is 0"),
        ("deep nesting", "can't be read as JSON"),
        ("half a download", "is incomplete.*denoiser"),
        ("a missing shard", "is incomplete.*a-00001-of-00002"),
    ],
)
def test_a_folder_with_something_wrong_gets_one_sentence(tiny_sd, tmp_path, how, sentence):
    folder = copy_of(tiny_sd, tmp_path)
    break_folder(folder, how)

    def edit() -> None:
        model = load_model(folder, device="cpu", dtype="float32")
        api.edit(IMAGES, "night", editor="img2img:num_inference_steps=2", model=model)

    with pytest.raises(UserError, match=sentence) as caught:
        edit()
    assert "\n" not in str(caught.value)


def test_a_part_that_can_not_run_is_told_by_its_name(tiny_sd, tmp_path):
    folder = copy_of(tiny_sd, tmp_path)
    rewrite(folder / "unet" / "config.json", norm_num_groups=-1)
    model = load_model(folder, device="cpu", dtype="float32")
    with pytest.raises(UserError, match=r"model: its denoiser .*can't run \(.*num groups"):
        api.edit(IMAGES, "night", editor="img2img:num_inference_steps=2", model=model)


def test_a_part_that_can_not_be_read_leaves_no_other_dtype_behind(tiny_sd, tmp_path):
    folder = copy_of(tiny_sd, tmp_path)
    rewrite(folder / "unet" / "config.json", down_block_types=["Made up"])
    model = load_model(folder, device="cpu", dtype="bfloat16")
    with pytest.raises(UserError, match=r"model: its denoiser .*can't be read"):
        api.edit(IMAGES, "night", editor="img2img:num_inference_steps=2", model=model)
    assert torch.get_default_dtype() == torch.float32


def test_a_tokenizer_with_words_that_the_text_encoder_lacks_is_refused(tiny_sd):
    model = load_model(tiny_sd, device="cpu", dtype="float32")
    model.part("tokenizer").add_tokens(["zwzwzw"])
    with pytest.raises(UserError, match="belong to different models"):
        model.embed(["zwzwzw"])


def test_folders_of_something_else_are_called_what_they_are(tiny_sd, tmp_path):
    lora = tmp_path / "lora"
    lora.mkdir()
    save_file({"unet.lora_A.weight": torch.zeros(1)}, lora / "pytorch_lora_weights.safetensors")
    with pytest.raises(UserError, match="is a LoRA"):
        load_model(lora)
    with pytest.raises(UserError, match="of class UNet2DConditionModel"):
        load_model(tiny_sd / "unet")


def test_a_cached_model_of_which_a_part_is_missing_is_no_model(monkeypatch, tmp_path, tiny_sd):
    snapshot = tmp_path / "models--someone--half" / "snapshots" / "0123"
    shutil.copytree(tiny_sd, snapshot)
    shutil.rmtree(snapshot / "unet")
    (tmp_path / "models--someone--half" / "refs").mkdir()
    (tmp_path / "models--someone--half" / "refs" / "main").write_text("0123")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(UserError, match=r"only partly in the cache .*denoiser"):
        load_model("someone/half")


# Sizes, and what can't be edited.

SDXL = {"_class_name": "UNet2DConditionModel", "addition_embed_type": "text_time"}


@pytest.mark.parametrize(
    ("part", "denoiser", "of_autoencoder", "size", "why"),
    [
        ("unet", {**SDXL, "sample_size": 128}, 1024, 1024, "lacks its second text encoder"),
        ("unet", {**SDXL, "sample_size": 64}, 1024, 512, "lacks its second text encoder"),
        ("unet", {**SDXL, "sample_size": [96, 128]}, 512, 1024, "lacks its second text encoder"),
        (
            "transformer",
            {"sample_size": 128},
            1024,
            1024,
            r"transformer \(PixArtTransformer2DModel\)",
        ),
        ("transformer", {"sample_size": None}, 1024, 1024, "is a transformer"),
        ("transformer", {}, 256, 512, "is a transformer"),
    ],
)
def test_a_model_that_can_not_edit_has_its_stated_size_and_says_why(
    tiny_sd, tmp_path, part, denoiser, of_autoencoder, size, why
):
    folder = copy_of(tiny_sd, tmp_path)
    rewrite(folder / "vae" / "config.json", sample_size=of_autoencoder)
    if part == "unet":
        rewrite(folder / "unet" / "config.json", **denoiser)
    else:
        shutil.move(folder / "unet", folder / "transformer")
        config = {"_class_name": "PixArtTransformer2DModel", **denoiser}
        (folder / "transformer" / "config.json").write_text(json.dumps(config))
        listed = {"unet": None, "transformer": ["diffusers", "PixArtTransformer2DModel"]}
        rewrite(folder / "model_index.json", **listed)
    model = load_model(folder, device="cpu", dtype="float32")
    assert (model.size, model.edits) == (size, False)
    with pytest.raises(UserError, match=why):
        Img2Img().resolve(model)
    assert model.at(256).encode(IMAGES).shape == (1, 4, 8, 8)


def test_the_autoencoder_alone_has_the_size_that_it_states(tiny_sd, tmp_path):
    folder = copy_of(tiny_sd, tmp_path)
    sizes = []
    for stated in (1024, 768, 512, 256, 32):
        rewrite(folder / "vae" / "config.json", sample_size=stated)
        sizes.append(load_model(folder / "vae", device="cpu").size)
    assert sizes == [1024, 768, 512, 512, 512]
