import json
import shutil
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import torch

from brittle.editors import Img2Img
from brittle.errors import UserError
from brittle.models import files, hub, load_model, loading, reading
from brittle.silence import silence
from tests.models import checkpoint, tiny

IMAGES = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(3))


@pytest.fixture(autouse=True)
def _no_network(monkeypatch):
    def refuse(*_, **__):
        raise AssertionError("the network was asked")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)


@pytest.fixture(scope="module")
def pipeline():
    return tiny.build()


def outputs(model) -> list[torch.Tensor]:
    """What each part computes, in float32."""
    with torch.inference_mode():
        latents = model.encode(IMAGES)
        embeddings = model.embed(["a dog in the snow"])
        output = model.evaluate(latents, 500, embeddings)
        return [latents, model.decode(latents), embeddings, output]


def assert_same(model, expected: list[torch.Tensor], tolerance: float = 1e-5) -> None:
    # Weights from a file lie at other addresses, and a CPU's kernels round by alignment.
    for own, theirs in zip(outputs(model), expected, strict=True):
        torch.testing.assert_close(own, theirs, atol=tolerance, rtol=tolerance)


@pytest.fixture(scope="module")
def expected(pipeline) -> list[torch.Tensor]:
    """The same, computed with diffusers' objects before they were ever saved."""
    with torch.inference_mode():
        scale = pipeline.vae.config.scaling_factor
        latents = pipeline.vae.encode(IMAGES * 2 - 1).latent_dist.mean * scale
        decoded = pipeline.vae.decode(latents / scale).sample / 2 + 0.5
        tokens = pipeline.tokenizer(
            ["a dog in the snow"], padding="max_length", max_length=77, return_tensors="pt"
        )
        embeddings = pipeline.text_encoder(tokens.input_ids)[0]
        return [latents, decoded, embeddings, pipeline.unet(latents, 500, embeddings).sample]


def test_a_directory_is_what_was_saved(tiny_sd, expected):
    assert (tiny_sd / "safety_checker").is_dir()
    assert (tiny_sd / "model_index.json").is_file()
    model = load_model(tiny_sd, device="cpu", dtype="float32")
    assert (model.size, model.factor, model.latent_channels) == (64, 8, 4)
    assert_same(model, expected)
    assert not any(parameter.requires_grad for parameter in model.part("denoiser").parameters())
    assert not model.part("denoiser").training


def test_shards_and_their_index_are_read(pipeline, expected, tmp_path):
    with silence():
        pipeline.save_pretrained(tmp_path, max_shard_size="400KB")
    assert (tmp_path / "unet" / "diffusion_pytorch_model.safetensors.index.json").is_file()
    assert (tmp_path / "text_encoder" / "model.safetensors.index.json").is_file()
    model = load_model(tmp_path, device="cpu", dtype="float32")
    assert_same(model, expected)
    assert len(model.files.paths()) > 10


@pytest.mark.parametrize("shards", [{}, {"max_shard_size": "200KB"}])
def test_a_variant_in_half_precision_is_read_in_the_asked_dtype(expected, tmp_path, shards):
    with silence():
        tiny.build().to(dtype=torch.float16).save_pretrained(tmp_path, variant="fp16", **shards)
    assert not (tmp_path / "unet" / "diffusion_pytorch_model.safetensors").exists()
    assert any("fp16" in path.name for path in (tmp_path / "unet").iterdir())
    model = load_model(tmp_path, device="cpu", dtype="float32")
    assert {
        part.dtype for part in (model.vae, model.part("denoiser"), model.part("text_encoder"))
    } == {torch.float32}
    assert_same(model, expected, tolerance=2e-2)


def test_full_precision_is_preferred_to_a_variant(pipeline, tmp_path):
    with silence():
        pipeline.unet.save_pretrained(tmp_path, variant="fp16")
        pipeline.unet.save_pretrained(tmp_path)
    found, variant = reading.find_weights(tmp_path, "diffusion_pytorch_model")
    assert [path.name for path in found] == ["diffusion_pytorch_model.safetensors"]
    assert variant is None


def small_configs(pipeline, folder: Path) -> Path:
    """Configurations of the reduced width, laid out as those that ship with brittle."""
    with silence():
        for part in ("unet", "vae", "text_encoder", "scheduler"):
            owner = getattr(pipeline, part)
            if part == "text_encoder":
                owner.config.save_pretrained(folder / part)
            else:
                owner.save_config(folder / part)
    shutil.copytree(files.SD1 / "tokenizer", folder / "tokenizer")
    return folder


