"""The JSON schema of an audit, and the tables of its fields in docs/audit.md.

``python -m brittle.auditing.schemas`` rewrites both; a test holds them to the models.
"""

import json
from pathlib import Path
from typing import Any

from brittle.analysis.schemas import field_tables as of_trials
from brittle.analysis.schemas import table_of, with_tables
from brittle.auditing.document import Audit

SCHEMA = Path(__file__).parent / "schema" / "audit.schema.json"


def schema() -> dict[str, Any]:
    """The JSON schema of what ``brittle audit --json`` prints."""
    return Audit.model_json_schema(mode="serialization")


def field_tables() -> dict[str, str]:
    """A Markdown table of the fields of each part that isn't a part of a trial's summary too."""
    whole = schema()
    parts = {"Audit": whole, **whole["$defs"]}
    known = of_trials()
    return {
        name: table_of(part)
        for name, part in parts.items()
        if "properties" in part and name not in known
    }


def write(document: Path) -> None:
    """Write the schema, and the tables into a document."""
    SCHEMA.parent.mkdir(exist_ok=True)
    SCHEMA.write_text(json.dumps(schema(), indent=1) + "\n", encoding="utf-8")
    text = document.read_text(encoding="utf-8")
    document.write_text(with_tables(text, field_tables()), encoding="utf-8")


if __name__ == "__main__":
    write(Path("docs/audit.md"))
