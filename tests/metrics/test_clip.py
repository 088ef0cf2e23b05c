import pytest
import torch

from brittle.errors import Unavailable
from brittle.metrics import Follow, Keep, Style
from brittle.networks.clip import load_clip
from brittle.networks.clip import prepared as prepared_for
from tests.metrics import files
from tests.metrics.test_psnr import noisy

PROMPTS = ["a dog in the snow", "a dog in the snow"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return files.save_clip(tmp_path_factory.mktemp("clip"))


def transformers_vectors(folder, images, prompt):
    """Unit vectors of images and prompt by transformers' own classes, from 8-bit pictures."""
    from PIL import Image
    from transformers import CLIPModel, CLIPTokenizer
    from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

    model = CLIPModel.from_pretrained(folder).eval()
    processor = CLIPImageProcessorPil(
        size={"shortest_edge": 64}, crop_size={"height": 64, "width": 64}
    )
    pictures = [Image.fromarray((x * 255).round().byte().permute(1, 2, 0).numpy()) for x in images]
    tokens = CLIPTokenizer.from_pretrained(folder)([prompt], return_tensors="pt")
    with torch.no_grad():
        found = model(
            pixel_values=processor(pictures, return_tensors="pt")["pixel_values"], **tokens
        )
    return found.image_embeds, found.text_embeds


@pytest.mark.parametrize("shape", [(128, 128), (96, 128), (128, 100)])
def test_agrees_with_transformers(photos, folder, shape):
    photos = photos[..., : shape[0], : shape[1]]
    edited = (noisy(photos) * 255).round() / 255
    images, text = transformers_vectors(folder, torch.cat([edited, photos]), PROMPTS[0])
    keep = Keep(clip=str(folder)).score(edited, photos)
    assert keep.tolist() == pytest.approx((images[:2] * images[2:]).sum(1).tolist(), abs=2e-3)
    follow = Follow(clip=str(folder)).score(edited, photos, prompts=PROMPTS)
    expected = (images[:2] - images[2:]) @ text[0]
    assert follow.tolist() == pytest.approx(expected.tolist(), abs=2e-3)


def test_style_is_the_formula_on_the_middle_layers_of_the_tower(photos, folder):
    from transformers import CLIPModel

    tower = CLIPModel.from_pretrained(folder).eval().vision_model
    read = {}
    for depth, layer in enumerate(tower.encoder.layers):
        layer.layer_norm1.register_forward_hook(
            lambda module, given, found, depth=depth: read.__setitem__(depth, found)
        )
    pair = []
    for photo in photos.split(1):
        prepared = prepared_for(photo, load_clip(str(folder)).size)
        with torch.no_grad():
            tower(pixel_values=prepared)
        pair.append([read[depth][0, 1:].double() for depth in (0, 1)])  # of two layers
    total = 0.0
    for one, other in zip(*pair, strict=True):
        assert one.shape == (16, 32)  # 64 px in patches of 16
        a, b = (x / x.norm(dim=1, keepdim=True) for x in (one, other))
        total += float((a.T @ a / 16 - b.T @ b / 16).pow(2).sum())
        total += float((a.mean(0) - b.mean(0)).pow(2).sum())
        total += float((a.std(0, correction=0) - b.std(0, correction=0)).pow(2).sum())
    found = Style(clip=str(folder)).score(photos[:1], photos[1:])
    assert float(found) == pytest.approx(total, rel=1e-5)
    assert Style(clip=str(folder)).score(photos, photos).tolist() == [0, 0]


def test_the_maps_lie_as_the_picture_does(photos, folder):
    """A change in one corner is seen most there: rows and columns aren't exchanged."""
    changed = photos[:1].clone()
    changed[..., :32, 96:] = 1 - changed[..., :32, 96:]
    first = zip(*(load_clip(str(folder)).maps(x) for x in (changed, photos[:1])), strict=True)
    one, other = next(first)
    moved = (one - other).square().sum(1)[0]
    assert moved.argmax() == 3


def test_an_untouched_photo_follows_no_prompt(photos, folder):
    assert Follow(clip=str(folder)).score(photos, photos, prompts=PROMPTS).tolist() == [0, 0]


def test_the_safety_checker_serves_keep_alone(photos, tiny_sd):
    from diffusers.pipelines.stable_diffusion.safety_checker import StableDiffusionSafetyChecker

    checker = StableDiffusionSafetyChecker.from_pretrained(tiny_sd / "safety_checker").eval()
    tower = load_clip(str(tiny_sd / "safety_checker"))
    for name, weight in checker.vision_model.state_dict().items():
        assert torch.equal(tower.model.vision_model.state_dict()[name], weight)
    keep = Keep(clip=str(tiny_sd / "safety_checker")).score(noisy(photos), photos)
    assert (keep < 1).all()
    assert torch.equal(Keep(clip=str(tiny_sd)).score(noisy(photos), photos), keep)
    style = Style(clip=str(tiny_sd)).score(noisy(photos), photos)
    assert (style > 0).all()
    assert (style < Style(clip=str(tiny_sd)).score(photos.flip(0), photos)).all()
    with pytest.raises(Unavailable, match="image tower only"):
        Follow(clip=str(tiny_sd / "safety_checker")).score(photos, photos, prompts=PROMPTS)


def test_a_downloaded_pipeline_lends_its_safety_checker(photos, tiny_sd, tmp_path, monkeypatch):
    from huggingface_hub import constants

    repository = tmp_path / "models--someone--sd"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text("abc")
    (repository / "snapshots").mkdir()
    (repository / "snapshots" / "abc").symlink_to(tiny_sd)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    found = Keep(clip="someone/sd").score(noisy(photos), photos)
    assert torch.equal(found, Keep(clip=str(tiny_sd)).score(noisy(photos), photos))


@pytest.mark.parametrize("source", ["nobody/has-this-clip", "empty"])
def test_says_that_there_is_no_clip(photos, tmp_path, monkeypatch, source):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    for metric in (Keep(clip=source), Follow(clip=source), Style(clip=source)):
        with pytest.raises(Unavailable, match=r"no CLIP"):
            metric.score(photos, photos, prompts=PROMPTS)


def test_another_model_is_no_clip(photos, tiny_sd):
    with pytest.raises(Unavailable, match="no CLIP"):
        Keep(clip=str(tiny_sd / "vae")).score(photos, photos)
