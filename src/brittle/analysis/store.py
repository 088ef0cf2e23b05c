"""From a trial's folder to its summary: reads the manifest, the scores and how files were made."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from brittle.analysis.agreement import agreement, kept_marks
from brittle.analysis.checks import Evidence, ProtectedFile, check_evidence
from brittle.analysis.half_life import ladders
from brittle.analysis.mimicry import summarise_mimicry
from brittle.analysis.mimicry_summary import MimicrySummary
from brittle.analysis.phrases import count, scope_statement
from brittle.analysis.summarise import summarise
from brittle.analysis.summary import Scope, Summary
from brittle.declaration.primary import Primary
from brittle.errors import UserError
from brittle.record.rows import Row, read_results


def summarise_store(directory: Path) -> Summary | MimicrySummary:
    """Draw all conclusions from a folder and write them into its ``summary.json``.

    Of a trial over collections the summary is another one.

    Raises:
        UserError: the folder holds no finished trial, or files that brittle didn't write.
    """
    from brittle.images import write_bytes

    manifest = _read_json(directory, "manifest.json")
    rows = read_results(directory / "results.csv")
    evidence, scope = _evidence(directory, manifest), _scope(manifest)
    summary: Summary | MimicrySummary
    if over_collections(manifest):
        summary = _summarise_mimicry(rows, manifest, scope, evidence)
    else:
        primary = Primary.model_validate(manifest["primary"])
        summary = summarise(rows, primary, scope=scope, evidence=evidence).model_copy(
            update={"agreement": agreement(rows, kept_marks(directory))}
        )
    write_bytes(directory / "summary.json", summary.to_json().encode(), overwrite=True)
    return summary


def over_collections(manifest: Mapping[str, Any]) -> bool:
    """Whether a folder's trial is about collections."""
    return "collections" in manifest


def _summarise_mimicry(
    rows: list[Row], manifest: dict[str, Any], scope: Scope, evidence: Evidence
) -> MimicrySummary:
    trial, collections = manifest["trial"]["resolved"], manifest["collections"]
    pictures = {one["name"]: len(one["pictures"]) for one in collections}
    about = f"{count(len(pictures), 'collection')}, {count(sum(pictures.values()), 'picture')}"
    return summarise_mimicry(
        rows,
        scope=scope.model_copy(update={"statement": scope_statement(scope, about)}),
        metric=manifest["primary"]["metric"],
        placebos=trial["placebos"],
        protections=[arm["label"] for arm in manifest["arms"] if arm["kind"] == "protection"],
        transforms=[one["label"] for one in manifest["transforms"]],
        pictures=pictures,
        flags=tuple(check_evidence(evidence)),
    )


def _read_json(directory: Path, name: str) -> Any:
    path = directory / name
    if not path.is_file():
        raise UserError(
            f"{directory} holds no finished trial ({name} is missing): run one into it first."
        )
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        raise UserError(f"{path} is not a file that brittle wrote.") from None


def _scope(manifest: dict[str, Any]) -> Scope:
    model = manifest["model"]
    return Scope(
        model=model["name"],
        models=(model["name"],),
        resolution=model["size"],
        # A trial's protections are optimised on its one model, which also edits.
        white_box=None if "made" in manifest else True,
    )


