"""Commands that run trials and report them."""

import re
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
        float, typer.Option(min=0.1, help="Drop prompts and transforms to fit into this time.")
    ] = 6.0,
    editor: Annotated[
        Literal["img2img", "inpaint"], typer.Option(help="inpaint edits the centre of each photo.")
    ] = "img2img",
    size: Annotated[
        int | None,
        typer.Option(
            help="Side of the square photos in px, 128 to 512; default: 256, or 128 if too slow."
        ),
    ] = None,
) -> None:
    """Protect, compress and edit eight photos on the embedded model, and report what is left.

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
        Path | None, typer.Option("-o", "--out", help="Folder; default: the trial's name.")
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", help="Change a field, such as --set seeds=[0,1]. Repeatable."),
    ] = None,
    shard: Annotated[
        str,
        typer.Option(help="i/n runs every n-th photo; run once more without --shard to gather."),
    ] = "1/1",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Estimate work and time without running.")
    ] = False,
    device: Device = None,
    dtype: Dtype = None,
    continue_on_this_device: Annotated[
        bool,
        typer.Option(
            "--continue-on-this-device",
            help="Resume although the folder was begun on another kind of device.",
        ),
    ] = False,
    on: Annotated[
        Literal["here", "ray"], typer.Option(help="ray: workers of a Ray cluster do the work.")
    ] = "here",
    address: Annotated[
        str | None, typer.Option(help="The cluster's; this computer is one if not given.")
    ] = None,
    gpus: Annotated[float, typer.Option(min=0, help="GPUs of a worker; 0.5 shares one.")] = 0,
    workers: Annotated[
        int | None, typer.Option(min=1, help="At most so many; as fit if not given.")
    ] = None,
) -> None:
    """Run a trial, or resume one, and write its table and report.

    Example: brittle run trials/demo.yaml --set photos=holiday/ --dry-run
    """
    part, loaded = _shard(shard), brittle.load_trial(trial, settings or ())
    if dry_run:
        tell(brittle.dry_run(loaded, device=device, dtype=dtype))
        return
    cluster = brittle.Cluster(address, gpus, workers) if on == "ray" else None
    with on_stderr(to_stderr) as progress:
        found = brittle.run_trial(
            loaded,
            out or Path(trial.stem),
            device=device,
            dtype=dtype,
            shard=part,
            continue_on_this_device=continue_on_this_device,
            cluster=cluster,
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
        Path | None, typer.Argument(help="The table of edits, a CSV file.", show_default=False)
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("-o", "--out", help="Folder; default: the table's name and -scored."),
    ] = None,
    by: Annotated[str, typer.Option("--editor", help="What made the edits, in words.")] = "",
    model: Annotated[
        str | None,
        typer.Option(help="`embedded` if the prompts are its own: then it judges usable edits."),
    ] = None,
    clip: Annotated[
        str | None, typer.Option(help="A CLIP for the scores follow and keep, without thresholds.")
    ] = None,
    calibration: Annotated[
        Path | None, typer.Option(help="Thresholds of usable edits, made by `brittle calibrate`.")
    ] = None,
    prepare: Annotated[
        tuple[Path, Path] | None,
        typer.Option(
            help="From photos and their protected files, write all that has to be edited, and a "
            "table to fill in, into -o.",
            metavar="PHOTOS PROTECTED",
        ),
    ] = None,
    transforms: Annotated[
        list[str] | None,
        typer.Option("--with", help="With --prepare: a transform before editing. Repeatable."),
    ] = None,
    prompts: Annotated[
        list[str] | None,
        typer.Option("--prompt", help="With --prepare: a prompt for the editor. Repeatable."),
    ] = None,
) -> None:
    """Score and report edits of original and protected photos that another program made.

    Example: brittle score --prepare me.png protected.png --with jpeg:quality=75 -o kit

    Example: brittle score kit/edits.csv --editor "Photoshop 2026"
    """
    if prepare is not None:
        if edits is not None or out is None:
            raise UserError("--prepare needs photos, protected files and -o with a new folder.")
        kit = brittle.prepare_edits(
            *prepare, out, transforms=transforms or (), prompts=prompts or ()
        )
        return tell(kit.text)
    if edits is None:
        raise UserError(
            "score needs a table of edits; --prepare writes one with all that has to be edited."
        )
    with on_stderr(to_stderr) as progress:
        found = brittle.score(
            edits,
            out or edits.with_name(f"{edits.stem}-scored"),
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
    """Compare several trials side by side: protections, models or their versions.

    Example: brittle compare old-model new-model -o models.html
    """
    _tell(brittle.compare(directories, out))


@app.command()
def check(
    directory: Annotated[Path, typer.Argument(help="A trial's folder.", show_default=False)],
) -> None:
    """Check that every file of a trial's folder is as brittle wrote it; if not, exit code 1.

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
        typer.Option(help="Write a sheet of edits for a person to judge into this new folder."),
    ] = None,
    marks: Annotated[Path | None, typer.Option(help="The marks that the sheet saved.")] = None,
) -> None:
    """Rebuild the summary and the report of a folder from its stored results.

    Example: brittle report brittle-demo --rate sheet
    """
    _tell(brittle.report(directory, marks=marks, rate=rate))


@app.command()
def export(
    directory: Annotated[Path, typer.Argument(help="A trial's folder.", show_default=False)],
    to: Annotated[Literal["csv", "parquet", "latex", "bundle"], typer.Option(help="The format.")],
    out: Annotated[
        Path,
        typer.Option(
            "-o",
            "--out",
            help="A folder for csv and parquet; a .tex or .zip file for the others.",
            show_default=False,
        ),
    ],
    force: Force = False,
) -> None:
    """Export results: tidy tables, a table for a paper, or a bundle to open elsewhere.

    Example: brittle export brittle-demo --to bundle -o demo.zip
    """
    for path in brittle.export(directory, to, out, force=force):
        tell(str(path))


def _tell(found: "brittle.Report[object]") -> None:
    tell(f"{found.text}\n\nReport: {found.path}")


def _shard(text: str) -> tuple[int, int]:
    found = re.fullmatch(r"([0-9]{1,9})/([0-9]{1,9})", text)
    if found is None or not 1 <= int(found[1]) <= int(found[2]):
        raise UserError(f"--shard {text} is not i/n with i from 1 to n, such as 2/4.")
    return int(found[1]), int(found[2])
