"""Trials over collections: each piece once, resumed at any kill, scored against the originals."""

import json
import shutil

import pytest
import torch
from skimage import data
from typer.testing import CliRunner

from brittle.cli import app
from brittle.declaration.trial import Trial
from brittle.editors import FineTune
from brittle.errors import UserError
from brittle.images import from_bytes, read_photo, write_image
from brittle.metrics import Style
from brittle.models import finetuning, load_model, memory
from brittle.progress import silent
from brittle.record.arms import BASE_MODEL
from brittle.record.rows import read_results
from brittle.record.store import FolderStore, artifact
from brittle.sources.photos import load_photos, read_photos
from brittle.trial import scoring, stages
from brittle.trial.cost import describe_cost
from brittle.trial.plan import make_plan
from brittle.trial.run import run
from tests.trial.tiny import Killed

CLOAK = "photoguard-encoder:steps=2"
SHORT = (
    "max_train_steps=2,num_inference_steps=1,train_batch_size=1,prior_loss_weight=0,method=full,"
    "learning_rate=0.01"
)


def write_pictures(folder, name="chelsea", count=2):
    for number in range(count):
        left = 60 * number
        levels = getattr(data, name)()[None, 20:180:2, left : left + 160 : 2]
        write_image(folder / f"{name}-{number}.png", from_bytes(levels.copy()))
    return folder


def over(folder, model, **changes):
    fields = {
        "photos": str(folder),
        "model": str(model),
        "protections": (CLOAK,),
        "placebos": (),
        "transforms": ("none", "jpeg:quality=20"),
        "editors": (f"finetune:{SHORT}",),
        "tuning_seeds": (0,),
        "prompts": ("a photo of sks",),
        "seeds": (0, 1),
        "floor_seeds": (),
        "metrics": ("style",),
        "primary": {"metric": "style"},
    }
    return Trial.model_validate({**fields, **changes})


@pytest.fixture(scope="module")
def cats(tmp_path_factory):
    return write_pictures(tmp_path_factory.mktemp("photos") / "cats")


@pytest.fixture(scope="module")
def trial(cats, small_sd):
    return over(cats, small_sd)


@pytest.fixture(scope="module")
def finished(trial, tmp_path_factory):
    folder = tmp_path_factory.mktemp("finished") / "out"
    run(trial, folder, device="cpu")
    return folder


def plan_of(trial):
    return make_plan(trial, read_photos(trial), load_model(trial.model, device="cpu"))


@pytest.fixture(scope="module")
def plan(cats, small_sd):
    return plan_of(over(cats, small_sd, placebos=("noise",), tuning_seeds=(0, 1)))


def test_over_collections_what_has_distances_to_originals_decides(cats, small_sd):
    for metric in ("keep", "style"):
        fields = {"metrics": (metric, "follow"), "primary": {"metric": metric}}
        assert plan_of(over(cats, small_sd, **fields)).primary.metric == metric
        fields["primary"] = {"metric": "follow"}
        with pytest.raises(UserError, match=rf"'follow' has no distances: .* metrics {metric}\)"):
            plan_of(over(cats, small_sd, **fields))


def test_each_piece_is_planned_once(plan):
    # Original, protected and placebo, two transforms, two seeds of the fine-tune.
    assert len(plan.learnings) == 3 * 2 * 2
    assert len(plan.edits) == (len(plan.learnings) + 1) * 2
    assert len(plan.cells) == 4 * 2 * 2 * 2
    assert tuple(plan.arms) == ("original", BASE_MODEL, CLOAK, f"noise({CLOAK})")
    assert {arm.kind for arm in plan.arms.values()} == {
        *("original", "ceiling", "protection", "placebo")
    }


def test_twins_share_their_noise_and_other_seeds_do_not(plan):
    noise = {}
    for cell in plan.cells:
        noise.setdefault(cell.seed, set()).add(plan.edits[cell.edit].seed)
    assert all(len(seeds) == 1 for seeds in noise.values())
    assert noise[0] != noise[1]
    # The pictures keep their order in every arm: at a step, twins see the same one.
    photos = [
        [plan.releases[plan.receptions[one].release].photo for one in tuning.receptions]
        for tuning in plan.learnings.values()
    ]
    assert all(names == photos[0] for names in photos)


