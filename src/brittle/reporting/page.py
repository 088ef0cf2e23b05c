"""One way to make a page: a template, styles and a script of the package, nothing from afar."""

import base64
import hashlib
from importlib import resources
from typing import Any

from jinja2 import Environment, FunctionLoader, StrictUndefined
from markupsafe import Markup

from brittle.reporting import formatting


def render_page(template: str, *, styles: tuple[str, ...], script: str = "", **values: Any) -> str:
    """A page as text; every value is escaped, and only the named script may run.

    The template gets ``style``, ``script`` and ``policy`` (for the Content-Security-Policy),
    ``values``, and the functions that write numbers and names.
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
    return environment.get_template(template).render(
        style=Markup("\n".join(map(_resource, styles))),
        script=Markup(code),
        policy=Markup(policy),
        **values,
    )


def _resource(name: str) -> str:
    return resources.files("brittle.reporting").joinpath(name).read_text(encoding="utf-8")
