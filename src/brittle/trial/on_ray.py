"""Workers on a Ray cluster: one actor holds one model, and as many GPUs or cores as it is given."""

import os
import tempfile
from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from brittle.component import load_plugin
from brittle.declaration.trial import Trial
from brittle.errors import UserError
from brittle.models import EditModel
from brittle.trial.executors import Lost
from brittle.trial.other_models import models_of
from brittle.trial.parcels import Inputs, Parcel
from brittle.trial.tasks import Plan
from brittle.trial.workers import Outcome, do
from brittle.version import VERSION

QUEUED = 2
"""Parcels that a worker has at a time: while one is done, the next one is there."""


@dataclass(frozen=True)
class Cluster:
    """Where workers run: a cluster's address (None: this computer), and what each one gets.

    >>> brittle.Cluster(gpus=0.5)
    Cluster(address=None, gpus=0.5, workers=None)
    """

    address: str | None = None
    gpus: float = 0
    """GPUs of a worker; a part of one, as 0.5, where several share it."""
    workers: int | None = None
    """At most so many; None: as many as there is room for."""


@dataclass(frozen=True)
class Asked:
    """What a worker loads. Folders and files lie under the same path on every machine."""

    trial: Trial
    """Its models and plugins."""
    device: str | None
    dtype: str | None
    threads: int
    """Of one operation, on a CPU: the last bits depend on their number."""


@dataclass(frozen=True)
class About:
    """What a worker's results depend on beside the plan."""

    version: str
    torch: str
    device: str
    dtype: str
    models: tuple[str, ...]
    """The content hashes of the trial's models."""

    @property
    def kind(self) -> "About":
        """The same without the number of the device."""
        device = self.device.partition(":")[0]
        return replace(self, device=device)


class Worker:
    """What an actor holds: a model at a time, and what it knows of the plan."""

    def __init__(self, asked: Asked) -> None:
        torch.set_num_threads(asked.threads)
        for plugin in asked.trial.plugins:
            load_plugin(plugin)
        self.models = models_of(asked.trial, device=asked.device, dtype=asked.dtype)
        self.shell: Plan | None = None
        self._scratch = tempfile.TemporaryDirectory(prefix="brittle-")

    def about(self) -> About:
        """What it computes with."""
        return About(
            VERSION,
            torch.__version__,
            str(self.models[0].device),
            str(self.models[0].precision),
            tuple(one.content_hash for one in self.models),
        )

    def prepare(self, shell: Plan) -> None:
        """Take what all parcels share; weights of models that they don't run are forgotten."""
        self.shell = shell
        for model in self.models:
            if model is not self.running:
                model.release()

    @property
    def running(self) -> EditModel:
        """The model that the plan runs."""
        assert self.shell is not None, "prepared first"
        wanted = self.shell.model.content_hash
        return next(one for one in self.models if one.content_hash == wanted)

    def do(self, parcel: Parcel, inputs: Inputs) -> Outcome:
        """Do a parcel."""
        assert self.shell is not None, "prepared first"
        return do(self.shell, self.running, parcel, inputs, Path(self._scratch.name))


