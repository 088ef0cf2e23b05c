"""Commands that run trials and report them."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from brittle.cli.app import Device, Dtype, app
from brittle.errors import UserError

if TYPE_CHECKING:
    from brittle.trial.spec import Trial


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
) -> None:
    """Protect, compress and edit real photos on the built-in model, and report what is left.

    Example: brittle demo --photos holiday/
    """
    from brittle.trial.demo import demo_trial

    trial, notes = demo_trial(out, photos, minutes, editor)
    _run(trial, out, notes=notes)


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
    from brittle.trial.spec import load_trial

    loaded = load_trial(trial, settings or ())
    if dry_run:
        from brittle.inference import plan_photos
        from brittle.trial.cost import describe_cost

        typer.echo(describe_cost(loaded, device=device, dtype=dtype))
        rows = len(loaded.prompts) * len(loaded.seeds)
        needed = plan_photos(loaded.primary, arms=len(loaded.protections), rows_a_photo=rows)
        typer.echo(f"  verdict      {needed.sentence}")
    else:
        _run(loaded, out or Path(trial.stem), device=device, dtype=dtype, shard=_shard(shard))


@app.command()
def report(
    directory: Annotated[Path, typer.Argument(help="A trial's folder.", show_default=False)],
) -> None:
    """Make the summary and the report of a folder again, from its store alone.

    Example: brittle report brittle-demo
    """
    from brittle import api

    api.finish(directory)
    _answer(directory)


def _run(
    trial: "Trial",
    out: Path,
    *,
    device: str | None = None,
    dtype: str | None = None,
    shard: tuple[int, int] = (1, 1),
    notes: Sequence[str] = (),
) -> None:
    """Run a trial with bars, then print its table and where the report lies."""
    from brittle import api
    from brittle.progress import bars

    for note in notes:
        typer.echo(note, err=True)
    with bars() as progress:
        summary = api.run_trial(
            trial,
            out,
            device=device,
            dtype=dtype,
            shard=shard,
            notes=notes,
            progress=progress,
        )
    if summary is None:
        typer.echo(f"Shard {shard[0]}/{shard[1]} is done; run again without --shard to gather.")
    else:
        _answer(out)


def _answer(directory: Path) -> None:
    from brittle.report.text import answer

    typer.echo(answer(directory))
    typer.echo(f"\nReport: {directory / 'report.html'}")


def _shard(text: str) -> tuple[int, int]:
    index, separator, count = text.partition("/")
    if not (separator and index.isdigit() and count.isdigit() and 1 <= int(index) <= int(count)):
        raise UserError(f"--shard {text}: expected i/n with i from 1 to n, such as 2/4.")
    return int(index), int(count)
