"""The audit: pairs of files in, answers out."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import product
from pathlib import Path

from torch import Tensor

from brittle.analysis.phrases import transform_name
from brittle.analysis.randomization_test import ALPHA
from brittle.analysis.summary import Scope
from brittle.auditing import answers as words
from brittle.auditing import cost, folders
from brittle.auditing.comparisons import comparisons
from brittle.auditing.distortion import measure
from brittle.auditing.document import Answer, Audit, ModelResult, ModelScope, PhotoAudit
from brittle.auditing.published import Show, published
from brittle.auditing.reduction import TracedTransform
from brittle.auditing.request import Request
from brittle.auditing.setting import FURTHER, Setting
from brittle.auditing.work import PROTECTED, PhotoWork, tried_on
from brittle.errors import UserError
from brittle.images import read_photo
from brittle.models import EditModel
from brittle.models.prompts import check_prompts, cut_note, cut_prompts
from brittle.places import shown as by_place
from brittle.progress import Advance, Guessed, Progress, silent
from brittle.record.arms import ORIGINAL
from brittle.record.store import FolderStore, MemoryStore, Store
from brittle.sources.folders import photo_files
from brittle.sources.pairs import Pair, PairPictures, describe, find_pairs, read_pair
from brittle.version import VERSION

Shown = tuple[str, str, dict[str, Tensor]]
"""A transform, a prompt, and edits by arm."""

Say = Callable[[str], None]
"""Takes what a person should read before the work begins."""


@dataclass
class Audited:
    """The document, and pictures for a report: tensors (1, 3, h, w) in [0, 1]."""

    document: Audit
    edits: dict[tuple[str, str, str, str], dict[str, Tensor]] = field(default_factory=dict)
    """By photo, model, transform and prompt: edits by arm."""
    pairs: dict[str, Pair] = field(default_factory=dict)
    """By photo, both files."""

    def pictures(self, photo: PhotoAudit) -> PairPictures | None:
        """Both files of a photo, read again; None without an original."""
        return read_pair(self.pairs[photo.name]) if photo.name in self.pairs else None


def audit(
    original: Path,
    protected: Path,
    models: Sequence[EditModel],
    request: Request,
    folder: Path | None = None,
    progress: Progress = silent,
    say: Say = lambda text: None,
    show: Show = by_place,
) -> Audited:
    """Audit a protected file, or a folder of them, against the originals.

    What was computed is kept in a ``folder``, from which the same audit goes on; what is damaged
    there is made again. ``say`` is told of that, and what edits will cost before they are made. The
    document names files as ``show`` does.

    Raises:
        UserError: files that can't be read or don't belong together; a model that is no model, or
            whose encoder gives the same for a photo and a gray picture.
    """
    pairs, alone = find_pairs(original, protected)
    if len({model.name for model in models}) < len(models):
        raise UserError("Two of the models have the same name: name each one once.")
    for model, transform in product(models, request.transforms):
        transform.check(model)
    cut = list[str]()
    for model in models if not request.quick else ():
        if model.edits:
            check_prompts(model, request.prompts)
            cut += [cut_note(model, prompt) for prompt in cut_prompts(model, request.prompts)]
    at_work = nullcontext() if folder is None else FolderStore(folder).at_work()
    with at_work, ThreadPoolExecutor(1) as pool:
        loading = [pool.submit(getattr, model, "vae") for model in models]
        work = _Work(pairs, request, folder, progress, say)
        settings = [Setting.of(model, request) for model in models]
        expected = len(work.changed) * sum(map(_expected, settings))
        with progress("comparisons", expected) as advance:
            for setting, loaded in zip(settings, loading, strict=True):
                work.run(setting, loaded, advance)
    photos = work.photos(tuple(cut))
    document = Audit(
        version=VERSION,
        quick=request.quick,
        thorough=request.thorough,
        seed=request.seed,
        transforms=tuple(map(str, request.transforms)),
        prompts=request.prompts if any(scope.edits for scope in work.scopes) else (),
        models=tuple(folders.over_photos(scope, photos) for scope in work.scopes),
        photos=photos,
        without_partner=alone,
        refused=work.refused,
    )
    files = {pair.name: pair for pair in pairs}
    return Audited(published(document, pairs, show), work.edits, files)


def audit_alone(protected: Path, show: Show = by_place) -> Audited:
    """What can be said of files without their originals, named as ``show`` does.

    Of many, those that can't be read are listed.

    Raises:
        UserError: the only file, or every one, can't be read.
    """
    photos, refused = list[PhotoAudit](), dict[str, str]()
    for path in photo_files(protected):
        try:
            file = describe(path, read_photo(path))
        except UserError as error:
            refused[path.stem] = str(error)
            continue
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
    if not photos:
        raise UserError(next(iter(refused.values())))
    document = Audit(
        version=VERSION,
        quick=True,
        thorough=False,
        seed=0,
        transforms=(),
        prompts=(),
        models=(),
        photos=tuple(photos),
        without_partner=(),
        refused=refused,
    )
    return Audited(published(document, (), show))


class _Work:
    """Everything that is computed, model by model."""

    def __init__(
        self,
        pairs: Sequence[Pair],
        request: Request,
        folder: Path | None,
        progress: Progress,
        say: Say,
    ) -> None:
        self.request, self.folder, self.say = request, folder, say
        self.read = lru_cache(maxsize=1)(read_pair)
        self.scopes: list[ModelScope] = []
        self.edits: dict[tuple[str, str, str, str], dict[str, Tensor]] = {}
        self._results: dict[str, list[ModelResult]] = defaultdict(list)
        self._facts: dict[Pair, PhotoAudit] = {}
        self.refused: dict[str, str] = {}
        with progress("files", len(pairs)) as advance:
            for pair in pairs:
                self._take(pair, alone=len(pairs) == 1)
                advance(1)
        if not self._facts:
            raise UserError(f"No pair can be audited. {next(iter(self.refused.values()))}")
        self.changed = [pair for pair, fact in self._facts.items() if not fact.unchanged]

    def _take(self, pair: Pair, *, alone: bool) -> None:
        """Look at a pair; one of many that can't be audited is left out and listed."""
        try:
            self._facts[pair] = self._look(pair)
        except UserError as error:
            if alone:
                raise
            self.refused[pair.name] = str(error)

    def _look(self, pair: Pair) -> PhotoAudit:
        pictures = self.read(pair)
        for transform in self.request.transforms:
            transform.received_size(pictures.original.shape[-2:])
        unchanged = pictures.unchanged
        found = measure(pictures.original, pictures.protected)
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

    def photos(self, flags: tuple[str, ...]) -> tuple[PhotoAudit, ...]:
        """Every photo with its results, and with flags beside its own."""
        return tuple(
            fact.model_copy(
                update={
                    "results": tuple(self._results[fact.name]),
                    "flags": (*fact.flags, *flags),
                }
            )
            for fact in self._facts.values()
        )

    def run(self, setting: Setting, loading: Future[object], advance: Advance) -> None:
        """All photos on one model."""
        self.scopes.append(_scope(setting, len(self.changed)))
        if not self.changed:
            return
        on = _OneModel(self, setting, loading)
        if setting.editor is not None:
            first = self.changed[0]
            pictures, photos = self.read(first), len(self.changed)
            loading.result()
            self.say(cost.describe(setting, pictures, photos, lambda: on.tried(first)))
        model = setting.model
        for pair, (found, shown) in on.compare(advance):
            self._results[pair.name].append(_result(model, self.read(pair), found))
            for transform, prompt, pictures_by_arm in shown:
                self.edits[pair.name, model.name, transform, prompt] = pictures_by_arm


