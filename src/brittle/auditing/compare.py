"""One photo on one model: the protected file against random perturbations of its size."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from brittle.auditing.document import Answer, Seen, UsableCounts
from brittle.auditing.edits import Judge, count_usable
from brittle.auditing.pairs import Pictures
from brittle.auditing.views import CHOOSING, GRAY, PLACEBOS, PROTECTED, Bench
from brittle.auditing.words import finding
from brittle.inference import effects
from brittle.inference.one_photo import PlaceboTest, placebo_test
from brittle.inference.summary import Placebo
from brittle.inference.table import PLACEBO_KINDS, Table, placebo_arm
from brittle.inference.words import transform_name
from brittle.noise import derive_seed
from brittle.progress import Advance
from brittle.protections import Placebo as Drawn
from brittle.transforms import Transform
from brittle.trial.rows import Row

ARM, ENCODER = "protected", "encoder"

Shown = dict[tuple[str, str], dict[int, Tensor]]
"""By transform and prompt: edits to show, by row."""


class Found(NamedTuple):
    """What one way of looking found under one transform."""

    transform: Transform
    seen: Seen
    metric: str
    distance: Tensor
    """By row, (ROWS,)."""
    usable: tuple[UsableCounts | None, str] = (None, "")


def choose_placebo(bench: Bench, photos: Iterable[Pictures], advance: Advance) -> Placebo:
    """The kind that shifts the encoder further without a transform, on average over the photos."""
    none = bench.transforms[:1]
    rows = []
    for pictures in photos:
        for kind in PLACEBO_KINDS:
            views = bench.views(pictures, Drawn.parse(kind), none, advance, rows=CHOOSING)
            mean = float(bench.shift(pictures, views[str(none[0])], none[0])[1:].mean())
            point = (pictures.pair.name, placebo_arm(kind, ARM), "none", ENCODER, "", 0)
            rows.append(Row(*point, "latent.distance", "control", mean))
    chosen = effects.choose_placebo(Table(rows), arms=(ARM,), editor=ENCODER, metric="latent")
    said = chosen.sentence.replace("The placebo is", "The random perturbations are")
    said = said.replace("it moves untransformed edits", "this one shifts what the encoder sees")
    return chosen.model_copy(update={"sentence": said})


def compare(
    bench: Bench, judge: Judge | None, pictures: Pictures, placebo: Placebo, advance: Advance
) -> tuple[tuple[Answer, ...], Shown]:
    """All comparisons of one photo, latents first, and edits to show."""
    drawn = Drawn.parse(placebo.chosen or PLACEBO_KINDS[0])
    views = bench.views(pictures, drawn, bench.transforms, advance)
    latents = [
        Found(
            transform, "latents", "latent", bench.shift(pictures, views[str(transform)], transform)
        )
        for transform in bench.transforms
    ]
    comparisons, shown = [*_comparisons(latents)], Shown()
    if judge is not None:
        photo, edits = pictures.original, []
        seed = derive_seed(bench.seed, pictures.digest)
        for transform in bench.transforms:
            judged = judge.edit(views[str(transform)], photo, transform, seed=seed, advance=advance)
            mean = torch.stack([one.distance for one in judged]).mean(0)
            edits.append(Found(transform, "edits", judge.metric.name, mean, count_usable(judged)))
            for prompt, one in zip(judge.prompts, judged, strict=True):
                shown[str(transform), prompt] = one.pictures
        comparisons += _comparisons(edits)
    return tuple(comparisons), shown


def _comparisons(found: Sequence[Found]) -> Iterable[Answer]:
    """From distances to answers; the first is without a transform."""
    first = found[0].distance
    at_first = _test(first).stronger
    for transform, seen, metric, distance, (usable, reason) in found:
        test, noise = _test(distance), float(distance[PLACEBOS].mean())
        beyond, room = float(distance[PROTECTED]) - noise, float(distance[GRAY]) - noise
        beyond_first = float(first[PROTECTED] - first[PLACEBOS].mean())
        yield Answer(
            transform=str(transform),
            name=transform_name(str(transform)),
            seen=seen,
            metric=metric,
            distance=float(distance[PROTECTED]),
            placebos=tuple(distance[PLACEBOS].tolist()),
            ceiling=float(distance[GRAY]),
            reach=beyond / room if room > 0 else None,
            left=beyond / beyond_first if at_first and distance is not first else None,
            test=test,
            finding=finding(test, seen, transform=str(transform), at_first=at_first),
            usable=usable,
            usable_reason=reason,
        )


def _test(distance: Tensor) -> PlaceboTest:
    return placebo_test(float(distance[PROTECTED]), distance[PLACEBOS].tolist())
