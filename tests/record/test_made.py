import json
from math import inf

import pytest

from brittle.record.made import NAME, Notes

FOUND = {"largest change": 4.0, "PSNR": inf, "perceptual": "the photo is too small"}
WRITTEN = {"file": "b.png", "made": "k", "digest": "d", "seconds": 1.5, "found": {"PSNR": 30.0}}


def test_a_note_comes_back_as_it_was_written(tmp_path):
    file = tmp_path / "day 1" / "a.png"
    file.parent.mkdir()
    file.write_bytes(b"a picture")
    Notes(tmp_path).add(file, "key", b"a picture", 2, FOUND)
    note = Notes(tmp_path).find(file, "key")
    assert note is not None
    assert (note.file, note.seconds, note.found) == ("day 1/a.png", 2, FOUND)
    assert Notes(tmp_path).find(file, "another key") is None


@pytest.mark.parametrize(
    "wrong",
    [
        {"file": []},
        {"file": {}},
        {"file": 1},
        {"made": None},
        {"digest": ["d"]},
        {"seconds": "1"},
        {"seconds": True},
        {"seconds": None},
        {"found": [1]},
        {"found": None},
        {"found": {"PSNR": [30.0]}},
        {"found": {"PSNR": None}},
        {"found": {"PSNR": False}},
        {"more": 1},
    ],
)
def test_a_line_that_brittle_does_not_write_is_skipped(tmp_path, wrong):
    file = tmp_path / "a.png"
    file.write_bytes(b"a picture")
    Notes(tmp_path).add(file, "key", b"a picture", 2.0, FOUND)
    with (tmp_path / NAME).open("ab") as lines:
        lines.write(b"\n" + json.dumps(WRITTEN | wrong).encode())
    notes = Notes(tmp_path)
    assert [*notes._notes] == ["a.png"]
    assert notes.find(file, "key") is not None
