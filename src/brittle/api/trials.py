"""Trials: run, counted beforehand, reported, and put side by side."""

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from brittle.analysis import plan_photos
from brittle.analysis.agreement import keep_marks
from brittle.analysis.conclusions import summarise_record
from brittle.analysis.finished import Finished
from brittle.analysis.side_by_side import Pairing
from brittle.analysis.summary import Summary
from brittle.api.reports import Report, Say, quiet
from brittle.declaration.trial import Trial
from brittle.models import EditModel
from brittle.progress import Progress, silent
from brittle.record.bundle import SUFFIX, unpack
from brittle.record.check import Checked, check_folder
from brittle.record.record import Record
from brittle.record.store import SUMMARY, FolderStore
from brittle.reporting import answer, build_report, check_words
from brittle.reporting.compare import compare_trials
from brittle.reporting.formatting import count
from brittle.reporting.sheet import PAGE, write_sheet
from brittle.sources.photos import learns
from brittle.trial.cost import describe_cost
from brittle.trial.demo import run_demo
from brittle.trial.external_edits import score_edits
from brittle.trial.on_ray import Cluster
from brittle.trial.run import run


def demo(
    directory: str | Path = "brittle-demo",
    photos: str | Path | None = None,
    *,
    minutes: float = 6,
    editor: str = "img2img",
    size: int | None = None,
    say: Say = quiet,
    progress: Progress = silent,
) -> Report[Summary]:
    """Run the paper's experiment on the embedded model into a folder, and report it.

    >>> report = brittle.demo("brittle-demo", "holiday", size=128)
    >>> report.path, report.found.scope.model
    (PosixPath('brittle-demo/report.html'), 'embedded')

    Args:
        directory: a new folder, or one that holds a demo that was stopped.
        photos: a folder; eight photos that come with brittle if none is given.
        minutes: prompts and transforms are left out to fit in this time.
        editor: img2img, or inpaint, which edits the photos' centre.
        size: photos are squares of this side in px, 128 to 512; if not given, 256, or 128 on a
            machine that is too slow for that.
        say: told what was left out.
        progress: told of each stage.

    Raises:
        UserError: photos, an editor or a size that can't be used; a folder with something else.
    """
    record = run_demo(
        Path(directory),
        None if photos is None else Path(photos),
        minutes=minutes,
        editor=editor,
        size=size,
        say=say,
        progress=progress,
    )
    assert record is not None, "only shards have none"
    return reported(record)


def run_trial(
    trial: Trial,
    directory: str | Path,
    *,
    device: str | None = None,
    dtype: str | None = None,
    shard: tuple[int, int] = (1, 1),
    continue_on_this_device: bool = False,
    cluster: Cluster | None = None,
    say: Say = quiet,
    progress: Progress = silent,
) -> Report[Summary] | None:
    """Run a trial, or go on with it, and write results, summary and report into its folder.

    >>> report = brittle.run_trial(brittle.load_trial("trial.yaml"), "out")
    >>> report.path, report.found.scope.model
    (PosixPath('out/report.html'), 'embedded')

    Args:
        trial: what to run; `load_trial` reads it.
        directory: a new folder, or one with the same trial.
        device: cpu, cuda or mps; chosen by itself if not given.
        dtype: float32, bfloat16 or float16, as `load_model` takes it; chosen for the device if not
            given.
        shard: (i, n): only every n-th photo's work is done, and None is returned. Then run it once
            without a shard, to gather.
        continue_on_this_device: go on even where the folder was begun on another kind of device.
        cluster: of Ray, whose workers do the work; device and dtype are then theirs.
        say: told what was damaged in the folder, and made again.
        progress: told of each stage.

    Raises:
        UserError: a photo, model or component that can't be used; a folder with another trial.
    """
    record = run(
        trial,
        Path(directory),
        device=device,
        dtype=dtype,
        shard=shard,
        continue_on_this_device=continue_on_this_device,
        cluster=cluster,
        say=say,
        progress=progress,
    )
    return None if record is None else reported(record)


def dry_run(trial: Trial, *, device: str | None = None, dtype: str | None = None) -> str:
    """What a trial would cost, in words: its work, its time here, and photos for a verdict.

    >>> print(brittle.dry_run(brittle.load_trial("trial.yaml")))
    A trial: 1 photos on embedded...
      protections        1 (2 gradient steps)...

    Raises:
        UserError: a photo, model or component that can't be used; too little memory.
    """
    cost = describe_cost(trial, device=device, dtype=dtype)
    if learns(trial):
        return cost
    rows = len(trial.prompts) * len(trial.seeds)
    needed = plan_photos(trial.primary, arms=len(trial.protection_arms), rows_a_photo=rows)
    return f"{cost}\n  verdict      {needed.sentence}"


