"""Several edit models in one trial: one makes the files, all edit them."""

import shutil
from collections import Counter
from dataclasses import replace

import pytest
import torch

import brittle
from brittle.analysis.conclusions import summarise_record
from brittle.analysis.finished import Finished
from brittle.benching.measuring import _transfer
from brittle.benching.verifying import verify_bundle
from brittle.declaration.trial import load_trial, make_trial
from brittle.errors import UserError
from brittle.models import load_model
from brittle.record.bundle import pack
from brittle.record.record import Record, index_json
from brittle.record.store import INDEX, FolderStore, dump_list
from brittle.reporting import answer, build_report
from brittle.sources.photos import read_photos
from brittle.trial import stages
from brittle.trial.fits import OutOfMemory
from brittle.trial.on_ray import Asked, Worker, models_on
from brittle.trial.other_models import lay_out_others
from brittle.trial.plan import in_parts, lay_out
from brittle.trial.run import run, run_plan
from brittle.trial.workers import shell_of
from tests.models import tiny
from tests.trial.test_executors import InProcess
from tests.trial.tiny import Killed, content, killing_after, tiny_trial

EDITOR = "img2img:num_inference_steps=2"


@pytest.fixture(scope="module")
def other(tmp_path_factory):
    """A model of the layout of `small_sd` with other weights."""
    folder = tmp_path_factory.mktemp("models") / "other-sd"
    tiny.smallest(width=24, vae_levels=4).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def trial(tmp_path_factory, small_sd, other):
    return tiny_trial(
        tmp_path_factory.mktemp("photos"),
        small_sd,
        photos=("astronaut",),
        models={str(other): (EDITOR,)},
        transforms=("none", "jpeg:quality=50", "denoise:strength=0.5,num_inference_steps=2"),
        metrics=("psnr", "latent"),
        primary={"metric": "psnr", "transforms": ("jpeg:quality=50",)},
        batch=None,
    )


@pytest.fixture(scope="module")
def finished(trial, tmp_path_factory):
    folder = tmp_path_factory.mktemp("finished") / "out"
    run(trial, folder)
    return folder


def planned(trial):
    """The plan of the trial's own model, and those of all, with their models."""
    model, *others = [load_model(name) for name in (trial.model, *trial.models)]
    plan = lay_out(trial, read_photos(trial), model)
    return [(plan, model), *lay_out_others(plan, others)]


def test_all_models_edit_files_that_one_makes(trial):
    (own, model), (plan, _) = planned(trial)
    (first,), (second,) = in_parts(own), in_parts(plan)
    assert first.releases == second.releases
    assert first.receptions == second.receptions
    assert not first.edits.keys() & second.edits.keys()
    assert {one.editor for one in second.edits.values()} == {f"{EDITOR} on other-sd"}
    alone = lay_out(trial.model_copy(update={"models": {}}), own.photos, model)
    (alone,) = in_parts(alone)
    assert first.edits.keys() == alone.edits.keys()
    assert [one.key for one in first.cells] == [one.key for one in alone.cells]


def test_the_files_and_edits_are_those_of_a_trial_on_one_model(trial, finished, tmp_path):
    """What another model adds to a folder leaves all that was in it as it is."""
    run(trial.model_copy(update={"models": {}}), tmp_path / "out")
    made = {name: text for name, text in content(finished).items() if "/" in name}
    alone = {name: text for name, text in content(tmp_path / "out").items() if "/" in name}
    assert alone.items() < made.items()


def test_other_models_may_edit_after_fewer_transforms(trial, finished, tmp_path):
    """The rest of the folder stays as it is, and the report says what there is."""
    fewer = trial.model_copy(update={"models_transforms": ("none", "jpeg:quality=50")})
    record = run(fewer, tmp_path / "out")
    theirs = {one.transform for one in record.index if one.editor == f"{EDITOR} on other-sd"}
    assert theirs == {"none", "jpeg:quality=50"}
    made = {name: text for name, text in content(finished).items() if "/" in name}
    some = {name: text for name, text in content(tmp_path / "out").items() if "/" in name}
    assert some.items() < made.items()
    summary = summarise_record(record)
    assert {one.transform for one in summary.effects if "other-sd" in one.editor} == theirs
    whole = summarise_record(Record.open(finished))
    assert summary.verdicts == whole.verdicts
    page = build_report(Finished(record, summary)).read_text()
    assert "on other-sd" in page
    with pytest.raises(UserError, match="jpeg:quality=51, which is not among the trial's"):
        planned(trial.model_copy(update={"models_transforms": ("none", "jpeg:quality=51")}))


