"""Folders pair as people and tools name files."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from brittle.errors import UserError
from brittle.sources.names import match, nearest
from brittle.sources.pairs import find_pairs
from tests.pictures import encoded, photo

STEMS = ["a", "cat", "Café", "IMG_1", "IMG_10", "IMG_2", "my photo", "x.y", "2024-05-01"]
MARKS = [
    "{}-glazed-intensity50-render2-V2",
    "{}-nightshade-intensity-LOW-V1",
    "{}_protected",
    "{} (1)",
    "{}.cloaked",
    "{}-mist",
    "protected_{}",
    "glazed {}",
]


@pytest.mark.parametrize("mark", ["{}", *MARKS])
def test_all_of_a_folder_pair_under_one_mark(mark):
    assert match(STEMS, [mark.format(stem) for stem in STEMS]) == {
        stem: mark.format(stem) for stem in STEMS
    }


@given(
    chosen=st.lists(st.sampled_from(STEMS), unique=True, min_size=1),
    marks=st.lists(st.sampled_from(MARKS), min_size=9, max_size=9),
    change=st.sampled_from([str, str.upper, str.lower]),
    form=st.sampled_from(["NFC", "NFD"]),
)
def test_each_under_its_own_mark_case_and_form(chosen, marks, change, form):
    named = {
        stem: unicodedata.normalize(form, change(mark.format(stem)))
        for stem, mark in zip(chosen, marks, strict=False)
    }
    assert match(STEMS, [*named.values()]) == named


def test_originals_may_bear_a_mark_too():
    assert match(["x_original", "y-orig"], ["x_protected", "y"]) == {
        "x_original": "x_protected",
        "y-orig": "y",
    }


@pytest.mark.parametrize(
    ("originals", "protected"),
    [
        (["a"], ["a-v1", "a-v2"]),  # which of the two?
        (["img_1"], ["img_10"]),
        (["cat"], ["category"]),
        (["a", "A"], ["Á"]),
        (["x_original", "x_clean"], ["x_protected"]),
    ],
)
def test_what_is_not_unique_or_not_the_name_is_not_paired(originals, protected):
    assert match(originals, protected) == {}


def test_the_longest_name_owns_and_the_same_name_comes_first():
    assert match(["a", "a-b"], ["a-b-glazed"]) == {"a-b": "a-b-glazed"}
    assert match(["a", "a-b"], ["a-b", "a-b-glazed"]) == {"a-b": "a-b"}
    assert match(["a"], ["a", "a_protected"]) == {"a": "a"}


def test_nearest_names():
    assert nearest("sunset", ["sunste_protected", "dog", "sunst"])[0] == "sunst"
    assert nearest("a", ["a-v1", "a-v2", "b"]) == ["a-v1", "a-v2"]
    assert nearest("a-v1", ["a", "zzz"]) == ["a"]


def test_files_without_a_partner_are_told_with_their_nearest(tmp_path):
    for name in ("o/a.png", "o/B.JPG", "o/sunset.png", "p/b.png", "p/a-1.png", "p/a-2.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(encoded(photo(), "PNG"))
    pairs, alone = find_pairs(tmp_path / "o", tmp_path / "p")
    assert [(pair.name, pair.protected.name) for pair in pairs] == [("B", "b.png")]
    assert alone == (
        "o/a.png (nearest: a-1.png, a-2.png)",
        "o/sunset.png",
        "p/a-1.png (nearest: a.png)",
        "p/a-2.png (nearest: a.png)",
    )
    (tmp_path / "p/b.png").unlink()
    with pytest.raises(UserError, match=r"no file name in common.*a\.png \(nearest: a-1\.png"):
        find_pairs(tmp_path / "o", tmp_path / "p")
