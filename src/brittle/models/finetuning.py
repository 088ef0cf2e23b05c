"""Fine-tuning: a model learns from a few pictures what a rare word means, after DreamBooth.

A training that is stopped goes on where it was last kept, to the same weights: each step draws from
its own stream, and what the optimizer remembers is kept beside the weights, without pickles. Files
of weights hold their digest: one that was damaged is learned again.
"""

import hashlib
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from brittle.errors import UserError
from brittle.images import middle_square, quantise, stretch
from brittle.models.denoising import DenoisingTask, Draw
from brittle.models.edit_model import EditModel
from brittle.models.flow_schedulers import FLOW
from brittle.models.memory import check_memory
from brittle.models.parts import Part
from brittle.models.tuned import NAMED, WEIGHTS, LearningScope, learning, take
from brittle.noise import derive_seed
from brittle.progress import Progress, silent

PARTIAL = "partial.safetensors"
KEEP_SECONDS = 60.0
"""How much work a kill may cost."""
TRAINING = "training"
"""The field of a file of weights that holds the loss of each step and the digest, as JSON."""
_MOMENTS = ("exp_avg", "exp_avg_sq", "step")


@dataclass(frozen=True)
class Lesson:
    """Pictures that show what a prompt means: scaled latents (N, C, h, w), on the CPU."""

    latents: Tensor
    prompt: str
    weight: float = 1.0

    @classmethod
    def of(
        cls, model: EditModel, squares: Sequence[Tensor], prompt: str, weight: float = 1.0
    ) -> "Lesson":
        """The lesson of pictures (1, 3, size, size) in [0, 1]; see `square`."""
        with torch.no_grad():
            latents = torch.cat([model.encode(square).cpu() for square in squares])
        return cls(latents, prompt, weight)


@dataclass(frozen=True)
class Course:
    """How a model is taught: AdamW at a constant rate; each step shows ``batch`` of each lesson."""

    scope: LearningScope
    steps: int
    learning_rate: float
    batch: int
    seed: int


def fine_tune(
    model: EditModel,
    lessons: Sequence[Lesson],
    course: Course,
    folder: Path,
    progress: Progress = silent,
) -> Path:
    """Train on top of ``model`` and return the file of learned weights; at once if it is there.

    The weights are float32; the denoiser computes in bfloat16 where the model's dtype is that. The
    file's metadata holds the loss of each step.

    Raises:
        UserError: not enough memory; a loss that isn't a number; LoRA without peft.
    """
    weights = folder / WEIGHTS
    if read_kept(weights) is not None:
        return weights
    check_memory(model, course.scope)
    folder.mkdir(parents=True, exist_ok=True)
    classroom = Classroom(model, lessons, course)
    classroom.resume(folder / PARTIAL)
    kept = time.monotonic()
    with progress("fine-tuning", course.steps) as advance:
        advance(len(classroom.losses))
        for step in range(len(classroom.losses), course.steps):
            classroom.step(step)
            if time.monotonic() - kept >= KEEP_SECONDS:
                classroom.keep(folder / PARTIAL)
                kept = time.monotonic()
            advance(1)
    classroom.keep(weights, finished=True)
    (folder / PARTIAL).unlink(missing_ok=True)
    return weights


