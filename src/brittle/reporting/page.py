"""One way to make a page: a template, styles and a script of the package, nothing from afar."""

import base64
import hashlib
import json
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Any

import yaml
from jinja2 import Environment, FunctionLoader, StrictUndefined
from markupsafe import Markup

from brittle.errors import UserError
from brittle.reporting import formatting
from brittle.reporting.glossary import Term

OURS, HEAD_BYTES = b'<meta name="generator" content="brittle">', 2**12
"""What pages of brittle's have among their first bytes."""


def render_page(
    template: str, *, script: str = "", glossary: Sequence[Term] = (), **values: Any
) -> str:
    """A page as text; every value is escaped, and only the named script may run.

    The template gets the ``style`` sheet, the ``script``, the ``policy`` (for the
    Content-Security-Policy), the ``glossary``, ``values``, and the functions that write numbers and
    names.
    """
    code = _resource(script) if script else ""
    digest = base64.b64encode(hashlib.sha256(code.encode()).digest()).decode()
    policy = (
        "default-src 'none'; img-src data: 'self' file:; style-src 'unsafe-inline'; "
        f"script-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    )
    environment = Environment(
        loader=FunctionLoader(_resource),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.globals |= {name: getattr(formatting, name) for name in formatting.__all__}
    environment.globals["as_yaml"] = _as_yaml
    return environment.get_template(template).render(
        style=Markup(_resource("report.css")),
        script=Markup(code),
        policy=Markup(policy),
        glossary=glossary,
        contents=(),
        **values,
    )


def check_page(path: Path) -> None:
    """Refuse to write a page in the place of a file that is no page of brittle's.

    Raises:
        UserError: so it is.
    """
    try:
        with path.open("rb") as file:
            ours = OURS in file.read(HEAD_BYTES)
    except FileNotFoundError:
        return
    except OSError:
        ours = False
    if not ours:
        raise UserError(f"{path} exists, and brittle didn't write it: name another with -o.")


def _as_yaml(data: Any) -> str:
    """Plain data as one would write it by hand."""
    return yaml.safe_dump(json.loads(json.dumps(data)), sort_keys=False, allow_unicode=True)


def _resource(name: str) -> str:
    folder = resources.files("brittle.reporting") / "templates"
    return folder.joinpath(name).read_text(encoding="utf-8")
