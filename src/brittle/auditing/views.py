"""What the model is shown: a photo, the protected file, a gray picture and random perturbations.

All of them pass the same transforms, and the model takes each at its own size. They are rows of one
tensor, in the order of `ROWS`.
"""

from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field

import torch
from torch import Tensor

from brittle.analysis.randomization_test import DRAWS, FIRST
from brittle.auditing.reduction import Tried, as_seen, trace
from brittle.models import EditModel
from brittle.networks.feature_cache import FeatureMemory
from brittle.networks.maps import fill_invalid, mean_where
from brittle.noise import derive_seed
from brittle.parallel import on_all_cores
from brittle.progress import Advance
from brittle.protections import Placebo
from brittle.sources.pairs import Pictures
from brittle.transforms import Transform
from brittle.trial.stages import gray_like

CONTROL, PROTECTED, GRAY = 0, 1, 2
PLACEBOS = slice(3, 3 + DRAWS)
ROWS = 3 + DRAWS
CHOOSING = (CONTROL, *range(PLACEBOS.start, PLACEBOS.start + FIRST))
"""What tells which kind of random perturbation acts further: three of each say it well enough."""

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
    _tried: dict[str, list[Tried]] = field(default_factory=dict)

    def tried(self, pictures: Pictures) -> list[Tried]:
        """The transforms as this photo meets them: where its reduction hides one, reduced first."""
        seed = self._transform_seed(pictures)

        def one(transform: Transform) -> Tried:
            return Tried(transform, trace(transform, pictures.original, self.model, seed=seed))

        if pictures.digest not in self._tried:
            self._tried[pictures.digest] = on_all_cores(one, self.transforms)
        return self._tried[pictures.digest]

    def _transform_seed(self, pictures: Pictures) -> int:
        return derive_seed(self.seed, pictures.digest, "transform")

    def views(
        self,
        pictures: Pictures,
        placebo: Placebo,
        tried: Sequence[Tried],
        advance: Advance,
        rows: Sequence[int] = range(ROWS),
    ) -> Views:
        """Pass rows through the transforms, on all cores; ``advance`` counts them.

        Transforms that run the model take one row after another.
        """
        by_model = any(one.transform.capabilities.needs_model for one in tried)
        if by_model:
            self.loading.result()

        def one(row: int) -> list[Tensor]:
            seen = self.pass_on(self.row(pictures, placebo, row), pictures, tried)
            advance(1)
            return seen

        passed = [one(row) for row in rows] if by_model else on_all_cores(one, rows)
        return {
            str(each.transform): torch.cat([row[at] for row in passed])
            for at, each in enumerate(tried)
        }

    def pass_on(self, image: Tensor, pictures: Pictures, tried: Sequence[Tried]) -> list[Tensor]:
        """What the model takes of one row (1, 3, H, W) after each transform."""
        seeds, seen = [self._transform_seed(pictures)], []
        small = as_seen(image, self.model) if any(one.reduced_first for one in tried) else image
        for one in tried:
            start = small if one.reduced_first else image
            seen.append(self.model.fit(one.transform.apply(start, seeds=seeds, model=self.model)))
        return seen

    def row(self, pictures: Pictures, placebo: Placebo, row: int) -> Tensor:
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

    def shift(self, pictures: Pictures, views: Tensor, tried: Tried) -> Tensor:
        """How far the latents of each row lie from the first's, the control, (rows,): `latent`."""
        size = tried.start(pictures.original, self.model).shape[-2:]
        valid = tried.transform.geometry.valid_of(views[:1], size=size)
        shown = fill_invalid(views, valid)
        self.loading.result()

        def encode(row: Tensor) -> Tensor:
            with torch.inference_mode():  # which holds for one thread
                return self.model.encode(row).cpu()

        latents = on_all_cores(encode, shown.split(1))
        return torch.stack(
            [mean_where((row - latents[CONTROL]).square(), valid).sqrt() for row in latents]
        )
