import pytest
import torch
from training.captions import look_caption, nonsense, plain_caption
from training.looks import MAKERS, apply_look

from brittle.networks.prompt_classes import PROMPT_CLASSES, prompt_class


@pytest.fixture(scope="module")
def image() -> torch.Tensor:
    coarse = torch.rand(2, 3, 9, 9, generator=torch.Generator().manual_seed(0))
    return torch.nn.functional.interpolate(coarse, (64, 64), mode="bilinear")


def test_every_named_look_can_be_made() -> None:
    assert list(MAKERS) == list(PROMPT_CLASSES)
    assert len(PROMPT_CLASSES) >= 12


@pytest.mark.parametrize("look", MAKERS)
def test_a_look_keeps_shape_and_range_and_changes_the_image(look: str, image: torch.Tensor) -> None:
    made = apply_look(image, look, torch.Generator().manual_seed(1))
    assert made.shape == image.shape
    assert made.isfinite().all()
    assert made.min() >= 0
    assert made.max() <= 1
    assert (made - image).abs().mean() > 0.02


@pytest.mark.parametrize("look", MAKERS)
def test_the_same_generator_makes_the_same_look(look: str, image: torch.Tensor) -> None:
    first, second = (apply_look(image, look, torch.Generator().manual_seed(3)) for _ in range(2))
    assert torch.equal(first, second)


def test_looks_with_chance_in_them_vary(image: torch.Tensor) -> None:
    first, second = (
        apply_look(image, "heavy rain", torch.Generator().manual_seed(s)) for s in (1, 2)
    )
    assert not torch.equal(first, second)


@pytest.mark.parametrize("look", PROMPT_CLASSES)
def test_every_wording_is_recognised(look: str) -> None:
    wording = PROMPT_CLASSES[look]
    for text in (*wording.alone, *(w.format("a dog") for w in wording.subject)):
        assert prompt_class(text) == look, text


@pytest.mark.parametrize("prompt", ["", "a photo of a tulip", "blorf zint", "train", "fogle"])
def test_prompts_without_a_look_name_none(prompt: str) -> None:
    assert prompt_class(prompt) is None


def test_captions_name_what_they_should() -> None:
    import numpy as np

    rng = np.random.default_rng(0)
    for look in PROMPT_CLASSES:
        assert prompt_class(look_caption(look, "tulip", rng)) == look
    for _ in range(200):
        assert prompt_class(nonsense(rng)) is None
        assert prompt_class(plain_caption("tulip", "a photo of a tulip", rng)) is None
