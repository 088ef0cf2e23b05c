"""A manifest in words: with which model, device and code a trial ran."""

import json
from typing import Any

import yaml

from brittle.record.manifest import Manifest
from brittle.reporting.formatting import moment


def settings(manifest: Manifest) -> list[tuple[str, str]]:
    """The manifest's short facts, in words."""
    model, code = manifest.model, manifest.code
    facts = [
        ("Edit model", model.name),
        ("Model's content hash", model.content_hash),
        ("Model's resolution", f"{model.size} px"),
        ("Device, number format", _joined(manifest.device, manifest.dtype)),
        ("Rows a model call", str(manifest.batch)),
        ("brittle", _joined(code.get("version"), code.get("git") and f"git {code['git']}")),
        ("Safety checker", model.safety_checker),
        ("Begun", moment(manifest.created)),
    ]
    return [(name, value) for name, value in facts if value]


def _joined(*parts: str | None) -> str:
    return ", ".join(part for part in parts if part)


def as_yaml(data: Any) -> str:
    """Plain data as one would write it by hand."""
    return yaml.safe_dump(json.loads(json.dumps(data)), sort_keys=False, allow_unicode=True)
