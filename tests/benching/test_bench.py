"""A tiny bench from protection to leaderboard: what noise gets, and what verification finds."""

import json
import re
import shutil
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from skimage import data
from typer.testing import CliRunner

import brittle
from brittle.analysis import half_life
from brittle.analysis.summary import Interval
from brittle.benching import entry as schema
from brittle.benching.declaration import SIZES, load_bench, submission, title
from brittle.benching.entry import Entry, HalfLeft, Measured
from brittle.benching.leaderboard import LeaderboardRow, page, ranked, read_entries, read_entry
from brittle.benching.measuring import reported
from brittle.benching.verifying import _at_its_level, alike, verify_bundle
from brittle.cli import app
from brittle.component import registry
from brittle.editors import Img2Img
from brittle.errors import UserError
from brittle.images import from_bytes, write_image
from brittle.protections import Protection
from brittle.record.bundle import pack
from brittle.record.record import Record, index_json
from brittle.record.rows import format_results
from brittle.record.store import INDEX, RESULTS, FolderStore, dump_list
from brittle.transforms import Transform

ROOT = Path(__file__).parents[2]
PROTECTION = "photoguard-encoder:steps=8"
TINY = """
name: tiny
version: 3
levels: {visible: "linf:12/255"}
trial:
  photos: photos
  size: 128
  prompts: a sepia photo
  seeds: [0, 3]
  placebos: [noise]
  transforms: ["jpeg:quality=75"]
  editors: ["img2img:strength=0.3,num_inference_steps=4"]
  floor_seeds: [1]
  metrics: [psnr]
  primary: {metric: psnr, transforms: ["jpeg:quality=75"]}
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Where a tiny bench lies, with eight photos."""
    folder = tmp_path_factory.mktemp("benching")
    (folder / "tiny.yaml").write_text(TINY)
    for number in range(8):
        source = (data.astronaut, data.chelsea, data.coffee, data.rocket)[number % 4]()
        at = 40 + 60 * (number // 4)
        crop = source[None, at : at + 120 : 3, 100 + at : 220 + at : 3]
        write_image(folder / "photos" / f"{number}.png", from_bytes(crop.copy()))
    return folder


@pytest.fixture(scope="module")
def encoder(folder):
    return brittle.bench(PROTECTION, folder / "out", size=folder / "tiny.yaml", by="a test").path


@pytest.fixture(scope="module")
def noise(folder):
    """The documented protection that is nothing."""
    document = (ROOT / "docs" / "bench.md").read_text(encoding="utf-8")
    plugin = folder / "plain_noise.py"
    plugin.write_text(document.partition("```python\n")[2].partition("```")[0])
    brittle.load_plugin(plugin)
    setting = "plain-noise:budget=8/255"
    return brittle.bench(setting, folder / "out", size=folder / "tiny.yaml").path


def test_noise_ends_at_the_bottom_and_has_no_place(encoder, noise):
    entries = [read_entry(noise), read_entry(encoder)]
    by_name = {one.protection: one.results[0] for one in entries}
    nothing, something = by_name["plain-noise:budget=8/255"], by_name[PROTECTION]
    assert nothing.standing == "no more than noise"
    assert something.standing in ("holds", "acts until adapted to")
    assert something.before.low > 0.02
    ranks, _, after = page(entries).partition("Reach that each transform leaves alone")
    table = [line for line in ranks.splitlines() if line.startswith("|")][2:]
    assert [line.split(" | ")[:2] for line in table] == [
        ["| 1", PROTECTION],
        ["| –", "plain-noise:budget=8/255"],
    ]
    head, _, first, second = [line for line in after.splitlines() if line.startswith("|")][:4]
    assert head == "| protection | none | JPEG 75 |"
    assert PROTECTION in first
    assert not first.split(" | ")[1].endswith("·")
    assert second.split(" | ")[1].endswith("·")


def test_an_entry_says_what_was_run_by_whom_and_how_visible_it_is(encoder, noise, folder):
    entry = read_entry(encoder)
    (result,) = entry.results
    assert (entry.bench, entry.bench_version, entry.measured_by) == ("tiny", 3, "a test")
    assert entry.records["photoguard-encoder-visible"]["fields"]["budget"]["radius"] == 12 / 255
    assert "arXiv 2304.02234" in entry.source
    assert entry.reported == reported("photoguard-encoder")
    assert (result.level, result.worst.n, result.transforms) == ("visible", 8, 2)
    assert list(result.after) == ["jpeg:quality=75"]
    assert result.after["jpeg:quality=75"].estimate < result.before.estimate
    assert 26 < result.psnr.estimate < 32
    assert 0 < result.st_lpips.low < result.st_lpips.high
    assert result.usable is None
    assert result.usable_reason == "the trial does not judge edits of the unprotected photo"
    assert result.transfer_reason == "missing: the bench has one editor"
    assert str(folder) not in encoder.read_text()
    assert (entry.plugin, len(read_entry(noise).plugin)) == ("", 16)


def test_the_same_command_goes_on_to_the_same_entry(encoder, folder):
    before = encoder.read_bytes()
    brittle.bench(PROTECTION, folder / "out", size=folder / "tiny.yaml", by="a test")
    assert encoder.read_bytes() == before


def test_rows_of_one_folder_share_what_is_the_same(noise, folder, monkeypatch):
    edits = []
    edit = Img2Img.edit

    def counted(self, model, image, **options):
        edits.append(len(image))
        return edit(self, model, image, **options)

    monkeypatch.setattr(Img2Img, "edit", counted)
    bench = folder / "tiny.yaml"
    one = brittle.bench("plain-noise:budget=6/255", folder / "out", size=bench).path
    shared = sum(edits)
    edits.clear()
    alone = brittle.bench("plain-noise:budget=6/255", folder / "alone", size=bench).path
    assert shared < sum(edits)
    numbers = [read_entry(path).results for path in (one, alone)]
    assert numbers[0] == numbers[1]


def test_files_of_any_tool_are_measured_as_they_are(encoder, folder, tmp_path):
    record = Record.open(encoder.with_suffix(""))
    for one in record.index:
        if one.arm == "photoguard-encoder-visible" and one.transform == "none":
            file = tmp_path / "files" / f"{one.image}_cloaked.png"
            file.parent.mkdir(exist_ok=True)
            file.write_bytes(record.path(one.released).read_bytes())
    setting = {"size": folder / "tiny.yaml", "files": tmp_path / "files"}
    entry = brittle.bench("my cloak", tmp_path / "out", **setting).found
    (mine,), (theirs,) = entry.results, read_entry(encoder).results
    assert (mine.level, mine.arm, mine.st_lpips) == ("own", "my-cloak-own", theirs.st_lpips)
    assert entry.records == {"my-cloak-own": None}
    assert mine.before.estimate == pytest.approx(theirs.before.estimate, abs=0.05)  # other noise


def test_a_bundle_comes_out_again(encoder):
    bundle = encoder.with_suffix(".zip")
    found = brittle.verify(bundle, encoder, seed=5)
    assert found.found.agrees
    counts = {part.kind: part.compared for part in found.found.parts}
    cells = 8 * 2 * 2 * 4  # photos, seeds, transforms, arms
    assert counts["edits"] <= round(cells / 10)
    assert min(counts["edits"], counts["received pictures"], counts["scores"]) > 5
    assert counts["of the entry's results"] == 1
    assert brittle.verify(bundle, seed=5).text == "\n".join(
        line for line in found.text.splitlines() if "entry" not in line
    )


def differing(found):
    return {part.kind: len(part.differ) for part in found.parts if part.differ}


def test_what_was_forged_is_found(encoder, tmp_path):
    """An exchanged edit, a file that was never received so, and a changed score."""
    copy = tmp_path / "copy"
    shutil.copytree(encoder.with_suffix(""), copy)
    record, store = Record.open(copy), FolderStore(copy)
    edit, received = [
        one
        for one in record.index
        if one.arm.startswith("photoguard") and one.transform == "jpeg:quality=75"
    ][:4:3]
    clean = record.by_point[edit.point._replace(arm="original")]
    for forged, other in ((edit.edited, clean.edited), (received.received, received.released)):
        store.write_levels(Path(forged).stem, store.read_levels(Path(other).stem))
    rows = [*record.rows]
    at = next(
        place
        for place, row in enumerate(rows)
        if row.arm.startswith("noise") and row.metric == "psnr.distance" and row.value
    )
    rows[at] = replace(rows[at], value=rows[at].value * 1.5)
    store.write_results(record.manifest, {RESULTS: format_results(rows).encode()})
    pack(Record.open(copy), tmp_path / "forged.zip")
    found = verify_bundle(tmp_path / "forged.zip", seed=0, share=1.0)
    assert differing(found) == {"edits": 1, "received pictures": 1, "scores": 1}
    words = [line for line in (part.words for part in found.parts) if "not " in line]
    assert edit.image in words[1]


def test_an_index_that_its_manifest_does_not_cover_is_refused_in_a_sentence(encoder, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(encoder.with_suffix(""), copy)
    record, store = Record.open(copy), FolderStore(copy)
    index = [replace(one, transform="flip") for one in record.index]
    store.write_results(record.manifest, {INDEX: dump_list(index_json(index))})
    pack(Record.open(copy), tmp_path / "forged.zip")
    with pytest.raises(UserError, match=r"The bundle's index has 0.*, which its manifest lacks"):
        verify_bundle(tmp_path / "forged.zip", seed=0)


def test_an_entry_whose_number_was_changed_is_found(encoder):
    entry = read_entry(encoder)
    (result,) = entry.results
    better = result.worst.model_copy(update={"estimate": result.worst.estimate + 0.1})
    changed = entry.model_copy(update={"results": (result.model_copy(update={"worst": better}),)})
    found = verify_bundle(encoder.with_suffix(".zip"), changed, seed=0, share=0.01)
    assert differing(found) == {"of the entry's results": 1}
    other = entry.model_copy(update={"bundle_sha256": "0" * 64})
    with pytest.raises(UserError, match="not the bundle of this entry"):
        verify_bundle(encoder.with_suffix(".zip"), other, seed=0)


def test_an_entry_that_says_it_is_another_is_found(encoder):
    entry, bundle = read_entry(encoder), encoder.with_suffix(".zip")

    def found(**changes):
        return differing(
            verify_bundle(bundle, entry.model_copy(update=changes), seed=0, share=0.01)
        )

    assert found(measured_by="another", source="mine") == {}
    assert found(protection="my-super-cloak") == {"of the entry's fields": 1}
    forged = {"model": "Stable Diffusion 1.5", "size": 512, "photos": 24, "records": {}}
    assert found(**forged) == {"of the entry's fields": 4}
    (result,) = entry.results
    for change in ({"level": "mild"}, {"budget": "linf:1/255"}):
        changed = {"results": (result.model_copy(update=change),)}
        assert found(**changed) == {"of the entry's results": 1}
    for results in ((), (result, result)):
        with pytest.raises(UserError, match="not those of the bundle's protections"):
            found(results=results)


def test_an_entry_of_a_plugin_is_verified_without_the_plugin(noise, monkeypatch):
    bundle, entry = noise.with_suffix(".zip"), read_entry(noise)
    monkeypatch.delitem(registry(Protection.family).components, "plain-noise")
    assert differing(verify_bundle(bundle, entry, seed=0, share=0.01)) == {}
    (result,) = entry.results
    louder = entry.model_copy(
        update={"results": (result.model_copy(update={"budget": "linf:1/255"}),)}
    )
    found = verify_bundle(bundle, louder, seed=0, share=0.01)
    assert differing(found) == {"of the entry's results": 1}


def test_a_record_without_a_budget_has_its_components_and_a_bad_one_is_told(encoder):
    (result,) = read_entry(encoder).results
    record = Protection.parse("photoguard-encoder:budget=12/255").record()
    assert _at_its_level(result, record)
    del record["fields"]["budget"]
    assert not _at_its_level(result, record)
    for budget in (None, "loud", {"norm": "loud"}, {"norm": "linf", "radius": -1}):
        with pytest.raises(UserError, match="as a budget: run its bench again"):
            _at_its_level(result, record | {"fields": {"budget": budget}})


def test_scores_that_were_left_out_are_missed(encoder, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(encoder.with_suffix(""), copy)
    record, store = Record.open(copy), FolderStore(copy)
    rows = [row for row in record.rows if row.image != "3"]
    store.write_results(record.manifest, {RESULTS: format_results(rows).encode()})
    pack(Record.open(copy), tmp_path / "forged.zip")
    left_out = 2 * (2 * 4 - 1)  # seeds; transforms and arms, but for the photo as it is
    found = verify_bundle(tmp_path / "forged.zip", seed=0, share=0.01)
    assert differing(found)["edits with their scores"] == left_out
    store.write_results(record.manifest, {INDEX: dump_list([])})
    pack(Record.open(copy), tmp_path / "empty.zip")
    with pytest.raises(UserError, match="has no edits"):
        verify_bundle(tmp_path / "empty.zip", seed=0)


def test_pictures_may_differ_as_machines_do():
    one = np.full((100, 100, 3), 100, np.uint8)
    other = one + 1
    assert alike(one, other)
    other[:3, :10, 0] = 110  # 30 of 30,000 values
    assert alike(one, other)
    other[3, 0, 0] = 110
    assert not alike(one, other)
    assert not alike(one, one[:50])


def test_a_bundle_of_something_else_is_named_by_its_own_name(tmp_path):
    path = tmp_path / "other.zip"
    with zipfile.ZipFile(path, "w") as bundle:
        bundle.writestr("manifest.json", "{}")
    with pytest.raises(UserError, match=r"other\.zip") as refused:
        verify_bundle(path, seed=0)
    assert "brittle-verify" not in str(refused.value)


def interval(estimate, half):
    return Interval(estimate=estimate, low=estimate - half, high=estimate + half, method="t", n=8)


def line(entry, worst, before, half=0.1):
    result = Measured.model_validate(
        entry.results[0].model_dump()
        | {"worst": interval(worst, half), "before": interval(before, half)}
    )
    return LeaderboardRow(entry, result)


def test_what_holds_stands_above_what_is_stronger_but_was_undone(encoder):
    entry = read_entry(encoder)
    holds, more = line(entry, 0.2, 0.3), line(entry, 0.4, 0.4)
    undone, nothing = line(entry, 0.05, 0.9), line(entry, 0.09, 0.05)
    less = line(entry, 0.01, 0.02)
    assert ranked([nothing, less, undone, holds, more]) == [more, holds, undone, nothing, less]
    few = line(entry, 0.4, 0.4)
    few.result.__dict__["before"] = Interval(estimate=0.4, method="none", n=3)
    assert few.result.standing == "too few photos"
    stopped = more.result.model_copy(update={"withheld": "loss did not fall"})
    assert ranked([LeaderboardRow(entry, stopped), nothing])[0] is nothing
    assert stopped.standing == "withheld"
    assert line(entry, 0.2, 0.05).result.standing == "no more than noise"
    alone = more.result.model_copy(update={"worst": None, "worst_reason": "no transform was tried"})
    assert alone.standing == "acts, with nobody adapting"
    assert ranked([nothing, LeaderboardRow(entry, alone)])[1] is nothing


def test_what_gray_does_not_outdo_has_no_scale_however_many_photos(encoder):
    entry = read_entry(encoder)
    unbounded = Interval(estimate=0.3, method="fieller", note="no bound", n=32)
    for before in (None, unbounded, unbounded.model_copy(update={"n": 8})):
        result = entry.results[0].model_copy(update={"before": before})
        assert result.standing == "no scale"
        (row,) = rows(page([entry.model_copy(update={"results": (result,)})]))
        assert (row["#"], row["standing"]) == ("–", "no scale")
    few = unbounded.model_copy(update={"n": 7})
    assert entry.results[0].model_copy(update={"before": few}).standing == "too few photos"
    assert "*no scale*" in page([entry])


def rows(written):
    """The first table's rows, by the heads of its columns."""
    head, _, *found = [line for line in written.splitlines() if line.startswith("|")]
    cells = [line.strip("| ").split(" | ") for line in (head, *found)]
    return [dict(zip(cells[0], one, strict=True)) for one in cells[1:] if len(one) == len(cells[0])]


WHAT, STRENGTHS = "JPEG quality", (95.0, 85.0, 75.0)


@pytest.mark.parametrize(
    ("sentence", "said"),
    [
        (half_life._sentence(WHAT, STRENGTHS, True, (1, 2), 85.0, 95.0), "no single one"),
        (half_life._sentence(WHAT, STRENGTHS, False, None, None, None), "no effect"),
        (half_life._sentence(WHAT, STRENGTHS, True, None, None, None), "not settled"),
    ],
)
def test_why_there_is_no_half_life_is_what_was_found(sentence, said, encoder):
    entry = read_entry(encoder)
    jpeg = HalfLeft(low=None, high=None, sentence=sentence)
    result = entry.results[0].model_copy(update={"jpeg": jpeg})
    written = page([entry.model_copy(update={"results": (result,)})])
    assert rows(written)[0]["half gone at JPEG"] == said
    assert f"*{said}*" in written.lower()


def test_the_legend_has_the_levels_of_the_entries(encoder):
    entry = read_entry(encoder)
    assert "of 95 %.\n" in page([entry])
    (result,) = entry.results
    wider = result.before.model_copy(update={"level": 1 - 0.05 / 3})
    for change in ({"before": wider}, {"after": {"flip": wider}}):
        changed = entry.model_copy(update={"results": (result.model_copy(update=change),)})
        assert "of 95 %\n  (98.3 % for some" in page([changed])


def test_texts_from_anyone_are_text_on_the_page(encoder):
    entry = read_entry(encoder)
    planted = entry.model_copy(
        update={"measured_by": "<script>x</script> | [a](javascript:b)\n# c"}
    )
    written = page([planted])
    assert "<script>" not in written
    assert "&lt;script>x&lt;/script> &#124; &#91;a](javascript:b) # c |" in written


def test_a_table_names_the_presets_that_it_lacks(encoder):
    entry = read_entry(encoder).model_copy(update={"protection": "mist-v2:learning_rate=1e-4"})
    (lacking,) = [one for one in page([entry]).splitlines() if one.startswith("Presets without")]
    presets = set(registry(Protection.family).presets)
    assert set(lacking.partition(": ")[2].rstrip(".").split(", ")) == presets - {"mist-v2"}


def test_the_page_is_the_one_of_the_entries():
    entries = read_entries(ROOT / "leaderboard")
    written = (ROOT / "docs" / "leaderboard.md").read_text(encoding="utf-8")
    assert page(entries) == written, (
        "run: brittle bench leaderboard leaderboard/ -o docs/leaderboard.md"
    )


def test_the_schema_is_the_one_of_the_model():
    assert json.loads(schema.SCHEMA.read_text(encoding="utf-8")) == schema.schema()


@pytest.mark.parametrize("size", SIZES)
def test_the_benches_that_come_with_brittle_can_be_run(size):
    bench = load_bench(size)
    of = submission(bench, "photoguard-encoder", photos=Path("mine"))
    protections = [Protection.parse(of.trial.written_out(label)) for label in of.trial.protections]
    budgets = [one.budget for one in protections]
    assert [one.norm for one in budgets] == ["st-lpips"] * len(bench.levels)
    assert [one.radius for one in budgets] == sorted(one.radius for one in budgets)
    assert [*of.levels.values()] == [*bench.levels]
    assert len(of.trial.seeds) >= 2, "what chooses must not score"
    assert "published file" in of.trial.threat_model
    for transform in of.trial.transforms:
        Transform.parse(transform)


@pytest.mark.parametrize("name", sorted(registry(Protection.family).presets))
def test_every_preset_that_protects_photos_can_be_run(name):
    try:
        component = Protection.parse(name)
    except UserError as error:
        if "brittle models fetch" not in str(error):
            raise
        return
    trial = submission(load_bench("small"), name).trial
    for label in trial.protections:
        mine = Protection.parse(trial.written_out(label))
        assert mine.record()["name"] == component.name
        assert mine == component.with_budget(mine.budget)


def test_the_quick_bench_is_the_small_one_at_another_size_and_with_one_editor():
    quick, small = map(load_bench, ("quick", "small"))
    assert quick.levels == small.levels
    others = {"models": {}, "models_transforms": None}
    assert quick.trial == small.trial | {"square": 128, "size": 128} | others
    assert title("p", quick.name, quick.version) != title("p", small.name, small.version)


def test_levels_of_visibility_have_tables_of_their_own(encoder):
    entry = read_entry(encoder)
    (result,) = entry.results
    other = result.model_copy(update={"level": "faint"})
    written = page([entry.model_copy(update={"results": (other, result)})])
    assert re.findall("^### .*: visibility (.*)$", written, re.MULTILINE) == ["faint", "visible"]
    assert written.count("| 1 | photoguard-encoder:steps=8 |") == 2


def brittle_says(*arguments, code=0):
    done = CliRunner().invoke(app, ["bench", *map(str, arguments)])
    assert done.exit_code == code, done.output
    return done


def test_the_command_runs_what_is_no_other_command(folder, encoder, tmp_path):
    size = ("--size", folder / "tiny.yaml")
    said = brittle_says(PROTECTION, "--dry-run", *size).stdout
    assert said.startswith(f"{PROTECTION} on the bench tiny 3: 8 photos on embedded at 128 px")
    assert (
        brittle_says("run", PROTECTION, "--dry-run", *size).stdout.splitlines()[1:5]
        == (said.splitlines()[1:5])
    )
    refused = brittle_says("fotoguard-encoder", *size, code=2)
    assert refused.stderr.startswith("brittle: Unknown protection")
    written = brittle_says("photos", *size, "-o", tmp_path / "photos").stdout.splitlines()
    assert len(written) == 8
    forged = json.loads(encoder.read_text()) | {"bundle_sha256": "0" * 64}
    (tmp_path / "entries").mkdir()
    (tmp_path / "entries" / "e.json").write_text(json.dumps(forged))
    brittle_says("leaderboard", tmp_path / "entries", "-o", tmp_path / "page.md")
    assert PROTECTION in (tmp_path / "page.md").read_text(encoding="utf-8")
    verify = ("verify", encoder.with_suffix(".zip"), "--entry", tmp_path / "entries" / "e.json")
    assert "not the bundle of this entry" in brittle_says(*verify, code=2).stderr
    for command in ("run", "photos", "verify", "leaderboard"):
        assert "Example: brittle bench" in brittle_says(command, "--help").stdout


def test_what_cannot_be_benched_is_refused_in_a_sentence(folder, tmp_path):
    with pytest.raises(UserError, match="did you mean 'photoguard-encoder'"):
        submission(load_bench("small"), "fotoguard-encoder")
    with pytest.raises(UserError, match="at its own levels of visibility: leave the budget out"):
        submission(load_bench("small"), "photoguard-encoder:budget=8/255")
    with pytest.raises(UserError, match="no photos of its own: name yours, --photos"):
        submission(load_bench("full"), "photoguard-encoder")
    with pytest.raises(UserError, match="say quick, small or full, or name a file"):
        load_bench("huge")
    (tmp_path / "bad.yaml").write_text("name: x\nversion: 0\nlevels: {}\ntrial: {}")
    with pytest.raises(UserError, match="version"):
        load_bench(tmp_path / "bad.yaml")
    (tmp_path / "mine.yaml").write_text("like: quick\ntrial: {seeds: [7]}")
    with pytest.raises(UserError, match="a bench of brittle's own: give yours another name"):
        load_bench(tmp_path / "mine.yaml")
    with pytest.raises(UserError, match=r"is no \.md file"):
        brittle.leaderboard(tmp_path, tmp_path / "x.json")
    (tmp_path / "x.json").write_text("{}")
    with pytest.raises(UserError, match=r"x\.json"):
        read_entries(tmp_path)


LIKE = "like: quick\nname: mine\nversion: 1\n"


@pytest.mark.parametrize("trial", ["hello", "[1, 2]", "7", "false"])
def test_a_trial_that_is_no_mapping_is_refused_in_a_sentence(tmp_path, trial):
    (tmp_path / "mine.yaml").write_text(f"{LIKE}trial: {trial}")
    with pytest.raises(UserError, match=r"mine\.yaml: trial: should be a mapping of names to"):
        load_bench(tmp_path / "mine.yaml")


@pytest.mark.parametrize("trial", ["", "trial: null", "trial:", "trial: {}"])
def test_a_bench_may_have_the_trial_of_the_one_that_it_is_like(tmp_path, trial):
    (tmp_path / "mine.yaml").write_text(LIKE + trial)
    assert load_bench(tmp_path / "mine.yaml").trial == load_bench("quick").trial


@pytest.mark.parametrize(
    ("more", "complaint"),
    [
        ("trial: {title: mine}", "trial: .* sets title itself: leave it out"),
        ("trial: {protections: [advdm]}", "sets protections itself"),
        ("trial: {names: {a: advdm}}", "sets names itself"),
        ("trial: {files: {x: files}}", "sets files itself"),
        ("trial: {title: mine, budgets: []}", "sets title, budgets itself: leave them out"),
        ("levels: {own: 8/255}", "levels: own is the level of files .*: rename yours"),
    ],
)
def test_a_bench_sets_nothing_of_what_is_run_on_it(tmp_path, more, complaint):
    (tmp_path / "mine.yaml").write_text(LIKE + more)
    with pytest.raises(UserError, match=rf"mine\.yaml: .*{complaint}"):
        load_bench(tmp_path / "mine.yaml")


def test_one_result_has_one_place(encoder, tmp_path):
    for name in ("a.json", "b.json"):
        shutil.copy(encoder, tmp_path / name)
    with pytest.raises(UserError, match=r"a\.json and .*b\.json are of the same bundle"):
        read_entries(tmp_path)


def test_published_numbers_have_a_source():
    for protection in ("photoguard-encoder", "photoguard-diffusion", "diffusionguard"):
        assert all(re.search(r"arXiv \d{4}\.\d{5}", one.source) for one in reported(protection))
    assert reported("plain-noise") == ()


def test_entries_are_read_strictly(encoder, tmp_path):
    written = json.loads(encoder.read_text())
    (tmp_path / "e.json").write_text(json.dumps(written | {"rank": 1}))
    with pytest.raises(UserError, match="rank"):
        read_entry(tmp_path / "e.json")
    assert Entry.model_validate(written).to_json() == encoder.read_text()


def test_rows_of_other_settings_are_not_put_in_one_table(encoder):
    entry = read_entry(encoder)
    other = entry.model_copy(update={"setting": entry.setting | {"seeds": [5]}})
    with pytest.raises(UserError, match=r"other settings \(seeds\) of the bench"):
        page([entry, other])


def test_a_benchs_photos_lie_beside_it(tmp_path):
    path = tmp_path / "sub" / "mine.yaml"
    path.parent.mkdir()
    for photos in ("..", str(tmp_path)):
        path.write_text(f"{{like: quick, name: mine, version: 1, trial: {{photos: '{photos}'}}}}")
        with pytest.raises(UserError, match="outside the folder of that file"):
            load_bench(path)
