"""One photo on one model: the protected file against random perturbations of its size."""

from collections.abc import Iterable, Sequence
from itertools import product
from typing import NamedTuple

from torch import Tensor

from brittle.analysis import effects
from brittle.analysis.phrases import transform_name
from brittle.analysis.randomization_test import DRAWS, FIRST, PlaceboTest, placebo_test
from brittle.analysis.summary import Placebo
from brittle.analysis.table import PLACEBO_KINDS, Table, placebo_arm
from brittle.auditing.answers import NOT_SEEN, finding
from brittle.auditing.document import Answer, Seen, UsableCounts
from brittle.auditing.edits import Judge, Line, edit_lines
from brittle.auditing.reduction import Tried
from brittle.auditing.views import CHOOSING, GRAY, PLACEBOS, PROTECTED, Bench
from brittle.noise import derive_seed
from brittle.progress import Advance
from brittle.protections import Placebo as Drawn
from brittle.record.rows import Row
from brittle.sources.pairs import Pictures

ARM, ENCODER = "protected", "encoder"

Shown = dict[tuple[str, str], dict[int, Tensor]]
"""By transform and prompt: edits to show, by row."""


class Found(NamedTuple):
    """What one way of looking found under one transform."""

    tried: Tried
    seen: Seen
    metric: str
    distance: Tensor
    """By row, as far as rows were compared."""
    fixed: int = DRAWS
    """How many random perturbations were drawn whatever they showed."""
    usable: tuple[UsableCounts | None, str] = (None, "")


def choose_placebo(bench: Bench, photos: Iterable[Pictures], advance: Advance) -> Placebo:
    """The kind that shifts the encoder further without a transform, on average over the photos."""
    none = Tried(bench.transforms[0], 1.0)
    rows = []
    for pictures in photos:
        for kind in PLACEBO_KINDS:
            views = bench.views(pictures, Drawn.parse(kind), [none], advance, rows=CHOOSING)
            shift = bench.shift(pictures, views[str(none.transform)], none)
            mean = float(shift[1:].mean())
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
    tried = bench.tried(pictures)
    views = bench.views(pictures, drawn, tried, advance)
    latents = [
        Found(one, "latents", "latent", bench.shift(pictures, views[str(one.transform)], one))
        for one in tried
    ]
    comparisons, shown = [*_comparisons(latents)], Shown()
    if judge is not None:
        seed = derive_seed(bench.seed, pictures.digest)
        lines = [
            Line(judge, one, views[str(one.transform)], pictures.original, seed)
            for one in tried
            if one.transform in judge.transforms
        ]
        edit_lines(judge, lines, advance)
        fixed = DRAWS if judge.thorough else FIRST
        comparisons += _comparisons(
            [
                Found(line.tried, "edits", judge.metric.name, line.distance, fixed, line.usable())
                for line in lines
            ]
        )
        for line, prompt in product(lines, judge.prompts):
            shown[str(line.tried.transform), prompt] = line.pictures(prompt)
    return tuple(comparisons), shown


def _comparisons(found: Sequence[Found]) -> Iterable[Answer]:
    """From distances to answers; the first is without a transform."""
    first = found[0]
    at_first = _test(first.distance).stronger
    for one in found:
        tried, distance = one.tried, one.distance
        test, noise = _test(distance), _noise(one)
        beyond, room = float(distance[PROTECTED]) - noise, float(distance[GRAY]) - noise
        left, reason = None, ""
        if one is first:
            reason = "nothing was transformed"
        elif not at_first:
            reason = "no more than noise without a transform"
        else:
            left = beyond / (float(first.distance[PROTECTED]) - _noise(first))
        if tried.reduced_first and not reason:
            reason = NOT_SEEN
        usable, why_not_usable = one.usable
        yield Answer(
            transform=str(tried.transform),
            name=transform_name(str(tried.transform)),
            trace=tried.trace,
            reduced_first=tried.reduced_first,
            seen=one.seen,
            metric=one.metric,
            distance=float(distance[PROTECTED]),
            placebos=tuple(distance[PLACEBOS].tolist()),
            noise=noise,
            ceiling=float(distance[GRAY]),
            reach=beyond / room if room > 0 else None,
            left=None if tried.reduced_first else left,
            left_reason=reason,
            left_reduced=left if tried.reduced_first else None,
            test=test,
            finding=finding(test, one.seen, transform=str(tried.transform), at_first=at_first),
            usable=usable,
            usable_reason=why_not_usable,
        )


def _test(distance: Tensor) -> PlaceboTest:
    return placebo_test(float(distance[PROTECTED]), distance[PLACEBOS].tolist())


def _noise(found: Found) -> float:
    return float(found.distance[PLACEBOS][: found.fixed].mean())
