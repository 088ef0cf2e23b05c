"""The sheet for a person: edits once each, nothing that tells the arms, marks that come back."""

import re

import numpy as np
import pytest
from skimage import data

from brittle import api
from brittle.analysis.agreement import SheetKey
from brittle.errors import UserError
from brittle.record.record import Record
from brittle.reporting import answer
from brittle.reporting.sheet import PAGE, TABLE, _turned_back, write_sheet
from tests.reporting.made import ARMS, finish, make_trial


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    record = make_trial(tmp_path_factory.mktemp("sheet") / "trial")
    assert write_sheet(record, record.directory.parent / "sheet") == 100
    return record.directory


def test_numbers_run_from_one_and_prompts_and_both_pictures_stand_beside(folder):
    page = (folder.parent / "sheet" / PAGE).read_text()
    assert re.findall(r'data-number="(\d+)"', page) == [str(one) for one in range(1, 101)]
    assert page.count('alt="The untouched photo"') == 100
    assert page.count("data:image/webp") == 200
    assert "http" not in re.sub(r"http-equiv", "", page)
    lines = (folder.parent / "sheet" / TABLE).read_text().splitlines()
    assert lines[0] == "sheet,number,usable"
    assert len(lines) == 101


def test_nothing_on_it_tells_the_arms(folder):
    key = SheetKey.of(folder)
    for name in (PAGE, TABLE):
        text = (folder.parent / "sheet" / name).read_text().partition("</style>")
        text = text[2] or text[0]
        for arm in ARMS:
            assert not re.search(rf"\b{re.escape(arm)}\b", text), (name, arm)
        assert "artifacts/" not in text
        assert "jpeg:" not in text
    arms = [point[1] for point in key.edits]
    assert len(set(arms)) > 2
    assert arms != sorted(arms)
    assert len(set(key.edits)) == len(key.edits) == 100


def test_an_edit_lies_where_the_photo_does_whatever_its_size():
    """A photo of 512 px, shifted by 48 and edited at 128: by 12 there."""
    photo = data.astronaut()[::4, ::4]
    edit = np.zeros_like(photo)
    edit[12:, 12:] = photo[:-12, :-12]
    back = _turned_back(edit, "shift:right=48,down=48", (512, 512))
    assert back.shape == photo.shape
    off = np.abs(back[2:110, 2:110].astype(float) - photo[2:110, 2:110]).mean()
    assert off < 8
    assert _turned_back(edit, "shift:right=12,down=12", (128, 128))[:110, :110].tolist() == (
        photo[:110, :110].tolist()
    )


def test_the_same_trial_gives_the_same_sheet(folder, tmp_path):
    page = (folder.parent / "sheet" / PAGE).read_bytes()
    key = (folder / "sheet.json").read_bytes()
    write_sheet(Record.open(folder), tmp_path / "again")
    assert (tmp_path / "again" / PAGE).read_bytes() == page
    assert (folder / "sheet.json").read_bytes() == key


def test_marks_are_never_written_over(folder):
    before = (folder.parent / "sheet" / TABLE).read_bytes()
    with pytest.raises(UserError, match="has a sheet"):
        write_sheet(Record.open(folder), folder.parent / "sheet")
    assert (folder.parent / "sheet" / TABLE).read_bytes() == before


def test_a_small_trial_gives_all_of_its_edits(tmp_path):
    record = make_trial(tmp_path / "trial", count=1, transforms=("none", "flip"))
    # One photo, two prompts: the flipped edits are turned back, and gray is judged here as well.
    edits = {entry.edited for entry in record.index}
    assert write_sheet(record, tmp_path / "sheet") == len(edits)


def test_a_persons_marks_come_out_as_kappa(tmp_path):
    record = make_trial(tmp_path / "trial", transforms=("none", "flip"))
    folder = record.directory
    assert "Usable was not validated by a person." in answer(finish(record))
    write_sheet(record, tmp_path / "sheet")
    key = SheetKey.of(folder)
    judged = {row.key[:6]: row.value for row in record.rows if row.metric == "usable"}
    marks = [f"{key.sheet},{number},{'yes' if judged[point] else 'no'}"
             for number, point in enumerate(key.edits, 1)]  # fmt: skip
    (tmp_path / "marks.csv").write_text("\n".join(["sheet,number,usable", *marks]))
    made = api.report(folder, marks=tmp_path / "marks.csv", rate=tmp_path / "again")
    assert f"Marks of {len(key.edits)} edits were read." in made.text
    assert made.text.endswith(f"Sheet of {len(key.edits)} edits: {tmp_path / 'again/sheet.html'}")
    summary = made.found
    assert summary.agreement.kappa.estimate == 1
    assert summary.agreement.n == len(key.edits)
    for text in (made.text, (folder / "report.html").read_text()):
        assert "A person who did not know the arms agrees with usable on" in text
        assert "validated by a person" not in text
