import json
from pathlib import Path

import pytest
from pydantic import ValidationError

from brittle.analysis import Interval, Summary
from brittle.analysis.schemas import FOLDER, field_tables, schemas, with_tables
from tests.analysis.trials import build, summary_of, trial

DOCUMENT = Path(__file__).parents[2] / "docs" / "results.md"


def test_a_summary_comes_back_from_its_file(tmp_path):
    summary = summary_of(build(trial(0.6, 0.3)))
    (tmp_path / "summary.json").write_text(summary.to_json(), encoding="utf-8")
    assert Summary.read(tmp_path / "summary.json") == summary
    assert "NaN" not in summary.to_json()
    assert "Infinity" not in summary.to_json()


@pytest.mark.parametrize("name", schemas())
def test_the_shipped_schemas_are_those_of_the_models(name):
    assert json.loads((FOLDER / name).read_text(encoding="utf-8")) == schemas()[name]


def test_every_field_is_documented_and_the_document_is_up_to_date():
    text = DOCUMENT.read_text(encoding="utf-8")
    assert with_tables(text, field_tables()) == text
    for name, table in field_tables().items():
        assert f"<!-- fields of {name} -->" in text
        assert "|  |" not in table, f"{name} has a field without a description"


def test_records_refuse_what_they_do_not_know_and_what_is_not_finite():
    known = {"estimate": 1.0, "method": "t", "n": 8}
    with pytest.raises(ValidationError, match="extra"):
        Interval(**known, lower=0.5)
    with pytest.raises(ValidationError, match="finite"):
        Interval(**{**known, "estimate": float("nan")})
    with pytest.raises(ValidationError, match="frozen"):
        Interval(**known).n = 9
