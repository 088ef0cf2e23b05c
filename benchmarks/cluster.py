"""What 64 workers would do with a large trial: how busy they are, and what the driver needs.

    python benchmarks/cluster.py [--photos 40] [--workers 64] [--edit 1.235] [--score 0.163]

No worker runs: the parcels are those of the real plan, handed out by the real driver, in simulated
time. ``--edit`` and ``--score`` are seconds a picture, by default those of `benchmarks/scoring.py`
at 512 px on one two-core machine; a parcel takes between 0.7 and 1.4 times its mean. ``--driver``
is what the driver takes to read, send and keep a parcel, one after another.
"""

import argparse
import heapq
import random
import tempfile
import time
import tracemalloc
from collections.abc import Hashable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from brittle.declaration.trial import Trial
from brittle.images import Photo
from brittle.models import EditModel, load_model
from brittle.record.store import FolderStore, Store
from brittle.sources.photos import TrialPhoto
from brittle.trial import plan as planning
from brittle.trial.executors import done_by
from brittle.trial.manifest import manifest
from brittle.trial.parcels import STAGES, Inputs, Parcel, Stage, parcels_of
from brittle.trial.plan import in_parts, lay_out
from brittle.trial.run import gather
from brittle.trial.tasks import Plan
from brittle.trial.workers import Outcome

QUALITIES, STEPS = 28, 20


class Imagined:
    """A pool of workers in simulated time."""

    def __init__(self, workers: int, seconds: dict[Stage, float], driver: float) -> None:
        self.seconds, self.driver, self.chance = seconds, driver, random.Random(0)
        self.room = 2 * workers
        self.now = self.busy = 0.0
        self.free = [0.0] * workers
        self._ends: list[tuple[float, int]] = []
        self._tickets = 0

    def begin(self, parcel: Parcel, inputs: Inputs) -> Hashable:
        """Hand a parcel to the worker that is free first."""
        self.now += self.driver
        takes = self.seconds[parcel.stage] * parcel.pieces * self.chance.uniform(0.7, 1.4)
        ends = max(heapq.heappop(self.free), self.now) + takes
        heapq.heappush(self.free, ends)
        self.busy += takes
        self._tickets += 1
        heapq.heappush(self._ends, (ends, self._tickets))
        return self._tickets

    def finished(self) -> tuple[Hashable, Outcome]:
        """The parcel that ends first."""
        ends, ticket = heapq.heappop(self._ends)
        self.now = max(self.now, ends)
        return ticket, []


class Marks(set[str]):
    """A store of which only the keys are there."""

    def has(self, key: str) -> bool:
        """Whether a picture was made."""
        return key in self

    def read_cell(self, key: str) -> dict[str, object]:
        """No cell was scored."""
        return {}


def synthetic(photos: int) -> tuple[Trial, dict[str, TrialPhoto]]:
    """A trial of 20 protections and their placebos, 30 transforms and two prompts."""
    trial = Trial(
        protections=tuple(f"photoguard-encoder:steps={k + 1}" for k in range(STEPS)),
        placebos=("noise",),
        transforms=("none", "flip", *(f"jpeg:quality={k + 50}" for k in range(QUALITIES))),
        editors=("img2img:num_inference_steps=4",),
        prompts=("heavy rain", "night"),
        metrics=("psnr",),
        primary={"metric": "psnr", "arms": ("photoguard-encoder:steps=1",)},
        floor_seeds=(),
        batch=8,
    )
    image = torch.zeros(1, 3, 128, 128)
    return trial, {
        f"photo {k}": TrialPhoto(
            Photo(f"photo {k}", image, None, (), "PNG", False, None, f"{k:032x}")
        )
        for k in range(photos)
    }


def measure_plan(plan: Plan) -> None:
    """Print what the whole plan takes, made part by part."""
    for _ in in_parts(replace(plan, subjects=dict([*plan.subjects.items()][:1]))):
        pass  # what is imported on the way belongs to no plan
    start, cells = time.perf_counter(), sum(len(part.cells) for part in in_parts(plan))
    took = time.perf_counter() - start
    tracemalloc.start()
    for _ in in_parts(plan):
        pass
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    print(
        f"plan: {cells:,} cells in {took:.1f} s ({1e6 * took / cells:.0f} us a cell), "
        f"{peak / 1e6:.0f} MB at most ({peak / cells:.0f} bytes a cell)"
    )


class Scored(FolderStore):
    """A folder in which every cell has its scores."""

    def read_cell(self, key: str) -> dict[str, Any]:
        """Two scores, as files of cells hold them."""
        value = int(key[:8], 16) / 2**32
        found = [
            {"metric": name, "reference": "control", "value": value}
            for name in ("psnr", "psnr.distance")
        ]
        return {"scores": {"psnr": found}}


def measure_results(plan: Plan, model: EditModel) -> None:
    """Print what it takes to write the table and the index of a finished trial."""
    with tempfile.TemporaryDirectory() as folder:
        store = Scored(Path(folder))
        said = manifest(plan, model)
        start = time.perf_counter()
        tracemalloc.start()
        record = gather(in_parts(plan), store, said)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        took, rows = time.perf_counter() - start, len(record.rows)
        print(
            f"results: {rows:,} rows of {len(record.index):,} cells, {peak / 1e6:.0f} MB at most, "
            f"{took:.0f} s, both with memory traced"
        )


def play(
    pool: Imagined, stage: Stage, part: Plan, store: Marks, model: EditModel, name: str
) -> None:
    """Hand out a stage's parcels, and print how busy the workers were."""
    begun, busy, start = pool.now, pool.busy, time.perf_counter()
    marked: Store = store  # type: ignore[assignment]
    parcels = parcels_of(stage, part, marked, model)
    for parcel, _ in done_by(pool, parcels, lambda one: Inputs()):
        store |= {one.key for one in (*parcel.releases, *parcel.receptions, *parcel.edits)}
    took = time.perf_counter() - start
    if not parcels:
        return
    used = (pool.busy - busy) / (len(pool.free) * (pool.now - begun))
    print(
        f"{name}: {len(parcels):,} parcels, {pool.now - begun:,.0f} s, workers busy "
        f"{100 * used:.1f} %; planned and handed out in {took:.1f} s"
    )


def main() -> None:
    """Print it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--photos", type=int, default=40)
    parser.add_argument("--workers", type=int, default=64)
    parser.add_argument("--edit", type=float, default=1.235)
    parser.add_argument("--score", type=float, default=0.163)
    parser.add_argument("--driver", type=float, default=0.02)
    parser.add_argument("--part", type=int, default=planning.CELLS, help="cells of a part")
    options = parser.parse_args()
    planning.CELLS = options.part
    trial, photos = synthetic(options.photos)
    model = load_model("embedded", device="cpu", dtype="float32", size=128)
    plan = lay_out(trial, photos, model)
    measure_plan(plan)
    measure_results(plan, model)
    seconds: dict[Stage, float] = {
        "protections": 10 * options.edit,
        "placebos": 0.3,
        "transforms": 0.2,
        "edits": options.edit,
        "scores": options.score,
    }
    pool, store = Imagined(options.workers, seconds, options.driver), Marks()
    for number, part in enumerate(in_parts(plan)):
        for stage in STAGES:
            play(pool, stage, part, store, model, f"part {number + 1}, {stage}")
    print(
        f"all: {pool.now / 3600:.2f} h on {options.workers} workers, busy "
        f"{100 * pool.busy / (options.workers * pool.now):.1f} %"
    )


if __name__ == "__main__":
    main()