def test_arms_transforms_and_seeds_give_different_pictures(trial, finished):
    plan, store = plan_of(trial), FolderStore(finished)
    pictures = {store.read(one.key).numpy().tobytes() for one in plan.edits.values()}
    assert len(pictures) == len(plan.edits)
    assert len(list(finished.glob("fine-tunes/*/weights.safetensors"))) == len(plan.learnings)


def test_a_score_is_the_mean_distance_from_the_originals(trial, finished, cats):
    originals = [photo.image for photo in load_photos(str(cats), square=64).values()]
    rows = read_results(finished / "results.csv")
    cell = next(cell for cell in plan_of(trial).cells if cell.arm == CLOAK)
    picture = FolderStore(finished).read(cell.edit)
    expected = sum(float(Style().score(picture, one)) for one in originals) / 2
    at = (cell.subject, cell.arm, cell.transform, cell.editor, cell.prompt, cell.seed)
    (row,) = [row for row in rows if row.key[:6] == at]
    assert (row.reference, row.metric) == ("originals", "style.distance")
    assert row.value == pytest.approx(expected)
    (between,) = {row.value for row in rows if row.reference == "between"}
    assert between == pytest.approx(float(Style().score(*originals)))


def test_the_manifest_and_the_index_say_what_was_learned_from(finished):
    manifest = json.loads((finished / "manifest.json").read_text())
    (collection,) = manifest["collections"]
    assert collection["name"] == "cats"
    assert collection["pictures"] == ["cats/chelsea-0", "cats/chelsea-1"]
    assert set(collection["seeds"]) == {"0", "1"}
    received = [one for one in json.loads((finished / "index.json").read_text())
                if "received" in one]  # fmt: skip
    assert len(received) == 2 * 2 * 2
    assert all((finished / one["received"]).is_file() for one in received)


@pytest.mark.parametrize("calls", [0, 3])
def test_a_killed_run_goes_on_to_the_same_results(trial, finished, tmp_path, monkeypatch, calls):
    out, made = tmp_path / "out", []
    generate = FineTune.generate

    def dies(self, *arguments, **options):
        if len(made) == calls:
            raise Killed
        made.append(self)
        return generate(self, *arguments, **options)

    with monkeypatch.context() as once:
        once.setattr(FineTune, "generate", dies)
        with pytest.raises(Killed):
            run(trial, out, device="cpu")
    learned = set(out.glob("fine-tunes/*/weights.safetensors"))
    kept = {path: path.stat().st_mtime_ns for path in learned}
    run(trial, out, device="cpu")
    assert (out / "results.csv").read_bytes() == (finished / "results.csv").read_bytes()
    assert {path: path.stat().st_mtime_ns for path in learned} == kept


def test_a_finished_run_computes_nothing(trial, finished, tmp_path, monkeypatch):
    shutil.copytree(finished, tmp_path / "out")
    for name in ("learn", "generate"):
        monkeypatch.setattr(FineTune, name, None)
    monkeypatch.setattr(scoring.Originals, "distance", None)
    run(trial, tmp_path / "out", device="cpu")
    again, before = ((one / "results.csv").read_bytes() for one in (tmp_path / "out", finished))
    assert again == before


def test_an_interrupted_fine_tune_goes_on(trial, finished, tmp_path, monkeypatch):
    monkeypatch.setattr(finetuning, "KEEP_SECONDS", 0)
    step = finetuning.Classroom.step

    def dies(self, number):
        if number == 1:
            raise Killed
        step(self, number)

    with monkeypatch.context() as once:
        once.setattr(finetuning.Classroom, "step", dies)
        with pytest.raises(Killed):
            run(trial, tmp_path / "out", device="cpu")
    assert list((tmp_path / "out").glob("fine-tunes/*/partial.safetensors"))
    run(trial, tmp_path / "out", device="cpu")
    again, before = ((one / "results.csv").read_bytes() for one in (tmp_path / "out", finished))
    assert again == before


