"""The report of a trial over collections, from a folder that a small real trial left."""

import csv
import io
import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from brittle import api
from brittle.analysis.finished import Finished
from brittle.cli import app
from brittle.declaration.primary import Primary
from brittle.editors import Editor
from brittle.errors import UserError
from brittle.record.arms import BASE_MODEL, Arm
from brittle.record.manifest import Collection, ComponentEntry, Manifest, Model, Written
from brittle.record.record import Record
from brittle.record.store import FolderStore
from brittle.reporting import answer, build_report
from brittle.reporting.build import render
from brittle.reporting.formatting import estimated
from brittle.transforms import Transform
from tests.analysis.test_style import ARM, PLACEBO, TRANSFORMS, by_hand, rows, summary_of
from tests.trial.test_collections import CLOAK, over, write_pictures

QUALITIES = ("none", "jpeg:quality=95", "jpeg:quality=85", "jpeg:quality=65")


@pytest.fixture(scope="module")
def folder(small_sd, tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("mimicry")
    cats = write_pictures(root / "cats")
    api.run_trial(over(cats, small_sd, title="<b>Cats</b>"), root / "out", device="cpu")
    return root / "out"


def test_the_folder_alone_gives_the_page(folder):
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert Finished.open(folder).summary.headline.sentence.startswith("On ")
    assert "of 2 pairs of generated pictures" in page
    assert "&lt;b&gt;Cats&lt;/b&gt;" in page
    assert "<b>Cats</b>" not in page
    assert "too few of either for intervals" in page
    assert "can’t" in page
    again = build_report(Finished.open(folder))
    assert again.read_text(encoding="utf-8") == page


def test_rows_are_arms_and_columns_transforms(folder):
    source = Finished.open(folder)
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


def test_figures_and_tables_are_those_of_every_trial_and_those_of_style(folder):
    page = (folder / "report.html").read_text(encoding="utf-8")
    for title in ("Best of K tries", "What the words mean"):
        assert title in page
    assert page.count('class="outcomes"') == 1
    assert "Attacker</th>" not in page  # collections get no verdict words


def test_pictures_carry_their_distance(folder):
    rows = csv.DictReader(io.StringIO((folder / "results.csv").read_text(), newline=""))
    value = next(
        float(row["value"])
        for row in rows
        if (row["arm"], row["reference"], row["seed"]) == (BASE_MODEL, "originals", "0")
    )
    assert f"<span>{value:.2f}</span>" in (folder / "report.html").read_text(encoding="utf-8")


def test_a_page_that_is_full_links_to_the_folder(folder):
    page = render(Finished.open(folder), limit=20_000)
    assert "had no room in this file" in page
    assert re.search(r'href="artifacts/[0-9a-z]{2}/', page)
    assert not re.search(r'src="(?!data:)', page)


def test_the_terminal_gets_the_same_answer(folder):
    text = answer(Finished.open(folder))
    summary = Finished.open(folder).summary
    assert text.startswith(summary.headline.sentence)
    assert summary.scope.statement in summary.headline.sentence
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
    store = FolderStore(copy)
    store.write_results(store.manifest, {"index.json": json.dumps(index).encode()})
    assert "secret" not in render(Finished.open(copy))


@pytest.fixture(scope="module")
def three_fine_tunes():
    """Made-up distances of two protections' worth of pictures, with a placebo."""
    noise = np.random.default_rng(3)

    def distance(arm, transform, at):
        return by_hand(arm, transform, at) + 0.05 * noise.random()

    found = rows(distance, transforms=QUALITIES)
    tunings = [f"finetune:tuning_seed={seed}" for seed in range(3)]
    manifest = Manifest(
        schema_version=1,
        trial=Written(as_written={}, resolved={}),
        primary=Primary(metric="style", transforms=TRANSFORMS[1:]),
        model=Model(name="embedded", size=128),
        collections=(Collection(name="artist 0", pictures=("artist 0/a",)),),
        arms=tuple(map(Arm.named, ("original", "base model", ARM, PLACEBO))),
        transforms=tuple(_component(Transform.parse(one)) for one in QUALITIES),
        editors=tuple(_component(Editor.parse(one)) for one in tunings),
        prompts=("sks 0", "sks 1"),
    )
    return Finished(Record(None, manifest, found, ()), summary_of(found))


def _component(component):
    return ComponentEntry(label=str(component), record=component.record())


def test_reach_and_retention_stand_beside_preference_with_their_intervals(three_fine_tunes):
    page, text = render(three_fine_tunes), answer(three_fine_tunes)
    effect = three_fine_tunes.summary.effect(ARM, "jpeg:quality=65")
    for share in (effect.reach, effect.retention):
        assert share.low is not None
    reach, kept = estimated(effect.reach), estimated(effect.retention, per_hundred=True)
    assert f"{reach}, 3 fine-tunes" in page
    assert reach in text
    assert f"{kept.partition(' ')[0]}\u00a0%" in page
    assert "0 of 18" in page
    assert "bars are 95 % intervals over fine-tunes" in page
    assert page.count('<svg class="chart"') == 4
    assert "Distance of mimicry from the originals over JPEG quality" in page
    assert "Pictures as close as without protection, over JPEG quality" in page
    assert "survived: above" not in page
