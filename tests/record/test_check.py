"""Damage of every kind, on a small finished folder: told by `check`, mended by running again."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import zipfile
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from typer.testing import CliRunner

import brittle
from brittle.cli import app
from brittle.errors import UserError
from brittle.models import load_model
from brittle.record.bundle import pack, unpack
from brittle.record.check import check_folder
from brittle.record.record import Record
from brittle.record.store import FolderStore
from brittle.record.whole import seal, unseal
from brittle.sources.photos import load_photos
from brittle.trial.manifest import manifest
from brittle.trial.plan import make_plan
from tests.trial import tiny
from tests.trial.edits import write_edits

content = partial(tiny.content, but=("manifest.json", "report.html"))
"""What a mended folder must have byte by byte: its manifest has the time, its report the damage."""


@pytest.fixture(scope="module")
def trial(tmp_path_factory, small_sd):
    return tiny.tiny_trial(tmp_path_factory.mktemp("photos"), small_sd)


@pytest.fixture(scope="module")
def whole(trial, tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole") / "out"
    brittle.run_trial(trial, folder)
    return folder


def zero(path, chance):
    path.write_bytes(bytes(len(path.read_bytes())))


def truncate(path, chance):
    held = path.read_bytes()
    path.write_bytes(held[: chance.randrange(1, len(held))])


def flip(path, chance):
    held = bytearray(path.read_bytes())
    held[chance.randrange(len(held))] ^= 1 << chance.randrange(8)
    path.write_bytes(held)


def delete(path, chance):
    path.unlink()


def empty(path, chance):
    path.write_bytes(b"")


def lengthen(path, chance):
    path.write_bytes(path.read_bytes() + b"\n")


def swap(path, chance):
    others = [one for one in path.parent.parent.rglob(f"*{path.suffix}") if one != path]
    other = chance.choice(sorted(one for one in others if one.read_bytes() != path.read_bytes()))
    held = path.read_bytes()
    path.write_bytes(other.read_bytes())
    other.write_bytes(held)


def another_picture(path, chance):
    Image.fromarray(np.full((60, 60, 3), chance.randrange(256), np.uint8)).save(path)


def another_value(path, chance):
    held = json.loads(path.read_bytes())
    held["scores" if "scores" in held else "picture"] = {}
    path.write_text(json.dumps(held))


def other_json(path, chance):
    texts = ("[]", "{}", "null", '"text"', "[" * 100_000, '{"scores": 1}', "[[1]]", "\ud800")
    path.write_bytes(chance.choice(texts).encode("utf-8", "surrogatepass"))


EVERYWHERE = (zero, truncate, flip, delete, empty, lengthen)
KINDS = {
    "artifacts/*/*.png": (*EVERYWHERE, swap, another_picture),
    "artifacts/*/*.json": (*EVERYWHERE, swap, other_json, another_value),
    "cells/*/*.json": (*EVERYWHERE, swap, other_json, another_value),
    "manifest.json": (*EVERYWHERE, other_json),
    "results.csv": (*EVERYWHERE, other_json),
    "index.json": (*EVERYWHERE, other_json),
    "summary.json": (*EVERYWHERE, other_json),
    "report.html": EVERYWHERE,
}
DAMAGES = [
    pytest.param(pattern, kind, seed, id=f"{pattern}-{kind.__name__}-{seed}")
    for pattern, kinds in KINDS.items()
    for kind in kinds
    for seed in range(2)
]


def damage(folder, pattern, kind, chance, spared=()):
    """Damage one file of a folder that isn't ``spared``; returns which."""
    files = sorted(folder.glob(pattern))
    path = chance.choice([one for one in files if one.relative_to(folder).as_posix() not in spared])
    kind(path, chance)
    return path.relative_to(folder).as_posix()


def test_a_whole_folder_is_whole(whole):
    before = content(whole)
    found = check_folder(whole)
    assert (found.damaged, found.unchecked, found.finished) == ((), 0, True)
    assert (found.pictures, found.cells) == (
        len([name for name in before if name.endswith(".png")]),
        len([name for name in before if name.startswith("cells")]),
    )
    done = CliRunner().invoke(app, ["check", str(whole)])
    assert done.exit_code == 0
    assert "all whole" in done.output
    assert content(whole) == before


def test_the_folder_of_a_bundle_is_whole(whole, tmp_path):
    pack(Record.open(whole), tmp_path / "out.zip")
    brittle.report(tmp_path / "out.zip")
    found = check_folder(tmp_path / "out")
    assert (found.damaged, found.cells) == ((), 0)
    assert found.pictures


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_bundle_with_a_file_twice_is_none(whole, tmp_path):
    pack(Record.open(whole), tmp_path / "out.zip")
    with zipfile.ZipFile(tmp_path / "out.zip", "a") as bundle:
        bundle.writestr("manifest.json", "{}")
    with pytest.raises(UserError, match="holds a file twice"):
        unpack(tmp_path / "out.zip")


