"""The bench: any protection through one declared trial, and the leaderboard."""

from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

import brittle
from brittle.cli.app import Device, Dtype, app, tell, to_stderr
from brittle.errors import UserError
from brittle.progress import on_stderr

SIZE = "quick or small (the embedded model, 128 or 512 px), full (SD), or a file of your own."


class BenchGroup(TyperGroup):
    """A group whose command may be left out: what is no command is a protection to run."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read the arguments."""
        plain = args and args[0] not in (*self.commands, "-h", "--help")
        return super().parse_args(ctx, ["run", *args] if plain else args)


bench = typer.Typer(
    cls=BenchGroup,
    no_args_is_help=True,
    help="Run any protection through one declared trial: `brittle bench PROTECTION…`, "
    "whose options `brittle bench run --help` shows.",
)
app.add_typer(bench, name="bench")


@bench.command("run")
def run(
    protections: Annotated[
        list[str],
        typer.Argument(help="Presets or name:field=value; with --files, what the tool is called."),
    ],
    out: Annotated[Path, typer.Option("-o", "--out", help="Folder.")] = Path("bench"),
    size: Annotated[str, typer.Option(help=SIZE)] = "quick",
    photos: Annotated[
        Path | None, typer.Option(help="Photos in the place of the bench's own; full has none.")
    ] = None,
    files: Annotated[
        Path | None,
        typer.Option(help="A folder of protected files that any tool made of the bench's photos."),
    ] = None,
    by: Annotated[str, typer.Option(help="Who runs it, for the leaderboard.")] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what it would cost.")] = False,
    device: Device = None,
    dtype: Dtype = None,
) -> None:
    """Run protections through a bench, one after another, or go on where that stopped.

    The word `run` may be left out.

    Example: brittle bench photoguard-encoder --dry-run

    Example: brittle bench glaze --files glazed/ --by "Jane Doe"
    """
    if files is not None and len(protections) > 1:
        raise UserError("--files is one tool's folder: name one tool.")
    for protection in protections:
        if dry_run:
            cost = brittle.bench_cost(
                protection, size=size, photos=photos, files=files, device=device, dtype=dtype
            )
            tell(cost)
            continue
        with on_stderr(to_stderr) as progress:
            found = brittle.bench(
                protection,
                out,
                size=size,
                photos=photos,
                files=files,
                by=by,
                device=device,
                dtype=dtype,
                say=to_stderr,
                progress=progress,
            )
        tell(found.text)


@bench.command("photos")
def photos(
    out: Annotated[Path, typer.Option("-o", "--out", help="Folder.")],
    size: Annotated[str, typer.Option(help=SIZE)] = "quick",
) -> None:
    """Write the bench's photos, to be protected by any tool and run with --files.

    Example: brittle bench photos -o to-protect/
    """
    for path in brittle.bench_photos(out, size=size):
        tell(str(path))


@bench.command("verify")
def verify(
    bundle: Annotated[Path, typer.Argument(help="A .zip of a bench.")],
    entry: Annotated[
        Path | None, typer.Option(help="Its file of the leaderboard, to be computed again, too.")
    ] = None,
    seed: Annotated[
        int | None, typer.Option(min=0, help="What chooses the tenth; a new one if not given.")
    ] = None,
    device: Device = None,
) -> None:
    """Compute a random tenth of a bundle's edits and scores again; exit code 1 if any differ.

    Example: brittle bench verify bench/photoguard-encoder.zip
    """
    with on_stderr(to_stderr) as progress:
        found = brittle.verify(bundle, entry, seed=seed, device=device, progress=progress)
    tell(found.text)
    if not found.found.agrees:
        raise typer.Exit(1)


@bench.command("leaderboard")
def leaderboard(
    folder: Annotated[Path, typer.Argument(help="A folder of entries.")],
    out: Annotated[Path, typer.Option("-o", "--out", help="The page, as Markdown.")],
) -> None:
    """Write the leaderboard's page from its entries.

    Example: brittle bench leaderboard leaderboard/ -o docs/leaderboard.md
    """
    tell(brittle.leaderboard(folder, out).text)
