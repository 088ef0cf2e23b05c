"""The embedded model's directory, as stock diffusers sees it."""

import json
from pathlib import Path

import pytest
import torch

import brittle
from brittle.editors import Img2Img, Inpaint
from brittle.metrics import Calibration
from brittle.models import load_model
from brittle.networks.prompt_classes import PROMPT_CLASSES
from brittle.networks.prompt_classifier import load_prompt_classifier
from brittle.trial.calibrating import GOOD_PHOTOS
from brittle.trial.demo import declared

FOLDER = Path(brittle.__file__).parent / "models" / "embedded"
MEGABYTE = 1_000_000

pytestmark = pytest.mark.skipif(
    not (FOLDER / "model_index.json").is_file(), reason="the embedded model is not in this checkout"
)


@pytest.fixture(scope="module")
def tokenizer():
    from transformers import CLIPTokenizer

    return CLIPTokenizer.from_pretrained(FOLDER / "tokenizer")


def test_it_is_small_and_holds_no_pickle() -> None:
    files = [path for path in FOLDER.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) <= 64 * MEGABYTE
    assert not [p for p in files if p.suffix in {".bin", ".pt", ".pth", ".ckpt", ".pkl"}]
    names = {path.name for path in files}
    assert {"vocab.json", "merges.txt", "tokenizer.json", "recommended.json"} <= names


def test_stock_pipelines_load_and_run() -> None:
    from diffusers import StableDiffusionImg2ImgPipeline, StableDiffusionPipeline

    pipeline = StableDiffusionImg2ImgPipeline.from_pretrained(FOLDER)
    pipeline.set_progress_bar_config(disable=True)
    image = torch.rand(2, 3, 128, 128, generator=torch.Generator().manual_seed(0))
    edited = pipeline(
        ["dog under heavy rain"] * 2, image=image, num_inference_steps=4, output_type="pt"
    ).images
    assert edited.shape == image.shape
    assert edited.isfinite().all()
    painter = StableDiffusionPipeline(**pipeline.components, requires_safety_checker=False)
    painter.set_progress_bar_config(disable=True)
    painted = painter("a photo of a tulip", num_inference_steps=2).images[0]
    assert painted.size == (512, 512)


def test_latents_have_about_unit_variance_and_no_factor_to_apply() -> None:
    config = json.loads((FOLDER / "vae" / "config.json").read_text())
    assert config["scaling_factor"] == 1.0


def test_every_byte_has_a_token(tokenizer) -> None:
    for text in ("é", "7", "日本", "☃", "naïve café 1984"):
        tokens = tokenizer(text).input_ids[1:-1]
        assert tokens, text
        assert tokenizer.eos_token_id not in tokens
        assert tokenizer.bos_token_id not in tokens
    assert tokenizer.model_max_length <= 77


def test_reserved_words_are_single_tokens(tokenizer) -> None:
    for word in ("sks", "zwx", "ohwx"):
        assert len(tokenizer(word).input_ids) == 3


def test_prompts_are_padded_and_cut_to_one_length(tokenizer) -> None:
    found = tokenizer(
        ["a", "very " * 100], padding="max_length", truncation=True, return_tensors="pt"
    )
    assert found.input_ids.shape == (2, tokenizer.model_max_length)


def test_the_classifier_knows_every_prompt_class() -> None:
    classifier = load_prompt_classifier(FOLDER)
    assert classifier.names == ("none", *PROMPT_CLASSES)
    found = classifier(torch.rand(2, 3, 128, 128))
    assert found.shape == (2, 1 + len(PROMPT_CLASSES))


@pytest.mark.parametrize(
    ("editor", "mask", "sizes"),
    [(Img2Img(), "none", (128, 256, 512)), (Inpaint(), "auto", (128, 256))],
)
def test_usable_edits_of_the_demos_prompts_are_judged(editor, mask, sizes) -> None:
    model = load_model()
    calibration = Calibration.of(model)
    prompts = declared(editor=editor.name).prompts
    for size in sizes:
        found = calibration.find(str(editor.resolve(model)), mask, size=size)
        assert found.size == size
        assert found.n >= GOOD_PHOTOS
        assert not [prompt for prompt in prompts if found.why_not(found.asked(prompt))]