@pytest.mark.parametrize("unet_channels", [4, 9])
def test_one_file_is_read_with_configurations_from_the_package(tmp_path, unet_channels):
    four = tiny.build()
    config = small_configs(four, tmp_path / "configs")
    pipeline = four if unet_channels == 4 else tiny.build(unet_channels=9)
    path = checkpoint.write(pipeline, tmp_path / "model.safetensors")
    saved = tmp_path / "directory"
    with silence():
        pipeline.save_pretrained(saved)

    model = load_model(path, device="cpu", dtype="float32", config=config)
    same = load_model(saved, device="cpu", dtype="float32")
    assert model.denoiser.channels == unet_channels
    for part in ("vae", "denoiser", "text_encoder"):
        own, theirs = (each.part(part).state_dict() for each in (model, same))
        assert own.keys() == theirs.keys()
        assert all(torch.equal(own[key], theirs[key]) for key in own)
        weights = sum(weight.numel() for weight in same.part(part).parameters())
        assert same.files.count(part) == weights
        # A checkpoint may count the text's positions among its tensors.
        assert weights <= model.files.count(part) <= weights + 77
    assert torch.equal(model.embed(["snow"]), same.embed(["snow"]))


def test_the_packages_configurations_are_stable_diffusions():
    """The full layout on no memory: parameter counts that are public for SD 1.5."""
    import diffusers
    import transformers

    def read(part):
        return json.loads((files.SD1 / part / "config.json").read_text())

    with torch.device("meta"):
        unet = diffusers.UNet2DConditionModel.from_config(read("unet"))
        vae = diffusers.AutoencoderKL.from_config(read("vae"))
        text = transformers.CLIPTextModel(
            transformers.CLIPTextConfig.from_dict(read("text_encoder"))
        )
    counts = [sum(p.numel() for p in part.parameters()) for part in (unet, vae, text)]
    assert counts == [859_520_964, 83_653_863, 123_060_480]


def test_the_packages_tokenizer_is_clips():
    tokenizer = reading.load_tokenizer(files.SD1 / "tokenizer")
    ids = tokenizer("a photo of an Astronaut, 7 é!", padding="max_length", max_length=77).input_ids
    assert ids[:12] == [49406, 320, 1125, 539, 550, 18376, 267, 278, 4166, 256, 49407, 49407]
    assert len(tokenizer) == 49408
    assert len(ids) == tokenizer.model_max_length == 77


def test_a_saved_tokenizer_is_read_once_while_its_files_do_not_change(tmp_path):
    folder = shutil.copytree(loading.EMBEDDED / "tokenizer", tmp_path / "tokenizer")
    first = reading.load_tokenizer(folder)
    assert reading.load_tokenizer(folder) is first
    config = folder / "tokenizer_config.json"
    changed = json.loads(config.read_text()) | {"model_max_length": 20}
    config.write_text(json.dumps(changed, indent=3))
    assert reading.load_tokenizer(folder).model_max_length == 20


