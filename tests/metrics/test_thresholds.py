import json

import pytest
import torch

from brittle.errors import Unavailable
from brittle.metrics import Calibration, Follow, Keep, Thresholds, calibrate
from brittle.metrics.thresholds import mask_kind, threshold_error
from tests.metrics import files

EDITOR = "img2img:strength=0.35"
VALID = {
    "editor": EDITOR,
    "mask": "none",
    "size": 256,
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
    files.save_prompt_classifier(tmp_path)
    return files.standing_in(tmp_path)


def thresholds(**changes):
    return Thresholds.model_validate(VALID | changes)


@pytest.mark.parametrize(
    ("follow", "keep", "expected"),
    [(0.6, 0.7, 1.0), (0.59, 0.9, 0.0), (0.9, 0.69, 0.0), (0.1, 0.1, 0.0)],
)
def test_usable_takes_both(follow, keep, expected):
    assert thresholds().usable(follow, keep, "a dog on a snowy day") == expected


def test_a_prompt_may_have_its_own_threshold():
    assert thresholds().usable(0.2, 0.8, "a house of glass") == 1.0


def test_usable_says_why_not():
    with pytest.raises(Unavailable, match="not calibrated for the prompt 'a dog'"):
        thresholds().usable(1, 1, "a dog")
    with pytest.raises(Unavailable, match="not valid for 'night'"):
        thresholds().usable(1, 1, "a dog at night")
    with pytest.raises(Unavailable, match="does not tell edits from other photos"):
        thresholds(tau_keep=0.5).usable(1, 1, "snow")


def test_each_editor_setting_and_kind_of_mask_has_its_own_thresholds():
    painted = thresholds(editor="inpaint:strength=1", mask="auto", tau_keep=0.9)
    found = Calibration(model="weights", thresholds=(thresholds(), painted))
    assert found.find(EDITOR, size=256).tau_keep == 0.7
    assert found.find("inpaint:strength=1", "auto", size=256).tau_keep == 0.9
    for editor, mask in (("img2img:strength=0.5", "none"), ("inpaint:strength=1", "own")):
        with pytest.raises(Unavailable, match=f"not calibrated for {editor}, mask {mask}"):
            found.find(editor, mask, size=256)


def test_the_thresholds_of_the_nearest_size_serve():
    some = [thresholds(size=size, tau_keep=size / 1000) for size in (128, 256, 512)]
    found = Calibration(model="weights", thresholds=tuple(some))
    nearest = {size: found.find(EDITOR, size=size).size for size in (90, 180, 182, 360, 364, 768)}
    assert nearest == {90: 128, 180: 128, 182: 256, 360: 256, 364: 512, 768: 512}
    for size in (80, 776):
        with pytest.raises(
            Unavailable, match=rf"pictures of {size} px \(calibrated: 128, 256, 512"
        ):
            found.find(EDITOR, size=size)


def test_calibrations_at_several_sizes_are_one_file():
    each = [Calibration(model="weights", thresholds=(thresholds(size=s),)) for s in (128, 256)]
    assert [one.size for one in Calibration.together(each).thresholds] == [128, 256]


def test_masks_are_of_four_kinds():
    kinds = [mask_kind(mask) for mask in (None, "auto", "alpha", "masks/")]
    assert kinds == ["none", "auto", "alpha", "own"]


def test_files_come_back(tmp_path):
    found = Calibration(model="weights", thresholds=(thresholds(),))
    found.save(tmp_path / "calibration.json")
    assert Calibration.load(tmp_path) == found
    model = files.standing_in(tmp_path)
    assert Calibration.of(model) == found
    elsewhere = files.standing_in(None)
    assert Calibration.of(elsewhere, tmp_path / "calibration.json") == found
    with pytest.raises(Unavailable, match="there are no thresholds for this model"):
        Calibration.of(elsewhere)


def test_thresholds_of_other_weights_are_refused(tmp_path):
    Calibration(model="weights", thresholds=(thresholds(),)).save(tmp_path / "calibration.json")
    with pytest.raises(Unavailable, match="a model with other weights"):
        Calibration.of(files.standing_in(tmp_path, "newer weights"))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (None, "there are no thresholds"),
        ("{", "can't be read"),
        (json.dumps({"model": "x", "thresholds": [{**VALID, "tau_keep": "much"}]}), "tau_keep"),
        (json.dumps({"model": "x"}), "thresholds: field required"),
        (json.dumps(VALID), "unknown key 'editor'"),
    ],
)
def test_a_missing_or_broken_file_has_a_reason(tmp_path, text, reason):
    if text is not None:
        (tmp_path / "calibration.json").write_text(text)
    with pytest.raises(Unavailable, match=f"(?i){reason}") as raised:
        Calibration.load(tmp_path)
    assert str(raised.value).startswith("not calibrated")


