import json
import os
import shutil
import signal
import subprocess
import sys
import weakref
from collections import Counter
from contextlib import contextmanager

import pytest
import torch

from brittle.declaration.primary import Primary
from brittle.errors import UserError
from brittle.images import write_image
from brittle.models import EditModel, load_model
from brittle.models.loading import EMBEDDED
from brittle.progress import ALL, silent
from brittle.protections import Protection
from brittle.record.rows import read_results
from brittle.record.store import FolderStore
from brittle.sources.photos import load_photos
from brittle.trial import stages
from brittle.trial.plan import in_parts, lay_out, make_plan
from brittle.trial.run import run
from brittle.trial.stages import edit, receiving, release
from tests.trial.tiny import Killed, content, killing_after, tiny_trial


@pytest.fixture(scope="module")
def trial(tmp_path_factory, small_sd):
    return tiny_trial(tmp_path_factory.mktemp("photos"), small_sd, metrics=("psnr", "ssim"))


@pytest.fixture(scope="module")
def undisturbed(trial, tmp_path_factory):
    folder = tmp_path_factory.mktemp("undisturbed") / "out"
    run(trial, folder)
    return folder


def test_transforms_may_change_the_size(trial, tmp_path):
    resized = ("resize:factor=0.6,back=false", "screenshot", "crop:left=5,top=3", "upload-1080")
    changed = trial.model_copy(update={"transforms": ("none", *resized)})
    store = run(changed, tmp_path / "out")
    rows = read_results(store.directory / "results.csv")
    cost = {row.transform: row.value for row in rows if row.reference == "clean"}
    assert set(cost) >= {"screenshot", "crop:left=5,top=3"}
    assert None not in cost.values()


def test_results_are_whole(undisturbed):
    lines = (undisturbed / "results.csv").read_text().splitlines()
    # Gray, protection and placebo under two transforms: two metrics, raw and distance, against the
    # control; the original: its cost under the transform and its seed floor.
    assert len(lines) - 1 == 2 * (3 * 2 * 2 * 2 + 2 * 2)
    assert not any(name.endswith(".part") or ".tmp" in name for name in content(undisturbed))


@pytest.mark.numerical
def test_a_stopped_run_goes_on_to_the_same_bytes(trial, undisturbed, tmp_path):
    for count in (1, 4, 9, 15):
        with pytest.raises(Killed):
            run(trial, tmp_path / "out", progress=killing_after(count))
    run(trial, tmp_path / "out")
    assert content(tmp_path / "out") == content(undisturbed)


def test_purifiers_run_the_model_and_survive_a_stop(trial, tmp_path):
    purifier = "denoise:strength=0.5,num_inference_steps=4"
    trial = trial.model_copy(update={"transforms": ("none", purifier)})
    with pytest.raises(Killed):
        run(trial, tmp_path / "out", progress=killing_after(8))
    run(trial, tmp_path / "out")
    store, model = FolderStore(tmp_path / "out"), load_model(trial.model)
    plan = make_plan(trial, load_photos(trial.photos), model)
    received = [one for one in plan.receptions.values() if one.transform == purifier]
    assert len(received) == 2 * 4
    for one in received:
        alone = plan.transforms[purifier].apply(
            store.read(one.release), seeds=[one.seed], model=model
        )
        assert torch.equal(store.read(one.key), alone)


def test_sigkill_in_the_middle_of_a_file_loses_nothing(trial, undisturbed, tmp_path):
    written = tmp_path / "trial.json"
    written.write_text(trial.model_dump_json(exclude_unset=True))
    code = (
        "import os, pathlib, signal, sys\n"
        "from brittle.trial.run import run\n"
        "from brittle.declaration.trial import Trial\n"
        "trial = Trial.model_validate_json(pathlib.Path(sys.argv[1]).read_text())\n"
        "out, fsync = pathlib.Path(sys.argv[2]), os.fsync\n"
        "def dies(descriptor):\n"
        "    if len(list(out.glob('cells/**/*.json'))) >= 3:\n"
        "        os.kill(os.getpid(), signal.SIGKILL)\n"
        "    fsync(descriptor)\n"
        "os.fsync = dies\n"
        "run(trial, out)\n"
    )
    out = tmp_path / "out"
    done = subprocess.run([sys.executable, "-c", code, str(written), str(out)], check=False)
    assert done.returncode == -signal.SIGKILL
    run(trial, out)
    kept = {name: data for name, data in content(out).items() if "/." not in name}
    assert kept == content(undisturbed)


