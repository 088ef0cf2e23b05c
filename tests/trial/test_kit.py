"""What a kit holds is what a table of edits needs."""

import csv

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

import brittle
from brittle.cli import app
from brittle.errors import UserError
from brittle.images import read_photo
from brittle.record.arms import NOISES
from brittle.record.rows import read_results
from brittle.sources.edits_table import protections, read_edits
from tests.photographs import PHOTOS, photograph


@pytest.fixture
def files(tmp_path):
    """Two photos, and the same with a grating of six levels, in folders."""
    for number, file in enumerate(PHOTOS[:2]):
        photo = np.asarray(photograph(file, 48)).astype(int)
        grating = 6 * np.sign(np.sin(np.arange(48) * 1.3))[:, None, None]
        for folder, picture in (("photos", photo), ("protected", photo + grating)):
            (tmp_path / folder).mkdir(exist_ok=True)
            levels = picture.clip(0, 255).astype(np.uint8)
            Image.fromarray(levels).save(tmp_path / folder / f"photo {number}.png")
    return tmp_path / "photos", tmp_path / "protected"


def edit_all(kit):
    """Somebody edits every picture of a kit, all in the same way."""
    with (kit / "edits.csv").open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        picture = np.asarray(Image.open(kit / "to-edit" / row["edit"].rpartition("/")[2]))
        Image.fromarray(255 - picture // 2).save(kit / row["edit"])
    return rows


def test_a_kit_that_was_edited_is_scored_with_every_control(files, tmp_path):
    transforms = ["jpeg:quality=75", "flip"]
    kit = brittle.prepare_edits(*files, tmp_path / "kit", transforms=transforms, name="mine")
    rows = edit_all(tmp_path / "kit")
    arms = ["original", "mine", *(f"{kind}(mine)" for kind in NOISES)]
    # A gray picture serves all that leaves pixels in place; one more is flipped.
    assert len(rows) == 2 * (len(arms) * 3 + 2)
    found = brittle.score(kit.path, tmp_path / "scored", by="an inversion").found
    (arm,) = found.primary.arms
    assert arm == "mine"
    for transform in ("none", *transforms):
        effect = found.effect(arm, transform)
        assert None not in (effect.placebo, effect.ceiling, effect.reach)
    assert not [flag for flag in found.flags if flag.name == "no placebo"]


def test_the_commands_of_the_documents_end_in_a_report(files, tmp_path):
    """As docs/scoring.md has them: the kit holds a folder with the edits by the table's name."""
    cli, kit = CliRunner(), tmp_path / "kit"
    said = cli.invoke(app, ["score", "--prepare", *map(str, files), "-o", str(kit)])
    assert f"brittle score {kit / 'edits.csv'} --editor NAME" in said.stdout.replace("\n", " ")
    edit_all(kit)
    scored = cli.invoke(app, ["score", str(kit / "edits.csv"), "--editor", "NAME"])
    assert scored.exit_code == 0
    assert (kit / "edits-scored" / "report.html").is_file()


def test_what_is_to_be_edited_is_what_the_table_says(files, tmp_path):
    brittle.prepare_edits(*files, tmp_path / "kit", transforms=["flip"], prompts=["a", "b"])
    folder = tmp_path / "kit" / "to-edit"
    plain = read_photo(folder / "photo-0--protected.png").image
    assert (plain == read_photo(files[1] / "photo 0.png").image).all()
    flipped = read_photo(folder / "photo-0--protected--flip.png").image
    assert (flipped.flip(-1) == plain).all()
    noise = read_photo(folder / "photo-0--noise-protected.png").image
    original = read_photo(files[0] / "photo 0.png").image
    sizes = [float((one - original).square().mean()) for one in (noise, plain)]
    assert sizes[0] == pytest.approx(sizes[1], rel=0.12)


def test_a_folder_that_holds_something_is_left_alone(files, tmp_path):
    with pytest.raises(UserError, match="holds something already"):
        brittle.prepare_edits(*files, files[0])
    with pytest.raises(UserError, match="stands for another arm"):
        brittle.prepare_edits(*files, tmp_path / "kit", name="gray")
    with pytest.raises(UserError, match="runs an edit model"):
        brittle.prepare_edits(*files, tmp_path / "kit", transforms=["autoencode"])


@pytest.mark.parametrize(
    "name",
    [
        *("", " ", "placebo", "Placebo", "Original", "gray", "grey", "Gray", "base model"),
        *("Glaze (v2)", "noise(mine)", "mine ", "mi\0ne", "mi\udcffne"),
    ],
)
def test_a_name_that_the_table_would_read_otherwise_is_refused(files, tmp_path, name):
    with pytest.raises(UserError, match="can't be a protection's name"):
        brittle.prepare_edits(*files, tmp_path / "kit", name=name)
    assert not (tmp_path / "kit").exists()


@pytest.mark.parametrize("name", ["=mine", "Glaze, v2", 'the "best"', "Nightshade 1.0"])
def test_a_name_that_the_table_reads_back_is_kept(files, tmp_path, name):
    kit = brittle.prepare_edits(*files, tmp_path / "kit", name=name)
    edit_all(tmp_path / "kit")
    assert protections(read_edits(kit.path)) == [name]


def test_photos_that_would_share_a_files_name_are_refused(files, tmp_path):
    for folder in files:
        (folder / "photo 0.png").rename(folder / "img (1).png")
        (folder / "photo 1.png").rename(folder / "img-1.png")
    with pytest.raises(UserError, match=r"img \(1\).*img-1.*img-1--original\.png.*rename"):
        brittle.prepare_edits(*files, tmp_path / "kit")
    assert not (tmp_path / "kit").exists()
    with pytest.raises(UserError, match=r"img-1--noise\.png"):
        brittle.placebo_files(*files, tmp_path / "noise", kinds=["noise"])
    assert not (tmp_path / "noise").exists()


@pytest.mark.parametrize(
    ("prompts", "message"),
    [
        (["a sketch", " "], "empty"),
        (["a sketch", "a sketch "], "named twice"),
        (["a" * 4001], "4,000 characters"),
    ],
)
def test_prompts_that_a_table_cannot_hold_are_refused(files, tmp_path, prompts, message):
    with pytest.raises(UserError, match=message):
        brittle.prepare_edits(*files, tmp_path / "kit", prompts=prompts)
    assert not (tmp_path / "kit").exists()


def test_a_transform_that_is_named_twice_is_one(files, tmp_path):
    kits = [
        brittle.prepare_edits(*files, tmp_path / str(number), transforms=transforms)
        for number, transforms in enumerate((["flip"], ["none", "flip", "flip"]))
    ]
    assert kits[0].path.read_bytes() == kits[1].path.read_bytes()


def test_placebos_are_one_file_a_kind(files, tmp_path):
    written = brittle.placebo_files(*files, tmp_path / "noise", kinds=["noise", "transplant"])
    assert [one.name for one in written] == [
        f"photo-{number}--{kind}.png" for number in range(2) for kind in ("noise", "transplant")
    ]
    with pytest.raises(UserError, match="exists"):
        brittle.placebo_files(*files, tmp_path / "noise", kinds=["noise"])


def test_a_prompt_that_looks_like_a_formula_comes_back_as_it_was(files, tmp_path):
    prompt = "=a sepia photo"
    kit = brittle.prepare_edits(*files, tmp_path / "kit", prompts=[prompt])
    assert ",=" not in kit.path.read_text(encoding="utf-8-sig")
    edit_all(tmp_path / "kit")
    found = brittle.score(kit.path, tmp_path / "scored", by="an inversion")
    assert {row.prompt for row in read_results(tmp_path / "scored" / "results.csv")} == {prompt}
    assert found.found.scope.prompts == 1
