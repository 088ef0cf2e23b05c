import pytest
import torch

from brittle.errors import Unavailable
from brittle.metrics import Follow, Keep
from brittle.metrics.clip import load_clip
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
    for metric in (Keep(clip=source), Follow(clip=source)):
        with pytest.raises(Unavailable, match=r"no CLIP"):
            metric.score(photos, photos, prompts=PROMPTS)


def test_another_model_is_no_clip(photos, tiny_sd):
    with pytest.raises(Unavailable, match="no CLIP"):
        Keep(clip=str(tiny_sd / "vae")).score(photos, photos)
