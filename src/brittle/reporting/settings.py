"""A manifest in words: with which model, device and code a trial ran."""

import json
from collections.abc import Mapping
from typing import Any

import yaml

from brittle.reporting import formatting as words
from brittle.reporting.source import Folder


def settings(source: Folder) -> list[tuple[str, str]]:
    """The manifest's short facts, in words."""
    manifest, model = source.manifest, mapping(source.manifest.get("model"))
    code = mapping(manifest.get("code"))
    facts = [
        ("Edit model", str(model.get("name", ""))),
        ("Model's content hash", str(model.get("content_hash", ""))),
        ("Model's resolution", f"{model['size']} px" if "size" in model else ""),
        ("Model's licence", str(model.get("license") or model.get("license_note") or "")),
        ("Device, number format", _joined(manifest.get("device"), manifest.get("dtype"))),
        ("Rows a model call", str(manifest.get("batch") or "")),
        ("brittle", _joined(code.get("version"), code.get("git") and f"git {code['git']}")),
        ("Safety checker", str(model.get("safety_checker") or "")),
        ("Begun", words.moment(manifest.get("created") or "")),
    ]
    return [(name, value) for name, value in facts if value]


def _joined(*parts: Any) -> str:
    return ", ".join(str(part) for part in parts if part)


def mapping(value: Any) -> Mapping[str, Any]:
    """The value where it is a mapping, else an empty one."""
    return value if isinstance(value, Mapping) else {}


def as_yaml(data: Any) -> str:
    """Plain data as one would write it by hand."""
    return yaml.safe_dump(json.loads(json.dumps(data)), sort_keys=False, allow_unicode=True)
