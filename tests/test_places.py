"""What is published of where files lie: no folder of anyone's."""

from pathlib import Path

import pytest

from brittle.places import Hidden, shown

DIGEST = "#" + "0123456789abcdef" * 2


@pytest.fixture
def here(tmp_path, monkeypatch):
    home = tmp_path / "home" / "anna"
    (home / "work").mkdir(parents=True)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.chdir(home / "work")
    return home / "work"


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("{here}/photos", "photos"),
        ("{here}/trials/photos/a.png", "trials/photos/a.png"),
        ("photos/", "photos"),
        ("trials/../photos", "photos"),
        ("../elsewhere/photos", "photos"),
        ("{here}/../photos", "photos"),
        ("~/photos", "photos"),
        ("~/holiday/photos", "photos"),
        ("~", "~"),
        ("/srv/photos", "photos"),
        ("/", "/"),
        ("sample", "sample"),
        ("someone/some-model", "someone/some-model"),
        ("someone/model+/srv/a.safetensors=0.5", "someone/model+a.safetensors=0.5"),
        ("~/a+b/model+{here}/a.safetensors+../b.safetensors", "model+a.safetensors+b.safetensors"),
    ],
)
def test_a_place_is_told_from_the_current_folder_or_by_name(here, path, told):
    assert shown(path.format(here=here)) == told
    assert shown(Path(path.format(here=here))) == told


def test_a_folder_above_the_users_tells_no_user(here, monkeypatch):
    monkeypatch.chdir(here.parents[1])
    assert shown(here / "photos") == "photos"
    assert shown(here.parents[1] / "shared" / "photos") == "shared/photos"


def test_paths_in_settings_are_told_by_as_many_of_their_ends_as_differ():
    records = [{"name": "encoder", "fields": {"target": f"/home/anna/cat.png{DIGEST}"}}]
    label = "encoder:target=/home/anna/cat.png"
    assert Hidden(records)([label, {label: 1}, f"noise({label})"]) == [
        "encoder:target=cat.png", {"encoder:target=cat.png": 1}, "noise(encoder:target=cat.png)"
    ]  # fmt: skip
    two = [{"fields": {"models": ["/a/x/vae" + DIGEST, "/a/y/vae" + DIGEST, "~/a/x"]}}]
    assert Hidden(two)("[/a/x/vae,/a/y/vae,~/a/x]") == "[x/vae,y/vae,a/x]"


def test_what_is_no_path_stays():
    records = [{"name": "jpeg", "fields": {"quality": 75, "kind": "4:2:0", "model": "me/model"}}]
    assert Hidden(records)("a cat / a dog, me/model") == "a cat / a dog, me/model"
