"""Workers make the bytes of a run without them, whatever is lost on the way."""

import pickle
import random
import sys
import tempfile
from pathlib import Path

import pytest

from brittle.declaration.trial import Trial
from brittle.errors import UserError
from brittle.images import from_bytes, write_image
from brittle.models import load_model
from brittle.progress import silent
from brittle.record.store import FolderStore
from brittle.sources.photos import read_photos
from brittle.trial import parcels
from brittle.trial.executors import LOSSES, Lost, compute_on, done_by
from brittle.trial.fits import OutOfMemory
from brittle.trial.on_ray import Cluster
from brittle.trial.parcels import STAGES, Inputs, Parcel, parcels_of
from brittle.trial.plan import make_plan
from brittle.trial.run import run, run_plan
from brittle.trial.stages import compute
from brittle.trial.tasks import Edit
from brittle.trial.workers import Failure, do
from tests.trial.test_collections import over, write_pictures
from tests.trial.tiny import content


class InProcess:
    """Workers in this process, which take parcels and give results as bytes, and die at random."""

    def __init__(self, model, *, deaths=0.0, seed=0, driver_dies_after=None):
        self.model, self.deaths, self.chance = model, deaths, random.Random(seed)
        self.room, self.waiting, self.lost, self.done = 5, {}, 0, 0
        self.driver_dies_after = driver_dies_after

    def prepare(self, shell):
        self.shell = pickle.dumps(shell)
        self.waiting = {}

    def begin(self, parcel, inputs):
        assert len(self.waiting) < self.room
        ticket = self.chance.random()
        self.waiting[ticket] = pickle.dumps((parcel, inputs))
        return ticket

    def finished(self):
        if self.done == self.driver_dies_after:
            raise KeyboardInterrupt
        ticket = self.chance.choice([*self.waiting])
        sent = self.waiting.pop(ticket)
        if self.chance.random() < self.deaths:
            self.lost += 1
            return ticket, Lost("a power cut")
        self.done += 1
        with tempfile.TemporaryDirectory() as scratch:
            made = do(pickle.loads(self.shell), self.model, *pickle.loads(sent), Path(scratch))
        return ticket, pickle.loads(pickle.dumps(made))


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    from skimage import data

    folder = tmp_path_factory.mktemp("photos")
    for name, width in {"astronaut": 64, "chelsea": 48, "coffee": 64}.items():
        levels = getattr(data, name)()[None, :128:2, : 2 * width : 2]
        write_image(folder / f"{name}.png", from_bytes(levels))
    return folder


def a_trial(photos, model, **fields):
    settings = {
        "photos": str(photos),
        "model": str(model),
        "protections": ("photoguard-encoder:steps=2",),
        "placebos": ("noise",),
        "transforms": ("none", "jpeg:quality=50", "crop:left=5,top=3"),
        "editors": ("img2img:num_inference_steps=2",),
        "prompts": ("heavy rain", "night"),
        "metrics": ("psnr", "keep"),
        "primary": {"metric": "psnr"},
        "floor_seeds": (1,),
        "batch": 3,
    }
    return Trial(**settings | fields)


@pytest.fixture(scope="module")
def usual(photos, small_sd, tmp_path_factory):
    """A plan, its model, and what a run without workers makes of it."""
    trial = a_trial(photos, small_sd)
    model = load_model(trial.model, device="cpu", dtype="float32")
    plan = make_plan(trial, read_photos(trial), model)
    folder = tmp_path_factory.mktemp("usual") / "out"
    run_plan(plan, model, folder)
    return plan, model, content(folder)


@pytest.fixture(scope="module")
def dying(usual, tmp_path_factory):
    """Workers that died at random over the same plan, and what they made."""
    plan, model, _ = usual
    pool, folder = InProcess(model, deaths=0.1), tmp_path_factory.mktemp("dying") / "out"
    run_plan(plan, model, folder, pool=pool)
    return pool, content(folder)


def test_workers_that_die_at_random_make_the_same_bytes(usual, dying):
    pool, made = dying
    assert pool.lost > 3
    assert made == usual[2]


def test_a_lost_driver_costs_what_was_under_way(usual, dying, tmp_path):
    plan, model, expected = usual
    all_of_it, _ = dying
    out, done = tmp_path / "out", 0
    for _ in range(3):
        pool = InProcess(model, driver_dies_after=9)
        with pytest.raises(KeyboardInterrupt):
            run_plan(plan, model, out, pool=pool)
        done += pool.done
    rest = InProcess(model)
    run_plan(plan, model, out, pool=rest)
    assert content(out) == expected
    assert done + rest.done <= all_of_it.done + 3 * all_of_it.room


def test_what_a_run_without_workers_began_goes_on_with_them(usual, tmp_path):
    plan, model, expected = usual
    fewer = make_plan(plan.trial, plan.photos, model, shard=(2, 2))
    run_plan(fewer, model, tmp_path / "out", shard=(2, 2))
    run_plan(plan, model, tmp_path / "out", pool=InProcess(model))
    assert content(tmp_path / "out") == expected


