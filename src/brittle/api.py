"""The library's front door: what the command line does, on tensors and in a few arguments."""

from collections.abc import Callable, Sequence
from pathlib import Path

from torch import Tensor

from brittle.analysis.finished import Finished
from brittle.analysis.summary import Summary
from brittle.auditing import PROMPTS, TRANSFORMS, Audited, Request
from brittle.budgets import Budget, read_budget
from brittle.declaration.trial import Trial
from brittle.editors import Editor
from brittle.models import EditModel, load_model
from brittle.progress import Progress, silent
from brittle.protections import Protection
from brittle.record.record import Record
from brittle.reporting.mimicry_source import FinishedMimicry
from brittle.transforms import Transform

__all__ = [
    "PROMPTS",
    "TRANSFORMS",
    "audit",
    "edit",
    "finish",
    "load_model",
    "protect",
    "protection",
    "run_trial",
    "score",
    "transform",
]


def protection(text: str | Protection, budget: str | Budget | None = None) -> Protection:
    """A protection by its text, with another budget ("8/255") in place of its own if given.

    A step that is a length in the budget's norm goes along (`PGD.with_budget`). In text it doesn't:
    ``encoder:budget=l2:8`` has the step of linf unless it names ``step_size`` too.

    Raises:
        UserError: an unknown protection or parameter, a bad budget.
    """
    component = Protection.read(text)
    if budget is None:
        return component
    chosen = read_budget(budget) if isinstance(budget, str) else budget
    return component.with_budget(chosen)


def protect(
    image: Tensor,
    protection: str | Protection = "photoguard-encoder",
    *,
    model: EditModel | None = None,
    mask: Tensor | None = None,
    seed: int = 0,
) -> Tensor:
    """Protect photos (N, 3, H, W) in [0, 1]; returns them on the 8-bit grid, inside the budget.

    ``mask`` (N, 1, H, W) is 1 where an editor may edit; only the rest is perturbed.

    Raises:
        UserError: an unknown protection, a mask that leaves nothing to protect, photos that can't
            fit into memory.
    """
    component, loaded = Protection.read(protection), model or load_model()
    if image.ndim == 4 and len(image):  # the call says what is wrong with others
        height, width = image.shape[-2:]
        component.check_memory(loaded, [(height, width)] * len(image))
    return component(loaded, image, mask=mask, seeds=[seed] * len(image))


def transform(
    image: Tensor,
    transform: str | Transform,
    *,
    model: EditModel | None = None,
    seed: int = 0,
) -> Tensor:
    """Pass images (N, 3, H, W) in [0, 1] through a transform's real codec or filter.

    ``model`` is for purifiers, which run one: the embedded model if none is given.

    Raises:
        UserError: an unknown transform or parameter; a purifier that this model can't run.
    """
    component = Transform.read(transform)
    if component.capabilities.needs_model and model is None:
        model = load_model()
    return component.apply(image, seeds=[seed] * len(image), model=model)


def edit(
    image: Tensor,
    prompt: str | Sequence[str],
    *,
    editor: str | Editor = "img2img",
    model: EditModel | None = None,
    mask: Tensor | None = None,
    seed: int = 0,
) -> Tensor:
    """Edit images (N, 3, H, W) in [0, 1] with a prompt each; (N, 3, h, w) at the model's size.

    Raises:
        UserError: an unknown editor, a setting that leaves no denoising step.
    """
    prompts = [prompt] * len(image) if isinstance(prompt, str) else prompt
    return Editor.read(editor).edit(
        model or load_model(), image, prompts=prompts, mask=mask, seeds=[seed] * len(image)
    )


def audit(
    original: str | Path | None,
    protected: str | Path,
    *,
    models: Sequence[EditModel] | None = None,
    transforms: Sequence[str] = TRANSFORMS,
    prompts: Sequence[str] = PROMPTS,
    editor: str | Editor = "img2img",
    quick: bool = False,
    thorough: bool = False,
    seed: int = 0,
    folder: str | Path | None = None,
    progress: Progress = silent,
    say: Callable[[str], None] = lambda text: None,
) -> Audited:
    """Ask whether the protection of a file acts beyond noise of its size, and what undoes it.

    ``original`` and ``protected`` are two files or two folders, made by any tool. Without an
    original only little can be said. ``quick`` compares what the models' encoders see, and makes
    no edit; ``thorough`` edits after every transform, with every random perturbation. A
    ``folder`` keeps what was computed, and the same audit goes on from it. ``say`` is told what
    edits will cost before they are made. ``audit(…).document`` holds the answers; its
    ``model_dump_json()`` is what ``brittle audit --json`` prints.

    Raises:
        UserError: files that can't be read or don't belong together; an unknown transform.
    """
    from brittle.auditing import run

    if original is None:
        return run.audit_alone(Path(protected))
    request = Request.read(transforms, prompts, editor, quick=quick, thorough=thorough, seed=seed)
    chosen = [load_model()] if models is None else models
    return run.audit(
        Path(original),
        Path(protected),
        chosen,
        request,
        folder=None if folder is None else Path(folder),
        progress=progress,
        say=say,
    )


def run_trial(
    trial: Trial,
    directory: str | Path,
    *,
    device: str | None = None,
    dtype: str | None = None,
    shard: tuple[int, int] = (1, 1),
    notes: Sequence[str] = (),
    progress: Progress = silent,
) -> Finished | FinishedMimicry | None:
    """Run a trial, or go on with it, and write results, summary and report into its folder.

    With ``shard`` (i, n) only every n-th photo's work is done, and None is returned.

    Raises:
        UserError: a photo, model or component that can't be used; a folder with another trial.
    """
    from brittle.trial.run import run

    record = run(
        trial,
        Path(directory),
        device=device,
        dtype=dtype,
        shard=shard,
        notes=notes,
        progress=progress,
    )
    return None if record is None else finish(record)


def score(
    edits: str | Path,
    directory: str | Path,
    *,
    by: str = "",
    model: EditModel | None = None,
    clip: str | None = None,
    calibration: str | Path | None = None,
    progress: Progress = silent,
) -> Finished:
    """Score a table of edits that were made elsewhere, and write the report into a folder.

    ``by`` says what made them. ``model`` or ``clip`` judge whether edits follow their prompts, and
    ``calibration`` is a file of thresholds.

    Raises:
        UserError: a table or a picture that can't be used; a folder that holds something else.
    """
    from brittle.trial.external_edits import score_edits

    record = score_edits(
        Path(edits),
        Path(directory),
        by=by,
        model=model,
        clip=clip,
        calibration=None if calibration is None else Path(calibration),
        progress=progress,
    )
    trial = finish(record)
    assert isinstance(trial, Finished), "a table of edits is no collection"
    return trial


def finish(record: Record) -> Finished | FinishedMimicry:
    """Make ``summary.json`` and ``report.html`` of a trial from its record alone.

    Raises:
        UserError: the record names files that are not there, or the disk is full.
    """
    from brittle.analysis.store import summarise_store
    from brittle.reporting import build_report

    assert record.directory is not None, "a trial in memory has no folder"
    summary = summarise_store(record.directory)
    trial = (
        Finished(record, summary)
        if isinstance(summary, Summary)
        else FinishedMimicry(record, summary)
    )
    build_report(trial)
    return trial