@pytest.mark.parametrize(("pattern", "kind", "seed"), DAMAGES)
def test_every_damage_is_told(whole, tmp_path, pattern, kind, seed):
    folder = shutil.copytree(whole, tmp_path / "out")
    name = damage(folder, pattern, kind, random.Random(f"{pattern} {seed}"))
    told = {one.path for one in check_folder(folder).damaged}
    picture = name.replace(".json", ".png") if name.startswith("artifacts") else name
    assert picture in told


@pytest.mark.parametrize("seed", range(3))
def test_running_again_mends_all(trial, whole, tmp_path, seed):
    folder, chance = shutil.copytree(whole, tmp_path / "out"), random.Random(seed)
    for pattern, kinds in KINDS.items():
        kinds = kinds if "*" in pattern else [chance.choice([k for k in kinds if k is not delete])]
        damaged = []
        for kind in kinds:
            damaged.append(damage(folder, pattern, kind, chance, spared=damaged))
    assert len(check_folder(folder).damaged) > 10
    said = []
    brittle.run_trial(trial, folder, say=said.append)
    assert content(folder) == content(whole)
    assert check_folder(folder).damaged == ()
    (sentence,) = said
    assert sentence.endswith("were damaged and made again.")
    notes = json.loads((folder / "manifest.json").read_text())["notes"]
    assert notes == [sentence]
    assert sentence in (folder / "report.html").read_text()


def test_what_was_mended_is_counted(trial, whole, tmp_path):
    folder, said = shutil.copytree(whole, tmp_path / "out"), []
    pictures = sorted(folder.glob("artifacts/*/*.png"))
    for path in pictures[:2]:
        path.write_bytes(b"")
    cell = sorted(folder.glob("cells/*/*.json"))[0]
    cell.write_bytes(cell.read_bytes().replace(b"psnr", b"ssim"))
    brittle.run_trial(trial, folder, say=said.append)
    assert said == ["2 pictures and 1 cell were damaged and made again."]
    said.clear()
    brittle.run_trial(trial, folder, say=said.append)
    assert said == []


SHOWN = {
    "artifacts/*/*.png": (flip, delete),
    "artifacts/*/*.json": (flip, delete, swap, other_json),
    "manifest.json": KINDS["manifest.json"],
    "results.csv": KINDS["results.csv"],
    "index.json": KINDS["index.json"],
    "summary.json": (flip, delete, other_json),
    "report.html": (flip,),
}
"""Damages that differ for reports; what `check` tells of each is tested above."""


@pytest.mark.parametrize("pattern", SHOWN)
def test_reports_and_comparisons_say_one_sentence(whole, tmp_path, pattern):
    """Or show what is whole, and say that something is not."""
    for place, kind in enumerate(SHOWN[pattern]):
        folder = shutil.copytree(whole, tmp_path / f"{place}")
        if "*" in pattern:  # one that both show
            edit = json.loads((folder / "index.json").read_text())[0]["edited"]
            kind((folder / edit).with_suffix(Path(pattern).suffix), random.Random(0))
        else:
            damage(folder, pattern, kind, random.Random(0))
        compared = CliRunner().invoke(
            app, ["compare", str(folder), str(whole), "-o", str(tmp_path / "both.html")]
        )
        reported = CliRunner().invoke(app, ["report", str(folder)])
        for done in (reported, compared):
            assert done.exit_code in (0, 2), done.output
            if done.exit_code == 2:
                assert done.output.startswith("brittle: ")
                assert done.output.strip().count("\n") == 0
        if pattern in ("manifest.json", "results.csv", "index.json"):
            assert reported.exit_code == compared.exit_code == 2
        elif "*" in pattern:
            assert "could not be shown: `brittle check" in reported.output


def test_the_command_lists_damage_and_says_how_to_mend_it(whole, tmp_path):
    folder = shutil.copytree(whole, tmp_path / "out")
    edit = json.loads((folder / "index.json").read_text())[0]["edited"]
    (folder / edit).unlink()
    (folder / "results.csv").write_text("")
    done = CliRunner().invoke(app, ["check", str(folder)])
    assert done.exit_code == 1
    assert f"  {edit}: missing\n" in done.output
    assert "  results.csv: changed after it was written\n" in done.output
    assert "the command that made the folder makes it anew" in done.output
    done = CliRunner().invoke(app, ["check", str(tmp_path)])
    assert done.exit_code == 2
    assert "holds" in done.output


