"""Results to take away: they hold what the summary holds, and a bundle opens elsewhere."""

import csv
import re
import shutil
import zipfile
from dataclasses import replace

import pytest

import brittle
from brittle.analysis.finished import Finished
from brittle.errors import UserError
from brittle.record.bundle import LARGEST_TABLE
from brittle.record.rows import format_results
from tests.reporting.made import finish, make_trial


@pytest.fixture(scope="module")
def trial(tmp_path_factory):
    folder = tmp_path_factory.mktemp("trial") / "out"
    finish(make_trial(folder))
    return Finished.open(folder)


def table(path):
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_tables_hold_the_summarys_numbers(trial, tmp_path):
    brittle.export(trial.record.directory, "csv", tmp_path)
    effects = table(tmp_path / "effects.csv")
    assert len(effects) == len(trial.summary.effects)
    for row, effect in zip(effects, trial.summary.effects, strict=True):
        assert (row["arm"], row["transform"]) == (effect.arm, effect.transform)
        if effect.reach:
            assert float(row["reach"]) == effect.reach.estimate
            assert row["reach_low"] == ("" if effect.reach.low is None else str(effect.reach.low))
    photos = table(tmp_path / "photos.csv")
    assert len(photos) == sum(len(one.per_photo) for one in trial.summary.effects)
    assert len(table(tmp_path / "scores.csv")) == len(trial.record.rows)
    words = [row["word"] for row in table(tmp_path / "verdicts.csv")]
    assert words == [one.word for one in trial.summary.verdicts]


def test_no_cell_of_a_table_is_a_formula(trial, tmp_path):
    rows = [replace(row, prompt="=1+1") for row in trial.record.rows]
    directory = tmp_path / "trial"
    shutil.copytree(trial.record.directory, directory)
    (directory / "results.csv").write_text(format_results(rows), encoding="utf-8")
    brittle.export(directory, "csv", tmp_path / "tables")
    assert {row["prompt"] for row in table(tmp_path / "tables" / "scores.csv")} == {"'=1+1"}


