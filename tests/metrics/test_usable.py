import pytest
import torch

from brittle.errors import Unavailable
from brittle.metrics import Follow, Keep
from brittle.networks.feature_cache import MEMORY
from tests.metrics import files


@pytest.fixture
def model(tmp_path):
    files.save_prompt_classifier(tmp_path)
    return files.standing_in(tmp_path)


NAMED = ("snow", "night")


def test_follow_is_the_probability_of_the_class_asked_for(photos, model):
    classifier = files.save_prompt_classifier(model.directory)
    prompts = ["dog in the snow", "a city by moonlight"]
    with torch.no_grad():
        shares = classifier(photos).softmax(1)
    expected = [shares[i, classifier.names.index(name)].item() for i, name in enumerate(NAMED)]
    found = Follow().score(photos, photos.flip(0), prompts=prompts, model=model)
    assert found.tolist() == pytest.approx(expected, rel=1e-5)
    assert len({*found.tolist()}) == 2


@pytest.mark.parametrize(
    ("prompt", "reason"),
    [("", "empty prompt"), ("a house of glass", "names no class"), (None, "empty prompt")],
)
def test_follow_says_what_it_cannot_judge(photos, model, prompt, reason):
    prompts = None if prompt is None else [prompt] * 2
    with pytest.raises(Unavailable, match=reason):
        Follow().score(photos, photos, prompts=prompts, model=model)


def test_follow_needs_some_pixels_to_judge(photos, model):
    tiny = photos[..., :15, :40]
    with pytest.raises(Unavailable, match="at least 16 pixels"):
        Follow().score(tiny, tiny, prompts=["snow"] * 2, model=model)


def test_follow_without_a_classifier_asks_for_clip(photos, tmp_path):
    for model in (None, files.standing_in(None), files.standing_in(tmp_path)):
        with pytest.raises(Unavailable, match="follow:clip=DIR"):
            Follow().score(photos, photos, prompts=["snow"] * 2, model=model)


def test_keep_tells_a_damaged_photo_from_another(photos):
    gray = photos.mean(1, keepdim=True).expand(-1, 3, -1, -1)
    for damaged in (photos * 0.6, gray, 1 - gray):
        same, other = Keep().score(damaged, photos), Keep().score(damaged, photos.flip(0))
        assert (same > 0.4).all()
        assert (other < 0.2).all()


def test_keep_is_the_cosine_of_centred_features(photos):
    from brittle.networks import efficientnet

    a, b = (efficientnet.features(x)[3][0].flatten(1).numpy() for x in (photos[:1], photos[1:]))
    a, b = (x - x.mean(1, keepdims=True) for x in (a, b))
    expected = (a * b).sum() / ((a**2).sum() * (b**2).sum()) ** 0.5
    assert Keep().score(photos[:1], photos[1:]).item() == pytest.approx(expected, rel=1e-4)


def test_scoring_a_photo_against_many_edits_looks_at_it_once(photos, model, monkeypatch):
    from brittle.networks import efficientnet

    runs = []
    network = efficientnet._run
    monkeypatch.setattr(efficientnet, "_run", lambda x: runs.append(1) or network(x))
    MEMORY.forget()
    for strength in (0.1, 0.2, 0.3):
        Keep().score(photos * (1 - strength), photos)
    assert len(runs) == 2 + 3 * 2