@dataclass
class Classroom:
    """A fine-tune in progress: each step of `step` teaches ``lessons`` to a copy of the model."""

    model: EditModel
    lessons: Sequence[Lesson]
    course: Course
    losses: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        model, scope = self.model, self.course.scope
        if model.denoiser.scheduler_name(None) == FLOW:
            raise UserError(
                f"{model.name} denoises by flow matching, and brittle tunes models of Stable "
                f"Diffusion 1.x's and 2.x's kind: name another model."
            )
        self.half = model.dtype == torch.bfloat16
        # What learns is float32; frozen weights below LoRA may be half as large.
        dtype = torch.bfloat16 if self.half and scope.rank is not None else torch.float32
        self.modules: dict[Part, Any] = {}
        for part in scope.parts:
            module = model.files.load(part, dtype)
            opened = scope.open(part, module, derive_seed(self.course.seed, "lora", NAMED[part]))
            self.modules[part] = opened.to(model.device).train()
        self.parameters = learning(self.modules)
        self.forget_moments()
        self.task = DenoisingTask.of(model)
        self.fixed = model.embed([lesson.prompt for lesson in self.lessons]).float()

    def forget_moments(self) -> None:
        """Go on with an optimizer that remembers nothing."""
        self.optimizer = torch.optim.AdamW(
            self.parameters.values(), lr=self.course.learning_rate, weight_decay=1e-2
        )

    def step(self, number: int) -> None:
        """One step of the optimizer, drawn from its own stream."""
        stream = torch.Generator("cpu").manual_seed(
            derive_seed(self.course.seed, "step", f"{number}")
        )
        device, batch = self.model.device, self.course.batch
        chosen = [
            lesson.latents[torch.randint(len(lesson.latents), (batch,), generator=stream)]
            for lesson in self.lessons
        ]
        clean = torch.cat(chosen).to(device)
        noise = torch.randn(clean.shape, generator=stream).to(device)
        times = torch.randint(len(self.task), (len(clean),), generator=stream)
        embeddings = self.embeddings().repeat_interleave(batch, 0)
        errors = self.errors(clean, Draw(noise, times), embeddings)
        shares = torch.tensor([lesson.weight / batch for lesson in self.lessons], device=device)
        loss = (errors * shares.repeat_interleave(batch)).sum()
        if not loss.isfinite():
            todo = "lower learning_rate" if number else "try --dtype float32 or another model"
            raise UserError(f"The fine-tune's loss is no number at step {number + 1}: {todo}.")
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(self.parameters.values(), 1.0)
        self.optimizer.step()
        self.losses.append(float(loss.detach()))

    def errors(self, clean: Tensor, draw: Draw, embeddings: Tensor) -> Tensor:
        """DreamBooth's loss of latents (N, C, h, w) under what was drawn, (N,); differentiable."""
        return self.task.errors(self.output(clean, draw, embeddings), clean, draw)

    def output(self, clean: Tensor, draw: Draw, embeddings: Tensor) -> Tensor:
        """What the denoiser says of latents (N, C, h, w) under what was drawn; differentiable."""
        device, noisy = self.model.device, self.task.noisy(clean, draw)
        with torch.autocast(device.type, torch.bfloat16, enabled=self.half):
            output: Tensor = self.modules["denoiser"](
                noisy, draw.times.to(device), encoder_hidden_states=embeddings, return_dict=False
            )[0]
        return output

    def embeddings(self) -> Tensor:
        """What the lessons' prompts mean by now, (lessons, tokens, width)."""
        if "text_encoder" not in self.modules:
            return self.fixed
        tokens = [self.model.reader.tokens(lesson.prompt) for lesson in self.lessons]
        embeddings: Tensor = self.modules["text_encoder"](torch.cat(tokens))[0]
        return embeddings

    def keep(self, path: Path, *, finished: bool = False) -> None:
        """Write the weights, and while unfinished what the optimizer remembers; whole or not."""
        tensors = {name: p.detach().cpu().contiguous() for name, p in self.parameters.items()}
        if not finished:
            for name, parameter in self.parameters.items():
                for moment, value in self.optimizer.state[parameter].items():
                    tensors[f"{moment}:{name}"] = value.detach().cpu().contiguous()
        partial = path.with_suffix(".tmp")
        noted = {"digest": _digest(tensors, self.losses), "losses": self.losses}
        # In one field: safetensors writes several in an order of its own, another each time.
        save_file(tensors, partial, {TRAINING: json.dumps(noted)})
        partial.replace(path)

    def resume(self, path: Path) -> None:
        """Go on from what `keep` wrote, where there is such a file and it is whole."""
        kept = read_kept(path)
        if kept is None:
            return
        take(self.modules, kept)
        for name, parameter in self.parameters.items():
            self.optimizer.state[parameter] = {
                moment: kept[f"{moment}:{name}"].to("cpu" if moment == "step" else parameter.device)
                for moment in _MOMENTS
            }
        self.losses = losses_of(path)


def square(image: Tensor, size: int) -> Tensor:
    """What is learned of a picture (1, 3, H, W): its centre square at ``size`` px, on 8 bits."""
    return quantise(stretch(middle_square(image), (size, size)))


def read_kept(path: Path) -> dict[str, Tensor] | None:
    """The tensors of a file that `Classroom.keep` wrote; None if it is missing or damaged.

    A former version's file has no digest, and is taken if it can be read.
    """
    try:
        kept, noted = load_file(path), _noted(path)
        digest = _digest(kept, noted["losses"])
    except (OSError, SafetensorError, ValueError, KeyError, TypeError):
        return None
    return kept if noted.get("digest", digest) == digest else None


def _noted(path: Path) -> dict[str, Any]:
    """What a file of weights says of its training; a former version's says the losses alone."""
    with safe_open(path, "pt") as file:
        metadata: Mapping[str, str] = file.metadata() or {}
    if TRAINING in metadata:
        return dict(json.loads(metadata[TRAINING]))
    return {"losses": json.loads(metadata["losses"])}


def _digest(tensors: Mapping[str, Tensor], losses: list[float]) -> str:
    """The identity of weights (on the CPU) and of what was noted of their training."""
    found = hashlib.sha256(json.dumps(losses).encode())
    for name, tensor in sorted(tensors.items()):
        found.update(f"{name} {tensor.dtype} {list(tensor.shape)}".encode())
        found.update(tensor.reshape(-1).view(torch.uint8).numpy())
    return found.hexdigest()


def losses_of(weights: Path) -> list[float]:
    """The loss of each step of a fine-tune, from its file of weights."""
    return [float(loss) for loss in _noted(weights)["losses"]]
