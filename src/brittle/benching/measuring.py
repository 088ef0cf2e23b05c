"""From a finished trial of a bench to its entry."""

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import TypeAdapter

from brittle.analysis.finished import Finished
from brittle.analysis.intervals import mean_interval
from brittle.analysis.summary import Flag, Interval, WorstCase
from brittle.analysis.verdicts import MAX_MISSING
from brittle.benching.declaration import Submission
from brittle.benching.entry import Entry, HalfLeft, Measured, Reported
from brittle.budgets.perceptual import over_tiles
from brittle.component import key, name_of, registry
from brittle.errors import Unavailable
from brittle.images import from_png
from brittle.metrics import PSNR, STLPIPS, Metric
from brittle.protections import Protection
from brittle.record.arms import ORIGINAL
from brittle.record.record import Record
from brittle.safe_yaml import read_yaml

ALPHA = 0.025
LINE = "oracle"
"""The worst case that stands in the table: chosen for each photo with the original at hand, but
never by what it is scored on."""
ONE_EDITOR = "missing: the bench has one editor"
PLUGIN = "brittle_plugin_"
"""How the modules of plugins are called; behind it stands the digest of the file."""


def measure(
    trial: Finished, levels: Mapping[str, str], budgets: Mapping[str, str]
) -> tuple[Measured, ...]:
    """The numbers of each arm; ``levels`` and ``budgets`` are by arm and by level."""
    return tuple(_measured(trial, arm, level, budgets) for arm, level in levels.items())


def _measured(trial: Finished, arm: str, level: str, budgets: Mapping[str, str]) -> Measured:
    summary = trial.summary
    cases = {one.arm: one for one in summary.worst_cases if one.line == LINE}
    worst = cases.get(arm)
    noise = trial.compared(arm).get("placebo", "")
    effects = {one.label: summary.effect(arm, one.label) for one in trial.manifest.transforms}
    reaches = {transform: effect and effect.reach for transform, effect in effects.items()}
    life = summary.jpeg_half_life(arm)
    transfer, transfer_reason = _transfer(trial, arm)
    flags = [flag for flag in summary.flags if flag.arm in (None, arm)]
    return Measured(
        level=level,
        arm=arm,
        budget=budgets.get(level, ""),
        st_lpips=_visible(trial.record, arm, STLPIPS()),
        psnr=_visible(trial.record, arm, PSNR()),
        worst=None if worst is None else worst.reach,
        worst_reason="no transform was tried" if worst is None else worst.effect_reason,
        worst_chosen={} if worst is None else worst.effect_chosen,
        transforms=0 if worst is None else worst.transforms,
        before=reaches.pop("none"),
        after=reaches,
        usable=_usable(worst),
        usable_noise=_usable(cases.get(noise)),
        usable_original=_usable(cases.get(ORIGINAL)),
        usable_reason="no transform was tried" if worst is None else worst.usable_reason,
        jpeg=None
        if life is None
        else HalfLeft(low=life.low, high=life.high, sentence=life.sentence),
        transfer=transfer,
        transfer_reason=transfer_reason,
        flags=tuple(dict.fromkeys(flag.name for flag in flags)),
        withheld=_withheld(flags, summary.missing.share),
    )


def _withheld(flags: Iterable[Flag], missing: float) -> str:
    """Why nothing is concluded, by the rules of verdicts; empty where something is."""
    stopping = dict.fromkeys(flag.name for flag in flags if flag.stops_verdict)
    if missing > MAX_MISSING:
        stopping["numbers missing"] = None
    return ", ".join(stopping)


def _usable(case: WorstCase | None) -> Interval | None:
    return None if case is None else case.usable


