"""JSON schemas and field tables of what a trial writes, made from the models that read it.

``python -m brittle.analysis.schemas`` rewrites the files in ``schema/`` and the tables in
docs/results.md; a test holds both to the models.
"""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from brittle.analysis.summary import Summary
from brittle.record.rows import Row

FOLDER = Path(__file__).parent / "schema"
MARK = re.compile(r"(<!-- fields of (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)


def schemas() -> dict[str, dict[str, Any]]:
    """Make the schemas, by file name: a row of ``results.csv``, and the summary."""
    return {
        "results-row.schema.json": TypeAdapter(Row).json_schema(),
        "summary.schema.json": Summary.model_json_schema(mode="serialization"),
    }


def field_tables() -> dict[str, str]:
    """Make a Markdown table of the fields of each part of all files, by the part's name."""
    row, summary = schemas().values()
    parts = {"Row": row, "Summary": summary, **summary["$defs"]}
    return {name: table_of(part) for name, part in parts.items() if "properties" in part}


def table_of(schema: dict[str, Any]) -> str:
    """A Markdown table of a schema's fields."""
    lines = ["| field | type | meaning |", "|---|---|---|"]
    for name, field in schema["properties"].items():
        meaning = " ".join(field.get("description", "").split()).replace("|", "\\|")
        lines.append(f"| `{name}` | {_type(field)} | {meaning} |")
    return "\n".join(lines) + "\n"


def _type(field: dict[str, Any]) -> str:
    if "$ref" in field:
        return str(field["$ref"].rpartition("/")[2])
    if "anyOf" in field:
        return " or ".join(_type(option) for option in field["anyOf"])
    if "enum" in field:
        return ", ".join(f"`{value}`" for value in field["enum"])
    if "prefixItems" in field:
        return "pair of " + _type(field["prefixItems"][0]) + "s"
    if field.get("type") == "array":
        return "list of " + _type(field["items"])
    if field.get("type") == "object":
        values = field.get("additionalProperties")
        return f"object of {_type(values)}" if isinstance(values, dict) else "object"
    names = {"string": "text", "boolean": "true or false", "integer": "whole number"}
    return names.get(str(field.get("type")), str(field.get("type", "")))


def with_tables(text: str, tables: Mapping[str, str]) -> str:
    """Fill the tables into a document, between their marks."""
    return MARK.sub(lambda match: match[1] + tables[match[2]] + match[3], text)


def write(document: Path) -> None:
    """Write the schemas, and the tables into a document."""
    FOLDER.mkdir(exist_ok=True)
    for name, schema in schemas().items():
        (FOLDER / name).write_text(json.dumps(schema, indent=1) + "\n", encoding="utf-8")
    document.write_text(
        with_tables(document.read_text(encoding="utf-8"), field_tables()), encoding="utf-8"
    )


if __name__ == "__main__":
    write(Path("docs/results.md"))
