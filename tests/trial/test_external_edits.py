"""Edits made elsewhere with the truth known: what a protection does comes out of its table."""

import csv
import html
import json

import numpy as np
import pytest
from PIL import Image

from brittle import api
from brittle.errors import UserError
from brittle.models import load_model
from brittle.networks.clip import load_clip
from brittle.networks.feature_cache import MEMORY
from brittle.record.rows import read_results
from brittle.record.store import FolderStore
from brittle.trial import external_edits
from tests.metrics import files
from tests.trial.edits import JPEG, PROMPT, TRUTHS, write_edits, write_table


@pytest.fixture(scope="module")
def scored(tmp_path_factory):
    folder = tmp_path_factory.mktemp("edits")
    table = write_edits(folder / "table", seeds=(0, 1))
    return folder / "out", api.score(table, folder / "out", by="Photoshop 2026").found


def test_each_protection_is_found_out(scored):
    _, summary = scored
    words = {found.arm: found.word for found in summary.verdicts}
    assert words == {"idle": "never protected", "perfect": "survived", "undone": "broken"}
    for arm, truth in TRUTHS.items():
        for transform, share in truth.items():
            reach = summary.effect(arm, transform).reach
            if share in (0, 1):
                assert reach.estimate == pytest.approx(share, abs=0.02)
            else:
                assert 0.5 < reach.low < reach.high < 1


def test_what_nobody_can_know_is_said(scored):
    folder, summary = scored
    assert summary.scope.white_box is None
    assert summary.scope.statement.startswith("On Photoshop 2026 (48 px;")
    assert "no thresholds" in summary.usable_reason
    rows = read_results(folder / "results.csv")
    follow = [row for row in rows if row.metric == "follow"]
    assert follow
    assert all(row.value is None and row.reason for row in follow)
    assert all(row.value is not None for row in rows if row.metric == "keep")
    assert not [row for row in rows if row.reference == "published"]
    page = html.unescape((folder / "report.html").read_text())
    assert "The placebo is the table's own" in page.replace("’", "'")
    assert "not computed" not in page


def test_the_gray_picture_serves_every_transform_that_keeps_pixels_in_place(scored):
    folder, _ = scored
    gray = {(row.transform, row.seed) for row in read_results(folder / "results.csv")
            if row.arm == "gray"}  # fmt: skip
    assert gray == {("none", 0), ("none", 1), (JPEG, 0), (JPEG, 1)}


def test_tries_of_one_prompt_are_the_floor(scored):
    folder, _ = scored
    rows = read_results(folder / "results.csv")
    floor = {row.seed for row in rows if row.reference == "seed" and row.value is not None}
    assert floor == {0, 1}


def test_a_second_look_computes_nothing_and_a_new_edit_only_itself(tmp_path, monkeypatch):
    table = write_edits(tmp_path / "t", {"shield": {"none": 0.5}}, photos=2, side=32)
    api.score(table, tmp_path / "out")
    before = (tmp_path / "out" / "results.csv").read_bytes()
    counted = []
    from brittle.metrics import PSNR

    compare = PSNR.compare
    monkeypatch.setattr(
        PSNR, "compare", lambda self, *a, **k: counted.append(1) or compare(self, *a, **k)
    )
    api.score(table, tmp_path / "out")
    assert not counted
    assert (tmp_path / "out" / "results.csv").read_bytes() == before
    picture = np.asarray(Image.open(tmp_path / "t" / "0-shield-0-0.png"))
    Image.fromarray(255 - picture).save(tmp_path / "t" / "0-shield-0-0.png")
    api.score(table, tmp_path / "out")
    assert len(counted) == 1
    assert (tmp_path / "out" / "results.csv").read_bytes() != before


def test_a_kill_leaves_no_table_of_another_one(tmp_path, monkeypatch):
    one = write_edits(tmp_path / "one", {"shield": {"none": 0.5}}, photos=2, side=32)
    other = write_edits(tmp_path / "other", {"cloak": {"none": 0.5}}, photos=2, side=32)
    api.score(one, tmp_path / "out")

    def killed(*_, **__):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(external_edits, "score", killed)
        with pytest.raises(KeyboardInterrupt):
            api.score(other, tmp_path / "out")
    with pytest.raises(UserError, match="holds no finished trial"):
        api.report(tmp_path / "out")
    assert "cloak" in api.score(other, tmp_path / "out").text


