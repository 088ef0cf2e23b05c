import pytest

from brittle import api
from brittle.errors import UserError
from brittle.models import load_model
from brittle.models.prompts import check_prompts, cut_note, cut_prompts
from brittle.networks.prompt_classes import PROMPT_CLASSES

LONG = "snow " * 80


@pytest.fixture(scope="module")
def model(tiny_sd):
    return load_model(tiny_sd, device="cpu", dtype="float32")


@pytest.mark.parametrize(
    ("one", "other", "sentence"),
    [
        (LONG + "rain", LONG + "fog", "differ only past the 77 tokens"),
        (LONG, LONG + "fog", "differ only past the 77 tokens"),
        ("a dog in the snow", "A dog  in the Snow", "differ only in capitals or spaces"),
    ],
)
def test_prompts_that_are_read_as_the_same_are_refused(model, one, other, sentence):
    with pytest.raises(UserError, match=sentence):
        check_prompts(model, ["night", one, other])


def test_prompts_that_differ_where_they_are_read_are_taken(model):
    check_prompts(model, ["rain " + LONG, "fog " + LONG, "night", "a dog", "dog"])
    check_prompts(model, [LONG, LONG])  # said twice is one prompt


def test_prompts_that_are_cut_are_told_and_no_other(model, embedded):
    whole = "snow " * 75
    assert cut_prompts(model, [whole, LONG, "night"]) == (LONG,)
    assert cut_prompts(embedded, ["snow " * 30, "snow " * 31]) == ("snow " * 31,)
    assert "reads 77 tokens" in cut_note(model, LONG)


@pytest.mark.parametrize("prompt", ["xylophone", "a zebra of the quartz", "☃ 雪", "of the"])
def test_a_prompt_of_unknown_words_is_answered_with_what_the_embedded_model_knows(
    embedded, photos, prompt
):
    with pytest.raises(UserError, match="knows no word of") as caught:
        api.edit(photos[:1], prompt, model=embedded)
    assert all(name in str(caught.value) for name in PROMPT_CLASSES)


@pytest.mark.parametrize("prompt", ["Snow!", "zebra in the rain", "dog", "photo of sks", "RAIN"])
def test_one_known_word_is_enough(embedded, prompt):
    check_prompts(embedded, [prompt])


def test_other_models_are_not_asked_what_they_know(model):
    check_prompts(model, ["xylophone"])