class RayPool:
    """Actors; one that ends is replaced."""

    def __init__(self, ray: Any, asked: Asked, cluster: Cluster) -> None:
        self.ray, self.asked = ray, asked
        share = {"num_gpus": cluster.gpus} if cluster.gpus else {}
        self._actor = ray.remote(num_cpus=asked.threads, max_restarts=0, **share)(Worker)
        self._shell: Any = None
        self._actors = [self._started() for _ in range(self._count(cluster))]
        self._at_work: dict[Any, tuple[Hashable, Any]] = {}
        self.room = QUEUED * len(self._actors)

    def _count(self, cluster: Cluster) -> int:
        there = self.ray.cluster_resources()
        count = int(there.get("CPU", 0) // self.asked.threads)
        if cluster.gpus:
            count = min(count, int(there.get("GPU", 0) / cluster.gpus))
        if not count:
            raise UserError(
                f"The cluster has {there.get('CPU', 0):g} cores and {there.get('GPU', 0):g} GPUs, "
                f"and a worker takes {self.asked.threads} and {cluster.gpus:g}: give it less."
            )
        return min(count, cluster.workers or count)

    def _started(self) -> Any:
        actor = self._actor.remote(self.asked)
        if self._shell is not None:
            actor.prepare.remote(self._shell)
        return actor

    def about(self) -> About:
        """What all workers compute with.

        Raises:
            UserError: they differ, or one can't be started.
        """
        try:
            found = self.ray.get([one.about.remote() for one in self._actors])
        except self.ray.exceptions.RayError as error:
            raise UserError(f"A worker can't be started: {_last_line(error)}") from None
        kinds = {one.kind for one in found}
        if len(kinds) > 1:
            raise UserError(
                f"The workers differ, and so would their results: {', '.join(map(str, kinds))}."
            )
        return found[0].kind

    def prepare(self, shell: Plan) -> None:
        """As `Pool.prepare`."""
        self._shell = self.ray.put(shell)
        self._at_work.clear()
        for actor in self._actors:
            actor.prepare.remote(self._shell)

    def begin(self, parcel: Parcel, inputs: Inputs) -> Hashable:
        """As `Pool.begin`: to the worker that has least to do."""
        busy = [actor for _, actor in self._at_work.values()]
        actor = min(self._actors, key=busy.count)
        reference = actor.do.remote(parcel, inputs)
        self._at_work[reference] = reference.hex(), actor
        return reference.hex()

    def finished(self) -> tuple[Hashable, Outcome | Lost]:
        """As `Pool.finished`."""
        (reference,), _ = self.ray.wait([*self._at_work], num_returns=1)
        ticket, actor = self._at_work.pop(reference)
        try:
            return ticket, self.ray.get(reference)
        except self.ray.exceptions.RayError as error:
            if actor in self._actors:
                self._actors[self._actors.index(actor)] = self._started()
            return ticket, Lost(_last_line(error))


def _last_line(error: Exception) -> str:
    return str(error).strip().splitlines()[-1]


@contextmanager
def on_cluster(
    trial: Trial, cluster: Cluster, *, device: str | None, dtype: str | None
) -> Iterator[RayPool]:
    """Workers for a trial, which end with the context.

    Raises:
        UserError: Ray is not installed, there is no such cluster, or no room in it.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # Ray would tell its makers of each use
    try:
        import ray
    except ImportError:
        raise UserError("--on ray needs Ray: install it with pip install 'brittle[ray]'.") from None
    places = {
        "model": _absolute(trial.model),
        "models": {_absolute(name): editors for name, editors in trial.models.items()},
        "plugins": tuple(map(_absolute, trial.plugins)),
    }
    asked = Asked(
        trial.model_copy(update=places),
        device or ("cuda" if cluster.gpus else None),
        dtype,
        torch.get_num_threads(),
    )
    try:
        ray.init(address=cluster.address, include_dashboard=False, log_to_driver=False)
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise UserError(f"There is no Ray cluster at {cluster.address}: {error}") from None
    try:
        yield RayPool(ray, asked, cluster)
    finally:
        ray.shutdown()


def _absolute(path: str) -> str:
    return str(Path(path).absolute()) if Path(path).exists() else path


def models_on(trial: Trial, about: About) -> list[EditModel]:
    """The workers' models as the driver knows them: by their files; they compute nothing.

    Raises:
        UserError: the files here are others than the workers'.
    """
    models = models_of(trial, device="cpu", dtype=about.dtype)
    for model, theirs in zip(models, about.models, strict=True):
        model.device = torch.device(about.device)
        if model.content_hash != theirs:
            raise UserError(f"The workers' {model.name} has other files than the one here.")
    return models
