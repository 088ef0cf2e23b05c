"""Several trials in one report: their outcomes, their differences, and what was set differently."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from brittle.analysis.finished import Finished
from brittle.analysis.side_by_side import Named, Pairing, Protected, pair, protections_of_trials
from brittle.analysis.summary import Interval
from brittle.errors import UserError, printable
from brittle.images import write_bytes
from brittle.reporting.formatting import count, estimated, transform_name
from brittle.reporting.glossary import glossary
from brittle.reporting.page import check_page, render_page
from brittle.reporting.tables import TableCell, TransformRow, transform_table
from brittle.reporting.terminal import as_columns

UNLIKE = (
    *("created", "title", "notes", "photos", "trial", "primary", "schema_version"),
    *("noted", "files", "sharded"),
)
"""Parts of a manifest that say nothing about settings, or that are said elsewhere."""
THERE = " is there"
OUTCOMES = {"usable": "usable edits per 100", "reach": "reach"}
TRIAL = ("seeds", "floor_seeds", "square", "mask")
"""What of the trial's file no other part of the manifest repeats."""


@dataclass(frozen=True)
class ComparedLine:
    """One protection after one transform."""

    transform: str
    protected: Protected
    row: TransformRow


@dataclass(frozen=True)
class Difference:
    """A setting that differs: its name, and its value in each trial."""

    name: str
    values: tuple[str, ...]


def compare_trials(finished: Sequence[Finished], out: Path) -> tuple[tuple[Pairing, ...], str]:
    """Write a comparison of finished trials into an .html file; returns its pairs and its text.

    Every protection is compared with the first one of the first trial.

    Raises:
        UserError: fewer than two trials, one named twice, no protection at all, or a file that
            can't be written.
    """
    if out.suffix.lower() != ".html":
        raise UserError(f"{out}: the report of a comparison is an .html file.")
    check_page(out)
    directories = [one.record.directory or Path() for one in finished]
    if len({path.resolve() for path in directories}) < max(len(directories), 2):
        raise UserError("Name two different folders of finished trials, or more.")
    trials = [Named(*one) for one in zip(_names(directories), finished, strict=True)]
    protected = protections_of_trials(trials)
    if not protected:
        raise UserError("None of these trials has a protection to compare.")
    lines = list(_lines(protected))
    pairings = tuple(pair(protected[0], other) for other in protected[1:])
    settings = differing_settings([one.manifest.to_json() for one in finished])
    page = render_page(
        "compare.html",
        glossary=glossary("comparison", margins=finished[0].summary.primary.margins),
        trials=trials,
        lines=lines,
        pairings=pairings,
        settings=settings,
        tests=sum(len(pairing.differences) for pairing in pairings),
        differences=_differences,
    )
    write_bytes(out, page.encode("utf-8", "replace"), overwrite=True)
    return pairings, _as_text(trials, lines, pairings, settings)


def differing_settings(manifests: Sequence[Mapping[str, Any]]) -> list[Difference]:
    """The settings that are not the same in all manifests, by name.

    What a trial has and another lacks is one line; its settings are compared among those that have
    it.
    """
    flat = [dict(_flat(manifest)) for manifest in manifests]
    names = sorted({name for one in flat for name in one})
    parts = [name.removesuffix(THERE) for name in names if name.endswith(THERE)]
    found = []
    for name in names:
        part = next((part for part in parts if name.startswith(f"{part}.")), None)
        having = [one for one in flat if part is None or part + THERE in one]
        if len({one.get(name) for one in having}) > 1:
            values = tuple(one.get(name, "–") for one in flat)
            found.append(Difference(name.removesuffix(THERE), values))
    return found


def said(outcome: str, interval: Interval) -> str:
    """A difference in numbers: of reach as it is, of usable edits in counts a hundred."""
    sign = "+" if interval.estimate > 0 else ""
    return sign + estimated(interval, per_hundred=outcome == "usable")