def test_a_clip_that_was_replaced_under_its_path_judges_anew(tmp_path):
    table = write_edits(tmp_path / "t", {"shield": {"none": 0.5}}, photos=1, side=64)
    clip = str(files.save_clip(tmp_path / "clip"))

    def judged():
        load_clip.cache_clear()  # as in another process
        MEMORY.forget()
        api.score(table, tmp_path / "out", clip=clip)
        rows = read_results(tmp_path / "out" / "results.csv")
        return {row.key: row.value for row in rows if row.metric == "follow:clip=clip"}

    first = judged()
    assert first
    assert all(value is not None for value in first.values())
    assert judged() == first
    files.save_clip(tmp_path / "clip", seed=1)
    replaced = judged()
    assert replaced.keys() == first.keys()
    assert all(replaced[point] != first[point] for point in first)


def test_a_clip_beside_thresholds_that_rest_on_other_judges_is_refused(tmp_path):
    table = write_edits(tmp_path / "t", {"shield": {"none": 0.5}}, photos=1, side=32)
    with pytest.raises(UserError, match="thresholds rest on: leave clip out"):
        api.score(table, tmp_path / "out", model=load_model("embedded"), clip=str(tmp_path))


@pytest.mark.parametrize(
    ("files", "complaint"),
    [
        ((), "there is no CLIP at .*: name one that you have"),
        (("README.txt",), "holds no CLIP: it has no config.json: name a CLIP that you have"),
        (("config.json",), "no CLIP in safetensors at .*[^.]: name a CLIP that you have"),
    ],
)
def test_a_clip_that_is_not_there_is_refused_before_work(tmp_path, files, complaint):
    table = write_edits(tmp_path / "t", {"shield": {"none": 0.5}}, photos=1, side=32)
    (tmp_path / "clip").mkdir()
    for name in files:
        (tmp_path / "clip" / name).write_text("{}")
    with pytest.raises(UserError, match=complaint):
        api.score(table, tmp_path / "out", clip=str(tmp_path / "clip"))
    assert not (tmp_path / "out").exists()


def test_without_placebo_and_gray_nothing_is_claimed(tmp_path):
    table = write_edits(tmp_path / "t", {"shield": {"none": 1.0, JPEG: 1.0}}, side=32, controls=())
    scored = api.score(table, tmp_path / "out")
    summary, effect = scored.found, scored.found.effect("shield", "none")
    for said in (scored.text, (tmp_path / "out" / "report.html").read_text(encoding="utf-8")):
        assert f": {effect.distance:.2f} without a transform; " in said
        assert "nobody knows how far noise of that size moves edits" in said
    assert (effect.effect, effect.reach, effect.win_rate) == (None, None, None)
    assert effect.distance > 0
    assert [found.word for found in summary.verdicts] == ["no verdict"]
    assert {flag.name for flag in summary.flags} >= {"no placebo"}
    notes = json.loads((tmp_path / "out" / "manifest.json").read_text())["notes"]
    assert any("There is no placebo" in note for note in notes)


def test_an_exact_copy_of_the_control_stops_the_verdict(tmp_path):
    table = write_edits(tmp_path / "t", {"shield": {"none": 0.0}}, photos=8, side=32)
    for number in range(8):
        control = (tmp_path / "t" / f"{number}-original-0-0.png").read_bytes()
        (tmp_path / "t" / f"{number}-shield-0-0.png").write_bytes(control)
    summary = api.score(table, tmp_path / "out").found
    assert "protection did nothing" in {flag.name for flag in summary.flags}


def test_an_edit_that_is_the_photo_itself_is_flagged(tmp_path):
    table = write_edits(tmp_path / "t", {"shield": {"none": 0.5}}, photos=2, side=32)
    sound = api.score(table, tmp_path / "a").found
    assert "editor did nothing" not in {flag.name for flag in sound.flags}
    photo = (tmp_path / "t" / "photo-1.png").read_bytes()
    (tmp_path / "t" / "1-original-0-0.png").write_bytes(photo)
    flags = {flag.name: flag.where for flag in api.score(table, tmp_path / "b").found.flags}
    assert flags["editor did nothing"] == "1 edit"


def test_originals_may_lack(tmp_path):
    table = write_edits(tmp_path / "t", {"shield": {"none": 0.5}}, photos=1, side=32)
    lines = [[*line[:-1], ""] for line in csv.reader(table.open(encoding="utf-8"))][1:]
    api.score(write_table(table, lines), tmp_path / "out")
    kept = [row for row in read_results(tmp_path / "out" / "results.csv") if row.metric == "keep"]
    assert {row.reason for row in kept} == {"the untouched photo was not given"}


@pytest.mark.parametrize(
    ("size", "name", "complaint"),
    [
        ((40, 32), "0-shield-0-0.png", r"40 × 32 px, and 0-original-0-0.png of the same photo 32"),
        ((32, 40), "photo-0.png", "crop them alike"),
    ],
)
def test_pictures_of_other_sizes_are_refused(tmp_path, size, name, complaint):
    table = write_edits(tmp_path / "t", {"shield": {"none": 0.5}}, photos=1, side=32)
    Image.new("RGB", size, (90, 90, 90)).save(tmp_path / "t" / name)
    with pytest.raises(UserError, match=complaint):
        api.score(table, tmp_path / "out")


