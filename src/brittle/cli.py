"""The command line: one short function a command; everything heavy is imported inside of them."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from typer.core import TyperGroup

from brittle.errors import UserError

if TYPE_CHECKING:
    from brittle.trial.spec import Trial


class Commands(TyperGroup):
    """The commands; what a user can mend is one sentence and exit code 2, never a traceback."""

    def invoke(self, ctx: Any) -> Any:
        """Run a command."""
        try:
            return super().invoke(ctx)
        except UserError as error:
            typer.echo(f"brittle: {error}", err=True)
            raise typer.Exit(2) from None
        except KeyboardInterrupt:
            typer.echo("\nStopped; what was done is kept, and the same command goes on.", err=True)
            raise typer.Exit(130) from None


app = typer.Typer(
    cls=Commands,
    help="Does the protection of a photo against diffusion editing survive the world?",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

Photos = Annotated[list[Path], typer.Argument(help="Photo files.", show_default=False)]
Out = Annotated[Path, typer.Option("-o", "--out", help="A .png file, or a folder.")]
Model = Annotated[
    str,
    typer.Option(help="`embedded`, a diffusers folder, a .safetensors file, or a hub id."),
]
Mask = Annotated[
    str | None, typer.Option(help="File (white: may be edited), `alpha`, or `auto`: an ellipse.")
]
Device = Annotated[
    str | None, typer.Option(help="cpu, cuda, mps …; chosen by itself if not given.")
]
Dtype = Annotated[str | None, typer.Option(help="float32, bfloat16 or float16.")]
Force = Annotated[bool, typer.Option("--force", help="Overwrite what is there (never an input).")]
Lossy = Annotated[
    bool, typer.Option("--lossy", help="Allow .jpg, .webp or .avif, which undo protections.")
]
KeepMetadata = Annotated[
    bool, typer.Option("--keep-metadata", help="Keep EXIF, GPS position included.")
]
Family = Literal["protections", "transforms", "editors", "metrics", "models"]


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
def protect(
    photos: Photos,
    out: Out,
    protection: Annotated[
        str, typer.Option("--with", help="A protection; see `brittle list protections`.")
    ] = "photoguard-encoder",
    epsilon: Annotated[
        str | None, typer.Option(help="The budget in [0, 1] units: 8/255, or l2:8@512.")
    ] = None,
    model: Model = "embedded",
    mask: Mask = None,
    seed: Annotated[int, typer.Option(min=0)] = 0,
    device: Device = None,
    dtype: Dtype = None,
    force: Force = False,
    lossy: Lossy = False,
    keep_metadata: KeepMetadata = False,
) -> None:
    """Protect photos at their own size, and say what the perturbation costs the eye.

    Example: brittle protect me.jpg --with photoguard-encoder --epsilon 8/255 -o protected/
    """
    from brittle import api
    from brittle.batch import Destination, measure
    from brittle.images import named_mask, read_photo
    from brittle.progress import bars
    from brittle.protections import Trace

    to = Destination(photos, out, force=force, lossy=lossy, keep_metadata=keep_metadata)
    component = api.protection(protection, epsilon)
    loaded = api.load_model(model, device=device, dtype=dtype)
    for path in photos:
        photo = read_photo(path)
        masked = named_mask(mask, photo) if mask else None
        with bars() as progress, progress(path.name, component.total_steps) as advance:
            trace = Trace(on_step=lambda *_, advance=advance: advance(1))
            protected = component(loaded, photo.image, mask=masked, seeds=[seed], trace=trace)
        written = to.write(path, photo, protected)
        typer.echo(measure(written, photo, component.budget))


@app.command()
def transform(
    photos: Photos,
    out: Out,
    transform: Annotated[str, typer.Option("--with", help="A transform, or several joined by +.")],
    seed: Annotated[int, typer.Option(min=0)] = 0,
    force: Force = False,
    lossy: Lossy = False,
    keep_metadata: KeepMetadata = False,
) -> None:
    """Pass photos through a transform, and keep what would be received as PNG.

    Example: brittle transform protected/me.png --with jpeg:quality=65+flip -o received/
    """
    from brittle import api
    from brittle.batch import Destination
    from brittle.images import read_photo

    to = Destination(photos, out, force=force, lossy=lossy, keep_metadata=keep_metadata)
    for path in photos:
        photo = read_photo(path)
        typer.echo(to.write(path, photo, api.transform(photo.image, transform, seed=seed)))


@app.command()
def edit(
    photo: Annotated[Path, typer.Argument(help="A photo file.", show_default=False)],
    prompt: Annotated[str, typer.Option(help="What the edit should show.")],
    out: Out,
    editor: Annotated[str, typer.Option(help="An editor; see `brittle list editors`.")] = "img2img",
    model: Model = "embedded",
    mask: Mask = None,
    seed: Annotated[int, typer.Option(min=0, help="As diffusers uses it.")] = 0,
    device: Device = None,
    dtype: Dtype = None,
    force: Force = False,
    lossy: Lossy = False,
    keep_metadata: KeepMetadata = False,
) -> None:
    """Edit a photo with a prompt.

    Example: brittle edit me.png --prompt "heavy rain" --editor img2img:strength=0.4 -o rain.png
    """
    from brittle import api
    from brittle.batch import Destination
    from brittle.images import named_mask, read_photo

    if not prompt.strip():
        raise UserError("The prompt is empty: say what the edit should show, as --prompt rain.")
    to = Destination([photo], out, force=force, lossy=lossy, keep_metadata=keep_metadata)
    read = read_photo(photo)
    edited = api.edit(
        read.image,
        prompt,
        editor=editor,
        model=api.load_model(model, device=device, dtype=dtype),
        mask=named_mask(mask, read) if mask else None,
        seed=seed,
    )
    typer.echo(to.write(photo, read, edited))


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


@app.command("list")
def list_(
    family: Annotated[Family, typer.Argument(help="What to list.", show_default=False)],
) -> None:
    """List what there is to choose from, with parameters and sources.

    Example: brittle list transforms
    """
    from brittle.catalogue import describe

    typer.echo(describe(family))


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


def main() -> None:
    """Run the command line."""
    app()
