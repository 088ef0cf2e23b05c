"""An IP-Adapter, random, on random models: beside diffusers' pipelines, and in an edit."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from brittle import noise
from brittle.component import key
from brittle.editors import IPAdapter
from brittle.errors import UserError
from brittle.models import chain, load_model
from brittle.silence import silence
from tests.models import tiny, tiny_xl

IMAGE = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(3))
WIDTH, SIDE = 8, 16
HEAD = 64
"""How wide the heads of a plus adapter are, by diffusers' conversion."""


def projection_of(kind: str, cross: int, weight) -> dict[str, torch.Tensor]:
    """What turns CLIP's sight into tokens of width ``cross``, by the published files' names."""
    if kind == "plain":
        return {
            "proj.weight": weight(4 * cross, WIDTH),
            "proj.bias": weight(4 * cross),
            "norm.weight": 1 + weight(cross),
            "norm.bias": weight(cross),
        }
    if kind == "full":
        return {
            "proj.0.weight": weight(WIDTH, WIDTH),
            "proj.0.bias": weight(WIDTH),
            "proj.2.weight": weight(cross, WIDTH),
            "proj.2.bias": weight(cross),
            "proj.3.weight": 1 + weight(cross),
            "proj.3.bias": weight(cross),
        }
    layer = {
        "0.norm1.weight": 1 + weight(HEAD),
        "0.norm1.bias": weight(HEAD),
        "0.norm2.weight": 1 + weight(HEAD),
        "0.norm2.bias": weight(HEAD),
        "0.to_q.weight": weight(HEAD, HEAD),
        "0.to_kv.weight": weight(2 * HEAD, HEAD),
        "0.to_out.weight": weight(HEAD, HEAD),
        "1.0.weight": 1 + weight(HEAD),
        "1.0.bias": weight(HEAD),
        "1.1.weight": weight(4 * HEAD, HEAD),
        "1.3.weight": weight(HEAD, 4 * HEAD),
    }
    return {
        "latents": weight(1, 3, HEAD),
        "proj_in.weight": weight(HEAD, WIDTH),
        "proj_in.bias": weight(HEAD),
        "proj_out.weight": weight(cross, HEAD),
        "proj_out.bias": weight(cross),
        "norm_out.weight": 1 + weight(cross),
        "norm_out.bias": weight(cross),
        **{f"layers.{n}.{name}": value for n in range(4) for name, value in layer.items()},
    }


def write_adapter(folder: Path, unet, kind: str = "plain") -> Path:
    """Weights for a UNet, and an image encoder for pictures of `SIDE` px."""
    from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

    cross = unet.config.cross_attention_dim
    generator = torch.Generator().manual_seed(1)

    def weight(*shape: int) -> torch.Tensor:
        return torch.randn(shape, generator=generator) * 0.5

    projection = projection_of(kind, cross, weight)
    tensors = {f"image_proj.{name}": value.clone() for name, value in projection.items()}
    modules = dict(unet.named_modules())
    for number, name in enumerate(unet.attn_processors):
        if "attn2" in name:
            hidden = modules[name.removesuffix(".processor")].to_q.out_features
            for part in ("k", "v"):
                tensors[f"ip_adapter.{number}.to_{part}_ip.weight"] = weight(hidden, cross)
    folder.mkdir()
    save_file(tensors, folder / "adapter.safetensors")
    with silence():
        torch.manual_seed(2)
        CLIPVisionModelWithProjection(
            CLIPVisionConfig(
                hidden_size=WIDTH,
                intermediate_size=WIDTH,
                num_hidden_layers=2,
                num_attention_heads=2,
                projection_dim=WIDTH,
                image_size=SIDE,
                patch_size=8,
            )
        ).save_pretrained(folder / "image_encoder")
    return folder / "adapter.safetensors"


@pytest.fixture(scope="module", params=["1.x", "XL", "1.x plus", "1.x full"])
def adapted(request, tmp_path_factory):
    """A model's folder, the adapter's file, and diffusers' pipeline with it."""
    work = tmp_path_factory.mktemp("models")
    base, _, kind = request.param.partition(" ")
    pipeline = tiny.smallest() if base == "1.x" else tiny_xl.build()
    with silence():
        pipeline.save_pretrained(work / "model")
        file = write_adapter(work / "adapter", pipeline.unet, kind or "plain")
        pipeline.load_ip_adapter(
            work / "adapter", subfolder="", weight_name=file.name, image_encoder_folder=None
        )
    pipeline.set_progress_bar_config(disable=True)
    pipeline.set_ip_adapter_scale(0.7)
    return work / "model", file, pipeline


def without(model) -> torch.Tensor:
    """What diffusers' pipelines show beside a negative prompt."""
    pixels = torch.zeros(1, 3, SIDE, SIDE)
    told = model.part("image_encoder")(pixels, output_hidden_states=True)
    if model.files.sees_places:
        return told.hidden_states[-2][:, None]
    return torch.zeros_like(told.image_embeds)[:, None]


