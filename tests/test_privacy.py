"""What brittle writes tells nobody's name: no absolute path, no user, no kernel."""

import json
import platform
import re

import pytest
from skimage import data
from typer.testing import CliRunner

import brittle
from brittle.cli import app
from brittle.images import from_bytes, write_image
from brittle.record.record import Point, Record
from tests.trial.edits import write_edits

USER = "annasecret"
TRIAL = """
prompts: heavy rain
protections: ["encoder:steps=1,target={home}/target.png"]
editors: "img2img:num_inference_steps=2,strength=0.5"
metrics: [perceptual, "lpips:path={home}/nothing.pth", lpips]
placebos: [noise]
floor_seeds: []
size: 128
"""


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A user's folder with a trial and photos; commands run elsewhere, on absolute paths."""
    home = tmp_path / USER
    for number, (name, picture) in enumerate(
        {"cat": data.chelsea(), "man": data.astronaut()}.items()
    ):
        photo = from_bytes(picture[None, :64, :96].copy())
        write_image(home / "photos" / f"{name}.png", photo)
        write_image(home / "protected" / f"{name}.png", (photo + 4 / 255).clamp(0, 1))
        write_image(home / "target.png", photo.flip(number), overwrite=True)
    (home / "photos" / "notes.txt").write_text("mine", encoding="utf-8")
    (home / "trial.yaml").write_text(TRIAL.format(home=home), encoding="utf-8")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("TORCH_HOME", str(home / "torch"))
    return home


def run(*arguments):
    done = CliRunner().invoke(app, [str(one) for one in arguments])
    assert done.exit_code == 0, done.output
    return done.stdout


def check(folder):
    """No file of a folder names the user or the kernel; cells/ keep settings as they were typed."""
    told = re.compile(rf"{USER}|{re.escape(str(folder.parent))}|{re.escape(platform.release())}")
    files = [path for path in folder.rglob("*.*") if path.is_file() and "cells" not in path.parts]
    assert files
    for path in files:
        assert not told.search(path.read_bytes().decode("utf-8", "replace")), path


def test_a_trials_folder_tells_no_user(home, tmp_path):
    out = tmp_path / "out"
    settings = ("--set", f"photos={home / 'photos'}", "-o", out, "--device", "cpu")
    run("run", home / "trial.yaml", *settings)
    check(out)
    record = Record.open(out)
    assert record.manifest.protections == ["encoder:steps=1,target=target.png"]
    assert {row.metric for row in record.rows} >= {"lpips:path=nothing.pth", "lpips"}
    reasons = {row.reason for row in record.rows if row.metric.startswith("lpips")}
    assert all("$TORCH_HOME" in reason for reason in reasons)
    assert record.by_point.keys() >= {Point(*row.key[:6]) for row in record.rows}

    before = (out / "results.csv").read_bytes()
    as_former_versions_wrote_it(out, home)
    run("run", home / "trial.yaml", *settings)
    assert (out / "results.csv").read_bytes() == before
    assert "of a former version" in Record.open(out).manifest.notes
    check(out)


def as_former_versions_wrote_it(out, home):
    """With whole paths in the manifest, and no digests."""
    manifest = json.loads((out / "manifest.json").read_bytes())
    manifest["notes"] = ["of a former version"]
    for digests in ("whole", "noted", "files"):
        del manifest[digests]
    for fields in manifest["trial"].values():
        fields["photos"] = str(home / "photos")
    text = json.dumps(manifest).replace(
        '"encoder:steps=1,target=', f'"encoder:steps=1,target={home}/'
    )
    (out / "manifest.json").write_text(text.replace("target.png#", f"{home}/target.png#"))


def test_an_audit_tells_no_user_unless_it_is_asked_to(home, tmp_path):
    folders = (home / "photos", home / "protected")
    quick = ("--quick", "--size", "128", "--with", "flip", "--device", "cpu")
    said = run("audit", *folders, *quick, "--json", "-o", tmp_path / "out")
    assert USER not in said
    check(tmp_path / "out")
    assert [photo["original"]["path"] for photo in json.loads(said)["photos"]] == [
        "cat.png",
        "man.png",
    ]
    asked = json.loads(run("audit", *folders, *quick, "--json", "--show-paths"))
    assert asked["photos"][0]["original"]["path"] == str(home / "photos" / "cat.png")


def test_what_lies_in_the_current_folder_is_told_from_there(home, monkeypatch):
    monkeypatch.chdir(home)
    one = ("protected/cat.png", "--json")
    (photo,) = json.loads(run("audit", *one))["photos"]
    assert photo["protected"]["path"] == "protected/cat.png"


def test_scores_of_edits_made_elsewhere_tell_no_user(home, tmp_path):
    table = write_edits(home / "edits", photos=1)
    brittle.score(table, tmp_path / "out")
    check(tmp_path / "out")