def test_damaged_weights_are_told_with_what_to_do(whole, tmp_path):
    folder = shutil.copytree(whole, tmp_path / "out")
    weights = folder / "fine-tunes" / "0123" / "weights.safetensors"
    weights.parent.mkdir(parents=True)
    save_file({"a": torch.ones(3)}, weights, {"losses": "[0.5]"})
    assert (check_folder(folder).fine_tunes, check_folder(folder).damaged) == (1, ())
    save_file({"a": torch.ones(3)}, weights, {"training": '{"losses": [0.5], "digest": "0"}'})
    (damaged,) = check_folder(folder).damaged
    assert damaged.path == "fine-tunes/0123/weights.safetensors"
    assert "delete it: it is learned anew" in damaged.what


def unsealed(path):
    """A file as a former version wrote it, without digests."""
    held = json.loads(path.read_bytes())
    for name in ("whole", "picture", "noted", "files"):
        held.pop(name, None)
    return held


@pytest.fixture
def former(whole, tmp_path):
    """The folder as a former version left it."""
    folder = shutil.copytree(whole, tmp_path / "former")
    for path in [*folder.glob("artifacts/*/*.json"), *folder.glob("cells/*/*.json")]:
        if held := unsealed(path):
            path.write_text(json.dumps(held, indent=1, sort_keys=True) + "\n")
        else:
            path.unlink()
    path = folder / "manifest.json"
    path.write_text(json.dumps(unsealed(path), indent=1) + "\n")
    path = folder / "index.json"
    index = [{k: v for k, v in one.items() if k != "cell"} for one in json.loads(path.read_text())]
    path.write_text(json.dumps(index, indent=1, sort_keys=True) + "\n")
    return folder


def test_a_former_versions_folder_goes_on_without_computing(trial, former, whole, monkeypatch):
    found = check_folder(former)
    assert found.damaged == ()
    assert found.unchecked == found.pictures + found.cells
    assert "former version" in CliRunner().invoke(app, ["check", str(former)]).output
    pictures = {name: held for name, held in content(former).items() if name[:3] in ("art", "cel")}
    monkeypatch.setattr("brittle.models.EditModel.encode", None)
    monkeypatch.setattr("brittle.models.EditModel.evaluate", None)
    monkeypatch.setattr("brittle.metrics.PSNR.compare", None)
    brittle.run_trial(trial, former)
    assert {name: content(former)[name] for name in pictures} == pictures
    assert (former / "results.csv").read_bytes() == (whole / "results.csv").read_bytes()


@pytest.mark.parametrize("kind", [zero, truncate, flip, empty, delete])
def test_what_a_former_version_left_is_mended_where_it_cant_be_read(trial, former, whole, kind):
    chance = random.Random(3)
    edit = json.loads((former / "index.json").read_text())[0]["edited"]
    kind(former / edit, chance)
    cell = sorted(former.glob("cells/*/*.json"))[0]
    (delete if kind is flip else kind)(cell, chance)
    assert edit in {one.path for one in check_folder(former).damaged}
    brittle.run_trial(trial, former)
    assert (former / edit).read_bytes() == (whole / edit).read_bytes()
    assert (former / "results.csv").read_bytes() == (whole / "results.csv").read_bytes()


