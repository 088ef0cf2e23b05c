"""Protected files that another tool made, as an arm of a trial."""

import shutil

import pytest
from skimage import data

from brittle.declaration.trial import load_trial
from brittle.errors import UserError
from brittle.images import from_bytes, write_image
from brittle.record.record import Record
from brittle.sources.photos import given_files, load_photos
from brittle.trial.run import run
from tests.trial.tiny import PROTECTION, tiny_trial


@pytest.fixture(scope="module")
def trial(tmp_path_factory, small_sd):
    return tiny_trial(tmp_path_factory.mktemp("photos"), small_sd, floor_seeds=())


@pytest.fixture(scope="module")
def made(trial, tmp_path_factory):
    return run(trial, tmp_path_factory.mktemp("made") / "out")


@pytest.fixture(scope="module")
def tool(made, tmp_path_factory):
    """The folder that a tool would write: its own names, the photos' among them."""
    folder = tmp_path_factory.mktemp("tool")
    for entry in made.index:
        if entry.arm == PROTECTION and entry.transform == "none":
            shutil.copy(made.path(entry.released), folder / f"{entry.image}-cloaked-v2.png")
    return folder


def given(trial, folder):
    return trial.model_copy(update={"protections": (), "files": {"cloak": str(folder)}})


def values(record, arm, name):
    return {
        (row.image, row.transform, row.metric): row.value
        for row in record.rows
        if row.arm == arm and row.reference == "control"
    } or pytest.fail(f"{name} has no rows")


def test_given_files_are_received_edited_and_scored_as_if_they_were_made_here(
    trial, made, tool, tmp_path
):
    record = run(given(trial, tool), tmp_path / "out")
    assert values(record, "cloak", "files") == values(made, PROTECTION, "protection")
    assert values(record, "noise(cloak)", "files").keys() == values(record, "cloak", "").keys()
    arm = record.manifest.arm("cloak")
    assert (arm.kind, arm.record) == ("protection", None)
    assert str(tool) not in (tmp_path / "out" / "manifest.json").read_text()
    assert Record.open(tmp_path / "out").manifest.protections == ["cloak"]


def test_other_files_are_other_results(trial, tool, tmp_path):
    changed = tmp_path / "changed"
    shutil.copytree(tool, changed)
    shutil.copy(f"{trial.photos}/chelsea.png", changed / "chelsea-cloaked-v2.png")
    before, after = (
        values(run(given(trial, folder), tmp_path / "out"), "cloak", "files")
        for folder in (tool, changed)
    )
    assert {at[0] for at in before if before[at] != after[at]} == {"chelsea"}


@pytest.mark.parametrize(
    ("name", "levels", "said"),
    [
        ("other.png", data.chelsea()[None, :240:4, :240:4], "no file for the photo chelsea"),
        ("chelsea.png", data.chelsea()[None, :120:4, :240:4], "the photo is 60 x 60 px"),
        ("chelsea.png", data.coffee()[None, :240:4, :240:4], "show different pictures"),
    ],
)
def test_files_that_do_not_fit_the_photos_are_refused(trial, tool, tmp_path, name, levels, said):
    folder = tmp_path / "files"
    shutil.copytree(tool, folder)
    (folder / "chelsea-cloaked-v2.png").unlink()
    write_image(folder / name, from_bytes(levels))
    with pytest.raises(UserError, match=said):
        run(given(trial, folder), tmp_path / "out")


def test_the_folder_lies_beside_the_trials_file(tmp_path):
    (tmp_path / "glazed").mkdir()
    path = tmp_path / "trial.yaml"
    path.write_text("prompts: x\nprotections: []\nfiles: {glaze: glazed}")
    trial = load_trial(path)
    assert trial.files == {"glaze": str(tmp_path / "glazed")}
    assert trial.protection_arms == ("glaze",)
    path.write_text("prompts: x\nfiles: {glaze: ../elsewhere}")
    with pytest.raises(UserError, match="lies outside the folder of that file"):
        load_trial(path)
    path.write_text("prompts: x\nfiles: {photoguard-encoder: glazed}")
    with pytest.raises(UserError, match="the name of something else"):
        load_trial(path)


def test_files_of_groups_lie_in_folders_of_their_names(tmp_path, trial):
    photo = from_bytes(data.chelsea()[None, :64, :64].copy())
    for at, group in enumerate(("g1", "g2")):
        one = (photo * 255 - 3 * at).clamp(0, 255) / 255  # nearly alike, as on one shoot
        write_image(tmp_path / "in" / group / "img1.png", one)
        write_image(tmp_path / "tool" / group / "img1.png", (one * 255 + 1).clamp(0, 255) / 255)
    photos = load_photos(str(tmp_path / "in"))
    found = given_files(given(trial, tmp_path / "tool"), photos)
    for name, photo in photos.items():
        protected = found[name, "cloak"].image
        assert (protected - photo.image).abs().max() <= 1.001 / 255
    shutil.copy(tmp_path / "tool" / "g1" / "img1.png", tmp_path / "img1.png")
    flat = tmp_path / "flat"
    flat.mkdir()
    (tmp_path / "img1.png").rename(flat / "img1.png")
    with pytest.raises(UserError, match="would be the protected file of g1/img1 and of g2/img1"):
        given_files(given(trial, flat), photos)
