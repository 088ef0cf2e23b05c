"""Nothing that the attacker does may read the original.

A trial is run, and then once more from the published files alone: originals are noise, as photo
files and in the store. What the attacker receives, edits and chooses has to be the same, to the
byte; what is judged against the original has to differ, or the test would see nothing.
"""

import dataclasses
import shutil

import numpy as np
import pytest
import torch
from skimage import data

from brittle.analysis.effects import Effects
from brittle.analysis.table import Table
from brittle.analysis.usable import UsableEdits
from brittle.analysis.worst_case import Search
from brittle.declaration.trial import Trial
from brittle.images import from_bytes, quantise, write_image
from brittle.models import load_model
from brittle.progress import silent
from brittle.record.store import FolderStore, artifact
from brittle.sources.photos import load_photos
from brittle.trial.plan import make_plan
from brittle.trial.results import rows
from brittle.trial.stages import compute

ARM = "photoguard-encoder:steps=3"
TRANSFORMS = ("none", "jpeg:quality=75", "denoise:strength=0.1,num_inference_steps=10", "flip")
EDITORS = (
    "img2img:strength=0.5,num_inference_steps=2",
    "inpaint:strength=1,num_inference_steps=2",
)
STEP = 4  # 64 px of 256


@pytest.fixture(scope="module")
def declared(tmp_path_factory):
    """A trial of one photo, and the folder of its file."""
    folder = tmp_path_factory.mktemp("leak") / "photos"
    levels = data.chelsea()[None, : 64 * STEP : STEP, 100 : 100 + 64 * STEP : STEP]
    write_image(folder / "chelsea.png", from_bytes(levels))
    trial = Trial(
        photos=str(folder),
        mask="auto",
        protections=(ARM,),
        placebos=("noise",),
        transforms=TRANSFORMS,
        editors=EDITORS,
        prompts=("golden hour",),
        seeds=(0, 3),
        floor_seeds=(),
        metrics=("perceptual", "follow", "keep"),
        primary={"editor": EDITORS[0]},
    )
    return trial, folder


@pytest.fixture(scope="module")
def runs(declared, tmp_path_factory):
    """The plan, the folder of the trial, and the folder of the run without the originals."""
    trial, photos = declared
    model = load_model(trial.model, device="cpu")
    plan = make_plan(trial, load_photos(str(photos), mask=trial.mask), model)
    folder = tmp_path_factory.mktemp("runs")
    first, second = FolderStore(folder / "first"), FolderStore(folder / "second")
    compute(plan, first, model, silent)
    for key in published(plan):
        (second.directory / artifact(key)).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(first.directory / artifact(key), second.directory / artifact(key))
    stream = torch.Generator().manual_seed(0)
    for path in photos.glob("*.png"):
        noise = quantise(torch.rand(1, 3, 64, 64, generator=stream))
        write_image(path, noise, overwrite=True)
    # Names, keys and random seeds are the plan's: the attacker draws his own noise, and a trial
    # gives him the same for each arm.
    gone = load_photos(str(photos), mask=trial.mask)
    compute(dataclasses.replace(plan, photos=gone), second, model, silent)
    return plan, first, second


def published(plan, arm=ARM):
    return {key for key, one in plan.releases.items() if one.arm == arm}


def made(plan, arm):
    """The keys of all that is received and edited of an arm's files."""
    received = {k for k, one in plan.receptions.items() if one.release in published(plan, arm)}
    edited = {k for k, one in plan.edits.items() if one.source in received}
    return received | edited


def same(first, second, keys):
    return {
        (first.directory / artifact(key)).read_bytes()
        == (second.directory / artifact(key)).read_bytes()
        for key in keys
    }


def search(plan, store, editor):
    table = Table(rows(plan, store))
    effects = Effects(table, editor=editor, metric="perceptual")
    return Search(effects, UsableEdits(table, editor=editor), TRANSFORMS)


def test_received_files_and_edits_are_the_same_bytes(runs):
    plan, first, second = runs
    keys = made(plan, ARM)
    assert len(keys) == 4 + 4 * 2 * 2
    assert same(first, second, keys | published(plan)) == {True}
    assert same(first, second, made(plan, "original")) == {False}


@pytest.mark.parametrize("editor", range(2))
def test_the_selectors_choices_are_the_same(runs, editor):
    plan, first, second = runs
    label = list(plan.editors)[editor]
    searches = [search(plan, store, label) for store in (first, second)]
    losses = {
        "selector": [one._attackers_loss(ARM)[0] for one in searches],
        "oracle": [-one._scores(one.table.judged, ARM, "keep", "photo") for one in searches],
    }
    assert np.isfinite(losses["selector"][0]).all()
    assert np.array_equal(*losses["selector"])
    assert not np.array_equal(*losses["oracle"])
    chosen = [
        {one.line: one.effect_chosen for one in found.worst_cases([ARM]) if one.arm == ARM}
        for found in searches
    ]
    assert chosen[0]["selector"] == chosen[1]["selector"]
    assert sum(chosen[0]["selector"].values()) == 2


def test_the_attackers_scores_themselves_are_the_same(runs):
    """Not only their ranks: follow and keep, of every edit, as he can compute them."""
    plan, first, second = runs
    values = [
        {
            row.key: row.value
            for row in rows(plan, store)
            if row.arm == ARM and row.reference == "published"
        }
        for store in (first, second)
    ]
    assert {key[6] for key in values[0]} == {"follow", "keep"}
    assert values[0] == values[1]