@pytest.mark.parametrize("kind", ["AutoencoderKL", "AutoencoderTiny"])
def test_an_autoencoder_alone_encodes_and_says_why_it_cannot_edit(kind, tmp_path):
    import diffusers

    options = {"AutoencoderKL": {}, "AutoencoderTiny": {"latent_channels": 16}}[kind]
    with silence():
        getattr(diffusers, kind)(**options).save_pretrained(tmp_path / "vae-only")
    model = load_model(tmp_path / "vae-only", device="cpu", dtype="float32")
    with torch.no_grad():
        latents = model.encode(IMAGES)
    assert latents.shape == (1, model.latent_channels, 64 // model.factor, 64 // model.factor)
    assert model.decode(latents).shape == IMAGES.shape
    assert not model.edits
    assert len(model.content_hash) == 32
    for part in ("denoiser", "text_encoder", "tokenizer"):
        with pytest.raises(UserError, match="autoencoder alone"):
            model.part(part)


def test_parts_of_pipelines_are_told_apart_by_name(tiny_sd):
    assert load_model(tiny_sd / "vae", device="cpu").name == f"{tiny_sd.name}-vae"
    assert load_model(tiny_sd, device="cpu").name == tiny_sd.name


def damaged(folder: Path, tiny_sd: Path, how: str) -> Path:
    shutil.copytree(tiny_sd, folder)
    unet = folder / "unet"
    weights = unet / "diffusion_pytorch_model.safetensors"
    if how == "truncated":
        weights.write_bytes(weights.read_bytes()[:-1000])
    elif how == "garbage":
        weights.write_bytes(b"not a model" * 100)
    elif how == "empty":
        weights.write_bytes(b"")
    elif how == "pickle":
        weights.rename(unet / "diffusion_pytorch_model.bin")
    elif how == "no weights":
        weights.unlink()
    elif how == "no config":
        (unet / "config.json").unlink()
    elif how == "broken config":
        (unet / "config.json").write_text('{"in_channels": 4')
    elif how == "other class":
        (unet / "config.json").write_text('{"_class_name": "PixArtTransformer2DModel"}')
    elif how == "needs more":
        config = json.loads((unet / "config.json").read_text())
        config["class_embed_type"] = "timestep"
        (unet / "config.json").write_text(json.dumps(config))
    elif how == "missing tensor":
        from safetensors.torch import load_file, save_file

        tensors = load_file(weights)
        tensors.pop("conv_in.weight")
        save_file(tensors, weights, metadata={"format": "pt"})
    elif how == "other width":
        config = json.loads((unet / "config.json").read_text())
        config["block_out_channels"] = [64, 64, 64, 64]
        (unet / "config.json").write_text(json.dumps(config))
    return folder


def prepared(folder):
    """A model that is asked to edit."""
    model = load_model(folder, device="cpu")
    Img2Img().resolve(model)
    return model


@pytest.mark.parametrize(
    ("how", "sentence"),
    [
        ("truncated", "is damaged"),
        ("garbage", "is damaged"),
        ("empty", "is damaged"),
        ("pickle", "reads safetensors only"),
        ("no weights", "looked for diffusion_pytorch_model.safetensors"),
        ("no config", "lacks its denoiser"),
        ("broken config", "can't be read as JSON"),
        ("other class", "PixArtTransformer2DModel"),
        ("needs more", "needs more than latents"),
        ("missing tensor", "conv_in.weight is missing"),
        ("other width", "its denoiser can't be read"),
    ],
)
def test_damage_is_told_in_one_sentence(tiny_sd, tmp_path, how, sentence):
    with pytest.raises(UserError, match=sentence) as caught:
        _ = prepared(damaged(tmp_path / "model", tiny_sd, how)).part("denoiser")
    assert "\n" not in str(caught.value)


def test_a_damaged_tokenizer_is_told(tiny_sd, tmp_path):
    shutil.copytree(tiny_sd, tmp_path / "model")
    for file in (tmp_path / "model" / "tokenizer").glob("*.json"):
        if file.name != "tokenizer_config.json":
            file.write_text('{"model": 7}')
    with pytest.raises(UserError, match=r"tokenizer .*can't be read"):
        _ = load_model(tmp_path / "model", device="cpu").part("tokenizer")


@pytest.mark.parametrize(
    ("part", "key"),
    [
        ("denoiser", "model.diffusion_model.out.2.weight"),
        ("vae", "first_stage_model.decoder.conv_out.bias"),
        ("text_encoder", "cond_stage_model.transformer.text_model.final_layer_norm.bias"),
    ],
)
def test_a_checkpoint_that_lacks_a_tensor_is_refused(pipeline, tmp_path, part, key):
    from safetensors.torch import load_file, save_file

    path = checkpoint.write(pipeline, tmp_path / "model.safetensors")
    tensors = load_file(path)
    del tensors[key]
    save_file(tensors, path)
    config = small_configs(pipeline, tmp_path / "configs")
    model = load_model(path, device="cpu", dtype="float32", config=config)
    with pytest.raises(UserError, match=r"incomplete|can't be read"):
        model.part(part)


def test_names_that_lead_nowhere_are_refused(tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "model.ckpt").write_bytes(b"pickle")
    (tmp_path / "notes.safetensors").write_bytes(b"hello")
    from safetensors.torch import save_file

    save_file({"conditioner.embedders.0": torch.zeros(1)}, tmp_path / "other.safetensors")
    for name, sentence in [
        (tmp_path / "nothing", "no model at"),
        (tmp_path / "nothing.safetensors", "no model at"),
        ("./nothing", "no model at"),
        (tmp_path / "empty", "looked for model_index.json"),
        (tmp_path / "model.ckpt", "is a pickle"),
        (tmp_path / "notes.safetensors", "is damaged or no safetensors"),
        (tmp_path / "other.safetensors", "no checkpoint of Stable Diffusion 1.x"),
        ("embeded", "did you mean 'embedded'"),
        ("sd15", "did you mean .sd1."),
    ]:
        with pytest.raises(UserError, match=sentence):
            load_model(name)
    with pytest.raises(UserError, match="did you mean 'float32'"):
        load_model("embedded", dtype="float23")


def test_a_hub_id_without_network_gives_up_at_once(monkeypatch, tmp_path):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))

    asked = []

    def unreachable(host, *_, **__):
        asked.append(host)
        raise OSError("no route")

    monkeypatch.setattr(socket, "getaddrinfo", unreachable)
    with pytest.raises(UserError, match="connect once to download it"):
        load_model("someone/some-model")
    assert len(asked) <= 1  # the library on its own would try again, and wait in between