def _evidence(directory: Path, manifest: dict[str, Any]) -> Evidence:
    cells = _read_json(directory, "index.json")
    protections = {arm["label"] for arm in manifest["arms"] if arm["kind"] == "protection"}
    paths = _Pictures(directory)
    made = {
        (cell["image"], cell["arm"]): paths[cell["released"]]
        for cell in cells
        if cell["arm"] in protections and "released" in cell
    }
    passed = {
        (cell["transform"], paths[cell["released"]], paths[cell["received"]])
        for cell in cells
        if cell["arm"] != "gray" and "received" in cell
    }
    # Where nothing is meant to be edited, that it wasn't is no sign of a fault.
    idle = {one["label"] for one in manifest["editors"] if one["record"]["name"] == "none"}
    edits = {
        (paths[cell["received"]], paths[cell["edited"]])
        for cell in cells
        if cell["editor"] not in idle and {"received", "edited"} <= cell.keys()
    }
    # What edits made elsewhere went through is not known, whatever the table calls it.
    elsewhere = "made" in manifest
    originals = [
        paths[cell["released"]]
        for cell in cells
        if (cell["arm"], cell["transform"]) == ("original", "none") and "released" in cell
    ]
    names = [] if elsewhere else sorted({cell["transform"] for cell in cells})
    return Evidence(
        protected=tuple(_protected(made[one], *one) for one in sorted(made)),
        transformed=Counter(transform for transform, _, _ in passed),
        unchanged_by=Counter(
            transform for transform, before, after in passed if _same(before, after)
        ),
        unedited=sum(_same(before, after) for before, after in edits),
        jpeg_traces=tuple(
            photo["name"]
            for photo in manifest["photos"]
            if photo["jpeg_traces"] and photo["source_format"] not in ("JPEG", "MPO")
        ),
        codecs=_codecs(names, manifest.get("codecs")),
        bits_a_pixel=_bits_a_pixel(names, sorted(set(originals))),
    )


def _jpegs(names: Sequence[str]) -> Iterator[tuple[str, list[tuple[str, Any]]]]:
    """What stays the same along a ladder of JPEG's qualities, and its transforms by their text."""
    from brittle.transforms import Transform

    for (same, parameter), rungs in ladders(names).items():
        if parameter == "quality" and same.partition(":")[0] == "jpeg":
            yield same, [(text, Transform.parse(text)) for _, text in rungs]


def _codecs(names: Sequence[str], codecs: dict[str, Any] | None) -> dict[str, dict[str, str]]:
    encoder = {"encoder": _encoder(codecs)} if codecs else {}
    return {
        same: {**encoder, "subsampling": jpegs[0][1].subsampling} for same, jpegs in _jpegs(names)
    }


def _bits_a_pixel(names: Sequence[str], originals: Sequence[Path]) -> dict[str, float]:
    """The store keeps what was opened again, so the files are made once more."""
    from brittle.images import levels_from_png

    jpegs = [one for _, ladder in _jpegs(names) for one in ladder]
    total = dict.fromkeys((text for text, _ in jpegs), 0.0)
    for path in originals if jpegs else ():
        levels = levels_from_png(path.read_bytes())
        for text, jpeg in jpegs:
            total[text] += jpeg.bits_a_pixel(levels) / len(originals)
    return total if originals else {}


def _encoder(codecs: dict[str, Any]) -> str:
    return f"libjpeg-turbo {codecs['libjpeg-turbo']} (Pillow {codecs['pillow']})"


class _Pictures(dict[str, Path]):
    """The files behind the index's paths; one that leads out of the folder is refused."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory.resolve()

    def __missing__(self, relative: str) -> Path:
        path = (self.directory / relative).resolve()
        if not path.is_relative_to(self.directory) or not path.is_file():
            raise UserError(f"{self.directory}/index.json names {relative}, which is not there.")
        self[relative] = path
        return path


def _protected(picture: Path, photo: str, arm: str) -> ProtectedFile:
    told_at = picture.with_suffix(".json")
    told = json.loads(told_at.read_text(encoding="utf-8")) if told_at.is_file() else {}
    return ProtectedFile(
        photo=photo,
        arm=arm,
        first_loss=told.get("first_loss"),
        last_loss=told.get("last_loss"),
        smallest_gradient=0.0 if told.get("gradient_vanished") else None,
        used=told.get("budget_used"),
        saved_as_optimised=_holds(picture, told["digest"]) if "digest" in told else None,
    )


def _holds(picture: Path, expected: str) -> bool:
    """Whether a saved picture, read back, has the pixels that were optimised and rounded."""
    from brittle.images import digest, from_png

    try:
        return digest(from_png(picture.read_bytes())) == expected
    except (OSError, ValueError, SyntaxError):  # no picture at all any more
        return False


def _same(one: Path, other: Path) -> bool:
    """Whether two PNG files that brittle wrote hold the same pixels: then they are byte-equal."""
    if one == other:
        return True
    return one.stat().st_size == other.stat().st_size and one.read_bytes() == other.read_bytes()