def test_an_untransformed_edit_is_always_among_theirs():
    for some in ((), "jpeg:quality=75", ("jpeg:quality=75", "none")):
        found = make_trial({"prompts": "rain", "models_transforms": some}, "it").models_transforms
        assert found[0] == "none"
        assert len(found) == (2 if some else 1)


def test_a_folder_goes_on_only_with_the_same_transforms_of_other_models(trial, finished, tmp_path):
    folder = shutil.copytree(finished, tmp_path / "out")
    with pytest.raises(UserError, match="models_transforms"):
        run(trial.model_copy(update={"models_transforms": ("none",)}), folder)


@pytest.fixture
def beside(small_sd, other, tmp_path, monkeypatch):
    """The models lie here by their names: a bundle says these, and not where they lay."""
    for model in (small_sd, other):
        (tmp_path / model.name).symlink_to(model)
    monkeypatch.chdir(tmp_path)


def test_a_bundle_whose_index_has_more_edits_of_other_models_is_refused(trial, tmp_path, beside):
    fewer = trial.model_copy(update={"models_transforms": ("none",)})
    record = run(fewer, tmp_path / "out")
    pack(record, tmp_path / "whole.zip")
    assert verify_bundle(tmp_path / "whole.zip", seed=0, share=1.0).agrees
    editor = f"{EDITOR} on other-sd"
    index = [
        replace(one, editor=editor) if one.transform == "jpeg:quality=50" else one
        for one in record.index
    ]
    store = FolderStore(tmp_path / "out")
    store.write_results(record.manifest, {INDEX: dump_list(index_json(index))})
    pack(Record.open(tmp_path / "out"), tmp_path / "forged.zip")
    with pytest.raises(UserError, match="which its manifest lacks"):
        verify_bundle(tmp_path / "forged.zip", seed=0, share=1.0)


def test_a_killed_run_goes_on_to_the_same_bytes(trial, finished, tmp_path):
    for count in (4, 6, 8):
        with pytest.raises(Killed):
            run(trial, tmp_path / "out", progress=killing_after(count))
    run(trial, tmp_path / "out")
    assert content(tmp_path / "out") == content(finished)


def test_one_model_is_in_memory_at_a_time(trial, tmp_path, monkeypatch):
    works, read = planned(trial), Counter()
    edit = stages.edit

    def looking(plan, store, model, progress, wait_for):
        edit(plan, store, model, progress, wait_for)
        read[plan.model.name, *(one.has_read("denoiser") for _, one in works)] += 1

    monkeypatch.setattr(stages, "edit", looking)
    run_plan(*works[0], tmp_path / "out", others=works[1:])
    assert read == {("small-sd", True, False): 1, ("other-sd", False, True): 1}
    assert not any(model.has_read("denoiser") for _, model in works)


def test_workers_run_the_model_of_each_plan(trial, finished, tmp_path):
    works = planned(trial)

    class Pool(InProcess):
        def prepare(self, shell):
            super().prepare(shell)
            (self.model,) = (model for plan, model in works if plan.model == shell.model)

    run_plan(*works[0], tmp_path / "out", others=works[1:], pool=Pool(None, deaths=0.1))
    assert content(tmp_path / "out") == content(finished)


def test_a_worker_of_a_cluster_holds_one_model_at_a_time(trial):
    works = planned(trial)
    worker = Worker(Asked(trial, "cpu", "float32", torch.get_num_threads()))
    for plan, _ in (*works, works[0]):
        worker.prepare(shell_of(plan))
        assert not any(one.has_read("vae") for one in worker.models if one.name != plan.model.name)
        assert worker.running.name == plan.model.name
        worker.running.part("vae")
    here = models_on(trial, worker.about())
    assert [one.content_hash for one in here] == [one.content_hash for one in worker.models]


