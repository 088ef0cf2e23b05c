"""Jobs on folders: what is written where, what is done twice, and what a failure costs."""

import shutil

import pytest
from typer.testing import CliRunner

from brittle.api import batches
from brittle.cli import app
from brittle.protections.encoder import EncoderProtection
from brittle.record.made import NAME
from tests.pictures import encoded, photo

SIZES = {"a.png": (32, 40), "day 1/b.jpg": (40, 32), "day 1/late/c.webp": (48, 48)}
PROTECT = ("protect", "--with", "photoguard-encoder:steps=1", "--size", 128, "--device", "cpu")
FLIP = ("transform", "--with", "flip")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Photos of mixed sizes in folders, and what else lies there."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "in"
    kinds = {".png": "PNG", ".jpg": "JPEG", ".webp": "WEBP"}
    for name, (height, width) in SIZES.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encoded(photo(height, width), kinds[path.suffix]))
    (folder / "day 1" / "list.txt").write_text("b and c")
    (folder / ".hidden").mkdir()
    (folder / ".hidden" / "d.png").write_bytes(encoded(photo(), "PNG"))
    return folder


def brittle(*arguments, code=0):
    done = CliRunner().invoke(app, [str(one) for one in arguments])
    assert done.exit_code == code, done.output
    return done


def files(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*.png"))
    }


def interrupted_at(monkeypatch, number):
    """A person who presses Ctrl-C where the picture of this number is about to be written."""
    write, calls = batches.write_bytes, []

    def writing(*arguments, **options):
        calls.append(arguments)
        if len(calls) == number:
            raise KeyboardInterrupt
        write(*arguments, **options)

    monkeypatch.setattr(batches, "write_bytes", writing)


def test_a_folder_of_mixed_sizes_is_protected_as_each_photo_alone(folder, tmp_path):
    said = brittle(*PROTECT, folder, "-o", "out").stdout
    made = files(tmp_path / "out")
    assert [*made] == ["a.png", "day 1/b.png", "day 1/late/c.png"]
    for name, picture in zip(SIZES, made.values(), strict=True):
        brittle(*PROTECT, folder / name, "-o", "alone.png", "--force")
        assert (tmp_path / "alone.png").read_bytes() == picture
    assert said.count("1 file isn't a picture") == said.count("day 1/list.txt") == 1
    assert "photo 2 of 3, day 1/b.jpg: " in said
    head, _, *rows, end = said.partition("\n\n")[2].splitlines()
    assert head.split() == ["photo", "dB", "levels", "perceptual", "budget", "seconds"]
    assert [row.split("  ")[0] for row in rows] == [*SIZES]
    assert end == "3 of 3 photos done."


def test_a_stopped_job_goes_on_to_the_same_bytes(folder, tmp_path, monkeypatch):
    brittle(*PROTECT, folder, "-o", "whole")
    for number, done in ((2, 1), (2, 2)):
        with monkeypatch.context() as patched:
            interrupted_at(patched, number)
            stopped = brittle(*PROTECT, folder, "-o", "out", code=130)
        assert "run the same command to resume" in stopped.stderr
        assert len(files(tmp_path / "out")) == done
    first = (tmp_path / "out" / "a.png").stat()
    (tmp_path / "out" / ".brittle-0123.tmp").write_bytes(b"half a picture")
    said = brittle(*PROTECT, folder, "-o", "out").stdout
    assert "2 of 3 photos are done already." in said
    assert "photo 3 of 3, day 1/late/c.webp: " in said
    assert "photo 2 of 3" not in said
    assert said.endswith("3 of 3 photos done, 2 of them before.\n")
    assert files(tmp_path / "out") == files(tmp_path / "whole")
    assert (tmp_path / "out" / "a.png").stat() == first
    assert not [*(tmp_path / "out").glob("*.tmp")]
    again = brittle(*PROTECT, folder, "-o", "out", "--force").stdout
    assert again.endswith("3 of 3 photos done, 3 of them before.\n")


