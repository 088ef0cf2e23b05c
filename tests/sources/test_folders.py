"""Which files of a folder are photos: all that can be read, and the others are named."""

from pathlib import Path

import pytest
from PIL import Image, features

from brittle.declaration.trial import Trial
from brittle.errors import UserError
from brittle.sources.folders import collections, left_out, photo_files
from brittle.sources.photos import load_photos, notes_on
from tests import pictures
from tests.pictures import encoded, photo

JPEG, PNG = encoded(photo(), "JPEG"), encoded(photo(), "PNG")
HEIC = b"\0\0\0\x18ftypheic" + bytes(99)


def folder_of(folder: Path, files: dict[str, bytes]) -> Path:
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return folder


def names(folder: Path) -> list[str]:
    return [path.name for path in photo_files(folder)]


@pytest.mark.parametrize(
    "name",
    ["a.jpg", "a.JPG", "a.jpe", "a.jfif", "a.jif", "a.Jpeg", "a.mpo", "a.jpg_large", "a.bin", "a"],
)
def test_whatever_can_be_read_is_taken(tmp_path, name):
    folder = folder_of(tmp_path, {name: JPEG})
    assert names(folder) == [name]
    assert left_out(folder) == ()
    assert len(load_photos(str(folder))) == 1


@pytest.mark.skipif(not features.check("jpg_2000"), reason="no JPEG 2000 here")
@pytest.mark.parametrize("name", ["a.jp2", "a.j2k", "a.jpx"])
def test_jpeg_2000_is_taken(tmp_path, name):
    assert names(folder_of(tmp_path, {name: encoded(photo(), "JPEG2000")})) == [name]


def test_hidden_files_twins_folders_and_masks_are_passed_over(tmp_path):
    files = {"a.png": PNG, "._a.png": b"\0\5\x16\7", ".b.png": PNG, "a.mask.png": PNG}
    folder = folder_of(tmp_path, {**files, ".DS_Store": b"x", "c.png/d.png": PNG})
    assert names(folder) == ["a.png"]
    assert left_out(folder) == ()


def test_what_cannot_be_read_is_named(tmp_path):
    raw = pictures.tiff(bytes(1024), 32, 32, 8, t254=1)
    folder = folder_of(tmp_path, {"a.png": PNG, "b.heic": HEIC, "c.txt": b"words", "d.nef": raw})
    (note,) = left_out(folder)
    assert note == (
        f"In {tmp_path.name}, 3 files aren't pictures that can be read, and nothing was made of "
        "them: b.heic, c.txt, d.nef."
    )
    trial = Trial(
        photos=str(folder), prompts=("rain",), metrics=("psnr",), primary={"metric": "psnr"}
    )
    assert notes_on(trial) == [note]


def test_of_many_the_first_are_named_and_all_counted(tmp_path):
    folder = folder_of(tmp_path, {f"{index}.txt": b"words" for index in range(9)} | {"a.png": PNG})
    (note,) = left_out(folder)
    assert "9 files" in note
    assert note.endswith("0.txt, 1.txt, 2.txt, 3.txt, 4.txt and 4 more.")


def test_a_damaged_photo_is_no_file_to_leave_out(tmp_path):
    folder = folder_of(tmp_path, {"a.png": PNG, "b.jpg": JPEG[:300]})
    assert names(folder) == ["a.png", "b.jpg"]
    with pytest.raises(UserError, match=r"b\.jpg is damaged"):
        load_photos(str(folder))


def test_a_folder_without_photos_names_what_it_holds(tmp_path):
    with pytest.raises(UserError, match=r"holds no photos .*1 file isn't a picture .*: b.heic\."):
        photo_files(folder_of(tmp_path, {"b.heic": HEIC}))


def test_collections_are_the_folders_that_are_seen(tmp_path):
    folder_of(tmp_path, {"a/1.jfif": JPEG, ".git/1.png": PNG, "__MACOSX/._1.png": b"x"})
    assert collections(tmp_path) == [tmp_path / "a"]
    assert collections(tmp_path / "a") == [tmp_path / "a"]
    Image.open(tmp_path / "a/1.jfif").save(tmp_path / "2.png")
    with pytest.raises(UserError, match="holds pictures and folders"):
        collections(tmp_path)


def test_folders_of_photos_are_groups_of_photos_that_belong_together(tmp_path):
    def darker(by: float) -> bytes:
        return encoded((photo() * by).astype("uint8"), "PNG")

    files = {"beach/1.png": darker(0.9), "beach/2.png": darker(0.8), "wedding/1.png": darker(0.7)}
    folder = folder_of(tmp_path, {**files, "notes.txt": b"a", "beach/list.txt": b"b"})
    photos = load_photos(str(folder))
    assert {name: one.group for name, one in photos.items()} == {
        "beach/1": "beach",
        "beach/2": "beach",
        "wedding/1": "wedding",
    }
    said = notes_on(Trial(photos=str(folder), prompts=("a",)))
    assert [note for note in said if "list.txt" in note]
    (folder / "own.png").write_bytes(darker(0.2))
    assert {one.group for one in load_photos(str(folder)).values()} == {""}


def test_links_to_photos_that_are_not_there_are_named(tmp_path):
    folder = folder_of(tmp_path, {"a.png": PNG})
    (folder / "annexed.jpg").symlink_to("/nonexistent")
    (folder / "round.png").symlink_to("round.png")
    (folder / "notes.txt").symlink_to("/nonexistent")
    assert names(folder) == ["a.png"]
    (said,) = left_out(folder)
    assert "2 files aren't pictures that can be read" in said
    assert "annexed.jpg, round.png" in said
