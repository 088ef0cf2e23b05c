"""Files that are whole or absent: written beside their place and renamed."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from safetensors.torch import save_file
from torch import Tensor


def write_tensors(
    path: Path, tensors: dict[str, Tensor], metadata: dict[str, str] | None = None
) -> None:
    """Saves ``tensors`` as safetensors, atomically."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    save_file({name: value.contiguous() for name, value in tensors.items()}, partial, metadata)
    os.replace(partial, path)


def write_json(path: Path, content: Any) -> None:
    """Saves ``content`` as JSON, atomically."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    partial.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n")
    os.replace(partial, path)
