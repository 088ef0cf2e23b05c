"""The command that lists what there is to choose from."""

from typing import Annotated

import typer

import brittle
from brittle.cli.app import app, tell

SINGULAR = {
    one.removesuffix("s"): one
    for one in ("protections", "transforms", "editors", "metrics", "models")
}


models = typer.Typer(help="List models, or fetch encoders by their short names.")
app.add_typer(models, name="models", invoke_without_command=True)


@models.callback()
def list_models(context: typer.Context) -> None:
    """List models, or fetch encoders by their short names.

    Example: brittle models
    """
    if context.invoked_subcommand is None:
        tell(brittle.describe("models"))


@models.command("fetch")
def fetch(
    names: Annotated[list[str], typer.Argument(help="sd1, sdxl, sd3, flux1, flux2.")],
) -> None:
    """Fetch encoders into the hub's cache, from where every command then reads them.

    Example: brittle models fetch sd1 flux1
    """
    for line in brittle.fetch_models(names):
        tell(line)


@app.command("list")
def list_(
    family: Annotated[
        str, typer.Argument(help=f"{', '.join(SINGULAR.values())}.", show_default=False)
    ],
) -> None:
    """List what there is to choose from, with parameters and sources.

    Example: brittle list transforms
    """
    tell(brittle.describe(SINGULAR.get(family, family)))