def test_zero_steps_change_nothing(cats, small_sd, tmp_path):
    none = over(cats, small_sd, editors=(f"finetune:{SHORT.replace('steps=2', 'steps=0', 1)}",),
                transforms=("none",), protections=())  # fmt: skip
    plan = plan_of(none)
    run(none, tmp_path / "out", device="cpu")
    store = FolderStore(tmp_path / "out")
    taught, base = ([store.read(cell.edit) for cell in plan.cells if cell.arm == arm]
                        for arm in ("original", BASE_MODEL))  # fmt: skip
    assert len(taught) == 2
    assert all(torch.equal(*pair) for pair in zip(taught, base, strict=True))


def test_a_folder_of_folders_is_several_collections_and_shards_share_them(small_sd, tmp_path):
    both = tmp_path / "artists"
    write_pictures(both / "cats")
    write_pictures(both / "coffee", "coffee")
    trial = over(both, small_sd)
    model = load_model(small_sd, device="cpu")
    plan = plan_of(trial)
    assert {
        name: len(pictures)
        for name, pictures in ((one.name, one.pictures) for one in plan.subjects.values())
    } == {
        "cats": 2,
        "coffee": 2,
    }
    second = make_plan(trial, read_photos(trial), model, shard=(2, 2))
    assert {cell.subject for cell in second.cells} == {"coffee"}
    assert set(second.learnings) < set(plan.learnings)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"editors": ("finetune", "img2img")}, "Some of the trial's editors learn"),
        ({"editors": ("img2img",)}, "no editor that learns"),
        ({"mask": "auto"}, "remove `mask` from the trial"),
        ({"editors": ("finetune:token=xqzzy,instance_prompt=a xqzzy",)}, "cats: .*one token"),
    ],
)
def test_a_trial_that_cannot_be_is_refused_in_a_sentence(cats, small_sd, tmp_path, changes, said):
    with pytest.raises(UserError, match=said):
        run(over(cats, small_sd, **changes), tmp_path / "out", device="cpu")
    assert not (tmp_path / "out").exists()


def test_bad_collections_are_refused_in_a_sentence(small_sd, tmp_path):
    def refused(folder, said):
        with pytest.raises(UserError, match=said):
            run(over(folder, small_sd), tmp_path / "out", device="cpu")

    refused(write_pictures(tmp_path / "one", count=1), "one: A collection holds at least two")
    both = tmp_path / "both"
    write_pictures(both / "a")
    write_pictures(both / "b")
    refused(both, "a and b share chelsea-0")
    write_pictures(both, "coffee")
    refused(both, "holds pictures and folders")
    small = tmp_path / "small"
    for path in write_pictures(small).glob("*.png"):
        write_image(path, read_photo(path).image[..., :40, :40], overwrite=True)
    refused(small, "small: A picture of the collection is only 40 px")


def test_pictures_of_different_sizes_are_learned_from_together(cats, small_sd, tmp_path):
    mixed = tmp_path / "mixed"
    shutil.copytree(cats, mixed)
    write_image(mixed / "wide.png", from_bytes(data.coffee()[None, :100, :150].copy()))
    one = over(mixed, small_sd, transforms=("none",), seeds=(0,))
    run(one, tmp_path / "out", device="cpu")
    assert len(read_results(tmp_path / "out" / "results.csv")) == 3 + 1


def test_too_little_memory_is_said_in_a_sentence(cats, small_sd, tmp_path, monkeypatch):
    monkeypatch.setattr(memory, "free_memory", lambda device: 2**10)
    trial = over(cats, small_sd)
    for work in (
        lambda: run(trial, tmp_path / "out", device="cpu"),
        lambda: describe_cost(trial, device="cpu"),
    ):
        with pytest.raises(UserError, match="say method=lora"):
            work()
    assert not (tmp_path / "out").exists()
    lora = SHORT.replace("method=full", "method=lora")
    protected = over(cats, small_sd, editors=(f"finetune:{lora}",), protections=(TOGETHER,))
    with pytest.raises(UserError, match=r"fine-tune of .* needs .* choose another protection"):
        run(protected, tmp_path / "out", device="cpu")


