"""The command that lists what there is to choose from."""

from typing import Annotated, Literal

import typer

import brittle
from brittle.cli.app import app

Family = Literal["protections", "transforms", "editors", "metrics", "models"]


@app.command("list")
def list_(
    family: Annotated[Family, typer.Argument(help="What to list.", show_default=False)],
) -> None:
    """List what there is to choose from, with parameters and sources.

    Example: brittle list transforms
    """
    typer.echo(brittle.describe(family))
