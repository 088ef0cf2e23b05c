"""What a plan and the machine that runs it say in a manifest."""

import platform
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import torch

from brittle.component import Component, load_plugin
from brittle.models import EditModel
from brittle.models.dtypes import named
from brittle.models.prompts import cut_prompts
from brittle.noise import derive_seed
from brittle.places import Hidden
from brittle.record.manifest import (
    SCHEMA_VERSION,
    Collection,
    ComponentEntry,
    Manifest,
    Model,
    OtherModel,
    PhotoEntry,
    Written,
)
from brittle.record.store import artifact
from brittle.sources.photos import notes_on
from brittle.trial.other_models import Work
from brittle.trial.tasks import Plan
from brittle.version import VERSION

PACKAGES = ("torch", "diffusers", "transformers", "pillow", "numpy", "scipy")
SAFETY_CHECKER = "never loaded: it blackens pictures, which would count as edits"


def manifest(
    plan: Plan,
    model: EditModel,
    notes: Iterable[str] = (),
    others: Sequence[Work] = (),
) -> Manifest:
    """Everything that one must know to make the trial's numbers again; ``others`` as `run_plan`."""
    from PIL import features

    said = declared(plan, [*notes, *notes_on(plan.trial)])
    said["editors"] += tuple(one for other, _ in others for one in _components(other.editors))
    if model.device.type == "cuda":  # as `load_model` sets it
        said["machine"]["tf32"] = "off" if model.dtype == torch.float32 else "convolutions"
    return Manifest(
        **said,
        codecs={
            "pillow": metadata.version("pillow"),
            "jpeg": features.version_codec("jpg"),
            "libjpeg-turbo": features.version_feature("libjpeg_turbo"),
        },
        device=str(model.device),
        dtype=named(model.dtype),
        attack_dtype=named(model.attack_dtype),
        vae_dtype=named(model.vae_dtype),
        compiled=model.precision.compiled,
        cut_prompts=_cut((plan, model), *others),
        model=Model(**_about(plan, model)),
        models=tuple(
            OtherModel(
                **_about(other, its_model),
                editors=tuple(other.editors),
                batch=other.batch,
                same_encoder=its_model.encoder_hashes == model.encoder_hashes,
                calibration=other.calibration and other.calibration.model_dump(),
            )
            for other, its_model in others
        ),
        photos=tuple(_photo(plan, name) for name in plan.photos),
        collections=tuple(_collections(plan)),
    ).published()


def _about(plan: Plan, model: EditModel) -> dict[str, Any]:
    said = {"revision": model.revision, "safety_checker": SAFETY_CHECKER}
    return plan.model._asdict() | said


def _cut(*works: Work) -> tuple[str, ...]:
    """The prompts that some model reads only the beginning of."""
    cut = [cut_prompts(model, plan.trial.prompts) for plan, model in works if model.edits]
    return tuple(dict.fromkeys(prompt for each in cut for prompt in each))


def hidden(plan: Plan) -> Hidden:
    """What stands in a plan's labels and reasons for the paths in its components' settings."""
    families = (plan.protections, plan.transforms, plan.editors, plan.metrics)
    return Hidden(one.record() for family in families for one in family.values())


def declared(plan: Plan, notes: Iterable[str]) -> dict[str, Any]:
    """What a manifest says of the declaration and of the code, whoever made the edits."""
    trial = plan.trial
    return {
        "schema_version": SCHEMA_VERSION,
        "title": trial.title,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "trial": Written(
            as_written=trial.model_dump(mode="json", exclude_unset=True),
            resolved=trial.model_dump(mode="json"),
        ),
        "primary": plan.primary,
        "notes": tuple(notes),
        "batch": plan.batch,
        "together": plan.together,
        "code": {"version": VERSION, "git": _git_commit()},
        "plugins": {Path(one).name: load_plugin(one) for one in trial.plugins},
        "packages": {package: metadata.version(package) for package in PACKAGES},
        "machine": {
            "python": platform.python_version(),
            "system": f"{platform.system()} {platform.machine()}",
            "threads": str(torch.get_num_threads()),
        },
        "arms": tuple(plan.arms.values()),
        "transforms": _components(plan.transforms),
        "editors": _components(plan.editors),
        "metrics": _components(plan.metrics),
        "calibration": plan.calibration.model_dump() if plan.calibration else None,
        "prompts": trial.prompts,
    }


def _photo(plan: Plan, name: str) -> PhotoEntry:
    of = plan.photos[name]
    # The noise of what a model generates after learning belongs to collections.
    seeds = () if plan.learns else (*plan.trial.seeds, *plan.trial.floor_seeds)
    return PhotoEntry(
        name=name,
        digest=of.digest,
        width=of.image.shape[-1],
        height=of.image.shape[-2],
        credit=of.credit,
        group=of.group,
        notes=of.photo.notes,
        source_format=of.photo.source_format,
        jpeg_traces=of.photo.jpeg_traces,
        mask=None if of.mask_key is None else artifact(of.mask_key).as_posix(),
        seeds={str(seed): derive_seed(seed, of.digest) for seed in seeds},
    )


def _collections(plan: Plan) -> Iterable[Collection]:
    for subject in plan.subjects.values() if plan.learns else ():
        seeds = {str(seed): derive_seed(seed, subject.digest) for seed in plan.trial.seeds}
        yield Collection(name=subject.name, pictures=subject.pictures, seeds=seeds)


def _components(components: Mapping[str, Component]) -> tuple[ComponentEntry, ...]:
    return tuple(
        ComponentEntry(label=label, record=one.record()) for label, one in components.items()
    )


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
