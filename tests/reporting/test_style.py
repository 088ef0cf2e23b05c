"""The report of a trial over collections, from a folder that a small real trial left."""

import csv
import io
import json
import re
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from brittle import api
from brittle.analysis.finished import Finished
from brittle.cli import app
from brittle.errors import UserError
from brittle.record.arms import BASE_MODEL
from brittle.reporting import answer, build_report
from brittle.reporting.style import render
from tests.trial.test_collections import CLOAK, over, write_pictures


@pytest.fixture(scope="module")
def folder(tiny_sd, tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("mimicry")
    cats = write_pictures(root / "cats")
    api.run_trial(over(cats, tiny_sd, title="<b>Cats</b>"), root / "out", device="cpu")
    return root / "out"


def opened(folder):
    return Finished.open(folder)


def test_the_folder_alone_gives_the_page(folder):
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert opened(folder).summary.headline.sentence.startswith("On ")
    assert "of 2 pairs of pictures" in page
    assert "&lt;b&gt;Cats&lt;/b&gt;" in page
    assert "<b>Cats</b>" not in page
    assert "too few of either for intervals" in page
    assert "can’t" in page
    again = build_report(opened(folder))
    assert again.read_text(encoding="utf-8") == page


def test_rows_are_arms_and_columns_transforms(folder):
    source = opened(folder)
    page = render(source)
    tables = re.findall(r'<table class="board">.*?</table>', page, flags=re.S)
    assert len(tables) == len(source.summary.style.seeds) + 1
    assert re.findall(r'<th scope="col">(.*?)</th>', tables[0]) == [
        *("Learned from", "no transform", "JPEG 20")
    ]
    assert re.findall(r'<th scope="row">(.*?)</th>', tables[0]) == [
        *("base model", "unprotected", CLOAK)
    ]
    # Of the model that learned nothing, one picture serves both transforms.
    base, unprotected = re.findall(r"<tr class=.*?</tr>", tables[0], flags=re.S)[:2]
    sources = re.compile(r'src="(data:[^"]+)"')
    assert len(set(sources.findall(base))) == 1
    assert len(set(sources.findall(unprotected))) == 2
    assert "missing" not in tables[0]


def test_pictures_carry_their_distance(folder):
    rows = csv.DictReader(io.StringIO((folder / "results.csv").read_text(), newline=""))
    value = next(
        float(row["value"])
        for row in rows
        if (row["arm"], row["reference"], row["seed"]) == (BASE_MODEL, "originals", "0")
    )
    assert f"<span>{value:.2f}</span>" in (folder / "report.html").read_text(encoding="utf-8")


def test_a_page_that_is_full_links_to_the_folder(folder):
    page = render(opened(folder), limit=20_000)
    assert "had no room in this file" in page
    assert re.search(r'href="artifacts/[0-9a-z]{2}/', page)
    assert not re.search(r'src="(?!data:)', page)


def test_the_terminal_gets_the_same_answer(folder):
    text = answer(opened(folder))
    summary = opened(folder).summary
    assert summary.headline.sentence in text
    assert "JPEG 20" in text
    result = CliRunner().invoke(app, ["report", str(folder)])
    assert result.exit_code == 0, result.output
    assert "was at least as close" in result.output


def test_other_pages_say_that_it_is_none_of_theirs(folder, tmp_path):
    with pytest.raises(UserError, match="is over collections"):
        api.compare([folder, shutil.copytree(folder, tmp_path / "copy")], tmp_path / "both.html")
    result = CliRunner().invoke(app, ["report", str(folder), "--rate", str(tmp_path / "sheet")])
    assert result.exit_code == 2
    assert "no edits that a person could judge" in " ".join(result.output.split())


def test_a_picture_outside_of_the_folder_is_never_shown(folder, tmp_path):
    index = json.loads((folder / "index.json").read_text())
    for entry in index:
        entry["edited"] = "../../secret.png"
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    (copy / "index.json").write_text(json.dumps(index))
    assert "secret" not in render(opened(copy))
