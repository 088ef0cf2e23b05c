"""Whether a folder goes on with a trial: what must be the same, and what is taken as it was begun.

Versions add fields and change defaults; a folder that a former one began goes on all the same.
"""

from typing import Any

from pydantic import ValidationError

from brittle.declaration.trial import Trial, make_trial
from brittle.record.manifest import MANIFEST, PLACES, Manifest, Model, PhotoEntry

MAY_DIFFER = (
    *("title", "metrics", "threat_model", "not_tried", "batch", "plugins", "files", "models"),
    *PLACES,
)
"""Fields of a trial that a folder may see change: all others would mix two trials. What lies at a
place is compared by its content: photos, masks, plugins, and the models' files; given files are a
part of the keys of all that is made of them."""


def as_begun(trial: Trial, found: Manifest) -> Trial:
    """The trial with the folder's values in those fields that neither of the two names."""
    named = {*found.trial.as_written, *trial.model_fields_set, "primary", *MAY_DIFFER}
    now = trial.model_dump(mode="json")
    kept = {
        field: value
        for field, value in _of_today(found.trial.resolved).items()
        if field not in named and now.get(field, value) != value
    }
    if not kept:
        return trial
    return make_trial({**trial.model_dump(exclude_unset=True), **kept}, MANIFEST)


def differing(found: Manifest, wanted: Manifest) -> list[str]:
    """The parts in which two manifests are of different trials."""
    parts = {
        "photos": [_identity(one) for one in found.photos]
        != [_identity(one) for one in wanted.photos],
        "model": _identity(found.model) != _identity(wanted.model),
        "models": [*map(_identity, found.models)] != [*map(_identity, wanted.models)],
        "primary": found.primary != wanted.primary,
        "plugins": found.plugins != wanted.plugins,
        "vae_dtype": found.vae_dtype not in ("", wanted.vae_dtype),
        "compiled": found.compiled != wanted.compiled,
    }
    fields = differing_fields(found.trial.resolved, wanted.trial.resolved)
    return list(dict.fromkeys([*fields, *(part for part, differs in parts.items() if differs)]))


def differing_fields(found: dict[str, Any], wanted: dict[str, Any]) -> list[str]:
    """The fields in which two trials, with all defaults, differ, of those that may not."""
    was, will = _of_today(found), _of_today(wanted)
    fields = sorted({*was, *will} - set(MAY_DIFFER))
    return [field for field in fields if was.get(field) != will.get(field)]


def _of_today(resolved: dict[str, Any]) -> dict[str, Any]:
    """A trial with the defaults of fields that did not exist when it was written down."""
    try:
        return Trial.model_validate(resolved).model_dump(mode="json")
    except ValidationError:
        return resolved


def _identity(of: Model | PhotoEntry) -> dict[str, Any]:
    """What results depend on: not what is said of it, which may be in other words today."""
    if isinstance(of, Model):
        return of.model_dump(include={"content_hash", "dtype", "size", "editors"})
    return of.model_dump(include={"name", "digest", "width", "height", "mask", "seeds"})
