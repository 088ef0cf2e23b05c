"""The audit: pairs of files in, answers out."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import product
from pathlib import Path

from torch import Tensor

from brittle.analysis.phrases import transform_name
from brittle.analysis.randomization_test import DRAWS, FIRST
from brittle.analysis.summary import Placebo, Scope
from brittle.auditing import answers as words
from brittle.auditing import cost, folders
from brittle.auditing.compare import choose_placebo, compare
from brittle.auditing.distortion import measure
from brittle.auditing.document import Answer, Audit, ModelResult, ModelScope, PhotoAudit
from brittle.auditing.edits import FURTHER, make_judge
from brittle.auditing.request import Request
from brittle.auditing.views import CHOOSING, ROWS, Bench
from brittle.errors import UserError
from brittle.images import read_photo
from brittle.models import EditModel
from brittle.progress import Advance, Progress, silent
from brittle.sources.pairs import Pair, Pictures, describe, find_pairs, read_pair
from brittle.sources.photos import photo_files
from brittle.version import VERSION

QUICK = "only the encoder was asked for (quick)"

Say = Callable[[str], None]
"""Takes what a person should read before the work begins."""


@dataclass
class Audited:
    """The document, and pictures for a report: tensors (1, 3, h, w) in [0, 1]."""

    document: Audit
    edits: dict[tuple[str, str, str, str], dict[int, Tensor]] = field(default_factory=dict)
    """By photo, model, transform and prompt: edits by row of `views.ROWS`."""

    def pictures(self, photo: PhotoAudit) -> Pictures | None:
        """Both files of a photo, read again; None without an original."""
        if photo.original is None:
            return None
        pair = Pair(photo.name, Path(photo.original.path), Path(photo.protected.path))
        return read_pair(pair)


def audit(
    original: Path,
    protected: Path,
    models: Sequence[EditModel],
    request: Request,
    progress: Progress = silent,
    say: Say = lambda text: None,
) -> Audited:
    """Audit a protected file, or a folder of them, against the originals.

    ``say`` is told what edits will cost before they are made.

    Raises:
        UserError: files that can't be read or don't belong together; a model that is no model.
    """
    pairs, alone = find_pairs(original, protected)
    if len({model.name for model in models}) < len(models):
        raise UserError("Two of the models have the same name: name each one once.")
    for model, transform in product(models, request.transforms):
        transform.check(model)
    with ThreadPoolExecutor(1) as pool:
        loading = [pool.submit(_load, model) for model in models]
        work = _Work(pairs, request, progress, say)
        for model, loaded in zip(models, loading, strict=True):
            work.run(Bench(model, request.transforms, request.seed, loaded))
    photos = work.photos()
    return Audited(
        Audit(
            version=VERSION,
            quick=request.quick,
            thorough=request.thorough,
            seed=request.seed,
            transforms=tuple(map(str, request.transforms)),
            prompts=request.prompts if any(scope.edits for scope in work.scopes) else (),
            models=tuple(folders.over_photos(scope, photos) for scope in work.scopes),
            photos=photos,
            without_partner=alone,
        ),
        work.edits,
    )


def audit_alone(protected: Path) -> Audited:
    """What can be said of files without their originals.

    Raises:
        UserError: files that can't be read.
    """
    photos = []
    for path in photo_files(protected):
        file = describe(path, read_photo(path))
        photos.append(
            PhotoAudit(
                name=path.stem,
                original=None,
                protected=file,
                unchanged=False,
                distortion=None,
                results=(),
                answer=words.without_original(file),
                flags=(),
            )
        )
    return Audited(
        Audit(
            version=VERSION,
            quick=True,
            thorough=False,
            seed=0,
            transforms=(),
            prompts=(),
            models=(),
            photos=tuple(photos),
            without_partner=(),
        )
    )


def _load(model: EditModel) -> object:
    return model.vae


class _Work:
    """Everything that is computed, model by model."""

    def __init__(
        self, pairs: Sequence[Pair], request: Request, progress: Progress, say: Say
    ) -> None:
        self.pairs, self.request, self.progress, self.say = pairs, request, progress, say
        self.read = lru_cache(maxsize=1)(read_pair)
        self.scopes: list[ModelScope] = []
        self.edits: dict[tuple[str, str, str, str], dict[int, Tensor]] = {}
        self._results: dict[str, list[ModelResult]] = defaultdict(list)
        with progress("files", len(pairs)) as advance:
            self._facts = [self._look(pair, advance) for pair in pairs]
        self.changed = [
            pair for pair, fact in zip(pairs, self._facts, strict=True) if not fact.unchanged
        ]

    def _look(self, pair: Pair, advance: Advance) -> PhotoAudit:
        pictures = self.read(pair)
        for transform in self.request.transforms:
            transform.geometry.received_size(pictures.original.shape[-2:])
        unchanged = pictures.unchanged
        found = measure(pictures.original, pictures.protected)
        advance(1)
        return PhotoAudit(
            name=pair.name,
            original=pictures.files[0],
            protected=pictures.files[1],
            unchanged=unchanged,
            distortion=found,
            results=(),
            answer=(words.UNCHANGED if unchanged else words.distortion_sentence(found),),
            flags=pictures.flags,
            doubts=pictures.doubts,
        )

    def photos(self) -> tuple[PhotoAudit, ...]:
        """Every photo with its results."""
        return tuple(
            fact.model_copy(update={"results": tuple(self._results[fact.name])})
            for fact in self._facts
        )

    def run(self, bench: Bench) -> None:
        """All photos on one model."""
        model, request = bench.model, self.request
        why_not = QUICK if request.quick else ""
        if not why_not and not model.edits:
            why_not = f"{model.name} is an autoencoder alone, which can't edit"
        judge = None
        if not why_not:
            judge = make_judge(
                *(bench, request.editor, request.prompts, request.edited),
                thorough=request.thorough,
            )
        statement = words.scope_words(model.name, str(model.size), len(self.changed))
        scope = Scope(
            model=model.name, models=(model.name,), resolution=model.size, statement=statement
        )
        self.scopes.append(
            ModelScope(
                scope=scope,
                edits=judge is not None,
                why_no_edits=why_not,
                editor="" if judge is None else str(judge.editor),
                metric="" if judge is None else judge.metric.name,
                metric_reason="" if judge is None else judge.metric_reason,
                left_out=_left_out(request) if judge else "",
                error=1 / (1 + DRAWS),
                latents=(),
                summary=None,
                answer=(),
            )
        )
        if not self.changed:
            return
        if judge is not None:
            self.say(cost.describe(judge, self.read(self.changed[0]), len(self.changed)))
        photos = len(self.changed)
        with self.progress("placebos", 2 * len(CHOOSING) * photos) as advance:
            placebo = choose_placebo(bench, map(self.read, self.changed), advance)
        edits = 0 if judge is None else judge.rows_at_most * len(judge.prompts)
        with self.progress("comparisons", (ROWS + edits) * photos) as advance:
            for pair in self.changed:
                pictures = self.read(pair)
                comparisons, shown = compare(bench, judge, pictures, placebo, advance)
                self._results[pair.name].append(_result(model, pictures, placebo, comparisons))
                for (transform, prompt), rows in shown.items():
                    self.edits[pair.name, model.name, transform, prompt] = rows


def _left_out(request: Request) -> str:
    if request.thorough:
        return ""
    after = [transform_name(str(one)) for one in request.edited[1:]]
    others = len(request.transforms) - len(request.edited)
    return words.left_out(after, others, (FIRST, DRAWS), FURTHER)


def _result(
    model: EditModel, pictures: Pictures, placebo: Placebo, comparisons: tuple[Answer, ...]
) -> ModelResult:
    file, (height, width) = pictures.files[1], model.fit(pictures.original).shape[-2:]
    reduced = max(file.width, file.height) > model.size
    seen_at = f"{width} × {height}"
    latents = [one for one in comparisons if one.seen == "latents"]
    return ModelResult(
        model=model.name,
        width=width,
        height=height,
        reduced=reduced,
        placebo=placebo,
        comparisons=comparisons,
        answer=(
            *(words.reduction(model.name, file, seen_at, latents) if reduced else ()),
            *words.photo_answer(comparisons, words.scope_words(model.name, seen_at, 1)),
        ),
    )
