"""Scoring: a picture is decoded once, and scores depend on no order, no core and no memory."""

import shutil
from collections import Counter
from dataclasses import replace

import pytest
import torch
from skimage import data

from brittle.declaration.trial import Trial
from brittle.images import from_bytes, write_image
from brittle.models import load_model
from brittle.progress import silent
from brittle.record.store import FolderStore
from brittle.sources.photos import read_photos
from brittle.trial import album
from brittle.trial.external_edits import score_edits
from brittle.trial.plan import make_plan
from brittle.trial.run import run
from brittle.trial.scoring import score
from tests.trial.edits import write_edits
from tests.trial.test_collections import over, write_pictures

METRICS = ("perceptual", "psnr", "follow", "keep")


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("photos")
    for name in ("astronaut", "chelsea"):
        write_image(folder / f"{name}.png", from_bytes(getattr(data, name)()[None, :256:2, :256:2]))
    return folder


def a_trial(kind, photos, small_sd):
    """Edits of whole photos, of what is under a mask, or what was painted for two collections."""
    if kind == "finetune":
        for name in ("chelsea", "astronaut"):
            (photos / name).mkdir(exist_ok=True)
            write_pictures(photos / name, name)
        return over(photos, small_sd, metrics=("style", "keep"))
    return Trial(
        photos=str(photos),
        square=64,
        size=128,
        protections=("photoguard-encoder:steps=1",),
        placebos=("noise",),
        transforms=("none", "rotate:degrees=5"),
        editors=(f"{kind}:num_inference_steps=4",),
        mask="auto" if kind == "inpaint" else None,
        prompts=("heavy rain",),
        metrics=METRICS,
        floor_seeds=(1,),
    )


@pytest.fixture(scope="module", params=["img2img", "inpaint", "finetune"])
def scored(request, small_sd, photos, tmp_path_factory):
    folder = tmp_path_factory.mktemp(request.param)
    pictures = shutil.copytree(photos, folder / "photos") if request.param != "finetune" else folder
    trial = a_trial(request.param, pictures, small_sd)
    store = FolderStore(tmp_path_factory.mktemp("out") / "out")
    run(trial, store.directory, device="cpu")
    model = load_model(trial.model, device="cpu", size=trial.size)
    return make_plan(trial, read_photos(trial), model), store, model


def score_again(scored, *, cores=1, backwards=False):
    """Score all cells anew; returns their files."""
    plan, store, model = scored
    if backwards:
        plan = replace(plan, cells=plan.cells[::-1])
    shutil.rmtree(store.directory / "cells")
    before = torch.get_num_threads()
    torch.set_num_threads(cores)
    try:
        score(plan, store, model, silent)
    finally:
        torch.set_num_threads(before)
    return cells(store)


def cells(store):
    return {path.name: path.read_bytes() for path in store.directory.glob("cells/*/*.json")}


@pytest.fixture
def decoded(monkeypatch):
    """How often the picture of each key is decoded."""
    counts = Counter()
    read = FolderStore.read

    def count(store, key):
        counts[key] += 1
        return read(store, key)

    monkeypatch.setattr(FolderStore, "read", count)
    return counts


def test_a_picture_is_decoded_once_for_all_cells_and_metrics(scored, decoded):
    plan, *_ = scored
    score_again(scored)
    edits = {key for cell in plan.cells for key in (cell.edit, cell.control, *cell.floor)}
    assert edits <= set(decoded)
    assert set(decoded.values()) == {1}


def test_edits_made_elsewhere_are_decoded_once(tmp_path, decoded):
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # two cores may decode a picture at once, and then both do
    try:
        store = score_edits(write_edits(tmp_path / "table", photos=2), tmp_path / "out")
    finally:
        torch.set_num_threads(threads)
    assert len(cells(store)) > 8
    assert set(decoded.values()) == {1}


def test_scores_depend_on_no_number_of_cores_and_no_order(scored):
    kept = cells(scored[1])
    assert score_again(scored) == kept
    assert score_again(scored, cores=2, backwards=True) == kept


def test_without_room_for_a_picture_scores_are_the_same(scored, decoded, monkeypatch):
    kept = cells(scored[1])
    monkeypatch.setattr(album, "LIMIT", 0)
    assert score_again(scored) == kept
    assert max(decoded.values()) > 1
