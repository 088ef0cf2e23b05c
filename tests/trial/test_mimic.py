"""From a folder of pictures to what a model paints after it has learned from them."""

import json
import shutil
from pathlib import Path

import pytest
from skimage import data
from typer.testing import CliRunner

from brittle.cli import app
from brittle.images import from_bytes, read_photo, write_image
from brittle.metrics import Style
from brittle.sources.photos import load_photos

FIELDS = "max_train_steps=1,num_class_images=1,num_inference_steps=2,train_batch_size=1"


@pytest.fixture
def folder(tmp_path) -> Path:
    for name, crop in (("a", data.chelsea()[:200, :220]), ("b", data.chelsea()[90:290, 100:280])):
        write_image(tmp_path / "cats" / f"{name}.png", from_bytes(crop[None].copy()))
    return tmp_path / "cats"


def run(*arguments: object):
    fixed = ("--device", "cpu", "--size", "128")
    return CliRunner().invoke(app, ["mimic", *map(str, arguments), *fixed])


def test_pictures_are_written_once_and_the_fine_tune_is_kept(folder, tmp_path):
    out = tmp_path / "out"
    wanted = [folder, "--prompt", "sks at night", "-o", out, "--editor", f"finetune:{FIELDS}"]
    first = run(*wanted)
    assert first.exit_code == 0, first.output
    assert read_photo(out / "sks-at-night-0.png").image.shape == (1, 3, 128, 128)
    told = json.loads((out / "mimicry.json").read_text())
    picture, (first_cat, second_cat) = (
        read_photo(out / "sks-at-night-0.png").image,
        (photo.image for photo in load_photos(str(folder), square=128).values()),
    )
    near = [float(Style().score(picture, one)) for one in (first_cat, second_cat)]
    assert told["pictures"][0]["distances"]["style"] == pytest.approx(sum(near) / 2)
    between = float(Style().score(first_cat, second_cat))
    assert told["ends"]["originals"]["style"] == pytest.approx(between)
    assert read_photo(out / "base-model" / "sks-at-night-0.png").digest
    assert "style" in first.output
    (weights,) = out.glob("fine-tunes/*/weights.safetensors")
    kept = weights.stat().st_mtime_ns
    again = run(*wanted)
    assert again.exit_code == 2
    assert "exists" in again.output
    assert run(*wanted, "--seed", 3).exit_code == 0
    assert weights.stat().st_mtime_ns == kept
    picture = sorted(out.glob("artifacts/*/*.png"))[0]
    held = picture.read_bytes()
    picture.write_bytes(held[:100])
    mended = run(*wanted, "--seed", 3, "--force")
    assert "1 picture was damaged and made again." in mended.output
    assert picture.read_bytes() == held


def test_pictures_that_are_too_small_are_told_a_size(folder, tmp_path):
    wanted = ["mimic", str(folder), "--prompt", "sks", "-o", str(tmp_path / "out")]
    result = CliRunner().invoke(app, wanted)
    assert result.exit_code == 2
    said = " ".join(result.output.split())
    assert "only 180 px on its short side" in said
    assert "choose a smaller size (--size 176" in said


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--editor", "img2img"], "learns from no collection"),
        (["--editor", "finetune:token=xqzzy,instance_prompt=a xqzzy"], "one token"),
        (["--prompt", "sks!"], "share one file name"),
    ],
)
def test_what_cannot_be_learned_is_said_in_a_sentence(folder, tmp_path, options, said):
    result = run(folder, "--prompt", "sks", "-o", tmp_path / "out", *options)
    assert result.exit_code == 2
    assert said in " ".join(result.output.split())
    assert "Traceback" not in result.output


def test_one_original_is_refused_before_any_work(folder, tmp_path):
    alone = tmp_path / "alone"
    alone.mkdir()
    shutil.copy(folder / "a.png", alone)
    wanted = ["--prompt", "sks", "-o", tmp_path / "out", "--editor", f"finetune:{FIELDS}"]
    result = run(folder, *wanted, "--originals", alone)
    assert result.exit_code == 2
    assert "two originals" in " ".join(result.output.split())
    assert not (tmp_path / "out").exists()


def test_other_originals_are_compared_with_anew(folder, tmp_path):
    wanted = [folder, "--prompt", "sks", "-o", tmp_path / "out", "--editor", f"finetune:{FIELDS}"]

    def between(*names: str) -> float:
        originals = tmp_path / "-".join(names)
        originals.mkdir()
        for name in names:
            write_image(originals / f"{name}.png", from_bytes(getattr(data, name)()[None, :200]))
        assert run(*wanted, "--originals", originals, "--force").exit_code == 0
        told = json.loads((tmp_path / "out" / "mimicry.json").read_text())
        shown = load_photos(str(originals), square=128).values()
        expected = float(Style().score(*(one.image for one in shown)))
        assert told["ends"]["originals"]["style"] == pytest.approx(expected)
        return told["pictures"][0]["distances"]["style"]

    assert between("astronaut", "coffee") != between("chelsea", "coffee")


def test_a_folder_of_collections_is_refused(folder, tmp_path):
    shutil.copytree(folder, tmp_path / "several" / "cats")
    shutil.copytree(folder, tmp_path / "several" / "turned")
    for path in (tmp_path / "several" / "turned").iterdir():
        write_image(path, read_photo(path).image.flip(-1), overwrite=True)
    wanted = ["--prompt", "sks", "-o", tmp_path / "out", "--editor", f"finetune:{FIELDS}"]
    result = run(tmp_path / "several", *wanted)
    assert result.exit_code == 2
    assert "name one of them" in " ".join(result.output.split())
    assert not (tmp_path / "out").exists()