def test_a_run_shows_how_far_all_of_it_is(trial, undisturbed, tmp_path):
    shown = {}

    @contextmanager
    def progress(stage, total):
        shown[stage] = [total, 0]

        def advance(done):
            shown[stage][1] += done

        yield advance

    run(trial, tmp_path / "out", progress=progress)
    stages = ["timing", ALL, "photoguard-encoder:steps=2", "transforms", "edits", "scores"]
    assert sorted(shown) == sorted(stages)
    assert shown[ALL] == [100, pytest.approx(100)]
    assert all(done == total for stage, (total, done) in shown.items() if stage not in stages[:2])
    shown.clear()
    run(trial, undisturbed, progress=progress)
    assert [*shown] == ["timing"]


def test_a_second_run_computes_nothing(trial, undisturbed, monkeypatch):
    before = content(undisturbed)

    def never(*arguments, **keywords):
        raise AssertionError("computed again")

    monkeypatch.setattr("brittle.models.EditModel.encode", never)
    monkeypatch.setattr("brittle.models.EditModel.evaluate", never)
    run(trial, undisturbed)
    assert content(undisturbed) == before


def test_a_received_picture_is_decoded_and_encoded_once_for_all_its_edits(
    trial, tmp_path, monkeypatch
):
    decoded, encoded = Counter(), []
    read, moments = FolderStore.read, EditModel._moments

    def count_read(self, key):
        decoded[key] += 1
        return read(self, key)

    def count_moments(self, pixels):
        if not pixels.requires_grad:
            encoded.append(len(pixels))
        return moments(self, pixels)

    more = {"prompts": ("heavy rain", "night", "snow"), "floor_seeds": (), "protections": ()}
    changed = trial.model_copy(update={**more, "primary": Primary(metric="psnr")})
    store, model = FolderStore(tmp_path / "out"), load_model(trial.model)
    plan = make_plan(changed, load_photos(trial.photos), model)
    release(plan, store, model, silent)
    with receiving(plan, store, model, silent):
        pass
    monkeypatch.setattr(FolderStore, "read", count_read)
    monkeypatch.setattr(EditModel, "_moments", count_moments)
    edit(plan, store, model, silent, lambda key: None)
    sources = {one.source for one in plan.edits.values()}
    assert decoded == dict.fromkeys(sources, 1)
    assert len(plan.edits) == 3 * len(sources) > len(sources)
    assert encoded == [2] * (len(sources) // 2)


def test_pictures_that_wait_for_more_of_their_shape_do_not_add_up(trial, tmp_path, monkeypatch):
    photos, out = tmp_path / "photos", FolderStore(tmp_path / "out")
    photos.mkdir()
    for k in range(12):  # six shapes in turn
        noise = torch.rand(1, 3, 40, 40 + 4 * (k % 6), generator=torch.Generator().manual_seed(k))
        write_image(photos / f"{k:02}.png", noise)
    less = {"protections": (), "floor_seeds": (), "primary": Primary(metric="psnr")}
    changed = trial.model_copy(update={**less, "photos": str(photos), "batch": 4})
    model = load_model(trial.model)
    plan = make_plan(changed, load_photos(changed.photos), model)
    release(plan, out, model, silent)
    with receiving(plan, out, model, silent):
        pass
    pictures, held, calls, read = [], [], [], FolderStore.read

    def remembered(self, key):
        image = read(self, key)
        pictures.append(weakref.ref(image))
        held.append(sum(one() is not None for one in pictures))
        return image

    def called(plan, store, model, editor, batch):
        calls.append((len(pictures), len(batch)))
        return len(batch)

    monkeypatch.setattr(FolderStore, "read", remembered)
    monkeypatch.setattr(stages, "_edit", called)
    edit(plan, out, model, silent, lambda key: None)
    # Of a photo the original, its JPEG and a gray picture: six of each shape, as full as can be.
    assert len(pictures) == len(plan.edits) == 6 * 6
    assert calls == [(6 * k + n, rows) for k in range(6) for n, rows in ((4, 4), (6, 2))]
    assert max(held) <= 2 * plan.batch  # those of the last call and of the next


def test_a_new_metric_fills_in_its_own_scores_only(trial, tmp_path, monkeypatch):
    out = tmp_path / "out"
    less = trial.model_copy(update={"metrics": ("psnr",)})
    run(less, out)
    monkeypatch.setattr("brittle.models.EditModel.evaluate", None)
    monkeypatch.setattr("brittle.metrics.PSNR.compare", None)
    run(trial, out)
    metrics = {line.split(",")[6] for line in (out / "results.csv").read_text().splitlines()[1:]}
    assert metrics == {"psnr", "psnr.distance", "ssim", "ssim.distance"}


@pytest.mark.numerical
def test_shards_gather_to_the_same_results(trial, undisturbed, tmp_path):
    out = tmp_path / "out"
    for index in (1, 2):
        run(trial, out, shard=(index, 2))
        assert not (out / "results.csv").exists()
    run(trial, out)
    assert content(out) == content(undisturbed)


def test_a_trial_that_is_planned_in_parts_has_the_same_bytes(
    trial, undisturbed, tmp_path, monkeypatch
):
    model, photos = load_model(trial.model), load_photos(trial.photos)
    whole, parts = make_plan(trial, photos, model), in_parts(lay_out(trial, photos, model))
    assert [part.cells for part in parts] == [whole.cells]
    monkeypatch.setattr("brittle.trial.plan.CELLS", 1)
    parts = [*in_parts(lay_out(trial, photos, model))]
    assert [{cell.subject for cell in part.cells} for part in parts] == [
        {"astronaut"}, {"chelsea"},
    ]  # fmt: skip
    assert [cell for part in parts for cell in part.cells] == whole.cells
    assert {**parts[0].releases, **parts[1].releases} == whole.releases
    with pytest.raises(Killed):
        run(trial, tmp_path / "out", progress=killing_after(20))
    run(trial, tmp_path / "out")
    assert content(tmp_path / "out") == content(undisturbed)


def test_a_folder_of_another_trial_is_refused(trial, undisturbed):
    before = content(undisturbed)
    words = {"title": "renamed", "threat_model": "he has it all", "not_tried": ("DiffPure",)}
    run(trial.model_copy(update=words), undisturbed)
    run(trial, undisturbed)
    with pytest.raises(UserError, match=r"another trial \(its prompts differ\)"):
        run(trial.model_copy(update={"prompts": ("night",)}), undisturbed)
    assert content(undisturbed) == before


def test_a_folder_with_other_files_is_refused(trial, tmp_path):
    (tmp_path / "thesis.tex").write_text("mine")
    with pytest.raises(UserError, match="holds other files"):
        run(trial, tmp_path)


@pytest.mark.numerical
def test_out_of_memory_halves_the_batch_and_says_so(trial, tmp_path, monkeypatch):
    scarce(monkeypatch)
    run(trial, tmp_path / "out")
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert manifest["batch"] == 1
    assert manifest["notes"] == ["Out of memory: the batch was halved to 1."]
    before = content(tmp_path / "out")
    run(trial, tmp_path / "out")
    assert content(tmp_path / "out") == before


def counted(monkeypatch, most=None):
    """Counts the calls that protect; with ``most``, memory lacks for calls of more photos."""
    calls, together = [], Protection.together

    def protect(self, model, images, **options):
        if most is not None and len(images) > most:
            raise torch.OutOfMemoryError("out of memory")
        calls.append(len(images))
        return together(self, model, images, **options)

    monkeypatch.setattr(Protection, "together", protect)
    return calls


def scarce(monkeypatch):
    """Memory for one edit a call: under guidance two rows."""
    evaluate = EditModel.evaluate

    def one_edit(self, latents, *inputs, **named):
        if len(latents) > 2:
            raise torch.OutOfMemoryError("out of memory")
        return evaluate(self, latents, *inputs, **named)

    monkeypatch.setattr(EditModel, "evaluate", one_edit)


def test_memory_that_lacks_for_edits_protects_no_photo_again(trial, tmp_path, monkeypatch):
    calls = counted(monkeypatch)
    scarce(monkeypatch)
    run(trial, tmp_path / "out")
    assert calls == [2]
    manifest = FolderStore(tmp_path / "out").manifest
    assert (manifest.batch, manifest.together) == (1, 2)
    run(trial, tmp_path / "out")
    assert calls == [2]


def test_memory_that_lacks_for_protections_halves_those_alone(trial, tmp_path, monkeypatch):
    calls = counted(monkeypatch, most=1)
    run(trial, tmp_path / "out")
    assert calls == [1, 1]
    manifest = FolderStore(tmp_path / "out").manifest
    assert (manifest.batch, manifest.together) == (2, 1)
    assert manifest.notes == ("Out of memory: protections take 1 of 2 photos a call.",)
    counted(monkeypatch, most=0)
    run(trial, tmp_path / "out")
    with pytest.raises(UserError, match="One protected photo does not fit into memory"):
        run(trial, tmp_path / "new")


def test_memory_that_lacks_elsewhere_is_one_sentence(trial, tmp_path, monkeypatch):
    def full(*arguments, **options):
        raise torch.OutOfMemoryError("out of memory")

    monkeypatch.setattr("brittle.metrics.PSNR.compare", full)
    with pytest.raises(UserError, match="Memory ran out: use smaller photos"):
        run(trial, tmp_path / "out")


def test_a_shard_without_memory_voids_nothing_of_the_others(
    trial, undisturbed, tmp_path, monkeypatch
):
    out = tmp_path / "out"
    run(trial, out, shard=(1, 2))
    before = content(out)
    for shard in ((2, 2), (1, 1)):
        with monkeypatch.context() as lacking:
            scarce(lacking)
            with pytest.raises(UserError, match=r"2 edits a call don't fit.*--set batch=1"):
                run(trial, out, shard=shard)
        assert {name: content(out)[name] for name in before} == before
    counted(monkeypatch, most=2)
    run(trial, out, shard=(2, 2))
    run(trial, out)
    assert content(out) == content(undisturbed)


def test_rows_that_a_folder_was_begun_with_stay(trial, undisturbed, tmp_path):
    other = trial.model_copy(update={"batch": 1})
    run(other, shutil.copytree(undisturbed, tmp_path / "out"))
    assert content(tmp_path / "out") == content(undisturbed)
    # A former version said one number for edits and protections.
    store = FolderStore(shutil.copytree(undisturbed, tmp_path / "former"))
    store.write_manifest(store.manifest.model_copy(update={"together": None}))
    run(other, tmp_path / "former")
    assert content(tmp_path / "former") == content(undisturbed)


def test_a_folder_goes_on_upon_another_device_only_if_told(trial, undisturbed, tmp_path):
    out = shutil.copytree(undisturbed, tmp_path / "out")
    store = FolderStore(out)
    assert (store.manifest.device, store.manifest.vae_dtype) == ("cpu", "float32")
    assert store.manifest.machine["threads"] == str(torch.get_num_threads())
    store.write_manifest(store.manifest.model_copy(update={"device": "cuda:0"}))
    before = content(out)
    with pytest.raises(UserError, match=r"begun on cuda, and this is cpu.*--device cuda.*--contin"):
        run(trial, out)
    run(trial, out, continue_on_this_device=True)
    assert (store.manifest.device, store.manifest.also_on) == ("cuda:0", ("cpu",))
    run(trial, out)
    assert content(out) == before
    store.write_manifest(store.manifest.model_copy(update={"vae_dtype": "bfloat16"}))
    with pytest.raises(UserError, match="its vae_dtype differ"):
        run(trial, out)


def test_traces_say_how_a_protection_went(undisturbed):
    notes = [json.loads(path.read_text()) for path in (undisturbed / "artifacts").rglob("*.json")]
    traces = [note for note in notes if "first_loss" in note]
    assert len(traces) == 2
    assert sum("bits_a_pixel" in note for note in notes) == 2
    assert len(notes) == len([*(undisturbed / "artifacts").rglob("*.png")])
    for trace in traces:
        assert trace["last_loss"] < trace["first_loss"]
        assert 0 < trace["budget_used"] <= 1


def test_the_index_has_the_clean_edits_under_the_floors_seeds(trial, undisturbed):
    index = json.loads((undisturbed / "index.json").read_text())
    floor = [one for one in index if one["seed"] in trial.floor_seeds]
    assert [(one["image"], one["arm"], one["transform"]) for one in floor] == [
        ("astronaut", "original", "none"), ("chelsea", "original", "none"),
    ]  # fmt: skip
    edits = {one["edited"] for one in index if one["arm"] == "original" and one not in floor}
    assert all((undisturbed / one["edited"]).is_file() for one in floor)
    assert not edits & {one["edited"] for one in floor}


def test_a_saved_file_that_was_changed_is_flagged(trial, tmp_path):
    from brittle.analysis.conclusions import summarise_record

    record = run(trial, tmp_path / "out")
    flags = {flag.name for flag in summarise_record(record).flags}
    assert "saved file differs" not in flags
    store = FolderStore(tmp_path / "out")
    notes = (tmp_path / "out" / "artifacts").rglob("*.json")
    picture = next(path for path in notes if "budget_used" in path.read_text())
    store.write(picture.stem, (store.read(picture.stem) - 1 / 255).clamp(0, 1))
    found = [flag for flag in summarise_record(record).flags if "saved" in flag.name]
    assert [flag.where for flag in found] == ["photoguard-encoder:steps=2, 1 of 2 photos"]


def test_keep_is_scored_against_the_published_file_too(trial, tmp_path):
    run(trial.model_copy(update={"metrics": ("psnr", "keep")}), tmp_path / "out")
    kept = [row for row in read_results(tmp_path / "out" / "results.csv") if row.metric == "keep"]
    by_point = {(row.key[:6], row.reference): row.value for row in kept}
    assert {reference for _, reference in by_point} == {"photo", "published"}
    for point, reference in by_point:
        # The unprotected photo is what was published; of a protected one it is another file.
        same = by_point[point, "photo"] == by_point[point, "published"]
        assert same == (point[1] == "original") or reference == "photo"


def test_a_classifier_that_was_trained_again_judges_anew(trial, small_sd, tmp_path, monkeypatch):
    from brittle.metrics import Follow

    model = tmp_path / "model"
    shutil.copytree(small_sd, model)
    of = trial.model_copy(update={"model": str(model), "metrics": ("psnr", "follow")})
    for name in ("json", "safetensors"):
        shutil.copy(EMBEDDED / f"look_classifier.{name}", model)
    run(of, tmp_path / "out")
    before = (tmp_path / "out" / "results.csv").read_text()
    assert "follow" in before
    monkeypatch.setattr("brittle.metrics.PSNR.compare", None)
    monkeypatch.setattr(Follow, "compare", lambda *a, **k: 0.125)
    run(of, tmp_path / "out")
    assert (tmp_path / "out" / "results.csv").read_text() == before
    about = json.loads((model / "look_classifier.json").read_text())
    (model / "look_classifier.json").write_text(json.dumps(about | {"trained": "again"}))
    run(of, tmp_path / "out")
    rows = read_results(tmp_path / "out" / "results.csv")
    assert {row.value for row in rows if row.metric == "follow"} == {0.125}


def test_a_plain_metrics_scores_stay_under_its_own_key():
    from brittle.component import key
    from brittle.metrics import PSNR, Keep
    from brittle.trial.scoring import identity

    assert identity(PSNR(), None) == key(PSNR())
    assert identity(Keep(), None) != key(Keep())


def test_the_store_writes_whole_files_or_none(tmp_path, monkeypatch):
    def full(*arguments):
        raise OSError(28, "No space left on device")

    store = FolderStore(tmp_path / "store")
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(UserError, match="No space left"):
        store.write_file("manifest.json", b"{}")
    assert not list((tmp_path / "store").iterdir())