@pytest.mark.parametrize("guidance_scale", [3.0, 1.0])
def test_pictures_equal_diffusers(adapted, guidance_scale):
    folder, file, pipeline = adapted
    editor = IPAdapter(adapter=str(file), scale=0.7)
    model = editor.adapted(load_model(folder, device="cpu", dtype="float32"))
    settings = {"num_inference_steps": 3, "guidance_scale": guidance_scale}
    plan = chain.plan(
        model,
        prompts=["a cat"],
        streams=noise.generators([5]),
        shape=IMAGE.shape[-2:],
        task="generate",
        **settings,
    )
    with torch.inference_mode():
        start = chain.start(model, plan, IMAGE)
        mine = chain.finish(model, start, plan)
        seen, _ = start.condition.shown
        if guidance_scale > 1:
            seen = torch.cat([without(model), seen])
        with silence():
            latents = pipeline(
                "a cat",
                height=IMAGE.shape[-2],
                width=IMAGE.shape[-1],
                ip_adapter_image_embeds=[seen],
                generator=torch.Generator().manual_seed(5),
                output_type="latent",
                **settings,
            ).images
        scale = pipeline.vae.config.scaling_factor
        expected = pipeline.vae.decode(latents / scale).sample / 2 + 0.5
    assert (mine - expected).abs().max() <= 1e-5 * max(1.0, float(expected.abs().max()))


def test_the_picture_is_seen_as_clips_own_preparation_shows_it(adapted):
    from transformers import CLIPImageProcessor

    folder, file, _ = adapted
    model = IPAdapter(adapter=str(file)).adapted(load_model(folder, device="cpu", dtype="float32"))
    picture = (IMAGE * 255).round() / 255
    processor = CLIPImageProcessor(size={"shortest_edge": SIDE}, crop_size=SIDE)
    prepared = processor(picture[0], do_rescale=False, return_tensors="pt").pixel_values
    with torch.inference_mode():
        told = model.part("image_encoder")(prepared, output_hidden_states=True)
        expected = told.hidden_states[-2] if model.files.sees_places else told.image_embeds
        told = model.denoiser.condition(["a"], [""], shape=(32, 32), guidance_scale=1)
        seen, _ = model.denoiser.show("generate", picture, None, model.encode, None, told)
    assert (seen[:, 0] - expected).abs().max() < 0.05 * expected.abs().max()


def test_gradients_reach_the_picture(adapted):
    folder, file, _ = adapted
    model = IPAdapter(adapter=str(file)).adapted(load_model(folder, device="cpu", dtype="float32"))
    plan = chain.plan(
        model,
        prompts=["a"],
        streams=noise.generators([5]),
        shape=IMAGE.shape[-2:],
        task="generate",
        num_inference_steps=2,
        guidance_scale=2.0,
        scheduler="ddim",
    )
    gradients = []
    for recompute in (False, True):
        image = IMAGE.clone().requires_grad_()
        start = chain.start(model, plan, image, recompute=recompute)
        chain.finish(model, start, plan, recompute=recompute).square().mean().backward()
        gradients.append(image.grad)
    plain, recomputed = gradients
    assert plain.abs().max() > 0
    assert (plain - recomputed).norm() <= 1e-5 * plain.norm()


def test_the_editor_follows_picture_and_scale(adapted):
    folder, file, _ = adapted
    model = load_model(folder, device="cpu", dtype="float32")
    editor = IPAdapter(adapter=str(file), num_inference_steps=2)
    same, other = (editor.edit(model, one, prompts=["a"], seeds=[0]) for one in (IMAGE, 1 - IMAGE))
    assert same.shape[:2] == IMAGE.shape[:2]
    assert not torch.equal(same, other)
    deaf = editor.model_copy(update={"scale": 0.0})
    silent = [deaf.edit(model, one, prompts=["a"], seeds=[0]) for one in (IMAGE, 1 - IMAGE)]
    assert torch.equal(*silent)
    assert key(editor) != key(deaf)


def test_what_is_no_adapter_is_refused(adapted, tmp_path):
    folder, _, _ = adapted
    model = load_model(folder, device="cpu", dtype="float32")
    with pytest.raises(UserError, match="needs the file of an IP-Adapter"):
        IPAdapter().resolve(model)
    with pytest.raises(UserError, match="there is no adapter at"):
        IPAdapter.parse(f"ip-adapter:adapter={tmp_path / 'none.safetensors'}")
    for name, said in (("norm.weight", "of another kind"), ("", "is no IP-Adapter")):
        path = tmp_path / f"{name or 'empty'}.safetensors"
        tensors = {f"image_proj.{name}": torch.ones(1), "ip_adapter.1.x": torch.ones(1)}
        save_file(tensors if name else {"x": torch.ones(1)}, path)
        with pytest.raises(UserError, match=said):
            IPAdapter(adapter=str(path)).resolve(model)