def test_the_probe_has_a_limit_even_where_looking_up_names_hangs(monkeypatch):
    over, looked_up = threading.Event(), []

    def hang(*_, **__):
        over.wait(60)
        looked_up.append("nothing")
        raise OSError("no route")

    monkeypatch.setattr(socket, "getaddrinfo", hang)
    monkeypatch.setattr(hub, "PROBE_SECONDS", 0.2)
    assert not hub._answers()
    assert not looked_up  # it came back first
    over.set()


def test_a_cached_hub_model_works_offline(monkeypatch, tmp_path, tiny_sd, expected):
    snapshot = tmp_path / "models--someone--tiny" / "snapshots" / "0123"
    shutil.copytree(tiny_sd, snapshot)
    (tmp_path / "models--someone--tiny" / "refs").mkdir()
    (tmp_path / "models--someone--tiny" / "refs" / "main").write_text("0123")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    assert loading.fetch("someone/tiny") == snapshot
    model = load_model("someone/tiny", device="cpu", dtype="float32")
    assert model.name == "someone/tiny"
    assert_same(model, expected)


def test_a_hubs_model_of_half_precision_files_alone_is_fetched(monkeypatch, tmp_path, tiny_sd):
    asked = []

    def download(hub_id, *, allow_patterns, ignore_patterns=None, local_files_only=False):
        from huggingface_hub.errors import LocalEntryNotFoundError
        from huggingface_hub.utils import filter_repo_objects

        if local_files_only:
            raise LocalEntryNotFoundError("nothing")
        names = [str(path.relative_to(tiny_sd)) for path in tiny_sd.rglob("*") if path.is_file()]
        there = [name.replace(".safetensors", ".fp16.safetensors") for name in names]
        chosen = filter_repo_objects(
            there, allow_patterns=allow_patterns, ignore_patterns=ignore_patterns
        )
        for name in chosen:
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(tiny_sd / name.replace(".fp16.", "."), tmp_path / name)
        asked.append(ignore_patterns)
        return str(tmp_path)

    monkeypatch.setattr("huggingface_hub.snapshot_download", download)
    monkeypatch.setattr(hub, "_answers", lambda: True)
    assert loading.fetch("someone/half") == tmp_path
    assert len(asked) == 2
    assert load_model(tmp_path, device="cpu").unread_bytes > 0


def test_encoding_reads_the_autoencoder_alone_and_editing_says_nothing(tiny_sd):
    code = f"""
import sys, torch
from brittle.editors import Img2Img
from brittle.models import load_model
model, image = load_model({str(tiny_sd)!r}, device="cpu"), torch.rand(1, 3, 64, 64)
model.encode(image)
assert list(model._parts) == ["vae"], model._parts
assert not any("pipelines.stable_diffusion" in name for name in sys.modules)
Img2Img(num_inference_steps=2).edit(model, image, prompts=["night"], seeds=[0])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_a_model_may_share_the_parts_of_another(pipeline, tmp_path):
    """What the second folder holds is its own, and everything else the first one's."""
    first, second = tmp_path / "first", tmp_path / "second"
    with silence():
        pipeline.save_pretrained(first)
        tiny.build(seed=1).unet.save_pretrained(second / "unet")
    shutil.copytree(first / "scheduler", second / "scheduler")
    (second / "model_index.json").write_text("{}")
    with pytest.raises(UserError, match="holds no model"):
        files.Directory(second, "second")
    alone = load_model(first)
    shared = alone.with_files(files.Directory(second, "second", shared=first))
    expected, found = outputs(alone), outputs(shared)
    for own, theirs in zip(found[:3], expected[:3], strict=True):
        assert torch.equal(own, theirs)
    assert not torch.allclose(found[3], expected[3])
    assert shared.content_hash != alone.content_hash
    assert (shared.directory, shared.base_directory) == (second, first)
    assert {path.parent.parent for path in shared.files.paths()} == {first, second}