class _OneModel:
    """All photos on one model; what was computed of the last one is at hand."""

    def __init__(self, work: _Work, setting: Setting, loading: Future[object]) -> None:
        self.work, self.setting, self.loading = work, setting, loading
        self.store = lru_cache(maxsize=1)(self._store)
        self.tried = lru_cache(maxsize=1)(self._tried)

    def _store(self, pair: Pair) -> Store:
        folder = self.work.folder
        return MemoryStore() if folder is None else FolderStore(folder, seen_only=True)

    def _tried(self, pair: Pair) -> list[TracedTransform]:
        return tried_on(self.setting, self.work.read(pair))

    def _photo(self, pair: Pair, tried: Sequence[TracedTransform], advance: Advance) -> PhotoWork:
        pictures = self.work.read(pair)
        store = self.store(pair)
        return PhotoWork(self.setting, pictures, tried, store, self.loading, advance)

    def compare(
        self, advance: Advance
    ) -> Iterator[tuple[Pair, tuple[tuple[Answer, ...], list[Shown]]]]:
        """All comparisons of each photo, latents first, and edits to show."""
        setting = self.setting
        for pair in self.work.changed:
            part = Guessed(advance, _expected(setting))
            photo = self._photo(pair, self.tried(pair), part)
            latents = photo.latents()
            if not latents[0].gray and not self.work.read(pair).flat:
                raise UserError(
                    f"{setting.model.name}: its encoder sees no difference between {pair.name} "
                    "and a gray picture, so it tells nothing of any photo: check its files."
                )
            found, shown = [*comparisons(latents)], list[Shown]()
            if setting.editor is not None:
                found += comparisons(photo.edits())
                shown = list(photo.pictures_of((ORIGINAL, PROTECTED)))
            for sentence in photo.store.mended():
                self.work.say(f"{pair.name}: {sentence}")
            part.finish()
            yield pair, (tuple(found), shown)