def test_masks_and_files_from_elsewhere_travel_with_their_parcels(photos, small_sd, tmp_path):
    trial = a_trial(
        photos,
        small_sd,
        mask="auto",
        editors=("inpaint:num_inference_steps=2",),
        protections=("photoguard-encoder:steps=1", "photoguard-encoder:steps=2"),
        placebos=(),
        prompts=("night",),
        transforms=("none", "flip"),
        primary={"metric": "psnr", "arms": ("photoguard-encoder:steps=1",)},
    )
    model = load_model(trial.model, device="cpu", dtype="float32")
    plan = make_plan(trial, read_photos(trial), model)
    here, there = FolderStore(tmp_path / "here"), FolderStore(tmp_path / "there")
    compute(plan, here, model)
    compute_on(InProcess(model), plan, there, model, silent)
    assert content(here.directory) == content(there.directory)


def test_parcels_are_bounded_and_make_everything_once(usual, tmp_path, monkeypatch):
    plan, model, _ = usual
    monkeypatch.setattr(parcels, "CALLS", 1)
    monkeypatch.setattr(parcels, "CELLS", 4)
    store, made = FolderStore(tmp_path / "out"), []
    pool = InProcess(model)
    pool.prepare(plan)
    for stage in STAGES:
        found = parcels_of(stage, plan, store, model)
        assert len(found) > 1 or stage == "fine-tunes"
        made += [one.key for of in found for one in of.cells]
        for one in found:
            assert len(one.edits) <= plan.batch or stage == "scores"
            assert len({cell.subject for cell in one.cells}) <= 1
        compute_stage(pool, plan, store, found)
        assert parcels_of(stage, plan, store, model) == []
    assert sorted(made) == sorted(cell.key for cell in plan.cells)


def compute_stage(pool, plan, store, found):
    from brittle.trial.parcels import inputs_of
    from brittle.trial.workers import keep

    for _, made in done_by(pool, found, lambda one: inputs_of(one, plan, store)):
        keep(store, made)


class Dying:
    """Workers of which none survives, or that say why they can't."""

    room = 2

    def __init__(self, outcome):
        self.outcome, self.waiting = outcome, []

    def begin(self, parcel, inputs):
        self.waiting.append(object())
        return self.waiting[-1]

    def finished(self):
        return self.waiting.pop(0), self.outcome


def test_a_parcel_that_every_worker_is_lost_over_is_the_cause():
    work = [Parcel("edits", needs=(str(k),)) for k in range(3)]
    pool = Dying(Lost("out of memory"))
    with pytest.raises(UserError, match=f"{LOSSES} workers were lost over the same edits.*out of"):
        list(done_by(pool, work, lambda one: Inputs()))


def test_what_a_worker_says_is_raised_as_what_it_was():
    for failure, error in (
        (Failure("too large", part="edits"), OutOfMemory),
        (Failure("No such file.", user=True), UserError),
        (Failure("Traceback: bug"), RuntimeError),
    ):
        with pytest.raises(error):
            list(done_by(Dying(failure), [Parcel("edits")], lambda one: Inputs()))


def test_sixty_four_workers_are_kept_busy():
    from cluster import Imagined

    pool = Imagined(64, {"edits": 1.0}, driver=0.01)
    edits = tuple(Edit(str(k), "photo", "img2img", "night", k, "received") for k in range(8))
    work = [Parcel("edits", edits=edits, needs=(f"received {k}",)) for k in range(1000)]
    assert len([*done_by(pool, work, lambda one: Inputs())]) == 1000
    assert pool.busy / (64 * pool.now) > 0.9


def test_memory_that_lacks_on_workers_halves_the_batch(usual, tmp_path, monkeypatch):
    from tests.trial.test_run import scarce

    plan, model, _ = usual
    scarce(monkeypatch)
    run_plan(plan, model, tmp_path / "out", pool=InProcess(model))
    found = FolderStore(tmp_path / "out").manifest
    assert found.batch == 1
    assert found.notes[0] == "Out of memory: the batch was halved to 1."


def test_models_learn_on_workers_too(small_sd, tmp_path):
    cats = write_pictures(tmp_path / "photos" / "cats")
    trial = over(cats, small_sd, metrics=("style", "keep"), seeds=(0,), transforms=("none",))
    model = load_model(trial.model, device="cpu", dtype="float32")
    plan = make_plan(trial, read_photos(trial), model)
    run_plan(plan, model, tmp_path / "here")
    run_plan(plan, model, tmp_path / "there", pool=InProcess(model, deaths=0.1))
    assert any(name.startswith("fine-tunes") for name in content(tmp_path / "there"))
    assert content(tmp_path / "there") == content(tmp_path / "here")


def test_what_is_missing_for_a_cluster_is_said(photos, small_sd, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(UserError, match="--on ray needs Ray: install it"):
        run(a_trial(photos, small_sd), tmp_path / "out", cluster=Cluster())
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_a_ray_cluster_makes_the_same_bytes_though_a_worker_is_killed(
    usual, photos, small_sd, tmp_path, monkeypatch
):
    ray = pytest.importorskip("ray")
    from brittle.trial import on_ray

    begin, killed = on_ray.RayPool.begin, []

    def begin_and_kill(self, parcel, inputs):
        ticket = begin(self, parcel, inputs)
        if len(killed) < 2 and parcel.stage == "edits":
            killed.append(self._actors[-1])
            ray.kill(killed[-1])
        return ticket

    monkeypatch.setattr(on_ray.RayPool, "begin", begin_and_kill)
    _, _, expected = usual
    trial = a_trial(photos, small_sd)
    run(trial, tmp_path / "out", dtype="float32", cluster=Cluster(workers=2))
    assert len(killed) == 2
    assert content(tmp_path / "out") == expected