class Painter:
    """An editor of known outcomes: a prompt whitens by the photo's place, '' does nothing."""

    def __init__(self, photos):
        self.photos = photos

    def __call__(self, places, prompt):
        image = self.photos[list(places)]
        amounts = torch.tensor([(10 + place) / 100 if prompt else 0.0 for place in places])
        return image + amounts.view(-1, 1, 1, 1) * (1 - image)


def test_thresholds_are_tenth_percentiles_over_edits_of_untouched_photos(model):
    generator = torch.Generator().manual_seed(0)
    photos = torch.nn.functional.interpolate(
        torch.rand(20, 3, 8, 8, generator=generator), (64, 64), mode="bilinear"
    )
    prompts = ["dog in the snow", "a snowy day", "city at night"]
    paint = Painter(photos)
    found = calibrate(paint, model, photos, prompts, editor=EDITOR, source="made up")

    edits = paint(range(20), "x")
    snow = Follow().score(edits, photos, prompts=["snow"] * 20, model=model)
    keep = Keep().score(edits, photos)
    empty = Follow().score(photos, photos, prompts=["night"] * 20, model=model)
    assert found.tau_follow["snow"] == pytest.approx(snow.quantile(0.1).item())
    assert found.tau_keep == pytest.approx(keep.quantile(0.1).item())
    assert found.validity.follow_empty["night"] == pytest.approx(empty.quantile(0.95).item())
    assert set(found.tau_follow) == {"snow", "night"}
    assert (found.editor, found.mask, found.n, found.photos) == (EDITOR, "none", 20, "made up")
    assert (found.follow, found.keep) == ("follow", "keep")
    assert set(found.errors.tau_follow) == {"snow", "night"}
    assert found.errors.tau_keep == pytest.approx(threshold_error([keep.tolist()]), rel=0.05)

    others = torch.tensor([
        Keep().score(photos[i : i + 1], photos[j : j + 1]).item()
        for i in range(20) for j in range(20) if 1 <= (i - j) % 20 <= 4
    ])  # fmt: skip
    assert found.validity.keep_between_photos == pytest.approx(
        others.quantile(0.95).item(), abs=1e-6
    )


def test_a_thresholds_error_is_what_other_photos_would_have_moved_it_by():
    scores = torch.randn(400, 60, generator=torch.Generator().manual_seed(1)).double()
    true = scores.quantile(0.1, dim=1).std().item()
    found = torch.tensor([threshold_error([row.tolist()]) for row in scores[:60]])
    assert true < found.mean().item() < 1.25 * true  # of a quantile the bootstrap errs upwards
    # Two prompts of one photo are no further photos.
    twice = threshold_error([scores[0].tolist()] * 2)
    assert twice == pytest.approx(threshold_error([scores[0].tolist()]), rel=0.2)


def test_under_masks_follow_is_judged_on_what_was_painted(model):
    photos = torch.rand(8, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    masks = torch.zeros(8, 1, 64, 64)
    masks[..., 8:40, 16:56] = 1
    paint = Painter(photos)
    found = calibrate(paint, model, photos, ["snow"], editor=EDITOR, masks=masks, source="made up")
    painted, reference = (x[..., 8:40, 16:56] for x in (paint(range(8), "snow"), photos))
    expected = Follow().score(painted, reference, prompts=["snow"] * 8, model=model)
    assert found.tau_follow["snow"] == pytest.approx(expected.quantile(0.1).item())
