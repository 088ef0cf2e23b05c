"""Trials side by side: from finished folders alone, every protection against the first."""

import re

import pytest

import brittle
from brittle.errors import UserError
from brittle.reporting.compare import differing_settings
from tests.reporting.trials import make_trial


def compare(folders, out):
    return brittle.compare(folders, out).text


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    folder = tmp_path_factory.mktemp("trials")
    make_trial(folder / "old")
    make_trial(folder / "new", before=0.7, after=0.6, batch=4,
               model={"name": "sd", "content_hash": "x", "size": 512})  # fmt: skip
    make_trial(folder / "others", digest="others")
    return folder


def test_the_page_and_the_text_say_the_same(two, tmp_path):
    text = compare([two / "old", two / "new"], tmp_path / "a.html")
    page = (tmp_path / "a.html").read_text()
    for said in ("shield (old)", "shield (new)", "shield (new) minus shield (old)"):
        assert said in text
        assert said in page
    assert "paired by photo: 10 photos" in text
    assert "paired by photo: 10 photos" in page
    assert "On sd" in page
    assert "On the embedded model" in page
    assert "Usable was not validated by a person." in page
    assert "script-src" in page
    assert "<script" not in page


def test_differences_of_settings_are_listed(two, tmp_path):
    text = compare([two / "old", two / "new"], tmp_path / "a.html")
    listed = text.partition("Set differently:")[2]
    assert re.search(r"^batch +8 +4$", listed, re.MULTILINE)
    assert re.search(r"^model.name +embedded +sd$", listed, re.MULTILINE)
    assert "device" not in listed
    same = compare([two / "old", two / "others"], tmp_path / "b.html")
    assert "No setting differs." in same


def test_other_photos_are_compared_unpaired_and_it_says_so(two, tmp_path):
    text = compare([two / "old", two / "others"], tmp_path / "a.html")
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


def test_what_is_no_finished_trial_is_refused(two, tmp_path):
    (tmp_path / "empty").mkdir()
    for folders, out, complaint in (
        ([two / "old", tmp_path / "empty"], "a.html", "holds no finished trial"),
        ([two / "old"], "a.html", "Name two different folders"),
        ([two / "old", two / "old"], "a.html", "Name two different folders"),
        ([two / "old", two / "new"], "a.txt", "an .html file"),
    ):
        with pytest.raises(UserError, match=complaint):
            compare(folders, tmp_path / out)
    assert not (tmp_path / "a.html").exists()
