import json
from types import SimpleNamespace

import pytest
import torch

from brittle.errors import Unavailable
from brittle.metrics import Calibration, Follow, Keep, calibrate
from brittle.metrics.memory import MEMORY
from tests.metrics import files

VALID = {
    "tau_follow": {"snow": 0.6, "night": 0.5, "a house of glass": 0.1},
    "tau_keep": 0.7,
    "validity": {
        "keep_between_photos": 0.5,
        "follow_empty": {"snow": 0.2, "night": 0.9, "a house of glass": 0.05},
    },
    "n": 40,
    "photos": "forty photos",
}


@pytest.fixture
def model(tmp_path):
    files.save_look_classifier(tmp_path)
    return SimpleNamespace(directory=tmp_path)


def test_follow_is_the_probability_of_the_look_asked_for(photos, model):
    classifier = files.save_look_classifier(model.directory)
    prompts = ["dog in the snow", "a city by moonlight"]
    with torch.no_grad():
        expected = [
            classifier.probability(photos[:1], "snow").item(),
            classifier.probability(photos[1:], "night").item(),
        ]
    found = Follow().score(photos, photos.flip(0), prompts=prompts, model=model)
    assert found.tolist() == pytest.approx(expected, rel=1e-5)
    assert len({*found.tolist()}) == 2


@pytest.mark.parametrize(
    ("prompt", "reason"),
    [("", "empty prompt"), ("a house of glass", "names no look"), (None, "empty prompt")],
)
def test_follow_says_what_it_cannot_judge(photos, model, prompt, reason):
    prompts = None if prompt is None else [prompt] * 2
    with pytest.raises(Unavailable, match=reason):
        Follow().score(photos, photos, prompts=prompts, model=model)


def test_follow_without_a_classifier_asks_for_clip(photos, tmp_path):
    for model in (None, SimpleNamespace(directory=None), SimpleNamespace(directory=tmp_path)):
        with pytest.raises(Unavailable, match="follow:clip=DIR"):
            Follow().score(photos, photos, prompts=["snow"] * 2, model=model)


def test_keep_tells_a_damaged_photo_from_another(photos):
    gray = photos.mean(1, keepdim=True).expand(-1, 3, -1, -1)
    for damaged in (photos * 0.6, gray, 1 - gray):
        same, other = Keep().score(damaged, photos), Keep().score(damaged, photos.flip(0))
        assert (same > 0.4).all()
        assert (other < 0.2).all()


def test_keep_is_the_cosine_of_centred_features(photos):
    from brittle.metrics import efficientnet

    a, b = (efficientnet.features(x)[3][0].flatten(1).numpy() for x in (photos[:1], photos[1:]))
    a, b = (x - x.mean(1, keepdims=True) for x in (a, b))
    expected = (a * b).sum() / ((a**2).sum() * (b**2).sum()) ** 0.5
    assert Keep().score(photos[:1], photos[1:]).item() == pytest.approx(expected, rel=1e-4)


def calibration(**changes):
    return Calibration.model_validate(VALID | changes)


@pytest.mark.parametrize(
    ("follow", "keep", "expected"),
    [(0.6, 0.7, 1.0), (0.59, 0.9, 0.0), (0.9, 0.69, 0.0), (0.1, 0.1, 0.0)],
)
def test_usable_takes_both(follow, keep, expected):
    assert calibration().usable(follow, keep, "a dog on a snowy day") == expected


def test_a_prompt_may_have_its_own_threshold():
    assert calibration().usable(0.2, 0.8, "a house of glass") == 1.0


def test_usable_says_why_not():
    with pytest.raises(Unavailable, match="not calibrated for the prompt 'a dog'"):
        calibration().usable(1, 1, "a dog")
    with pytest.raises(Unavailable, match="not valid for 'night'"):
        calibration().usable(1, 1, "a dog at night")
    with pytest.raises(Unavailable, match="does not tell edits from other photos"):
        calibration(tau_keep=0.5).usable(1, 1, "snow")


def test_files_come_back(tmp_path):
    calibration().save(tmp_path / "calibration.json")
    assert Calibration.load(tmp_path) == calibration()
    assert Calibration.of(SimpleNamespace(directory=tmp_path)) == calibration()


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (None, "there are no thresholds"),
        ("{", "can't be read"),
        (json.dumps({**VALID, "tau_keep": "much"}), "tau_keep"),
        (json.dumps({"n": 3}), "tau_follow: field required"),
    ],
)
def test_a_missing_or_broken_file_has_a_reason(tmp_path, text, reason):
    if text is not None:
        (tmp_path / "calibration.json").write_text(text)
    with pytest.raises(Unavailable, match=reason) as raised:
        Calibration.load(tmp_path)
    assert str(raised.value).startswith("not calibrated")


class Painter:
    """An editor whose outcomes are known: 'snow' whitens by the seed's amount, '' does nothing."""

    def __call__(self, image, prompts, seeds):
        amounts = torch.tensor([seed / 100 if prompt else 0.0 for prompt, seed in
                                zip(prompts, seeds, strict=True)]).view(-1, 1, 1, 1)  # fmt: skip
        return image * (1 - amounts) + amounts


def test_thresholds_are_tenth_percentiles_over_edits_of_untouched_photos(model):
    generator = torch.Generator().manual_seed(0)
    photos = torch.nn.functional.interpolate(
        torch.rand(20, 3, 8, 8, generator=generator), (64, 64), mode="bilinear"
    )
    prompts = ["dog in the snow", "a snowy day", "city at night"]
    found = calibrate(Painter(), model, photos, prompts, seed=10, source="made up")

    edits = Painter()(photos, ["x"] * 20, range(10, 30))
    snow = Follow().score(edits, photos, prompts=["snow"] * 20, model=model)
    keep = Keep().score(edits, photos)
    empty = Follow().score(photos, photos, prompts=["night"] * 20, model=model)
    assert found.tau_follow["snow"] == pytest.approx(snow.quantile(0.1).item())
    assert found.tau_keep == pytest.approx(keep.quantile(0.1).item())
    assert found.validity.follow_empty["night"] == pytest.approx(empty.quantile(0.95).item())
    assert set(found.tau_follow) == {"snow", "night"}
    assert (found.n, found.photos, found.follow, found.keep) == (20, "made up", "follow", "keep")

    others = torch.tensor([
        Keep().score(photos[i : i + 1], photos[j : j + 1]).item()
        for i in range(20) for j in range(20) if 1 <= (i - j) % 20 <= 4
    ])  # fmt: skip
    assert found.validity.keep_between_photos == pytest.approx(
        others.quantile(0.95).item(), abs=1e-6
    )


def test_scoring_a_photo_against_many_edits_looks_at_it_once(photos, model, monkeypatch):
    from brittle.metrics import efficientnet

    runs = []
    network = efficientnet._run
    monkeypatch.setattr(efficientnet, "_run", lambda x: runs.append(1) or network(x))
    MEMORY.forget()
    for strength in (0.1, 0.2, 0.3):
        Keep().score(photos * (1 - strength), photos)
    assert len(runs) == 2 + 3 * 2
