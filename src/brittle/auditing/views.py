"""What the model is shown: a photo, the protected file, a gray picture and random perturbations.

All of them pass the same transforms, and the model takes each at its own size. They are rows of one
tensor, in the order of `ROWS`.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass

import torch
from torch import Tensor

from brittle.auditing.pairs import Pictures
from brittle.cores import on_all_cores
from brittle.inference.one_photo import DRAWS
from brittle.metrics import Metric
from brittle.metrics.base import fill_invalid, mean_where
from brittle.metrics.memory import FeatureMemory
from brittle.models import EditModel
from brittle.noise import derive_seed
from brittle.progress import Advance
from brittle.protections import Placebo
from brittle.transforms import Transform
from brittle.trial.runner import gray_like

CONTROL, PROTECTED, GRAY = 0, 1, 2
PLACEBOS = slice(3, 3 + DRAWS)
ROWS = 3 + DRAWS
CHOOSING = (CONTROL, *range(PLACEBOS.start, PLACEBOS.start + 5))
"""What tells which kind of random perturbation acts further: five of each say it well enough."""

DRAWN = FeatureMemory(limit=256 * 2**20)
"""Random perturbations are looked at twice: to choose a kind, and to compare."""

Views = dict[str, Tensor]
"""By transform: what the model takes of each row, (ROWS, 3, h, w) in [0, 1]."""


@dataclass(frozen=True)
class Bench:
    """What is done to each photo on one model, and from which seed."""

    model: EditModel
    transforms: tuple[Transform, ...]
    seed: int
    loading: Future[object]
    """The model's autoencoder on its way: importing the libraries takes seconds, and pictures are
    read and drawn meanwhile."""

    def views(
        self,
        pictures: Pictures,
        placebo: Placebo,
        transforms: Sequence[Transform],
        advance: Advance,
        rows: Sequence[int] = range(ROWS),
    ) -> Views:
        """Pass rows through the transforms, on all cores; ``advance`` counts them.

        Transforms that run the model take one row after another.
        """
        by_model = any(transform.needs_model for transform in transforms)
        if by_model:
            self.loading.result()

        def one(row: int) -> list[Tensor]:
            image = self._row(pictures, placebo, row)
            seed = derive_seed(self.seed, pictures.digest, "transform")
            received = [
                transform.apply(image, seeds=[seed], model=self.model) for transform in transforms
            ]
            advance(1)
            return [self.model.fit(image) for image in received]

        passed = [one(row) for row in rows] if by_model else on_all_cores(one, rows)
        return {
            str(transform): torch.cat([row[at] for row in passed])
            for at, transform in enumerate(transforms)
        }

    def _row(self, pictures: Pictures, placebo: Placebo, row: int) -> Tensor:
        """One row at the file's own size, on the 8-bit grid."""
        if row == CONTROL:
            return pictures.original
        if row == PROTECTED:
            return pictures.protected
        if row == GRAY:
            return gray_like(pictures.original)
        draw = str(row - PLACEBOS.start)
        seed = derive_seed(self.seed, pictures.digest, "placebo", placebo.name, draw)
        (drawn,) = DRAWN.recall(
            f"{placebo.name} {seed}",
            pictures.protected,
            lambda image: (placebo.draw(pictures.original, image, seeds=[seed]),),
        )
        return drawn

    def shift(self, pictures: Pictures, views: Tensor, transform: Transform) -> Tensor:
        """How far the latents of each row lie from the first's, the control, (rows,): `latent`."""
        valid = transform.valid_of(views[:1], size=pictures.original.shape[-2:])
        shown = fill_invalid(views, valid)
        self.loading.result()

        def encode(row: Tensor) -> Tensor:
            with torch.inference_mode():  # which holds for one thread
                return self.model.encode(row).cpu()

        latents = on_all_cores(encode, shown.split(1))
        return torch.stack(
            [mean_where((row - latents[CONTROL]).square(), valid).sqrt() for row in latents]
        )


def in_batches(
    compute: Callable[[Tensor], Tensor], rows: Tensor, advance: Advance = lambda done: None
) -> Tensor:
    """Run ``compute`` on batches of one fixed shape, since a row's bytes depend on that shape."""
    parts = []
    for batch in rows.split(batch_rows(rows)):
        parts.append(compute(batch))
        advance(len(batch))
    return torch.cat(parts)


def batch_rows(rows: Tensor) -> int:
    """How many rows go through the model at once: a divisor of `ROWS`, fewer of large pictures."""
    return 11 if math.prod(rows.shape[-2:]) <= 256**2 else 2


def distances(metric: Metric, rows: Tensor, valid: Tensor, model: EditModel) -> Iterator[float]:
    """The distance of each row from the control's row."""
    for row in rows.split(1):
        score = metric.score(row, rows[CONTROL : CONTROL + 1], valid=valid, model=model)
        yield float(metric.as_distance(score))