def test_an_unreadable_picture_is_named_with_its_line(tmp_path):
    table = write_edits(tmp_path / "t", {"shield": {"none": 0.5}}, photos=1, side=32)
    (tmp_path / "t" / "0-shield-0-0.png").write_text("no picture")
    with pytest.raises(UserError, match=r"edits\.csv, line \d: .*0-shield"):
        api.score(table, tmp_path / "out")


def test_a_run_trial_is_not_written_over(tmp_path):
    table = write_edits(tmp_path / "t", {"shield": {"none": 0.5}}, photos=1, side=32)
    api.score(table, tmp_path / "out")
    store = FolderStore(tmp_path / "out")
    store.write_manifest(store.manifest.model_copy(update={"made": ""}))
    with pytest.raises(UserError, match="holds a trial that was run"):
        api.score(table, tmp_path / "out")


def test_the_embedded_model_judges_where_its_looks_were_asked_for(tmp_path, embedded, photos):
    """Its own edits, handed in as if made elsewhere, are judged by its own classifier."""
    from brittle.images import write_image

    edited = api.edit(photos, PROMPT, model=embedded, seed=3)
    lines = []
    for number in range(2):
        write_image(tmp_path / f"p{number}.png", photos[number : number + 1])
        for arm, picture in (("original", edited), ("shield", photos)):
            name = f"{arm}{number}.png"
            write_image(tmp_path / name, picture[number : number + 1].clamp(0, 1))
            lines.append((f"p{number}", arm, "none", PROMPT, 0, name, f"p{number}.png"))
    api.score(write_table(tmp_path / "edits.csv", lines), tmp_path / "out", model=embedded)
    rows = read_results(tmp_path / "out" / "results.csv")
    follow = {(row.image, row.arm): row.value for row in rows if row.metric == "follow"}
    assert min(value for (_, arm), value in follow.items() if arm == "original") > 0.5
    assert max(value for (_, arm), value in follow.items() if arm == "shield") < 0.5
    usable = {row.arm: row.value for row in rows if row.metric == "usable"}
    assert usable["shield"] != 1  # null where the model's thresholds are not valid for the look


def test_without_any_transform_it_is_said_whether_a_protection_protects(tmp_path):
    truths = {arm: {"none": truth["none"]} for arm, truth in TRUTHS.items()}
    table = write_edits(tmp_path / "t", truths, side=32)
    summary = api.score(table, tmp_path / "out").found
    assert summary.primary.transforms == ("none",)
    words = {found.arm: (found.transform, found.word) for found in summary.verdicts}
    assert words == {
        "idle": ("none", "never protected"),
        "perfect": ("none", "protected"),
        "undone": ("none", "protected"),
    }
    said = {found.arm: found.sentence for found in summary.verdicts}
    assert "perfect: protected (no transform was tried): reach is " in said["perfect"]
    assert " after " not in said["perfect"]
    assert {found.sentence for found in summary.outcomes} == {
        "never protected (no transform was tried)",
        "protected (no transform was tried)",
    }
    assert "no transform was tried" in (tmp_path / "out" / "report.html").read_text()
    table = write_edits(tmp_path / "few", {"shield": {"none": 0.8}}, photos=4, side=32)
    (few,) = api.score(table, tmp_path / "few-out").found.verdicts
    assert (few.word, few.why) == ("no verdict", "it has 4 photos, and a verdict takes 8")


def test_photos_that_belong_together_count_once(tmp_path):
    table = write_edits(tmp_path / "t", {"shield": {"none": 0.8}}, photos=9, side=32)
    first, *rows = table.read_text().splitlines()
    column = first.split(",").index("photo")
    grouped = [f"{row},shoot {int(row.split(',')[column][-1]) % 3}" for row in rows]
    table.write_text("\n".join([f"{first},group", *grouped]))
    report = api.score(table, tmp_path / "out")
    assert report.found.n_groups == 3
    assert report.found.verdicts[0].why == "it has 3 groups, and a verdict takes 8"


def test_an_original_of_two_photos_is_refused(tmp_path):
    """As where a copied row keeps the original of the one above."""
    table = write_edits(tmp_path / "t", {"shield": {"none": 0.5}}, photos=2, side=32)
    lines = list(csv.DictReader(table.open()))
    first = lines[0]["original"]
    rows = [line | {"original": first} for line in lines]
    with table.open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    with pytest.raises(UserError, match=r"is the original of .*, too: give .* its own"):
        api.score(table, tmp_path / "out")