def test_a_finished_run_needs_no_memory(trial, finished, monkeypatch):
    monkeypatch.setattr(memory, "free_memory", lambda device: 2**10)
    run(trial, finished, device="cpu")


TOGETHER = "anti-dreambooth:rounds=1,steps=1,training_steps=1,learning_rate=0.001"


def releases_of(plan, arm):
    return [one.key for one in plan.releases.values() if one.arm == arm]


def test_a_protection_of_collections_depends_on_their_other_pictures(cats, small_sd, tmp_path):
    shutil.copytree(cats, tmp_path / "cats")
    fields = {"protections": (TOGETHER, CLOAK), "transforms": ("none",), "batch": 1}
    before = plan_of(over(tmp_path / "cats", small_sd, **fields))
    write_pictures(tmp_path / "cats", "coffee", count=1)
    after = plan_of(over(tmp_path / "cats", small_sd, **fields))
    assert not set(releases_of(before, TOGETHER)) & set(releases_of(after, TOGETHER))
    assert set(releases_of(before, CLOAK)) < set(releases_of(after, CLOAK))


def test_a_collection_is_protected_together_and_a_part_of_it_is_no_rest(cats, small_sd, tmp_path):
    trial = over(cats, small_sd, protections=(TOGETHER,), transforms=("none",))
    plan, model = plan_of(trial), load_model(small_sd, device="cpu")
    store = FolderStore(tmp_path / "out")
    stages.release(plan, store, model, silent)
    keys = releases_of(plan, TOGETHER)
    files = [store.read(key) for key in keys]
    originals = [photo.image for photo in plan.photos.values()]
    seeds = [one.seed for one in plan.releases.values() if one.arm == TOGETHER]
    expected = plan.protections[TOGETHER].together(model, originals, seeds=seeds)
    assert all(torch.equal(*pair) for pair in zip(files, expected, strict=True))
    (tmp_path / "out" / artifact(keys[1])).unlink()
    stages.release(plan, store, model, silent)
    assert all(torch.equal(store.read(key), file) for key, file in zip(keys, files, strict=True))


def test_in_a_trial_over_photos_each_is_a_collection_of_its_own(cats, small_sd, tmp_path):
    fields = {"editors": ("img2img",), "tuning_seeds": None, "metrics": ("psnr",)}
    fields |= {"primary": {"metric": "psnr"}, "transforms": ("none",), "protections": (TOGETHER,)}
    plan, model = plan_of(over(cats, small_sd, **fields)), load_model(small_sd, device="cpu")
    store = FolderStore(tmp_path / "out")
    stages.release(plan, store, model, silent)
    made = [one for one in plan.releases.values() if one.arm == TOGETHER]
    assert len(made) > 1
    for one in made:
        alone = plan.protections[TOGETHER](model, plan.photos[one.photo].image, seeds=[one.seed])
        assert torch.equal(store.read(one.key), alone)


def test_a_dry_run_says_how_many_steps_it_would_take(cats, small_sd, tmp_path):
    file = tmp_path / "trial.yaml"
    fields = over(cats, small_sd).model_dump(mode="json", exclude_unset=True)
    file.write_text(json.dumps({**fields, "photos": "sample", "model": "embedded"}))
    paths = [f"--set=photos={cats}", f"--set=model={small_sd}"]
    result = CliRunner().invoke(app, ["run", str(file), *paths, "--dry-run", "--device", "cpu"])
    assert result.exit_code == 0, result.output
    assert "2 photos in 1 collection on" in result.output
    assert "fine-tunes         4 (8 steps)" in result.output
    assert "verdict" not in result.output


def test_linked_collections_keep_their_names(tmp_path):
    for artist, name in (("one", "chelsea"), ("two", "astronaut")):
        write_pictures(tmp_path / artist / "paintings", name=name)
        (tmp_path / "all").mkdir(exist_ok=True)
        (tmp_path / "all" / artist).symlink_to(tmp_path / artist / "paintings")
    trial = over(tmp_path / "all", "embedded")
    assert {name.split("/")[0] for name in read_photos(trial)} == {"one", "two"}
