"""What the words of reports mean: one list for all pages and for docs/glossary.md.

``python -c "from brittle.reporting.glossary import write; write()"`` rewrites the document; a test
holds it to the list.
"""

from importlib import resources
from pathlib import Path
from typing import Literal, NamedTuple

from pydantic import TypeAdapter

from brittle.data import Data
from brittle.declaration.primary import Margins
from brittle.reporting.formatting import hundred, number, percent
from brittle.safe_yaml import read_yaml

Page = Literal[
    "photos",
    "collections",
    "comparison",
    "audit",
    "audit of many",
    "audit of reduced photos",
]
DOCUMENT = Path("docs/glossary.md")
HEAD = """# Glossary

One term for one thing, in reports, documents and code. A report's "What the words mean" has the
terms that its page uses. Numbers are the default margins; a report has those of its trial.
"""


class _Entry(Data):
    term: str
    pages: tuple[Page, ...]
    text: str


class Term(NamedTuple):
    """A term and its meaning."""

    term: str
    text: str


def glossary(*pages: Page, margins: Margins | None = None) -> list[Term]:
    """The terms of some pages, or of all, with the margins where verdicts' words begin."""
    found = margins or Margins()
    numbers = {
        "protected": number(found.protected),
        "broken": percent(found.broken),
        "survived": percent(found.survived),
        "closed": hundred(found.closed),
    }
    return [
        Term(entry.term, entry.text.format(**numbers))
        for entry in _entries()
        if not pages or set(pages) & set(entry.pages)
    ]


def document() -> str:
    """The text of docs/glossary.md."""
    return HEAD + "".join(f"\n**{term}.** {text}\n" for term, text in glossary())


def write() -> None:
    """Write docs/glossary.md, from the project's folder."""
    DOCUMENT.write_text(document(), encoding="utf-8")


def _entries() -> list[_Entry]:
    text = resources.files("brittle.reporting").joinpath("glossary.yaml").read_text("utf-8")
    return TypeAdapter(list[_Entry]).validate_python(read_yaml(text))