def _transfer(trial: Finished, arm: str) -> tuple[Interval | None, str]:
    """Reach in the first editor that doesn't decide, or why there is none."""
    others = [one.label for one in trial.manifest.editors if one.label != trial.editor]
    if not others:
        return None, ONE_EDITOR
    effect = trial.summary.effect(arm, "none", editor=others[0])
    reach = None if effect is None else effect.reach
    return reach, "" if reach else f"{others[0]} has no reach"


def _visible(record: Record, arm: str, metric: Metric) -> Interval | None:
    """How far published files are from their photos; None where the metric can't be had."""
    try:
        found = [
            float(over_tiles(metric.score, from_png(protected), from_png(original)))
            for original, protected in _published(record, arm)
        ]
    except Unavailable:
        return None
    return mean_interval(np.array(found), ALPHA)


def _published(record: Record, arm: str) -> Iterator[tuple[bytes, bytes]]:
    """Each photo and its published file, as PNGs; those that are damaged are left out."""
    of: dict[str, dict[str, str | None]] = {ORIGINAL: {}, arm: {}}
    for entry in record.index:
        if entry.arm in of and entry.transform == "none":
            of[entry.arm][entry.image] = entry.released
    for image, released in of[arm].items():
        pair = record.picture(of[ORIGINAL].get(image)), record.picture(released)
        if pair[0] is not None and pair[1] is not None:
            yield pair[0], pair[1]


def make_entry(trial: Finished, of: Submission, bundle: Path, *, by: str = "") -> Entry:
    """The entry of a finished trial, whose ``bundle`` was written."""
    name = name_of(of.protection)
    one = next((Protection.from_record(one) for one in _records(trial).values() if one), None)
    preset = registry(Protection.family).presets.get(name) if one else None
    return Entry(
        protection=of.protection,
        source=preset.source if preset else one.source if one else "files that another tool made",
        plugin="" if one is None else _plugin(one),
        cost="not known" if one is None else one.cost,
        bench=of.bench.name,
        bench_version=of.bench.version,
        results=measure(trial, of.levels, of.bench.levels),
        reported=reported(name),
        measured_by=by,
        bundle_sha256=digest_of(bundle),
        **told(trial),
    )


def told(trial: Finished) -> dict[str, Any]:
    """What a trial itself says of the fields of its entry, beside the numbers."""
    manifest = trial.manifest
    return {
        "records": _records(trial),
        "setting": manifest.trial.as_written,
        "model": manifest.model.name,
        "model_hash": manifest.model.content_hash,
        "size": manifest.model.size,
        "photos": len(manifest.photos),
        "photos_key": key(sorted(photo.digest for photo in manifest.photos)),
        "version": manifest.code.get("version") or "",
        "commit": manifest.code.get("git") or "",
        "device": manifest.device.partition(":")[0],
        "measured": manifest.created,
    }


def _records(trial: Finished) -> dict[str, dict[str, Any] | None]:
    """By arm, the record of each protection; None where its files were made elsewhere."""
    arms = [arm for arm in trial.manifest.arms if arm.kind == "protection"]
    return {arm.label: None if arm.record is None else dict(arm.record) for arm in arms}


def digest_of(bundle: Path) -> str:
    """The SHA-256 of a bundle, 64 hexadecimal digits."""
    with bundle.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _plugin(protection: Protection) -> str:
    module = type(protection).__module__
    return module.removeprefix(PLUGIN) if module.startswith(PLUGIN) else ""


def reported(protection: str) -> tuple[Reported, ...]:
    """What was published of a protection, by its preset's or its own name."""
    text = resources.files("brittle.benching").joinpath("reported.yaml").read_text("utf-8")
    known = TypeAdapter(dict[str, tuple[Reported, ...]]).validate_python(read_yaml(text))
    return known.get(protection, ())


def remeasured(trial: Finished, entry: Entry) -> tuple[Measured, ...]:
    """The numbers of an entry, computed again from the trial that it claims."""
    budgets = {one.level: one.budget for one in entry.results}
    return measure(trial, {one.arm: one.level for one in entry.results}, budgets)
