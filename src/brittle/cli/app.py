"""The application that every command registers with, and the options that commands share."""

from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

import brittle
from brittle.errors import UserError


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


def to_stderr(text: str) -> None:
    """Say what is no part of a command's answer."""
    typer.echo(text, err=True)


app = typer.Typer(
    cls=Commands,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _say_version(asked: bool) -> None:
    if asked:
        typer.echo(f"brittle {brittle.__version__}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_say_version, is_eager=True, help="Say the version."),
    ] = False,
) -> None:
    """Does the protection of a photo against diffusion editing survive the world?"""


Photos = Annotated[list[Path], typer.Argument(help="Photo files.", show_default=False)]
Out = Annotated[Path, typer.Option("-o", "--out", help="A .png file, or a folder.")]
Model = Annotated[
    str,
    typer.Option(
        help="`embedded`, an encoder's short name (`brittle models`), a diffusers folder, a file, "
        "or a hub id."
    ),
]
Mask = Annotated[
    str | None, typer.Option(help="File (white: may be edited), `alpha`, or `auto`: an ellipse.")
]
Device = Annotated[
    str | None, typer.Option(help="cpu, cuda, mps …; chosen by itself if not given.")
]
Size = Annotated[
    int | None,
    typer.Option(
        min=16, help="Long side in px up to which the model sees a photo; its own if not given."
    ),
]
Dtype = Annotated[str | None, typer.Option(help="float32, bfloat16 or float16.")]
Force = Annotated[bool, typer.Option("--force", help="Overwrite what is there (never an input).")]
Lossy = Annotated[
    bool, typer.Option("--lossy", help="Allow .jpg, .webp or .avif, which undo protections.")
]
KeepMetadata = Annotated[
    bool, typer.Option("--keep-metadata", help="Keep EXIF, GPS position included.")
]
