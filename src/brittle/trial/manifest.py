"""The manifest: everything that one must know to make a trial's numbers again."""

import platform
import subprocess
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from brittle.component import Component, registry
from brittle.models import EditModel
from brittle.noise import derive_seed
from brittle.protections import Protection
from brittle.record.store import SCHEMA_VERSION, Store
from brittle.trial.collections import CollectionPlan
from brittle.trial.work import Plan
from brittle.version import VERSION

PACKAGES = ("torch", "diffusers", "transformers", "kornia", "pillow", "numpy", "scipy")


def manifest(plan: Plan, model: EditModel, notes: Iterable[str]) -> dict[str, Any]:
    """Everything that one must know to make the trial's numbers again."""
    from PIL import features

    return {
        **environment(plan, notes),
        "codecs": {
            "pillow": metadata.version("pillow"),
            "jpeg": features.version_codec("jpg"),
            "libjpeg-turbo": features.version_feature("libjpeg_turbo"),
        },
        "device": str(model.device),
        "dtype": str(model.dtype).removeprefix("torch."),
        "attack_dtype": str(model.attack_dtype).removeprefix("torch."),
        "model": vars(plan.model)
        | {"safety_checker": "never loaded: it blackens pictures, which would count as edits"},
        "photos": [_photo(plan, name) for name in plan.photos],
        "arms": [_arm(plan, label) for label in plan.arms],
        **_collections(plan),
    }


def environment(plan: Plan, notes: Iterable[str]) -> dict[str, Any]:
    """What a manifest says of the declaration and of the code, whoever made the edits."""
    trial = plan.trial
    return {
        "schema_version": SCHEMA_VERSION,
        "title": trial.title,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "trial": {
            "as_written": trial.model_dump(mode="json", exclude_unset=True),
            "resolved": trial.model_dump(mode="json"),
        },
        "primary": plan.primary.model_dump(mode="json"),
        "notes": list(notes),
        "batch": plan.batch,
        "code": {"version": VERSION, "git": _git_commit()},
        "packages": {package: metadata.version(package) for package in PACKAGES},
        "machine": {"python": platform.python_version(), "system": platform.platform()},
        "transforms": _records(plan.transforms),
        "editors": _records(plan.editors),
        "metrics": _records(plan.metrics),
        "calibration": plan.calibration.model_dump() if plan.calibration else None,
        "prompts": list(trial.prompts),
    }


def _photo(plan: Plan, name: str) -> dict[str, Any]:
    of = plan.photos[name]
    seeds = (*plan.trial.seeds, *plan.trial.floor_seeds)
    if isinstance(plan, CollectionPlan):
        seeds = ()  # which belong to collections
    return {
        "name": name,
        "digest": of.digest,
        "width": of.image.shape[-1],
        "height": of.image.shape[-2],
        "credit": of.credit,
        "notes": list(of.photo.notes),
        "source_format": of.photo.source_format,
        "jpeg_traces": of.photo.jpeg_traces,
        "mask": None if of.mask_key is None else Store.artifact(of.mask_key).as_posix(),
        "seeds": {str(seed): derive_seed(seed, of.digest) for seed in seeds},
    }


def _collections(plan: Plan) -> dict[str, Any]:
    """What learning was about, in trials over collections."""
    if not isinstance(plan, CollectionPlan):
        return {}
    described = [
        {
            "name": name,
            "pictures": list(pictures),
            "seeds": {str(seed): plan.seed(name, seed) for seed in plan.trial.seeds},
        }
        for name, pictures in plan.collections.items()
    ]
    return {"collections": described}


def _arm(plan: Plan, label: str) -> dict[str, Any]:
    kind = plan.kind(label)
    if kind == "protection":
        name = plan.trial.written_out(label).partition(":")[0]
        component: Component = plan.protections[label]
        preset = registry(Protection.family).presets.get(name)
        source = preset.source if preset else component.source
    elif kind == "placebo":
        component = plan.placebos[label]
        source = component.source
    else:
        return {"label": label, "kind": kind}
    return {"label": label, "kind": kind, "record": component.record(), "source": source}


def _records(components: Mapping[str, Component]) -> list[dict[str, Any]]:
    return [{"label": label, "record": one.record()} for label, one in components.items()]


def _git_commit() -> str | None:
    """The commit of the checkout that runs, with "+" where it was changed; None outside of one."""
    here = Path(__file__)

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(here.parent), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    try:
        git("ls-files", "--error-unmatch", here.name)
        return git("rev-parse", "HEAD") + ("+" if git("status", "--porcelain", "--", "..") else "")
    except (OSError, subprocess.CalledProcessError):
        return None