def test_temporary_files_of_a_killed_run_go_unless_another_run_is_at_work(trial, whole, tmp_path):
    folder = shutil.copytree(whole, tmp_path / "out")
    for place in (folder, next(folder.glob("artifacts/*"))):
        (place / ".brittle-0123456789abcdef.tmp").write_bytes(b"half")
    code = (
        "import sys, pathlib\n"
        "from brittle.record.store import FolderStore\n"
        "with FolderStore(pathlib.Path(sys.argv[1])).at_work():\n"
        "    (pathlib.Path(sys.argv[1]) / '.brittle-fedcba9876543210.tmp').write_bytes(b'begun')\n"
        "    print('at work', flush=True)\n"
        "    sys.stdin.read()\n"
    )
    command = [sys.executable, "-c", code, str(folder)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout.readline() == b"at work\n"
        left = [path.name for path in folder.rglob(".brittle-*.tmp")]
        assert left == [".brittle-fedcba9876543210.tmp"]
        brittle.run_trial(trial, folder)
        assert [path.name for path in folder.rglob(".brittle-*.tmp")] == left
        os.kill(other.pid, signal.SIGKILL)
    brittle.run_trial(trial, folder)
    assert not list(folder.rglob(".brittle-*.tmp"))


def test_a_folder_in_which_nothing_was_made_takes_another_trial(trial, tmp_path):
    store = FolderStore(tmp_path / "out")
    model, photos = load_model(trial.model), load_photos(trial.photos)
    other = trial.model_copy(update={"prompts": ("night",)})
    store.open(manifest(make_plan(other, photos, model), model))
    store.open(manifest(make_plan(trial, photos, model), model))
    assert store.manifest.prompts == trial.prompts


def test_a_score_that_failed_does_not_lock_its_folder(tmp_path):
    table = write_edits(tmp_path / "t", {"shield": {"none": 0.5}}, photos=1, side=32)
    picture = tmp_path / "t" / "0-shield-0-0.png"
    held = picture.read_bytes()
    picture.write_bytes(b"no picture")
    with pytest.raises(UserError, match="0-shield"):
        brittle.score(table, tmp_path / "out")
    assert list((tmp_path / "out").rglob("*.png")), "something was kept before it failed"
    picture.write_bytes(held)
    brittle.score(table, tmp_path / "out")
    assert check_folder(tmp_path / "out").damaged == ()


def test_damaged_scores_of_edits_made_elsewhere_are_mended(tmp_path):
    table = write_edits(tmp_path / "t", {"shield": {"none": 0.5}}, photos=1, side=32)
    brittle.score(table, tmp_path / "out")
    before = content(tmp_path / "out")
    chance = random.Random(1)
    for pattern in ("artifacts/*/*.png", "artifacts/*/*.json", "cells/*/*.json"):
        damage(tmp_path / "out", pattern, zero, chance)
    assert check_folder(tmp_path / "out").damaged
    brittle.score(table, tmp_path / "out")
    assert content(tmp_path / "out") == before
    notes = json.loads((tmp_path / "out" / "manifest.json").read_text())["notes"]
    assert any("damaged and made again" in note for note in notes)


def test_new_fields_and_changed_defaults_do_not_stop_a_folder(trial, former, whole, monkeypatch):
    """As if `plugins` came later, and the default of `floor_seeds` had been another."""
    path = former / "manifest.json"
    held = json.loads(path.read_text())
    del held["trial"]["resolved"]["plugins"]
    del held["trial"]["as_written"]["floor_seeds"]
    held["model"].pop("revision", None)
    for photo in held["photos"]:
        photo["notes"] = ["in other words"]
    path.write_text(json.dumps(held))
    unnamed = brittle.Trial(**trial.model_dump(exclude_unset=True, exclude={"floor_seeds"}))
    assert unnamed.floor_seeds != trial.floor_seeds
    monkeypatch.setattr("brittle.models.EditModel.evaluate", None)
    brittle.run_trial(unnamed, former)
    assert (former / "results.csv").read_bytes() == (whole / "results.csv").read_bytes()
    with pytest.raises(UserError, match="its floor_seeds, photos differ"):
        brittle.run_trial(trial.model_copy(update={"floor_seeds": (3,)}), former)


def test_the_manifest_of_another_version_is_no_damage(trial, whole, tmp_path):
    folder = shutil.copytree(whole, tmp_path / "out")
    path = folder / "manifest.json"
    text = unseal("manifest.json", path.read_bytes()).text
    path.write_bytes(seal("manifest.json", text.replace(b'"batch": 2', b'"batch": [2, 2]')))
    for work in (lambda: brittle.run_trial(trial, folder), lambda: brittle.report(folder)):
        with pytest.raises(UserError, match=r"is of another version of brittle \(batch"):
            work()


def test_a_manifest_that_the_system_refuses_is_one_sentence(trial, whole, tmp_path, monkeypatch):
    folder, read = shutil.copytree(whole, tmp_path / "out"), Path.read_bytes

    def refused(path):
        if path.name == "manifest.json":
            raise PermissionError(13, "Permission denied")
        return read(path)

    monkeypatch.setattr(Path, "read_bytes", refused)
    for work in (lambda: brittle.run_trial(trial, folder), lambda: brittle.report(folder)):
        with pytest.raises(UserError, match=r"manifest\.json can't be read: Permission denied"):
            work()


def test_what_other_shards_noted_meanwhile_stays(whole, tmp_path):
    store = FolderStore(shutil.copytree(whole, tmp_path / "out"))
    before = store.manifest
    store.add_notes(before, ["another shard's"])
    store.write_results(before, {"summary.json": b"{}"})
    assert store.manifest.notes == ("another shard's",)
    assert store.manifest.files["summary.json"] != before.files["summary.json"]


def test_a_folder_without_a_trial_is_told_what_to_name(tmp_path):
    (tmp_path / "notes.txt").write_text("of a walk")
    for path in (tmp_path, tmp_path / "notes.txt", tmp_path / "nowhere"):
        with pytest.raises(UserError) as refused:
            check_folder(path)
        assert str(refused.value) == f"{path} holds no trial: name the folder of one."
