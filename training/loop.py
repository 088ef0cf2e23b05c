"""A training run that resumes to the step: model, average, optimiser and step in one file."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.distributed as distributed
from safetensors import safe_open
from safetensors.torch import load_file
from torch import Tensor, nn

from training.config import Schedule
from training.files import write_json, write_tensors
from training.optim import Optimiser, trapezoid


def join_workers() -> tuple[int, int]:
    """(rank, workers) under ``torchrun``, (0, 1) without it.

    Two workers of one thread each beat one of two threads where other work shares the cores: they
    wait for one another once a step and not at every operation.
    """
    workers = int(os.environ.get("WORLD_SIZE", "1"))
    if workers > 1 and not distributed.is_initialized():
        distributed.init_process_group("gloo")
    return int(os.environ.get("RANK", "0")), workers


class Run:
    """``loss(step, rng)`` is minimised as ``schedule`` says; ``rng`` depends on (seed, step, rank).

    ``muon``, ``decay`` and ``bfloat16`` are the optimiser's.
    Workers average their gradients, so each draws its share of the batch.
    ``average`` holds the exponential moving average of all parameters and buffers.
    """

    def __init__(
        self,
        file: Path,
        model: nn.Module,
        schedule: Schedule,
        *,
        seed: int,
        muon: bool,
        decay: float = 0.0,
        bfloat16: bool = False,
    ) -> None:
        self.file, self.model, self.schedule, self.seed = file, model, schedule, seed
        self.optimiser = Optimiser(model.named_parameters(), schedule.rate, muon, decay, bfloat16)
        self.rank, self.workers = join_workers()
        self.average = {n: v.detach().clone() for n, v in model.state_dict().items()}
        self.step = 0
        self.seconds = 0.0

    def save(self, file: Path | None = None) -> None:
        """Writes the checkpoint, to its own place or to ``file``."""
        state = {f"model.{n}": v for n, v in self.model.state_dict().items()}
        state |= {f"average.{n}": v for n, v in self.average.items()}
        state |= {f"optimiser.{n}": v for n, v in self.optimiser.state().items()}
        about = {"step": str(self.step), "seconds": f"{self.seconds:.1f}"}
        write_tensors(file or self.file, state, about)

    def resume(self) -> bool:
        """Loads the checkpoint if there is one, and says (and prints) whether there was."""
        if not self.file.exists():
            print("new", flush=True)
            return False
        with safe_open(self.file, "pt") as opened:
            about = opened.metadata()
        state = load_file(self.file)

        def part(name: str) -> dict[str, Tensor]:
            return {k[len(name) :]: v for k, v in state.items() if k.startswith(name)}

        self.model.load_state_dict(part("model."))
        # Checkpoints are read on the CPU; copies go to wherever the model is.
        for name, value in part("average.").items():
            self.average[name].copy_(value)
        self.optimiser.load(part("optimiser."))
        self.step, self.seconds = int(about["step"]), float(about["seconds"])
        print("resumed at step", self.step, flush=True)
        return True

    def run(
        self,
        loss: Callable[[int, np.random.Generator], Tensor],
        *,
        then: Callable[[], None] | None = None,
        until: int | None = None,
    ) -> None:
        """Trains to step ``until`` (the end), now and then saving and calling ``then``."""
        total, count = 0.0, 0
        started = time.monotonic()
        plan = self.schedule
        end = plan.steps if until is None else min(until, plan.steps)
        while self.step < end:
            rng = np.random.default_rng([self.seed, self.step, self.rank])
            torch.manual_seed(int(rng.integers(2**62)))
            value = loss(self.step, rng)
            value.backward()
            self._share_gradients()
            self.optimiser.step(trapezoid(self.step, plan.steps, plan.warmup, plan.decay))
            self._follow()
            self.step += 1
            total, count = total + float(value.detach()), count + 1
            if self.step % plan.every == 0 or self.step == end:
                now = time.monotonic()
                self.seconds += now - started
                rate = count / (now - started)
                if self.rank == 0:
                    print(
                        f"step {self.step}: loss {total / count:.4f}, {rate:.2f} steps/s, "
                        f"{self.seconds / 60:.1f} min",
                        flush=True,
                    )
                    self.save()
                    if then is not None:
                        then()
                self.wait()
                total, count, started = 0.0, 0, time.monotonic()

    def note(self, **found: Any) -> None:
        """Writes what was found by now into a JSON file beside the checkpoint."""
        about = {"step": self.step, "minutes": self.seconds / 60}
        write_json(self.file.with_suffix(".json"), about | found)

    def publish(self, file: Path) -> None:
        """Gives the model the averaged weights, writes them in float16 and prints the digest."""
        weights = averaged(self.file)
        write_tensors(file, {name: value.half() for name, value in weights.items()})
        print(file.name, hashlib.sha256(file.read_bytes()).hexdigest())
        self.model.load_state_dict(weights)

    def wait(self) -> None:
        """Returns when all workers are here."""
        if self.workers > 1:
            distributed.barrier()

    @torch.no_grad()
    def _share_gradients(self) -> None:
        if self.workers == 1:
            return
        gradients = [p.grad for p in self.model.parameters() if p.grad is not None]
        flat = torch.cat([g.reshape(-1) for g in gradients])
        distributed.all_reduce(flat)
        parts = (flat / self.workers).split([g.numel() for g in gradients])
        for gradient, part in zip(gradients, parts, strict=True):
            gradient.copy_(part.view(gradient.shape))

    @torch.no_grad()
    def _follow(self) -> None:
        keep = min(self.schedule.average, (1 + self.step) / (10 + self.step))
        state = self.model.state_dict()
        names = [n for n, v in state.items() if v.is_floating_point()]
        torch._foreach_lerp_([self.average[n] for n in names], [state[n] for n in names], 1 - keep)


def averaged(file: Path) -> dict[str, Tensor]:
    """The averaged weights in a run's checkpoint."""
    state = load_file(file)
    return {k[len("average.") :]: v for k, v in state.items() if k.startswith("average.")}