def test_parquet_and_csv_are_one_table(trial, tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet")
    for form in ("csv", "parquet"):
        brittle.export(trial.record.directory, form, tmp_path)
    for path in tmp_path.glob("*.csv"):
        columns = parquet.read_table(path.with_suffix(".parquet")).to_pydict()
        rows = table(path)
        assert list(columns) == list(rows[0])
        for name, values in columns.items():
            shown = ["" if value is None else str(value) for value in values]
            assert shown == [row[name] for row in rows], (path.name, name)


def test_latex_has_a_row_for_each_transform_and_nothing_that_ends_a_line_early(trial, tmp_path):
    (path,) = brittle.export(trial.record.directory, "latex", tmp_path / "table.tex")
    text = path.read_text(encoding="utf-8")
    body = text.partition(r"\midrule")[2].partition(r"\bottomrule")[0]
    rows = [line for line in body.splitlines() if line]
    assert len(rows) == len(trial.manifest.transforms)
    heads = text.partition(r"\toprule")[2].partition(r"\midrule")[0]
    for row in rows:
        assert row.endswith(r" \\")
        assert len(re.findall(r"(?<!\\)&", row)) == len(re.findall(r"(?<!\\)&", heads))
        assert not re.search(r"(?<!\\)[%#_]", row)
    assert text.count(r"\begin{tabular}") == text.count(r"\end{tabular}") == 1


def test_a_bundle_gives_the_same_report_elsewhere(trial, tmp_path):
    here = brittle.report(trial.record.directory)
    (path,) = brittle.export(trial.record.directory, "bundle", tmp_path / "mine.zip")
    there = brittle.report(path)
    assert there.path == tmp_path / "mine" / "report.html"
    assert there.found == here.found
    assert there.path.read_bytes() == here.path.read_bytes()
    brittle.export(tmp_path / "mine", "bundle", tmp_path / "again.zip")
    assert (tmp_path / "again.zip").read_bytes() == path.read_bytes()


@pytest.mark.parametrize(
    "name", ["../out.png", "/tmp/x", "report.html", "artifacts/ab/../../x.png"]
)
def test_a_bundle_with_anything_else_is_refused_and_nothing_written(tmp_path, name):
    with zipfile.ZipFile(tmp_path / "bad.zip", "w") as bundle:
        bundle.writestr("manifest.json", "{}")
        bundle.writestr(name, "x")
    with pytest.raises(UserError, match="is no bundle of brittle export"):
        brittle.report(tmp_path / "bad.zip")
    assert [one.name for one in tmp_path.iterdir()] == ["bad.zip"]


def test_what_is_no_bundle_is_one_sentence(tmp_path):
    (tmp_path / "bad.zip").write_bytes(b"PK\x03\x04 and no more")
    with pytest.raises(UserError, match="can't be read as a bundle"):
        brittle.report(tmp_path / "bad.zip")


def encrypted(data):
    """Every member called encrypted."""
    for mark, at in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        start = data.find(mark)
        data = data[: start + at] + b"\x01\x00" + data[start + at + 2 :]
    return data


def of_unknown_kind(data):
    """Packed by a method that nobody knows."""
    for mark, at in ((b"PK\x03\x04", 8), (b"PK\x01\x02", 10)):
        start = data.find(mark)
        data = data[: start + at] + b"\x63\x00" + data[start + at + 2 :]
    return data


def torn(data):
    """Damaged inside a member."""
    return data[:60] + b"\xff" * 20 + data[80:]


@pytest.mark.parametrize("damage", [encrypted, of_unknown_kind, torn])
def test_a_damaged_bundle_is_one_sentence_each_time_and_leaves_nothing(tmp_path, damage):
    with zipfile.ZipFile(tmp_path / "bad.zip", "w", zipfile.ZIP_DEFLATED) as bundle:
        bundle.writestr("manifest.json", "".join(map(str, range(200))))
    (tmp_path / "bad.zip").write_bytes(damage((tmp_path / "bad.zip").read_bytes()))
    for _ in range(2):
        with pytest.raises(UserError, match="can't be read as a bundle"):
            brittle.report(tmp_path / "bad.zip")
    assert [one.name for one in tmp_path.iterdir()] == ["bad.zip"]


def test_what_is_too_large_to_be_opened_is_not_packed(trial, tmp_path, monkeypatch):
    (path,) = brittle.export(trial.record.directory, "bundle", tmp_path / "mine.zip")
    monkeypatch.setattr("brittle.record.bundle.LARGEST_TABLE", 1000)
    with pytest.raises(UserError, match=r"has 0 MiB, and a bundle's may have"):
        brittle.report(path)
    with pytest.raises(UserError, match=r"has 0 MiB, and a bundle's may have"):
        brittle.export(trial.record.directory, "bundle", tmp_path / "again.zip")
    assert LARGEST_TABLE > 4 * 215e6  # four times the scores of the bench full


def test_a_damaged_picture_is_not_packed(trial, tmp_path):
    folder = shutil.copytree(trial.record.directory, tmp_path / "old")
    picture = sorted(folder.glob("artifacts/*/*.png"))[0]
    picture.write_bytes(picture.read_bytes()[:-20])
    with pytest.raises(UserError, match=f"{picture.name} is damaged"):
        brittle.export(folder, "bundle", tmp_path / "old.zip")
    assert not (tmp_path / "old.zip").exists()


def test_nothing_is_overwritten_unasked(trial, tmp_path):
    for form, name in (("latex", "t.tex"), ("bundle", "t.zip"), ("csv", "tables")):
        brittle.export(trial.record.directory, form, tmp_path / name)
        with pytest.raises(UserError, match="exists already"):
            brittle.export(trial.record.directory, form, tmp_path / name)
        brittle.export(trial.record.directory, form, tmp_path / name, force=True)
    with pytest.raises(UserError, match=r"a \.zip file"):
        brittle.export(trial.record.directory, "bundle", tmp_path / "t.tar")