def test_memory_that_one_model_lacks_leaves_the_others_as_they_are(trial, tmp_path, monkeypatch):
    edit = stages._edit

    def lacking(plan, store, model, editor, batch):
        if not plan.makes_files and plan.batch > 2:
            raise OutOfMemory("edits")
        return edit(plan, store, model, editor, batch)

    monkeypatch.setattr(stages, "_edit", lacking)
    folder = tmp_path / "out"
    record = run(trial, folder)
    (other,) = record.manifest.models
    assert (record.manifest.batch, other.batch) == (8, 2)
    assert any("on other-sd was halved to 2" in note for note in record.manifest.notes)
    monkeypatch.setattr(stages, "_edit", None)  # all is there: nothing is edited again
    assert run(trial, folder).manifest.models == record.manifest.models


def test_the_report_puts_white_box_beside_black_box(finished, tmp_path):
    record = Record.open(shutil.copytree(finished, tmp_path / "copy"))
    found = Finished(record, summarise_record(record))
    first = answer(found).splitlines()[0]
    assert first.startswith("photoguard-encoder:steps=2 was made on small-sd: without a transform")
    assert "in img2img (white-box) and" in first
    assert "in img2img on other-sd (black-box behind another encoder)" in first
    effects = {
        one.editor: one
        for one in found.summary.effects
        if (one.arm, one.transform, one.metric) == (found.protections[0], "none", "psnr")
    }
    assert {EDITOR, f"{EDITOR} on other-sd"} == effects.keys()
    assert _transfer(found, found.protections[0]) == (effects[f"{EDITOR} on other-sd"].reach, "")
    page = build_report(found).read_text()
    assert page.index("was made on small-sd") < page.index('id="transforms-title"')
    assert "White-box beside black-box: reach on each model" in page


def test_its_bundle_can_be_verified(finished, tmp_path, beside):
    brittle.report(shutil.copytree(finished, tmp_path / "copy"))
    (bundle,) = brittle.export(tmp_path / "copy", "bundle", tmp_path / "all.zip")
    verified = brittle.verify(bundle, seed=1, device="cpu").found
    assert verified.agrees, [part.words for part in verified.parts]


def test_a_folder_of_other_models_is_refused(trial, finished):
    with pytest.raises(UserError, match="its models"):
        run(trial.model_copy(update={"models": {}, "primary": trial.primary}), finished)


def test_a_dry_run_counts_the_edits_of_all(trial):
    one, both = (
        brittle.dry_run(trial.model_copy(update={"models": models}))
        for models in ({}, trial.models)
    )

    def number(text, what):
        (line,) = (line for line in text.splitlines() if line.split()[:1] == [what])
        return int(line.split()[1])

    assert number(both, "edits") == 2 * number(one, "edits")
    assert number(both, "protections") == number(one, "protections") == 1
    assert number(both, "transforms") == number(one, "transforms")
    assert "edited on other-sd at 64 px" in both


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"models": {"{own}": [EDITOR]}}, "use `editors`"),
        ({"models": {"{other}": []}}, "needs its editors"),
        ({"models": {"{other}": ["instruct"]}}, "instruct"),
        ({"models": {"{other}": ["finetune"]}}, "finetune learns on the trial's own model"),
        ({"models": {"{other}": ["inpaint"]}}, "needs masks"),
        ({"primary": {"metric": "psnr", "editor": "inpaint"}}, "Unknown primary editor"),
    ],
)
def test_what_models_can_t_do_is_said(trial, other, fields, sentence):
    named = {"{own}": trial.model, "{other}": str(other)}
    if "models" in fields:
        fields = {"models": {named[name]: tuple(one) for name, one in fields["models"].items()}}
    with pytest.raises(UserError, match=sentence):
        planned(make_trial(trial.model_dump() | fields, "trial.yaml"))


def test_a_copy_of_the_model_is_not_another(trial, small_sd, tmp_path):
    copy = shutil.copytree(small_sd, tmp_path / "copied")
    with pytest.raises(UserError, match="the same files"):
        planned(trial.model_copy(update={"models": {str(copy): (EDITOR,)}}))


def test_models_of_a_file_lie_in_its_folder(tmp_path):
    (tmp_path / "trial.yaml").write_text("prompts: [rain]\nmodels: {../elsewhere: img2img}\n")
    with pytest.raises(UserError, match="outside the folder of that file"):
        load_trial(tmp_path / "trial.yaml")
    (tmp_path / "trial.yaml").write_text("prompts: [rain]\nmodels: {embedded-instruct: instruct}\n")
    assert load_trial(tmp_path / "trial.yaml").models == {"embedded-instruct": ("instruct",)}
