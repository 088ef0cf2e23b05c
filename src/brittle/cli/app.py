"""The application that every command registers with, and the options that commands share."""

import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

import brittle
from brittle.errors import UserError, out_of_memory, printable


class Commands(TyperGroup):
    """The commands; what a user can mend is one sentence and exit code 2, never a traceback."""

    def main(self, args: Sequence[str] | None = None, *rest: Any, **options: Any) -> Any:
        """Run the command line."""
        try:
            given = _without_plugins(sys.argv[1:] if args is None else args)
            return super().main([*given], *rest, **options)
        except UserError as error:
            problem = str(error)
        except OSError as error:
            problem = _of_system(error)
        except (MemoryError, RuntimeError) as error:
            if not out_of_memory(error):
                raise
            problem = (
                "this needs more memory than there is: use smaller photos, a smaller --size or "
                "another --dtype."
            )
        to_stderr(f"brittle: {problem}")
        raise SystemExit(2)

    def invoke(self, ctx: Any) -> Any:
        """Run a command."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            to_stderr("\nStopped. Finished work is saved; run the same command to resume.")
            raise typer.Exit(130) from None


def _without_plugins(arguments: Iterable[str]) -> Iterator[str]:
    """Load what ``--plugin FILE`` names, on whatever command, and leave it out."""
    rest = iter(arguments)
    for argument in rest:
        option, equals, path = argument.partition("=")
        if option != "--plugin":
            yield argument
        elif path := path if equals else next(rest, ""):
            brittle.load_plugin(path)
        else:
            raise UserError("--plugin needs a file: --plugin my.py.")


def _of_system(error: OSError) -> str:
    """What the system refused, of a file or of the standard output: a full disk, a long name."""
    if error.errno is None:  # a library's, of something else
        raise error
    if error.filename is not None:
        return str(UserError(f"{error.filename}: {error.strerror}."))
    _discard_output()
    return f"the output could not be written: {error.strerror}."


def _discard_output() -> None:
    """Let what is left in the output's buffer go nowhere, so that Python doesn't try it again."""
    with open(os.devnull, "w") as nowhere:
        os.dup2(nowhere.fileno(), sys.stdout.fileno())


def tell(text: str) -> None:
    """Print a part of a command's answer."""
    typer.echo(printable(text))


def tell_batch(made: "brittle.Report[brittle.Batch]") -> None:
    """Print the table of a job on several photos; exit with 1 if any of them failed."""
    batch = made.found
    if len(batch.made) + len(batch.failed) > 1:
        tell(f"\n{made.text}")
    if batch.failed:
        raise typer.Exit(1)


def to_stderr(text: str) -> None:
    """Say what is no part of a command's answer."""
    typer.echo(printable(text), err=True)


app = typer.Typer(
    cls=Commands,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _say_version(asked: bool) -> None:
    if asked:
        tell(f"brittle {brittle.__version__}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_say_version, is_eager=True, help="Print the version and exit."
        ),
    ] = False,
    plugin: Annotated[
        Path | None,
        typer.Option(
            help="Load components from your own Python file, with any command. brittle runs the "
            "file. Repeatable."
        ),
    ] = None,
) -> None:
    """Measure whether a photo's protection against diffusion editing survives the world."""


Photos = Annotated[
    list[Path], typer.Argument(help="Photo files, or folders of them.", show_default=False)
]
Out = Annotated[Path, typer.Option("-o", "--out", help="A .png file or a folder.")]
Model = Annotated[
    str,
    typer.Option(
        help="`embedded`, a short name (`brittle models`), a diffusers folder, a .safetensors file "
        "or a hub id."
    ),
]
Mask = Annotated[
    str | None,
    typer.Option(
        help="A file (white may be edited), a folder of them, `alpha`, or `auto` for an ellipse."
    ),
]
Device = Annotated[
    str | None, typer.Option(help="cpu, cuda or mps; the best one there by default.")
]
Size = Annotated[
    int | None,
    typer.Option(
        min=16,
        help="The model sees a photo at up to this long side, in px; default: the model's own.",
    ),
]
MOST = 2**63 - 1
"""The largest seed of torch's generators."""
Seed = Annotated[int, typer.Option(min=0, max=MOST)]
Dtype = Annotated[
    str | None,
    typer.Option(
        help="float32, bfloat16 or float16; the autoencoder stays in float32, unless it is "
        "bfloat16:vae=bfloat16. With :compiled behind it torch compiles the denoiser, for minutes.",
    ),
]
Force = Annotated[bool, typer.Option("--force", help="Overwrite existing files (never an input).")]
Lossy = Annotated[
    bool, typer.Option("--lossy", help="Allow .jpg, .webp and .avif, which weaken protections.")
]
KeepMetadata = Annotated[
    bool, typer.Option("--keep-metadata", help="Keep EXIF data, including the GPS position.")
]