def _names(directories: Sequence[Path]) -> list[str]:
    """Short names of the folders: their last parts, or all of the path where those are alike."""
    short = [printable(path.resolve().name) for path in directories]
    return [
        name if short.count(name) == 1 else str(path)
        for name, path in zip(short, directories, strict=True)
    ]


def _lines(protected: Sequence[Protected]) -> Iterator[ComparedLine]:
    """Every protection after every transform, those of one transform together."""
    found: dict[str, list[ComparedLine]] = {}
    for one in protected:
        trial = one.trial.finished
        for row in transform_table(trial, one.arm, trial.editor).rows:
            found.setdefault(row.label, []).append(ComparedLine(row.name, one, row))
    for lines in found.values():
        yield from lines


def _flat(manifest: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """A manifest's settings as pairs of a dotted name and a text."""
    kept = {name: value for name, value in manifest.items() if name not in UNLIKE}
    trial = manifest.get("trial", {}).get("resolved", {})
    kept["trial"] = {name: trial.get(name) for name in TRIAL}
    primary = manifest.get("primary", {})
    kept["primary"] = {name: value for name, value in primary.items() if name != "arms"}
    yield from _leaves("", kept)


def _leaves(name: str, value: Any) -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _leaves(f"{name}.{key}" if name else str(key), inner)
    elif isinstance(value, list) and value and all(isinstance(one, Mapping) for one in value):
        for number, one in enumerate(value):
            label = f"{name}: {_named(one) or number}"
            if one.get("kind") != "placebo":  # which follow from their protections
                yield f"{label}{THERE}", "there"
                yield from _leaves(label, {key: one[key] for key in one if key != "label"})
    elif value is not None:
        yield (
            name,
            (", ".join(map(str, value)) or "none") if isinstance(value, list) else str(value),
        )


def _named(part: Mapping[str, Any]) -> str:
    """What tells a part of a manifest from its neighbours."""
    if "tau_keep" in part:
        return f"{part['editor']}, mask {part['mask']}"
    return str(part.get("label", ""))


def _differences(pairing: Pairing) -> list[tuple[str, ...]]:
    """A table's rows: transform, outcome, difference, photos."""
    return [
        (
            transform_name(one.transform),
            OUTCOMES[one.outcome],
            said(one.outcome, one.interval),
            count(one.interval.n, "photo"),
        )
        for one in pairing.differences
    ]


def _as_text(
    trials: Sequence[Named],
    lines: Sequence[ComparedLine],
    pairings: Sequence[Pairing],
    settings: Sequence[Difference],
) -> str:
    head = ("transform", "protection", "usable", "reach", "retention", "verdict", "attacker", "n")
    table: list[tuple[str, ...]] = [head, *(_cells(line) for line in lines)]
    parts = [f"{trial.name}: {trial.finished.summary.scope.statement}." for trial in trials]
    parts.append(as_columns(table))
    for pairing in pairings:
        heading = f"{pairing.second.name} minus {pairing.first.name}, {pairing.words}."
        rows = _differences(pairing)
        parts.append(heading + ("\n" + as_columns([("after", "of", "difference", "n"), *rows])
                                if rows else " Nothing can be compared."))  # fmt: skip
    if settings:
        names = tuple(trial.name for trial in trials)
        values = [(one.name, *map(_cut, one.values)) for one in settings]
        parts.append("Set differently:\n" + as_columns([("setting", *names), *values]))
    else:
        parts.append("No setting differs.")
    return "\n\n".join(parts)


def _cells(line: ComparedLine) -> tuple[str, ...]:
    row = line.row
    numbers: tuple[TableCell, ...] = (row.outcomes[-1], row.reach, row.retention)
    verdicts = (row.effect.main, row.attacker.main, row.n.main)
    return (line.transform, line.protected.name, *(one.short for one in numbers), *verdicts)


def _cut(text: str) -> str:
    return text if len(text) <= 40 else text[:39] + "…"