def _expected(setting: Setting) -> int:
    """About how much work one photo on one model is.

    Each row is received, taken as it is and scored, and a third more follow the first ones; each
    edit is made and scored.
    """
    edits = 0
    if setting.editor is not None:
        edits = setting.rows_at_most * len(setting.request.prompts)
    return 4 * setting.rows_looked_at + 2 * edits


def _scope(setting: Setting, photos: int) -> ModelScope:
    """What is known of one model before anything is computed; nothing is, of no photos."""
    model, edits = setting.model, setting.editor is not None and photos > 0
    statement = words.scope_words(model.name, str(model.size), photos)
    return ModelScope(
        scope=Scope(
            model=model.name,
            models=(model.name,),
            resolution=model.size,
            prompts=len(setting.request.prompts) if edits else None,
            statement=statement,
        ),
        edits=edits,
        why_no_edits=setting.why_no_edits if photos else "",
        editor=str(setting.editor) if edits else "",
        metric=setting.metric.name if edits else "",
        metric_reason=setting.metric_reason,
        left_out=_left_out(setting.request) if edits else "",
        error=ALPHA,
        p=None,
        latents=(),
        summary=None,
        answer=(),
    )


def _left_out(request: Request) -> str:
    if request.thorough:
        return ""
    after = [transform_name(str(one)) for one in request.edited[1:]]
    others = len(request.transforms) - len(request.edited)
    return words.left_out(after, others, FURTHER)


def _result(
    model: EditModel, pictures: PairPictures, comparisons: tuple[Answer, ...]
) -> ModelResult:
    file, (height, width) = pictures.files[1], model.fit(pictures.original).shape[-2:]
    reduced = (width, height) != (file.width, file.height)
    larger = file.long_side > model.size
    seen_at = f"{width} × {height}"
    latents = [one for one in comparisons if one.seen == "latents"]
    lead = (
        *(words.reduction(model.name, file, seen_at, latents, larger=larger) if reduced else ()),
        *words.plain(comparisons, model.name),
    )
    numbers = words.photo_answer(comparisons, words.scope_words(model.name, seen_at, 1))
    return ModelResult(
        model=model.name,
        width=width,
        height=height,
        reduced=reduced,
        comparisons=comparisons,
        answer=(*lead, *numbers),
        lead=len(lead),
    )
