"""Writes the model card from what was measured; its sheets are made by ``card_sheets``.

python -m training.card --config training/config.yaml [--set evaluate.editor=instruct]
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from safetensors import safe_open

from brittle.editors import Instruct
from brittle.networks.prompt_classes import PROMPT_CLASSES
from training.config import Config, from_command_line
from training.data import load_photos
from training.evaluate import ROW_LOOKS, SECTIONS, results, sections_of
from training.latents import Cache
from training.tables import Measured, tables
from training.teacher import LATENT_CHANNELS

HERE = Path(__file__).parent


def read(file: Path) -> dict[str, Any]:
    """A JSON file, or nothing where there is none yet."""
    return json.loads(file.read_text()) if file.exists() else {}


def confusion_table(about: dict[str, Any]) -> str:
    """The classifier's counts as markdown."""
    names = about.get("names", [])
    lines = ["| | " + " | ".join(names) + " |", "|---" * (len(names) + 1) + "|"]
    for name, counts in zip(names, about.get("confusion", []), strict=True):
        lines.append(f"| {name} | " + " | ".join(map(str, counts)) + " |")
    return "\n".join(lines)


def missing(measured: Measured, sections: Sequence[str]) -> str:
    """Says which sections nobody has measured for these weights, and at which sizes."""
    left = {
        size: [name for name in sections if not found.get(name)] for size, found in measured.items()
    }
    texts = [f"at {size} px {', '.join(names)}" for size, names in left.items() if names]
    return f"\n\n**Not measured for these weights:** {'; '.join(texts)}." if texts else ""


def weigh(folder: Path) -> tuple[int, int]:
    """Parameters in all .safetensors files of ``folder``, and the bytes of all its files."""
    parameters = 0
    for file in folder.rglob("*.safetensors"):
        with safe_open(file, "pt") as opened:
            parameters += sum(math.prod(opened.get_slice(n).get_shape()) for n in opened.keys())  # noqa: SIM118
    return parameters, sum(p.stat().st_size for p in folder.rglob("*") if p.is_file())


def read_measured(config: Config) -> Measured:
    """All sections that were measured of the editor, by size."""
    folder = results(config)
    return {
        size: {
            name: found for name in SECTIONS if (found := read(folder / str(size) / f"{name}.json"))
        }
        for size in config.evaluate.sizes
    }


def write_card(config: Config) -> Path:
    """Fills ``card.md``; the limits are written by hand in ``limits.md``."""
    work = config.work
    measured = read_measured(config)
    parts = {name: read(work / f"{name}.json") for name in
             ("encoder", "decoder", "denoiser", "classifier")}  # fmt: skip
    counts = Counter((p.source, p.licence) for p in load_photos(config.photos, "train"))
    photos = "; ".join(f"{source}: {n} ({licence})" for (source, licence), n in counts.items())
    weights, size = weigh(config.export)
    fields: dict[str, Any] = {
        "parameters": f"{weights / 1e6:.1f} M",
        "megabytes": f"{size / 1e6:.1f}",
        "looks": ", ".join(PROMPT_CLASSES),
        "recommended": json.dumps(config.recommended["img2img"]),
        "r2": ", ".join(f"{k} {v:.2f}" for k, v in parts["encoder"].get("r2", {}).items()),
        "right": f"{parts['classifier'].get('right', 0):.1%}",
        "seed": config.seed,
        "photos": f"Training photos: {photos}",
        "tables": tables(measured) + missing(measured, sections_of(config)),
        "confusion": confusion_table(parts["classifier"]),
        "looks_of_usable": ", ".join(ROW_LOOKS),
        "limits": (HERE / "limits.md").read_text().strip(),
    }
    for name in ("encoder", "decoder", "denoiser"):
        fields[f"{name}_minutes"] = round(parts[name].get("minutes", 0))
        fields[f"{name}_steps"] = parts[name].get("step", 0)
    card = config.export / "README.md"
    card.write_text((HERE / "card.md").read_text().format(**fields))
    return card


def write_instructed_card(config: Config) -> Path:
    """Fills ``card_instruct.md``, of the second editor."""
    settings, about = config.instruct, read(config.work / "instruct.json")
    cache = Cache.load(config.work / "latents", "train")
    weights, size = weigh(settings.export)
    shares = ("no_caption", "plain_caption", "no_source")
    measured = read_measured(config)
    fields = {
        "parameters": f"{weights / 1e6:.1f} M",
        "megabytes": f"{size / 1e6:.1f}",
        "looks": ", ".join(PROMPT_CLASSES),
        "recommended": json.dumps(settings.recommended),
        "channels": ", ".join(map(str, settings.channels)),
        "inputs": 2 * LATENT_CHANNELS,
        **{name: f"{getattr(settings, name):.0%}" for name in shares},
        "minutes": round(about["minutes"]),
        "steps": about["step"],
        "batch": settings.batch,
        "loss": f"{about['loss']:.3f}",
        "photos": len(cache.indices),
        "pictures": cache.looks.shape[1],
        "seed": config.seed,
        "tables": tables(measured) + missing(measured, sections_of(config)),
        "limits": (HERE / "limits_instruct.md").read_text().strip(),
    }
    card = settings.export / "README.md"
    card.write_text((HERE / "card_instruct.md").read_text().format(**fields))
    return card


if __name__ == "__main__":
    settings = from_command_line(__doc__ or "")
    second = settings.evaluate.editor == Instruct.name
    print((write_instructed_card if second else write_card)(settings))