def test_a_broken_photo_fails_and_the_others_go_on(folder, tmp_path):
    whole = encoded(photo(), "PNG")
    (folder / "day 1" / "broken.png").write_bytes(whole[:200])
    said = brittle(*FLIP, folder, "-o", "out", code=1).stdout
    assert len(files(tmp_path / "out")) == len(SIZES)
    assert said.splitlines()[-3:] == [
        "3 of 4 photos done.",
        "1 photo failed:",
        "  day 1/broken.png: broken.png is damaged or incomplete, and can't be read.",
    ]
    (folder / "day 1" / "broken.png").write_bytes(whole)
    said = brittle(*FLIP, folder, "-o", "out").stdout
    assert said.endswith("4 of 4 photos done, 3 of them before.\n")
    (folder / "only").mkdir()
    (folder / "only" / "broken.png").write_bytes(whole[:200])
    assert "is damaged" in brittle(*FLIP, folder / "only", "-o", "other", code=2).stderr


def test_a_folder_may_be_called_after_a_version(folder, tmp_path):
    brittle(*FLIP, folder, "-o", "v1.1")
    assert len(files(tmp_path / "v1.1")) == len(SIZES)
    brittle(*FLIP, folder / "day 1", "-o", "resize:factor=0.5")
    assert (tmp_path / "resize:factor=0.5").is_dir()
    assert "name a folder" in brittle(*FLIP, folder, "-o", "all.png", code=2).stderr


def test_what_was_made_otherwise_is_refused_before_work_and_stays(folder, tmp_path):
    brittle(*FLIP, folder, "-o", "out")
    before = files(tmp_path / "out")

    def refused(*command):
        said = brittle(*command, "-o", "out", code=2).stderr
        assert "exist" in said
        assert "--force" in said
        assert files(tmp_path / "out") == before
        return said

    assert "a.png and 2 other files exist, and aren't" in refused(
        "transform", "--with", "none", folder
    )
    shutil.copy(folder / "day 1" / "b.jpg", tmp_path / "b.jpg")
    (folder / "day 1" / "b.jpg").write_bytes(encoded(photo(33, 44), "JPEG"))
    assert "b.png exists, and isn't" in refused(*FLIP, folder)
    shutil.copy(tmp_path / "b.jpg", folder / "day 1" / "b.jpg")
    brittle(*FLIP, folder, "-o", "out")
    changed = tmp_path / "out" / "a.png"
    changed.write_bytes(encoded(photo(), "PNG"))
    mine, before = before, files(tmp_path / "out")
    assert "a.png exists, and isn't" in refused(*FLIP, folder)
    said = brittle(*FLIP, folder, "-o", "out", "--force").stdout
    assert said.endswith("3 of 3 photos done, 2 of them before.\n")
    assert files(tmp_path / "out") == mine


def test_a_line_that_a_kill_cut_short_costs_its_own_picture_alone(folder, tmp_path):
    brittle(*FLIP, folder, "-o", "out")
    notes, last = tmp_path / "out" / NAME, tmp_path / "out" / "day 1" / "late" / "c.png"
    notes.write_bytes(notes.read_bytes()[:-40])
    last.unlink()
    for _ in range(2):
        said = brittle(*FLIP, folder, "-o", "out").stdout
    assert said.endswith("3 of 3 photos done, 3 of them before.\n")


def test_outputs_among_the_photos_are_no_photos(folder, tmp_path):
    for _ in range(2):
        brittle(*FLIP, folder, "-o", folder / "flipped")
    assert [*files(folder / "flipped")] == ["a.png", "day 1/b.png", "day 1/late/c.png"]
    assert "name another folder" in brittle(*FLIP, folder, "-o", folder, code=2).stderr
    shutil.copy(folder / "a.png", folder / "a.jpg")
    said = brittle(*FLIP, folder, "-o", "out", code=2).stderr
    assert "a.jpg and " in said
    assert "rename one" in said


