"""LoRA files, random, in kohya's names and diffusers': the weights that diffusers' have."""

import copy
import json
import re
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from brittle.errors import UserError
from brittle.models import load_model
from brittle.silence import silence
from tests.models import checkpoint, tiny, tiny_xl

pytest.importorskip("peft")
METADATA = "lora_adapter_metadata"
RANK = 2
LAYERS = ("to_q", "to_k", "to_v", "to_out.0", "ff.net.0.proj", "proj_in", "proj_out")
CONVOLUTIONS = ("conv1", "conv2", "conv_shortcut", "time_emb_proj", "samplers.0.conv")
TEXT = ("q_proj", "k_proj", "v_proj", "out_proj", "fc1", "fc2")


def changes(module, ends, draws):
    """Random pairs of thin matrices for the layers whose names end so."""
    for name, layer in module.named_modules():
        if not name.endswith(ends) or not isinstance(layer, nn.Linear | nn.Conv2d):
            continue
        weight = layer.weight
        inner, outer = weight.shape[1:], weight.shape[:1]
        ones = (1,) * (weight.ndim - 2)
        yield (
            name,
            torch.randn((RANK, *inner), generator=draws) * 0.3,
            torch.randn((*outer, RANK, *ones), generator=draws) * 0.3,
        )


def write_kohya(pipeline, path: Path, original=None) -> Path:
    """As kohya's scripts write it, with alpha; ``original`` names the UNet's layers as in XL."""
    draws, tensors = torch.Generator().manual_seed(4), {}
    parts = [("lora_unet_", pipeline.unet, (*LAYERS, *CONVOLUTIONS))]
    second = getattr(pipeline, "text_encoder_2", None)
    parts += [("lora_te1_" if second else "lora_te_", pipeline.text_encoder, TEXT)]
    parts += [("lora_te2_", second, TEXT)] if second else []
    for prefix, module, ends in parts:
        for name, down, up in changes(module, ends, draws):
            if prefix != "lora_unet_":
                layer = "text_model." + name.removeprefix("text_model.")
            else:
                layer = original(name) if original else name
            flat = prefix + layer.replace(".", "_")
            tensors[f"{flat}.lora_down.weight"] = down
            tensors[f"{flat}.lora_up.weight"] = up
            tensors[f"{flat}.alpha"] = torch.tensor(1.0)
    save_file(tensors, path)
    return path


def write_diffusers(pipeline, path: Path, former: bool = False) -> Path:
    """As diffusers saves it today, with the number alpha beside it; or as it did, without."""
    draws, tensors, stated = torch.Generator().manual_seed(4), {}, {}
    for part, ends in (("unet", LAYERS), ("text_encoder", TEXT)):
        for name, down, up in changes(getattr(pipeline, part), ends, draws):
            where, kinds = f"{part}.{name}.", ("lora_A", "lora_B")
            if former:
                where, kinds = former_name(where), ("down", "up")
            for kind, value in zip(kinds, (down, up), strict=True):
                tensors[f"{where}{kind}.weight"] = value
        settings = {"r": RANK, "lora_alpha": 6, "use_rslora": False, "target_modules": ends}
        stated |= {f"{part}.{key}": value for key, value in settings.items()}
    note = {} if former else {"lora_adapter_metadata": json.dumps(stated)}
    save_file(tensors, path, {"format": "pt", **note})
    return path


def former_name(layer: str) -> str:
    """What a layer's name began with before diffusers took over peft's."""
    if layer.startswith("text_encoder."):
        return f"{layer}lora_linear_layer."
    if ".attn" in layer:
        place, _, name = layer.removesuffix(".").removesuffix(".0").rpartition(".")
        return f"{place}.processor.{name}_lora."
    return f"{layer}lora."


def fused(pipeline, path: Path, scale: float):
    """diffusers' pipeline with the LoRA in its weights."""
    other = copy.deepcopy(pipeline)
    with silence():
        other.load_lora_weights(path.parent, weight_name=path.name)
        other.fuse_lora(components=other._lora_loadable_modules, lora_scale=scale)
        other.unload_lora_weights()
    return other


def assert_same(model, theirs, before):
    names = {"denoiser": "unet", "text_encoder": "text_encoder", "text_encoder_2": "text_encoder_2"}
    for part, name in names.items():
        if not model.has(part):
            continue
        own = model.part(part).state_dict()
        for key, value in getattr(theirs, name).state_dict().items():
            torch.testing.assert_close(own[key], value, atol=1e-5, rtol=1e-5)
        old = getattr(before, name).state_dict()
        assert any((own[key] - old[key]).abs().max() > 1e-2 for key in old), part


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    pipeline = tiny.smallest()
    folder = tmp_path_factory.mktemp("models") / "sd"
    with silence():
        pipeline.save_pretrained(folder)
    return pipeline, folder


