"""A griffe extension for the site: examples in docstrings become blocks of code."""

import re
from typing import Any

from griffe import Extension, Object

BLOCK = re.compile(r"^>>> .*(?:\n.+)*", re.MULTILINE)


class DoctestBlocks(Extension):
    """Fences each run of lines that begins with ``>>>``."""

    def on_object(self, *, obj: Object, **_: Any) -> None:
        """Rewrite an object's docstring before it is parsed."""
        if obj.docstring:
            obj.docstring.value = BLOCK.sub(r"```pycon\n\g<0>\n```", obj.docstring.value)
