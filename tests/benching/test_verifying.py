"""Bundles that were forged consistently, each with its entry made anew: verification finds them."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from skimage import data

import brittle
from brittle.analysis.conclusions import summarise_record
from brittle.analysis.finished import Finished
from brittle.benching.declaration import OWN, departures, load_bench, title
from brittle.benching.leaderboard import read_entries, read_entry
from brittle.benching.measuring import digest_of, remeasured, told
from brittle.benching.verifying import verify_bundle
from brittle.images import from_bytes, write_image
from brittle.record.bundle import pack
from brittle.record.record import Record, index_json
from brittle.record.rows import format_results
from brittle.record.store import INDEX, RESULTS, FolderStore, dump_list

ENTRIES = Path(__file__).parents[2] / "leaderboard"
ARM = "photoguard-encoder-visible"
JUDGED = """
name: judged
version: 1
levels: {visible: "linf:12/255"}
trial:
  photos: photos
  size: 128
  prompts: a sepia photo
  seeds: [0, 3]
  placebos: [noise]
  transforms: ["jpeg:quality=75"]
  floor_seeds: [1]
  metrics: [psnr, follow, keep]
  primary: {metric: psnr, transforms: ["jpeg:quality=75"]}
"""
EDITS = 2 * 2 * 2 * 4  # photos, seeds, transforms, arms


@pytest.fixture(scope="module")
def honest(tmp_path_factory):
    """The entry of a tiny bench whose edits are judged, beside its bundle and its trial."""
    folder = tmp_path_factory.mktemp("verifying")
    (folder / "judged.yaml").write_text(JUDGED)
    for name in ("astronaut", "chelsea"):
        crop = getattr(data, name)()[None, 40:296:2, 100:356:2]
        write_image(folder / "photos" / f"{name}.png", from_bytes(crop.copy()))
    bench = folder / "judged.yaml"
    return brittle.bench("photoguard-encoder:steps=2", folder / "out", size=bench).path


@pytest.fixture
def forge(honest, tmp_path):
    """Writes the bundle with another table, index or manifest; gives what verification finds."""

    def forged(*, rows=None, index=None, manifest=None, **says):
        copy = tmp_path / "copy"
        shutil.copytree(honest.with_suffix(""), copy)
        store = FolderStore(copy)
        made = {} if rows is None else {RESULTS: format_results(rows).encode()}
        made |= {} if index is None else {INDEX: dump_list(index_json(index))}
        store.write_manifest(manifest or store.manifest)
        store.write_results(store.manifest, made)
        bundle, record = tmp_path / "forged.zip", Record.open(copy)
        pack(record, bundle)
        trial = Finished(record, summarise_record(record))
        entry = read_entry(honest).model_copy(
            update={"bundle_sha256": digest_of(bundle), **told(trial), **says}
        )
        entry = entry.model_copy(update={"results": remeasured(trial, entry)})
        return verify_bundle(bundle, entry, seed=0, share=0.01)

    return forged


@pytest.fixture
def record(honest):
    return Record.open(honest.with_suffix(""))


def differing(found):
    return {part.kind: len(part.differ) for part in found.parts if part.differ}


def named(found, kind):
    (part,) = [one for one in found.parts if one.kind == kind]
    return part.differ


def test_an_honest_bundle_agrees_in_whole(honest, record):
    entry = read_entry(honest)
    found = verify_bundle(honest.with_suffix(".zip"), entry, seed=0, share=0.01)
    assert found.agrees
    counts = {part.kind: part.compared for part in found.parts}
    assert counts["edits of the trial's grid"] == EDITS
    assert counts["judgements of usable edits"] == EDITS * 3 // 4  # of gray none
    assert "of the bench's fields" not in counts, "it is no bench of brittle's"
    assert {row.value for row in record.rows if row.metric == "usable"} <= {0, 1}


def test_an_honest_bundle_of_two_models_and_of_files_agrees(honest, record, tmp_path):
    more = "  models: {embedded-instruct: ['instruct:num_inference_steps=2']}\n"
    (tmp_path / "judged.yaml").write_text(f"{JUDGED}{more}  models_transforms: [none]\n")
    files, photos = tmp_path / "files", tmp_path / "photos"
    files.mkdir()
    photos.mkdir()
    shutil.copy(honest.parents[1] / "photos" / "chelsea.png", photos)
    for one in record.index:
        if (one.image, one.arm, one.transform) == ("chelsea", ARM, "none"):
            (files / "chelsea.png").write_bytes(record.picture(one.released))
    settings = {"size": tmp_path / "judged.yaml", "files": files}
    path = brittle.bench("my cloak", tmp_path / "out", **settings).path
    found = verify_bundle(path.with_suffix(".zip"), read_entry(path), seed=0, share=0.01)
    assert differing(found) == {}
    (grid,) = [part for part in found.parts if part.kind == "edits of the trial's grid"]
    assert grid.compared == EDITS // 2 + EDITS // 4, "the second model's edits are untransformed"


def test_scores_whose_edits_were_left_out_are_found(forge, record):
    rows = [
        replace(row, value=row.value * 3)
        if (row.arm, row.metric) == (ARM, "psnr.distance")
        else row
        for row in record.rows
    ]
    index = [
        replace(one, edited=None, received=None, cell=None) if one.arm == ARM else one
        for one in record.index
    ]
    found = forge(rows=rows, index=index)
    assert differing(found) == {"edits of the trial's grid": EDITS // 4}


def test_what_is_no_part_of_the_trial_is_found(forge, record):
    first = next(row for row in record.rows if (row.arm, row.metric) == (ARM, "psnr.distance"))
    found = forge(rows=[*record.rows, replace(first, seed=7)])
    assert differing(found) == {"edits of the trial's grid": 1}


def test_a_second_published_file_of_one_photo_is_found(forge, record):
    """Distances from the photo were measured on the last, and edits computed of the first."""
    clean = {one.image: one.released for one in record.index if one.arm == "original"}
    index = [
        replace(one, released=clean[one.image]) if (one.arm, one.seed) == (ARM, 3) else one
        for one in record.index
    ]
    assert differing(forge(index=index)) == {"edits of the trial's grid": EDITS // 4}


def test_judgements_that_were_left_out_are_found(forge, record):
    rows = [row for row in record.rows if (row.arm, row.metric, row.seed) != (ARM, "usable", 3)]
    assert differing(forge(rows=rows)) == {"judgements of usable edits": 4}


def test_judgements_without_a_number_are_found(forge, record):
    rows = [
        replace(row, value=None, reason="not calibrated")
        if (row.arm, row.metric, row.seed) == (ARM, "usable", 3)
        else row
        for row in record.rows
    ]
    assert differing(forge(rows=rows)) == {"judgements of usable edits": 4}


def test_thresholds_that_are_not_the_models_are_found(forge, record):
    thresholds = [one | {"tau_keep": 0.999} for one in record.manifest.calibration["thresholds"]]
    other = record.manifest.calibration | {"thresholds": thresholds}
    rows = [replace(row, value=0.0) if row.metric == "usable" else row for row in record.rows]
    found = forge(rows=rows, manifest=record.manifest.model_copy(update={"calibration": other}))
    assert differing(found) == {"of the manifest's fields": 1}
    assert named(found, "of the manifest's fields") == ("calibration",)


def test_a_manifest_that_leaves_its_trial_is_found(forge, record):
    manifest = record.manifest
    stricter = manifest.primary.margins.model_copy(update={"broken": 0.01})
    changed = {
        "transforms": manifest.transforms[:1],
        "photos": (*manifest.photos, manifest.photos[0]),
        "primary": manifest.primary.model_copy(update={"margins": stricter}),
    }
    found = forge(manifest=manifest.model_copy(update=changed))
    assert named(found, "of the manifest's fields") == ("photos", "transforms", "primary")


def called_quick(record, version, **changed):
    """The manifest of a trial that is called one of brittle's own benches."""
    name = title("photoguard-encoder:steps=2", "quick", version)
    trial = record.manifest.trial
    changed |= {"title": name}
    written = trial.model_copy(update={"as_written": trial.as_written | changed})
    return record.manifest.model_copy(update={"title": name, "trial": written})


