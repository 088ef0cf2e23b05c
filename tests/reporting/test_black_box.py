"""The table over models: what is said of each protection of a trial."""

import dataclasses

from brittle.analysis.conclusions import summarise_record
from brittle.analysis.finished import Finished
from brittle.record.arms import Arm
from brittle.record.manifest import ComponentEntry, OtherModel
from brittle.record.record import Record
from brittle.reporting.black_box import black_box
from tests.reporting.made import EDITOR, PROTECTION, make_trial

ELSEWHERE = f"{EDITOR} on sd1"


def test_each_protection_is_called_what_it_is_whatever_stands_beside_it(tmp_path):
    record = make_trial(tmp_path, pictures=False)
    (editor,) = record.manifest.editors
    other = OtherModel(name="sd1", size=128, editors=(ELSEWHERE,), batch=1, same_encoder=False)
    manifest = record.manifest.model_copy(
        update={
            "models": (other,),
            "editors": (editor, ComponentEntry(label=ELSEWHERE, record=editor.record)),
            "arms": (*record.manifest.arms, Arm(label="my files", kind="protection")),
            "primary": record.manifest.primary.model_copy(update={"editor": EDITOR}),
        }
    )
    rows = [
        *record.rows,
        *(dataclasses.replace(row, editor=ELSEWHERE) for row in record.rows),
        *(dataclasses.replace(row, arm="my files") for row in record.rows if row.arm == PROTECTION),
    ]
    record = Record(None, manifest, rows, ())
    found = black_box(Finished(record, summarise_record(record)))
    known, unknown = sorted(found.answer, key=lambda one: one.startswith("my files"))
    assert known.startswith(f"{PROTECTION} was made on embedded: ")
    assert "in img2img (white-box) and " in known
    assert "in img2img on sd1 (black-box behind another encoder)" in known
    assert unknown.startswith("my files: ")
    assert "in img2img (embedded) and " in unknown
    assert "in img2img on sd1 (behind another encoder)" in unknown
    assert found.columns[2:] == ("img2img (embedded)", "img2img on sd1 (behind another encoder)")