@pytest.mark.parametrize("kind", ["kohya", "diffusers", "diffusers' former"])
def test_a_lora_of_stable_diffusion_is_in_the_weights(plain, tmp_path, kind):
    pipeline, folder = plain
    path = tmp_path / "style.safetensors"
    if kind == "kohya":
        write_kohya(pipeline, path)
    else:
        write_diffusers(pipeline, path, former=kind != "diffusers")
    model = load_model(f"{folder}+{path}=0.7", device="cpu", dtype="float32")
    assert_same(model, fused(pipeline, path, 0.7), pipeline)
    whole = load_model(f"{folder}+{path}", device="cpu", dtype="float32")
    base = load_model(folder, device="cpu", dtype="float32")
    assert len({one.content_hash for one in (model, whole, base)}) == 3


def original_name(name: str) -> str:
    """A layer of the small XL UNet as its makers name it."""
    names = checkpoint.unet_names(2, 1, first=True)
    inner = checkpoint.RESNET if ".resnets." in name else {}
    return checkpoint.rename(f"{name}.", names, inner).removesuffix(".")


def test_a_lora_of_xl_in_the_names_of_the_original_unet(tmp_path):
    pipeline = tiny_xl.build()
    with silence():
        pipeline.save_pretrained(tmp_path / "xl")
    path = write_kohya(pipeline, tmp_path / "style.safetensors", original_name)
    model = load_model(f"{tmp_path / 'xl'}+{path}", device="cpu", dtype="float32")
    assert_same(model, fused(pipeline, path, 1.0), pipeline)


def test_several_add_up(plain, tmp_path):
    pipeline, folder = plain
    path = write_kohya(pipeline, tmp_path / "style.safetensors")
    name = f"{folder}+{path}=0.2+{path}=0.5"
    twice = load_model(name, device="cpu", dtype="float32")
    once = load_model(f"{folder}+{path}=0.7", device="cpu", dtype="float32")
    own, same = (model.part("denoiser").state_dict() for model in (twice, once))
    for key, value in own.items():
        torch.testing.assert_close(value, same[key], atol=1e-6, rtol=1e-6)


def test_what_can_not_be_added_is_refused(plain, tmp_path):
    _, folder = plain
    path, ones = tmp_path / "other.safetensors", torch.ones(2, 2)
    flat = "lora_unet_down_blocks_0_attentions_0_proj_in"
    pair = {f"{flat}.lora_down.weight": ones, f"{flat}.lora_up.weight": ones}
    nowhere = {key.replace("down_blocks_0", "down_blocks_7"): ones for key in pair}
    for tensors, note, said in [
        ({**pair, f"{flat}.dora_scale": ones}, {}, "no other kinds"),
        ({f"{flat}.hada_w1_a": ones}, {}, "no other kinds"),
        ({"lora_te2_text_model_x.lora_up.weight": ones}, {}, "made for another kind of model"),
        ({"lora_unet_double_blocks_0_img.lora_up.weight": ones}, {}, "a layer double_blocks_0_img"),
        (nowhere, {}, "a layer down_blocks_7"),
        (pair, {}, "can't be read"),
        (pair, {"unet.use_rslora": True}, r"can't add \(unet.use_rslora\)"),
    ]:
        apart = {key: value.clone() for key, value in tensors.items()}
        save_file(apart, path, {"lora_adapter_metadata": json.dumps(note)})
        with pytest.raises(UserError, match=said):
            _ = load_model(f"{folder}+{path}", device="cpu", dtype="float32").part("denoiser")
    with pytest.raises(UserError, match=r"is a LoRA.*MODEL\+FILE"):
        load_model(path)


@pytest.mark.parametrize("note", ["", "rank: 4", "[1]", "null", "[" * 100_000])
def test_metadata_that_is_no_mapping_is_told(plain, tmp_path, note):
    _, folder = plain
    path = tmp_path / "style.safetensors"
    save_file({"lora_unet_x.lora_up.weight": torch.ones(2, 2)}, path, {METADATA: note})
    with pytest.raises(UserError, match=rf"style\.safetensors.*{METADATA}"):
        load_model(f"{folder}+{path}", device="cpu", dtype="float32")


@pytest.mark.parametrize("scale", ["1.2.3", ".", "", "-1", "half", "1e+3"])
def test_a_scale_that_is_no_number_is_told(plain, tmp_path, scale):
    pipeline, folder = plain
    path = write_kohya(pipeline, tmp_path / "style.safetensors")
    with pytest.raises(UserError, match=rf"{re.escape(repr(scale))} is no scale .*=0\.8"):
        load_model(f"{folder}+{path}={scale}", device="cpu", dtype="float32")


@pytest.mark.parametrize(("scale", "value"), [("2", 2.0), ("2.", 2.0), (".5", 0.5), ("0", 0.0)])
def test_a_scale_is_any_plain_number(plain, tmp_path, scale, value):
    pipeline, folder = plain
    path = write_kohya(pipeline, tmp_path / "style.safetensors")
    assert load_model(f"{folder}+{path}={scale}", device="cpu").files.scale == value