def test_another_declaration_under_the_name_of_a_bench_is_found(forge, record):
    version = load_bench("quick").version
    found = forge(manifest=called_quick(record, version), bench="quick", bench_version=version)
    assert {*differing(found)} == {"of the bench's fields"}
    fields = {*named(found, "of the bench's fields")}
    assert {"transforms", "placebos", "metrics", "primary", "levels"} <= fields
    assert not fields & {"title", "protections", "names", "seeds", "editors", "photos"}


def test_other_photos_under_the_name_of_the_benchs_are_found(forge, record):
    version = load_bench("quick").version
    manifest = called_quick(record, version, photos="sample")
    found = forge(manifest=manifest, bench="quick", bench_version=version)
    assert {"astronaut", "grace_hopper"} <= {*named(found, "photos of the bench")}


def test_a_version_of_a_bench_that_is_not_here_does_not_agree(forge, record):
    version = load_bench("quick").version + 1
    found = forge(manifest=called_quick(record, version), bench="quick", bench_version=version)
    assert differing(found) == {"of the bench's fields": 1}
    (words,) = [part.words for part in found.parts if not part.agrees]
    assert f"version {version}, which is not here: this brittle has {version - 1}" in words


@pytest.fixture(scope="module")
def entries():
    return read_entries(ENTRIES)


def left(entry, **changed):
    """In what an entry leaves its bench, with another setting."""
    levels = [(one.level, one.budget) for one in entry.results]
    return departures(load_bench(entry.bench), entry.setting | changed, levels)


def test_entries_of_the_leaderboard_have_the_setting_of_their_bench(entries):
    here = [one for one in entries if load_bench(one.bench).version == one.bench_version]
    assert [one.protection for one in here if left(one)] == []


def test_a_setting_leaves_its_bench_by_any_field_but_the_submissions(entries):
    entry, bench = entries[0], load_bench("quick")
    assert left(entry, title="mine", protections=[], names={}, files={"x": "x"}) == []
    assert left(entry, seeds=[0, 4]) == ["seeds"]
    assert left(entry, photos="mine") == []  # and the table says which photos
    assert left(entry, placebos=["noise"], floor_seeds=[1]) == ["placebos", "floor_seeds"]
    assert left(entry, calibration="mine.json", batch=1) == ["calibration", "batch"]
    assert departures(bench, entry.setting, [(OWN, "")]) == []
    for levels in ([], [("medium", "linf:12/255")], [*bench.levels.items()] * 2, [(OWN, "x")]):
        assert departures(bench, entry.setting, levels) == ["levels"]


@pytest.mark.parametrize("size", ["quick", "full"])
def test_photos_may_be_the_users(size):
    bench = load_bench(size)
    setting = bench.trial | {"photos": "mine"}
    assert departures(bench, setting, bench.levels.items()) == []
