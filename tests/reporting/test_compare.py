"""Trials side by side: from finished folders alone, every protection against the first."""

import re

import pytest

from brittle.errors import UserError
from brittle.record.manifest import Model
from brittle.reporting.compare import compare_trials, differing_settings
from tests.reporting.made import PROTECTION, finish, make_trial


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    folder = tmp_path_factory.mktemp("trials")
    sd = Model(name="sd", content_hash="x", size=512)
    return {
        path.name: finish(make_trial(path, pictures=False, **settings))
        for path, settings in (
            (folder / "old", {}),
            (folder / "new", {"strength": 0.5, "batch": 4, "model": sd}),
            (folder / "others", {"digest": "others"}),
        )
    }


def test_the_page_and_the_text_say_the_same(two, tmp_path):
    text = compare_trials([two["old"], two["new"]], tmp_path / "a.html")[1]
    page = (tmp_path / "a.html").read_text()
    old, new = f"{PROTECTION} (old)", f"{PROTECTION} (new)"
    for said in (old, new, f"{new} minus {old}"):
        assert said in text
        assert said in page
    assert "paired by photo: 8 photos" in text
    assert "paired by photo: 8 photos" in page
    assert "On sd" in page
    assert "On the embedded model" in page
    assert "Usable was not validated by a person." in page
    assert "script-src" in page
    assert "<script" not in page


def test_differences_of_settings_are_listed(two, tmp_path):
    text = compare_trials([two["old"], two["new"]], tmp_path / "a.html")[1]
    listed = text.partition("Set differently:")[2]
    assert re.search(r"^batch +8 +4$", listed, re.MULTILINE)
    assert re.search(r"^model.name +embedded +sd$", listed, re.MULTILINE)
    assert "device" not in listed
    same = compare_trials([two["old"], two["others"]], tmp_path / "b.html")[1]
    assert "No setting differs." in same


def test_other_photos_are_compared_unpaired_and_it_says_so(two, tmp_path):
    text = compare_trials([two["old"], two["others"]], tmp_path / "a.html")[1]
    assert "not paired: the trials share no photos" in text


def test_what_one_trial_lacks_is_one_line_and_the_others_are_compared():
    def manifest(*editors):
        return {"editors": [{"label": label, "record": {"fields": {"strength": strength}}}
                            for label, strength in editors]}  # fmt: skip

    found = differing_settings(
        [manifest(("img2img", 0.5)), manifest(("img2img", 0.6)), manifest(("inpaint", 1))]
    )
    assert {one.name: one.values for one in found} == {
        "editors: img2img": ("there", "there", "–"),
        "editors: img2img.record.fields.strength": ("0.5", "0.6", "–"),
        "editors: inpaint": ("–", "–", "there"),
    }


def test_thresholds_are_told_apart_by_their_editor_and_mask():
    def manifest(*masks):
        every = [{"editor": "inpaint", "mask": mask, "tau_keep": 0.5} for mask in masks]
        return {"calibration": {"thresholds": every}}

    (found,) = differing_settings([manifest("auto", "own"), manifest("own")])
    assert found.name == "calibration.thresholds: inpaint, mask auto"
    assert found.values == ("there", "–")


def test_what_can_not_be_compared_is_refused(two, tmp_path):
    for names, out, complaint in (
        (["old"], "a.html", "Name two different folders"),
        (["old", "old"], "a.html", "Name two different folders"),
        (["old", "new"], "a.txt", "an .html file"),
    ):
        with pytest.raises(UserError, match=complaint):
            compare_trials([two[name] for name in names], tmp_path / out)
    assert not (tmp_path / "a.html").exists()
