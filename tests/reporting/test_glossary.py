"""The glossary: one list, for all pages and for the document."""

from pathlib import Path

from brittle.declaration.primary import Margins
from brittle.reporting.glossary import document, glossary


def test_the_document_is_made_from_the_list() -> None:
    written = Path(__file__).parents[2] / "docs" / "glossary.md"
    assert written.read_text(encoding="utf-8") == document()


def test_every_term_is_said_once() -> None:
    terms = [one.term for one in glossary()]
    assert len(terms) == len(set(terms))


def test_a_page_has_its_own_terms() -> None:
    photos, audit = ({one.term for one in glossary(page)} for page in ("photos", "audit"))
    assert "Retention" in photos - audit
    assert "Shift" in audit - photos
    assert "Usable edit" in photos & audit


def test_numbers_are_the_margins() -> None:
    (term,) = [
        one for one in glossary(margins=Margins(broken=0.4)) if one.term.startswith("Broken")
    ]
    assert term.text.startswith("Less than 40\u00a0% of the effect")
