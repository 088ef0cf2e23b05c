"""Checkpoints in one file, random in their layouts: the same model as the folder of diffusers."""

import json
import re
from pathlib import Path

import diffusers
import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file

from brittle.errors import UserError
from brittle.models import load_model, single_file
from brittle.models.original_names import in_diffusers_names
from brittle.silence import silence
from tests.models import checkpoint, tiny, tiny_flow

PARTS = ("vae", "denoiser", "text_encoder", "text_encoder_2", "text_encoder_3")


def load(name, **options):
    return load_model(name, device="cpu", dtype="float32", **options)


def assert_same_weights(one, other):
    for part in PARTS:
        assert one.has(part) == other.has(part)
        if other.has(part):
            own, theirs = (model.part(part).state_dict() for model in (one, other))
            assert own.keys() == theirs.keys()
            assert all(torch.equal(own[key], theirs[key]) for key in own), part


def without_weights(folder: Path, target: Path, *parts: str) -> Path:
    """A folder's configurations and tokenizers, and the weights of some parts."""
    for file in folder.glob("*/*"):
        if file.suffix != ".safetensors" or file.parent.name in parts:
            (target / file.parent.name).mkdir(parents=True, exist_ok=True)
            (target / file.parent.name / file.name).write_bytes(file.read_bytes())
    (target / "model_index.json").write_bytes((folder / "model_index.json").read_bytes())
    return target


def saved_3(tmp_path: Path, *, with_t5: bool):
    """Stable Diffusion 3 at the width of one head, whose first projection is the identity."""
    pipeline = tiny_flow.sd3(with_t5=with_t5, head=64, heads=1)
    with torch.no_grad():
        weight = pipeline.text_encoder.text_projection.weight
        weight.copy_(torch.eye(len(weight)))
    return pipeline, tiny_flow.save(pipeline, tmp_path / "sd3")


def saved_2(tmp_path: Path, deviation: float = 0.0):
    """Stable Diffusion 2.x, with this deviation of the bias that tells what it predicts."""
    pipeline = tiny.build()
    pipeline.tokenizer.pad_token = "!"
    with torch.no_grad():
        bias = pipeline.unet.up_blocks[3].attentions[2].transformer_blocks[0].norm1.bias
        bias.copy_(torch.linspace(-1, 1, len(bias)) * 2 * deviation)
    with silence():
        pipeline.save_pretrained(tmp_path / "sd2")
    return pipeline, tmp_path / "sd2"


@pytest.mark.parametrize(("deviation", "prediction"), [(0.05, "epsilon"), (0.2, "v_prediction")])
def test_stable_diffusion_2_is_read_and_told_by_what_it_predicts(tmp_path, deviation, prediction):
    pipeline, folder = saved_2(tmp_path, deviation)
    path = checkpoint.write_2(pipeline, tmp_path / "2.safetensors")
    one = load(path, config=without_weights(folder, tmp_path / "configs"))
    assert one.files.layout is single_file.STABLE_DIFFUSION_2
    assert one.scheduler_config["prediction_type"] == prediction
    assert_same_weights(one, load(folder))
    assert torch.equal(one.embed(["snow"]), load(folder).embed(["snow"]))


def test_stable_diffusion_2s_text_encoder_is_what_diffusers_reads(tmp_path):
    from diffusers.loaders.single_file_utils import create_diffusers_clip_model_from_ldm

    pipeline, folder = saved_2(tmp_path)
    weights = load_file(checkpoint.write_2(pipeline, tmp_path / "2.safetensors"))
    with silence():
        theirs = create_diffusers_clip_model_from_ldm(
            transformers.CLIPTextModel, weights, "text_encoder", str(folder), torch.float32, True
        )
    own = load(tmp_path / "2.safetensors", config=folder).part("text_encoder").state_dict()
    assert own.keys() == theirs.state_dict().keys()
    assert all(torch.equal(own[key], value) for key, value in theirs.state_dict().items())


