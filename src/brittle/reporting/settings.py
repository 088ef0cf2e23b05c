"""A manifest in words: what a trial ran, with which model, device and code."""

from brittle.analysis.finished import Finished
from brittle.record.manifest import Manifest
from brittle.reporting.formatting import count, moment, transform_name


def settings(manifest: Manifest) -> list[tuple[str, str]]:
    """The manifest's short facts, in words."""
    model, code = manifest.model, manifest.code
    facts = [
        ("Edit model", model.name),
        ("Model's content hash", model.content_hash),
        ("Model's resolution", f"{model.size} px"),
        *_others(manifest),
        ("Device, number format", _joined(manifest.device, manifest.precision)),
        ("Rows a model call", str(manifest.batch)),
        ("brittle", _joined(code.get("version"), code.get("git") and f"git {code['git']}")),
        ("Safety checker", model.safety_checker),
        ("Begun", moment(manifest.created)),
    ]
    return [(name, value) for name, value in facts if value]


def _others(manifest: Manifest) -> list[tuple[str, str]]:
    """The trial's other models."""
    some = manifest.trial.trial.models_transforms if manifest.models else None
    after = "" if some is None else f", after: {_joined(*map(transform_name, some))}"
    return [
        (
            f"Also edits: {one.name}",
            f"content hash {one.content_hash}, {one.size} px, {one.batch} rows a call{after}",
        )
        for one in manifest.models
    ]


def facts(trial: Finished) -> list[str]:
    """The line under a report's title."""
    manifest, style = trial.manifest, trial.summary.style
    about = [count(trial.summary.n_photos, "photo")]
    if groups := trial.summary.n_groups:
        about = [f"{about[0]} in {count(groups, 'group')}"]
    if style:
        about = [
            count(len(style.collections), "collection"),
            f"{count(style.fine_tunes, 'fine-tune')} each",
            count(len(style.seeds), "seed"),
        ]
    return [
        *about,
        count(len(manifest.transforms), "transform"),
        count(len(manifest.prompts), "prompt"),
        *(f"model {one.name} ({one.size} px)" for one in (manifest.model, *manifest.models)),
        *([moment(manifest.created)] if manifest.created else []),
    ]


def _joined(*parts: str | None) -> str:
    return ", ".join(part for part in parts if part)