def score(
    edits: str | Path,
    directory: str | Path,
    *,
    by: str = "",
    model: EditModel | None = None,
    clip: str | None = None,
    calibration: str | Path | None = None,
    progress: Progress = silent,
) -> Report[Summary]:
    """Score a table of edits that were made elsewhere, and write the report into a folder.

    >>> report = brittle.score("edits.csv", "scored", by="Photoshop 2026")
    >>> report.path
    PosixPath('scored/report.html')

    Args:
        edits: the table, as CSV; docs/scoring.md says what it holds.
        directory: a new folder, or one that holds a table's scores.
        by: what made the edits, in words.
        model: whose prompt classes and thresholds judge the edits, at whose size; none: 512 px.
        clip: a CLIP for the scores `follow` and `keep`; not beside thresholds.
        calibration: a file of thresholds of usable edits, by `calibrate`.
        progress: told of the scores.

    Raises:
        UserError: a table or a picture that can't be used; a folder that holds something else.
    """
    record = score_edits(
        Path(edits),
        Path(directory),
        by=by,
        model=model,
        clip=clip,
        calibration=None if calibration is None else Path(calibration),
        progress=progress,
    )
    return reported(record)


def report(
    directory: str | Path,
    *,
    marks: str | Path | None = None,
    rate: str | Path | None = None,
) -> Report[Summary]:
    """Make the summary and the report of a folder from its store alone.

    >>> brittle.report("old").path
    PosixPath('old/report.html')

    Args:
        directory: of a finished trial, or a bundle by `export`, which is unpacked beside its file.
        marks: a person's marks on a sheet of its edits, to be kept and reported.
        rate: a new folder for such a sheet: edits for a person to judge.

    Raises:
        UserError: the folder holds no finished trial; marks that don't belong to it; a folder that
            has a sheet.
    """
    said = []
    if marks is not None:
        said.append(f"Marks of {keep_marks(Path(directory), Path(marks))} edits were read.")
    record = Record.open(_folder(Path(directory)))
    made = reported(record)
    said.append(made.text)
    if rate is not None:
        said.append(f"Sheet of {write_sheet(record, Path(rate))} edits: {Path(rate) / PAGE}")
    return replace(made, text="\n\n".join(said))


def _folder(directory: Path) -> Path:
    bundled = directory.suffix == SUFFIX and directory.is_file()
    return unpack(directory) if bundled else directory


def reported(record: Record) -> Report[Summary]:
    """Write a folder's summary and report."""
    assert record.directory is not None, "a trial in memory has no folder"
    summary = summarise_record(record)
    store, text = FolderStore(record.directory), summary.to_json().encode()
    manifest = store.write_results(record.manifest, {SUMMARY: text})
    trial = Finished(replace(record, manifest=manifest), summary)
    page, said = build_report(trial), answer(trial)
    if record.lacking:
        said += (
            f"\n\n{count(len(record.lacking), 'picture')} of the folder could not be shown: "
            f"`brittle check {record.directory}` says what is damaged or missing."
        )
    return Report(summary, said, page)


def check(directory: str | Path, *, progress: Progress = silent) -> Report[Checked]:
    """Look at every file of a trial's folder: whether it is as brittle wrote it.

    >>> brittle.check("old").found.damaged
    ()

    The folder stays as it is. What is damaged counts as missing where the trial is run again, and
    is made anew.

    Args:
        directory: of a trial, finished or not.
        progress: told of the files.

    Raises:
        UserError: the folder holds no trial.
    """
    found = check_folder(Path(directory), progress)
    return Report(found, check_words(found))


def compare(
    directories: Iterable[str | Path], out: str | Path = "comparison.html"
) -> Report[tuple[Pairing, ...]]:
    """Put finished trials side by side: protections, models or versions of them.

    Every protection is compared with the first one of the first trial.

    >>> (pairing,) = brittle.compare(["old", "new"], "models.html").found
    >>> pairing.second.name
    'photoguard-encoder (new)'

    Raises:
        UserError: fewer than two folders, one named twice, one without a finished trial, no
            protection at all, or a file that can't be written.
    """
    trials = [Finished.open(Path(directory)) for directory in directories]
    pairings, text = compare_trials(trials, Path(out))
    return Report(pairings, text, Path(out))
