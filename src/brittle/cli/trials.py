"""Commands that run trials and report them."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from brittle.cli.app import Device, Dtype, app
from brittle.errors import UserError

if TYPE_CHECKING:
    from brittle.analysis.finished import Finished
    from brittle.declaration.trial import Trial
    from brittle.reporting.mimicry_source import FinishedMimicry


@app.command()
def demo(
    photos: Annotated[
        Path | None, typer.Option(help="A folder of your own photos; at least 8 for a verdict.")
    ] = None,
    out: Annotated[Path, typer.Option("-o", "--out", help="Folder.")] = Path("brittle-demo"),
    minutes: Annotated[
        float, typer.Option(min=0.1, help="Leave out prompts and transforms to fit in this time.")
    ] = 6.0,
    editor: Annotated[
        Literal["img2img", "inpaint"], typer.Option(help="inpaint edits the photos' centre.")
    ] = "img2img",
    size: Annotated[
        int | None,
        typer.Option(help="Photos are squares of this side in px, 128 to 512; 256 if not given."),
    ] = None,
) -> None:
    """Protect, compress and edit real photos on the built-in model, and report what is left.

    Example: brittle demo --photos holiday/
    """
    from brittle import api
    from brittle.progress import bars
    from brittle.trial.demo import run_demo

    with bars() as progress:
        record = run_demo(
            out,
            photos,
            minutes=minutes,
            editor=editor,
            size=size,
            say=lambda text: typer.echo(text, err=True),
            progress=progress,
        )
    assert record is not None, "only shards have none"
    _answer(api.finish(record))


@app.command()
def run(
    trial: Annotated[Path, typer.Argument(help="The trial's YAML file.", show_default=False)],
    out: Annotated[
        Path | None, typer.Option("-o", "--out", help="Folder; the trial's name if not given.")
    ] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="Change a field: --set seeds=[0,1].")
    ] = None,
    shard: Annotated[
        str, typer.Option(help="i/n: only every n-th photo; then once without it, to gather.")
    ] = "1/1",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what it would cost.")] = False,
    device: Device = None,
    dtype: Dtype = None,
) -> None:
    """Run a trial, or go on where it stopped, and write its table and report.

    Example: brittle run trials/demo.yaml --set photos=holiday/ --dry-run
    """
    from brittle.declaration.trial import load_trial

    loaded = load_trial(trial, settings or ())
    if dry_run:
        from brittle.analysis import plan_photos
        from brittle.sources.photos import learns
        from brittle.trial.cost import describe_cost

        typer.echo(describe_cost(loaded, device=device, dtype=dtype))
        if learns(loaded):
            return
        rows = len(loaded.prompts) * len(loaded.seeds)
        needed = plan_photos(loaded.primary, arms=len(loaded.protection_arms), rows_a_photo=rows)
        typer.echo(f"  verdict      {needed.sentence}")
    else:
        _run(loaded, out or Path(trial.stem), device=device, dtype=dtype, shard=_shard(shard))


@app.command()
def score(
    edits: Annotated[Path, typer.Argument(help="The table of edits, as CSV.", show_default=False)],
    out: Annotated[
        Path | None, typer.Option("-o", "--out", help="Folder; the table's name if not given.")
    ] = None,
    by: Annotated[str, typer.Option("--editor", help="What made the edits, in words.")] = "",
    model: Annotated[
        str | None,
        typer.Option(
            help="`embedded`, where its prompt classes were asked for: it judges usable edits."
        ),
    ] = None,
    clip: Annotated[
        str | None, typer.Option(help="A CLIP that you have, to judge edits by prompt.")
    ] = None,
    calibration: Annotated[
        Path | None, typer.Option(help="Thresholds of usable edits, by `brittle calibrate`.")
    ] = None,
) -> None:
    """Score edits that were made elsewhere, of original and protected photos, and report them.

    Example: brittle score edits.csv --editor "Photoshop 2026"
    """
    from brittle import api
    from brittle.progress import bars

    directory = out or edits.with_suffix("")
    with bars() as progress:
        finished = api.score(
            edits,
            directory,
            by=by,
            model=None if model is None else api.load_model(model),
            clip=clip,
            calibration=calibration,
            progress=progress,
        )
    _answer(finished)


@app.command()
def compare(
    directories: Annotated[
        list[Path], typer.Argument(help="Folders of finished trials.", show_default=False)
    ],
    out: Annotated[Path, typer.Option("-o", "--out", help="The report, an .html file.")] = Path(
        "comparison.html"
    ),
) -> None:
    """Put several trials side by side: protections, models or versions of them.

    Example: brittle compare old-model new-model -o models.html
    """
    from brittle.analysis.finished import Finished
    from brittle.reporting.compare import compare_trials

    typer.echo(compare_trials([Finished.open(path) for path in directories], out))
    typer.echo(f"\nReport: {out}")


@app.command()
def report(
    directory: Annotated[Path, typer.Argument(help="A trial's folder.", show_default=False)],
    rate: Annotated[
        Path | None,
        typer.Option(help="Write a sheet into this new folder: edits for a person to judge."),
    ] = None,
    marks: Annotated[
        Path | None, typer.Option(help="A person's marks on that sheet, as it saved them.")
    ] = None,
) -> None:
    """Make the summary and the report of a folder again, from its store alone.

    Example: brittle report brittle-demo --rate sheet
    """
    from brittle import api
    from brittle.record import Record

    if marks is not None:
        from brittle.analysis.agreement import keep_marks

        typer.echo(f"Marks of {keep_marks(directory, marks)} edits were read.\n")
    finished = api.finish(Record.open(directory))
    _answer(finished)
    if rate is not None:
        from brittle.reporting.sheet import PAGE, write_sheet

        number = write_sheet(finished.record, rate)
        typer.echo(f"Sheet of {number} edits: {rate / PAGE}")


def _run(
    trial: "Trial",
    out: Path,
    *,
    device: str | None = None,
    dtype: str | None = None,
    shard: tuple[int, int] = (1, 1),
) -> None:
    """Run a trial with bars, then print its table and where the report lies."""
    from brittle import api
    from brittle.progress import bars

    with bars() as progress:
        finished = api.run_trial(
            trial,
            out,
            device=device,
            dtype=dtype,
            shard=shard,
            progress=progress,
        )
    if finished is None:
        typer.echo(f"Shard {shard[0]}/{shard[1]} is done; run again without --shard to gather.")
    else:
        _answer(finished)


def _answer(trial: "Finished | FinishedMimicry") -> None:
    from brittle.reporting import answer
    from brittle.reporting.build import REPORT

    typer.echo(answer(trial))
    typer.echo(f"\nReport: {(trial.record.directory or Path()) / REPORT}")


def _shard(text: str) -> tuple[int, int]:
    index, separator, count = text.partition("/")
    if not (separator and index.isdigit() and count.isdigit() and 1 <= int(index) <= int(count)):
        raise UserError(f"--shard {text}: expected i/n with i from 1 to n, such as 2/4.")
    return int(index), int(count)