@pytest.mark.parametrize("with_t5", [True, False])
@pytest.mark.parametrize("prefix", ["model.diffusion_model.", ""])
def test_stable_diffusion_3_is_read(tmp_path, with_t5, prefix):
    pipeline, folder = saved_3(tmp_path, with_t5=with_t5)
    path = checkpoint.write_3(pipeline, tmp_path / "3.safetensors", prefix)
    one = load(f"{without_weights(folder, tmp_path / 'configs')}+{path}")
    # T5 may have one matrix under two names.
    assert one.unread_bytes == pytest.approx(load(folder).unread_bytes, rel=0.01)
    assert_same_weights(one, load(folder))


def test_stable_diffusion_3s_transformer_is_what_diffusers_reads(tmp_path):
    pipeline, _ = saved_3(tmp_path, with_t5=False)
    weights = checkpoint.transformer_3(pipeline.transformer)
    from diffusers.loaders import single_file_utils

    own = in_diffusers_names("SD3Transformer2DModel", weights)
    theirs = single_file_utils.convert_sd3_transformer_checkpoint_to_diffusers(dict(weights))
    assert own.keys() == theirs.keys()
    assert all(torch.equal(own[key], theirs[key]) for key in own)


def test_fluxs_transformer_has_the_names_and_shapes_that_diffusers_reads():
    """At its published width, for which alone diffusers' conversion is written; on no memory."""
    from diffusers.loaders import single_file_utils

    with torch.device("meta"):
        transformer = diffusers.FluxTransformer2DModel(
            num_layers=1, num_single_layers=1, guidance_embeds=True
        )
    weights = checkpoint.transformer_flux(transformer)
    own = in_diffusers_names("FluxTransformer2DModel", weights)
    theirs = single_file_utils.convert_flux_transformer_checkpoint_to_diffusers(dict(weights))
    expected = {key: value.shape for key, value in transformer.state_dict().items()}
    assert {key: value.shape for key, value in own.items()} == expected
    assert {key: value.shape for key, value in theirs.items()} == expected


@pytest.mark.parametrize("whole", [True, False])
@pytest.mark.parametrize("kind", ["dev", "schnell", "Fill"])
def test_flux_is_read_beside_a_folder_with_what_it_lacks(tmp_path, whole, kind):
    pipeline = tiny_flow.flux(guidance=kind != "schnell", fill=kind == "Fill")
    folder = tiny_flow.save(pipeline, tmp_path / "flux")
    path = checkpoint.write_flux(pipeline, tmp_path / "flux.safetensors", whole=whole)
    lent = () if whole else ("vae", "text_encoder", "text_encoder_2")
    # The folder is of dev: the file says what it is.
    other = tiny_flow.save(tiny_flow.flux(), tmp_path / "dev")
    for part in ("text_encoder", "text_encoder_2", "vae"):
        for file in (folder / part).glob("*"):
            (other / part / file.name).write_bytes(file.read_bytes())
    one = load(f"{without_weights(other, tmp_path / 'configs', *lent)}+{path}")
    assert_same_weights(one, load(folder))
    assert type(one.denoiser) is type(load(folder).denoiser)
    names = {file.parent.name for file in one.files.paths() if file.suffix == ".safetensors"}
    assert names - {tmp_path.name} == set(lent)


def test_kontext_is_told_by_the_folder_beside_it(tmp_path):
    pipeline = tiny_flow.flux("FluxKontextPipeline")
    folder = tiny_flow.save(pipeline, tmp_path / "kontext")
    dev = tiny_flow.save(tiny_flow.flux(), tmp_path / "dev")
    path = checkpoint.write_flux(pipeline, tmp_path / "flux.safetensors", whole=False)
    kontext, other = load(f"{folder}+{path}"), load(f"{dev}+{path}")
    assert kontext.denoiser.why_not("img2img")
    assert not other.denoiser.why_not("img2img")
    assert kontext.content_hash != other.content_hash


