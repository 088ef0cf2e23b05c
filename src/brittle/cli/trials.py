"""Commands that run trials and report them."""

from pathlib import Path
from typing import Annotated, Literal

import typer

import brittle
from brittle.cli.app import Device, Dtype, Force, app, tell, to_stderr
from brittle.errors import UserError
from brittle.progress import on_stderr


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
    with on_stderr(to_stderr) as progress:
        found = brittle.demo(
            out,
            photos,
            minutes=minutes,
            editor=editor,
            size=size,
            say=to_stderr,
            progress=progress,
        )
    _tell(found)


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
    continue_on_this_device: Annotated[
        bool,
        typer.Option(
            "--continue-on-this-device",
            help="Go on even where the folder was begun on another kind of device.",
        ),
    ] = False,
) -> None:
    """Run a trial, or go on where it stopped, and write its table and report.

    Example: brittle run trials/demo.yaml --set photos=holiday/ --dry-run
    """
    loaded = brittle.load_trial(trial, settings or ())
    if dry_run:
        tell(brittle.dry_run(loaded, device=device, dtype=dtype))
        return
    part = _shard(shard)
    with on_stderr(to_stderr) as progress:
        found = brittle.run_trial(
            loaded,
            out or Path(trial.stem),
            device=device,
            dtype=dtype,
            shard=part,
            continue_on_this_device=continue_on_this_device,
            say=to_stderr,
            progress=progress,
        )
    if found is None:
        tell(f"Shard {part[0]}/{part[1]} is done; run again without --shard to gather.")
    else:
        _tell(found)


@app.command()
def score(
    edits: Annotated[
        Path | None, typer.Argument(help="The table of edits, as CSV.", show_default=False)
    ] = None,
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
    prepare: Annotated[
        tuple[Path, Path] | None,
        typer.Option(
            help="Photos and protected files: write what has to be edited, and a table, into -o.",
            metavar="PHOTOS PROTECTED",
        ),
    ] = None,
    transforms: Annotated[
        list[str] | None, typer.Option("--with", help="To prepare: a transform before editing.")
    ] = None,
    prompts: Annotated[
        list[str] | None, typer.Option("--prompt", help="To prepare: what the editor is asked for.")
    ] = None,
) -> None:
    """Score edits that were made elsewhere, of original and protected photos, and report them.

    Example: brittle score --prepare me.png protected.png --with jpeg:quality=75 -o kit

    Example: brittle score kit/edits.csv --editor "Photoshop 2026"
    """
    if prepare is not None:
        if edits is not None or out is None:
            raise UserError("--prepare takes photos, protected files and -o, a new folder.")
        kit = brittle.prepare_edits(
            *prepare, out, transforms=transforms or (), prompts=prompts or ()
        )
        return tell(kit.text)
    if edits is None:
        raise UserError("Name a table of edits; --prepare writes one with what has to be edited.")
    with on_stderr(to_stderr) as progress:
        found = brittle.score(
            edits,
            out or edits.with_suffix(""),
            by=by,
            model=None if model is None else brittle.load_model(model),
            clip=clip,
            calibration=calibration,
            progress=progress,
        )
    _tell(found)


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
    _tell(brittle.compare(directories, out))


@app.command()
def check(
    directory: Annotated[Path, typer.Argument(help="A trial's folder.", show_default=False)],
) -> None:
    """Check that every file of a trial's folder is as brittle wrote it; exit code 1 if not.

    Example: brittle check brittle-demo
    """
    with on_stderr(to_stderr) as progress:
        checked = brittle.check(directory, progress=progress)
    tell(checked.text)
    if checked.found.damaged:
        raise typer.Exit(1)


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
    _tell(brittle.report(directory, marks=marks, rate=rate))


@app.command()
def export(
    directory: Annotated[Path, typer.Argument(help="A trial's folder.", show_default=False)],
    to: Annotated[Literal["csv", "parquet", "latex", "bundle"], typer.Option(help="The form.")],
    out: Annotated[
        Path,
        typer.Option(
            "-o", "--out", help="A folder for tables; a .tex or .zip file.", show_default=False
        ),
    ],
    force: Force = False,
) -> None:
    """Write results to take away: tidy tables, a paper's table, or a bundle to open elsewhere.

    Example: brittle export brittle-demo --to bundle -o demo.zip
    """
    for path in brittle.export(directory, to, out, force=force):
        tell(str(path))


def _tell(found: "brittle.Report[object]") -> None:
    tell(f"{found.text}\n\nReport: {found.path}")


def _shard(text: str) -> tuple[int, int]:
    index, separator, count = text.partition("/")
    if not (separator and index.isdigit() and count.isdigit() and 1 <= int(index) <= int(count)):
        raise UserError(f"--shard {text}: expected i/n with i from 1 to n, such as 2/4.")
    return int(index), int(count)
