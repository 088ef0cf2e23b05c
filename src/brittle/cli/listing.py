"""The commands that list components and models, and fetch encoders."""

from typing import Annotated

import typer

import brittle
from brittle.cli.app import app, tell

SINGULAR = {
    one.removesuffix("s"): one
    for one in ("protections", "transforms", "editors", "metrics", "models")
}


models = typer.Typer(help="List models, or download encoders by their short names.")
app.add_typer(models, name="models", invoke_without_command=True)


@models.callback()
def list_models(context: typer.Context) -> None:
    """List models, or download encoders by their short names.

    Example: brittle models
    """
    if context.invoked_subcommand is None:
        tell(brittle.describe("models"))


@models.command("fetch")
def fetch(
    names: Annotated[list[str], typer.Argument(help="sd1, sdxl, sd3, flux1, flux2.")],
) -> None:
    """Download encoders into the hub's cache, where every command finds them.

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
    """List protections, transforms, editors, metrics or models, with parameters and sources.

    Example: brittle list transforms
    """
    tell(brittle.describe(SINGULAR.get(family, family)))