def test_edits_take_folders(folder, tmp_path):
    few = ("edit", "--prompt", "rain", "--size", 128, "--editor", "img2img:num_inference_steps=4")
    for _ in range(2):
        said = brittle(*few, folder, "-o", "out").stdout
    assert said.endswith("3 of 3 photos done, 3 of them before.\n")
    assert len(files(tmp_path / "out")) == len(SIZES)


def test_masks_lie_in_a_folder_by_the_photos_names(folder, tmp_path):
    masked = (*PROTECT, folder / "a.png", "--mask", "masks", "-o", "out")
    (tmp_path / "masks").mkdir()
    said = brittle(*masked, code=2).stderr
    assert "masks holds no mask for a: expected a.mask.png there" in said
    mask = photo(32, 40)
    mask[:16], mask[16:] = 0, 255
    (tmp_path / "masks" / "a.mask.png").write_bytes(encoded(mask, "PNG"))
    brittle(*masked)
    over = brittle(*masked[:-1], tmp_path / "masks" / "a.mask.png", "--force", code=2)
    assert "a.mask.png is an input, and inputs are never overwritten" in over.stderr
    assert brittle(*masked).stdout.endswith("is done already, by the same command.\n")
    mask[8:] = 255
    (tmp_path / "masks" / "a.mask.png").write_bytes(encoded(mask, "PNG"))
    assert "isn't what this command makes" in brittle(*masked, code=2).stderr


def test_what_exists_is_said_and_judged_only_where_it_was_compared(folder, tmp_path):
    one = (*FLIP, folder / "a.png", "-o", "flipped.png")
    brittle(*one)
    assert brittle(*one, code=2).stderr.endswith(
        "flipped.png exists: choose another -o, or say --force.\n"
    )
    brittle(*FLIP, folder, "-o", "out")
    (tmp_path / "out" / "day 1" / "late" / "c.png").unlink()
    other = ("transform", "--with", "jpeg:quality=75", folder)
    assert brittle(*other, "-o", "out", code=2).stderr.endswith(
        "out/a.png and 1 other file exist, and aren't what this command makes of those photos: "
        "choose another -o, or say --force.\n"
    )
    (tmp_path / "out" / "a.png").unlink()
    assert brittle(*other, "-o", "out", code=2).stderr.endswith(
        "out/day 1/b.png exists, and isn't what this command makes of that photo: choose another "
        "-o, or say --force.\n"
    )


def test_visibility_of_folders_is_one_table(folder, tmp_path):
    brittle(*PROTECT, folder, "-o", "out")
    (folder / "alone.png").write_bytes(encoded(photo(), "PNG"))
    for _ in range(2):
        said = brittle("visibility", folder, "out", "-o", "added").stdout
    assert "Without a partner, and left out: in/alone.png." in said
    assert said.endswith("3 of 3 photos done, 3 of them before.\n")
    assert [*files(tmp_path / "added")] == ["a.png", "day 1/b.png", "day 1/late/c.png"]
    (tmp_path / "out" / "a.png").write_bytes(encoded(photo(50, 50), "PNG"))
    said = brittle("visibility", folder, "out", code=1).stdout
    assert "a.png: The photos have different sizes" in said
    assert "2 of 3 photos done." in said


def test_a_collection_is_made_as_a_whole(folder, tmp_path, monkeypatch):
    calls = []

    def together(self, model, images, **options):
        calls.append(len(images))
        return [image.flip(-1) for image in images]

    monkeypatch.setattr(EncoderProtection, "needs_collection", True)
    monkeypatch.setattr(EncoderProtection, "perturb_collection", together)
    brittle(*PROTECT, folder, "-o", "out")
    before = files(tmp_path / "out")
    (tmp_path / "out" / "a.png").unlink()
    said = brittle(*PROTECT, folder, "-o", "out").stdout
    assert said.endswith("3 of 3 photos done, 2 of them before.\n")
    assert files(tmp_path / "out") == before
    assert calls == [3, 3]
    (folder / "a.png").write_bytes(b"no picture")
    assert "a.png isn't an image" in brittle(*PROTECT, folder, "-o", "other", code=2).stderr