def test_parts_that_are_nowhere_are_named(tmp_path):
    pipeline, folder = saved_3(tmp_path, with_t5=True)
    checkpoint.write_3(pipeline, tmp_path / "3.safetensors")
    tensors = load_file(tmp_path / "3.safetensors")
    alone = {key: value for key, value in tensors.items() if not key.startswith("text_enc")}
    save_file(alone, tmp_path / "alone.safetensors")
    flux = checkpoint.write_flux(tiny_flow.flux(), tmp_path / "f.safetensors", whole=False)
    sd1 = load_file(checkpoint.write(tiny.build(), tmp_path / "1.safetensors"))
    save_file({k: v for k, v in sd1.items() if "first" not in k}, tmp_path / "1.safetensors")
    bare = without_weights(folder, tmp_path / "bare")
    refiner = {"conditioner.embedders.0.model.ln_final.weight": torch.ones(1)}
    save_file(refiner, tmp_path / "r.safetensors")
    for name, said in [
        (tmp_path / "3.safetensors", r"holds no tokenizer for T5: name a folder .* as FOLDER\+"),
        (tmp_path / "alone.safetensors", "lacks its text encoder"),
        (f"{bare}+{tmp_path / 'alone.safetensors'}", "bare has none"),
        (flux, "of FLUX.1 in one file, which holds no tokenizer"),
        (tmp_path / "1.safetensors", "lacks its autoencoder"),
        (tmp_path / "r.safetensors", "refiner"),
        (f"{tmp_path / 'no'}+{flux}", "There is no folder"),
        (f"{folder}+{tmp_path / 'no.safetensors'}", "There is no file"),
        (f"{folder}+{flux}=0.5", "is no LoRA"),
    ]:
        with pytest.raises(UserError, match=said):
            load(name)


def write(kind: str, tmp_path: Path) -> tuple[Path, Path]:
    """A folder of Stable Diffusion 3 or FLUX.1, and its transformer in one file."""
    if kind == "3":
        pipeline, folder = saved_3(tmp_path, with_t5=False)
        return folder, checkpoint.write_3(pipeline, tmp_path / "3.safetensors", "")
    pipeline = tiny_flow.flux()
    path = checkpoint.write_flux(pipeline, tmp_path / "flux.safetensors", whole=False)
    return tiny_flow.save(pipeline, tmp_path / "flux"), path


@pytest.mark.parametrize(
    ("kind", "tensor", "damage"),
    [
        ("3", "pos_embed", "gone"),
        ("3", "pos_embed", "flat"),
        ("3", "x_embedder.proj.weight", "flat"),
        ("3", "context_embedder.weight", "gone"),
        ("3", "y_embedder.mlp.0.weight", "flat"),
        ("flux", "img_in.weight", "flat"),
        ("flux", "final_layer.linear.weight", "gone"),
    ],
)
def test_a_transformer_of_other_shapes_is_told(tmp_path, kind, tensor, damage):
    folder, path = write(kind, tmp_path)
    weights = load_file(path)
    whole = weights.pop(tensor)
    if damage == "flat":
        weights[tensor] = whole.flatten()
    save_file(weights, path)
    with pytest.raises(UserError, match=rf"{re.escape(str(path))}.* {re.escape(tensor)}"):
        load(f"{folder}+{path}")


def test_stable_diffusion_2_with_a_flat_first_layer_is_told(tmp_path):
    pipeline, folder = saved_2(tmp_path, 0.2)
    path = checkpoint.write_2(pipeline, tmp_path / "2.safetensors")
    weights = load_file(path)
    weights["model.diffusion_model.input_blocks.0.0.weight"] = torch.ones(4)
    save_file(weights, path)
    with pytest.raises(UserError, match=r"2\.safetensors.*input_blocks\.0\.0\.weight"):
        load(path, config=without_weights(folder, tmp_path / "configs"))


@pytest.mark.parametrize(
    ("layout", "counts"),
    [
        (single_file.STABLE_DIFFUSION_2, {"denoiser": 865_910_724, "text_encoder": 340_387_840}),
        (single_file.STABLE_DIFFUSION_3, {"vae": 83_819_683}),
    ],
)
def test_the_configurations_that_ship_are_the_published_ones(layout, counts):
    """The full layout on no memory: numbers of parameters that are public."""
    for part, expected in counts.items():
        place = {"denoiser": "unet"}.get(part, part)
        config = json.loads((layout.configs / place / "config.json").read_text())
        with torch.device("meta"):
            if part == "text_encoder":
                model = transformers.CLIPTextModel(transformers.CLIPTextConfig.from_dict(config))
            else:
                model = getattr(diffusers, config["_class_name"]).from_config(config)
        assert sum(weight.numel() for weight in model.parameters()) == expected
