"""The command that lists what there is to choose from."""

from typing import Annotated, Literal

import typer

from brittle.cli.app import app

Family = Literal["protections", "transforms", "editors", "metrics", "models"]


@app.command("list")
def list_(
    family: Annotated[Family, typer.Argument(help="What to list.", show_default=False)],
) -> None:
    """List what there is to choose from, with parameters and sources.

    Example: brittle list transforms
    """
    from brittle.catalogue import describe, strengths

    typer.echo(describe(family))
    if family == "protections":
        typer.echo(f"\n--epsilon sets how visible any of them is:\n{strengths()}")
