"""The store: a trial's pictures and scores, on disk or in memory.

Keys hash everything that a picture or a cell depends on, so what is there is right, and nothing is
computed twice. On disk ``artifacts/ab/KEY.png`` holds pictures, with a note ``KEY.json`` beside
each, and ``cells/ab/KEY.json`` scores. Every file is written to a temporary name and renamed, and
every one can be told from a damaged one (`record.whole`): what is damaged counts as missing, and is
made again.
"""

import json
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import cached_property
from pathlib import Path
from typing import Any

from torch import Tensor

from brittle.declaration.trial import Trial
from brittle.decoding import Levels
from brittle.errors import UserError
from brittle.images import (
    from_bytes,
    levels_from_png,
    png_from_levels,
    to_bytes,
    write_bytes,
)
from brittle.record import whole
from brittle.record.begun import differing, differing_fields
from brittle.record.lock import shared_lock
from brittle.record.manifest import MANIFEST, Manifest, read_manifest
from brittle.record.whole import Damaged

RESULTS, INDEX, SUMMARY, REPORT = "results.csv", "index.json", "summary.json", "report.html"
MADE = (RESULTS, INDEX, SUMMARY, REPORT)
"""What is made of a store and lies beside it."""
MEND = "the command that made the folder makes it anew"
ARTIFACTS, CELLS, FINE_TUNES = "artifacts", "cells", "fine-tunes"


def dump(data: Any) -> bytes:
    """Plain data as JSON, the same bytes every time."""
    return (json.dumps(data, indent=1, sort_keys=True, ensure_ascii=False) + "\n").encode()


def dump_list(items: Iterable[Any]) -> Iterator[bytes]:
    """`dump` of a list, item by item."""
    before = "[\n "
    for item in items:
        text = json.dumps(item, indent=1, sort_keys=True, ensure_ascii=False)
        yield (before + text.replace("\n", "\n ")).encode()
        before = ",\n "
    yield b"\n]\n" if before.startswith(",") else b"[]\n"


def artifact(key: str) -> Path:
    """Where the picture of a key lies, relative to a store's folder."""
    return Path(ARTIFACTS) / key[:2] / f"{key}.png"


def cell_file(key: str) -> str:
    """Where the scores of a cell lie, relative to a store's folder."""
    return f"{CELLS}/{key[:2]}/{key}.json"


class Store(ABC):
    """Pictures by their key, what was noted of their making, and the scores of cells.

    A store with ``seen_only`` keeps what a model sees of a received picture in the place of the
    picture, and a released one not at all.
    """

    seen_only = False
    directory: Path | None = None
    """Where it lies, if it does."""

    @abstractmethod
    def has(self, key: str) -> bool:
        """Whether the picture of a key was computed."""

    @abstractmethod
    def read_levels(self, key: str) -> Levels:
        """The picture of a key as levels (H, W, 3)."""

    @abstractmethod
    def write_levels(self, key: str, levels: Levels) -> None:
        """Keep levels (H, W, 3), losslessly."""

    def keep_received(self, key: str, levels: Levels) -> None:
        """Keep a received picture, or what the model sees of it: `write_levels`, but for a run."""
        self.write_levels(key, levels)

    @abstractmethod
    def write_note(self, key: str, note: dict[str, Any]) -> None:
        """Note something of a picture's making; written before the picture."""

    @abstractmethod
    def read_cell(self, key: str) -> dict[str, Any]:
        """The scores of a cell by metric; empty where none were computed."""

    @abstractmethod
    def write_cell(self, key: str, cell: dict[str, Any]) -> None:
        """Keep a cell's scores; written after every picture that they depend on."""

    def mended(self) -> tuple[str, ...]:
        """One sentence on what was found damaged, once it was made again; none if nothing was."""
        return ()

    def read(self, key: str) -> Tensor:
        """The picture of a key, (1, 3, H, W) in [0, 1] on the 8-bit grid."""
        return from_bytes(self.read_levels(key)[None])

    def write(self, key: str, image: Tensor) -> None:
        """Keep an image (1, 3, H, W) on the 8-bit grid."""
        self.write_levels(key, to_bytes(image)[0])


class MemoryStore(Store):
    """A store for one answer: nothing is written, and what a model does not see is not kept."""

    seen_only = True

    def __init__(self) -> None:
        self._pictures: dict[str, Levels] = {}
        self._cells: dict[str, dict[str, Any]] = {}

    def has(self, key: str) -> bool:
        """As `Store.has`."""
        return key in self._pictures

    def read_levels(self, key: str) -> Levels:
        """As `Store.read_levels`."""
        return self._pictures[key]

    def write_levels(self, key: str, levels: Levels) -> None:
        """As `Store.write_levels`."""
        self._pictures[key] = levels

    def write_note(self, key: str, note: dict[str, Any]) -> None:
        """As `Store.write_note`: nobody asks, so it is not kept."""

    def read_cell(self, key: str) -> dict[str, Any]:
        """As `Store.read_cell`."""
        return self._cells.get(key, {})

    def write_cell(self, key: str, cell: dict[str, Any]) -> None:
        """As `Store.write_cell`."""
        self._cells[key] = cell


class FolderStore(Store):
    """A trial's folder on disk, which survives a kill at any moment, and damage to its files.

    With ``seen_only`` what was received is kept in memory alone, and is soon made again. Once it is
    claimed, what it lacks is taken from the folders ``lenders``, where they have it.
    """

    directory: Path

    def __init__(
        self, directory: Path, *, seen_only: bool = False, lenders: Sequence[Path] = ()
    ) -> None:
        self.directory, self.seen_only, self._asked = directory, seen_only, lenders
        self._lenders: tuple[FolderStore, ...] = ()
        self.damaged: set[str] = set()
        """Files that were found damaged, by their paths in the folder."""
        self._received = MemoryStore()
        self._whole: set[str] = set()

    @property
    def manifest(self) -> Manifest | None:
        """What the folder says that it holds; None for a new one, or where that is damaged.

        Raises:
            UserError: the folder holds other files, or the manifest of another version.
        """
        path = self.directory / MANIFEST
        if path.is_file():
            return self._read_manifest(path)
        if self.directory.exists() and not self.directory.is_dir():
            raise UserError(f"{self.directory} is a file; choose a folder with --out.")
        if self._holds_work or not self.directory.is_dir():
            return None
        if any(not entry.name.startswith(".") for entry in self.directory.iterdir()):
            raise UserError(
                f"{self.directory} holds other files and no trial; choose a new folder (--out)."
            )
        return None

    def _read_manifest(self, path: Path) -> Manifest | None:
        try:
            found = read_manifest(path)
        except Damaged as error:
            if not self._holds_work:
                raise UserError(f"{path} is not a manifest of brittle ({error}).") from None
            self.damaged.add(MANIFEST)
            return None
        return found

    @property
    def _holds_work(self) -> bool:
        """Whether pictures, scores or weights lie in the folder."""
        kinds = (f"{ARTIFACTS}/??/*.png", f"{CELLS}/??/*.json", f"{FINE_TUNES}/*")
        return any(True for kind in kinds for _ in self.directory.glob(kind))

    @cached_property
    def noted(self) -> bool:
        """Whether every picture here has a note with its digest: not in a former version's."""
        pictures = self.directory.glob(f"{ARTIFACTS}/??/*.png")
        has_note = (path.with_suffix(".json").is_file() for path in pictures)
        try:
            return read_manifest(self.directory / MANIFEST).noted
        except FileNotFoundError:
            return all(has_note)
        except (Damaged, UserError):  # it can't say: rather make too much anew than too little
            return any(has_note)

    def begun(self, trial: Trial) -> Manifest | None:
        """What the folder says, if this trial was begun in it or any has made something."""
        found, wanted = self.manifest, trial.model_dump(mode="json")
        if found is None or (
            differing_fields(found.trial.resolved, wanted) and not self._holds_work
        ):
            return None
        return found

    def open(self, manifest: Manifest, *, continue_on_this_device: bool = False) -> Manifest:
        """Claim the folder for a trial, or go on with the same one; returns what it now says.

        A folder in which nothing was made yet may be claimed by any trial.

        Raises:
            UserError: the folder holds another trial; the sentence names what differs. It was begun
                on another kind of device, and nobody said ``continue_on_this_device``.
        """
        found = self.manifest
        manifest = manifest.model_copy(update={"noted": self.noted})
        others = [] if found is None else differing(found.published(), manifest)
        if others and self._holds_work:
            raise UserError(
                f"{self.directory} holds another trial (its {', '.join(others)} differ); "
                "choose another folder with --out."
            )
        if found is not None and not others:
            if found.sharded and found.rows != manifest.rows:
                raise UserError(
                    f"Another shard has just begun {self.directory} with other rows a call: run "
                    "this one again."
                )
            manifest = manifest.model_copy(
                update={
                    "created": found.created,
                    "files": found.files,
                    "sharded": found.sharded or manifest.sharded,
                    **self._devices(found, manifest.device, continue_on_this_device),
                }
            )
            notes = tuple(dict.fromkeys([*found.notes, *manifest.notes]))
            manifest = manifest.model_copy(update={"notes": notes})
        self.write_manifest(manifest)
        stores = map(FolderStore, self._asked)
        self._lenders = tuple(one for one in stores if one._lends_to(manifest))
        return manifest

    def _lends_to(self, manifest: Manifest) -> bool:
        """Whether pictures and scores of the same keys would be the same here."""
        try:
            mine = self.manifest
        except UserError:
            return False
        return (
            mine is not None
            and mine.noted
            and manifest.noted
            and (mine.device, mine.also_on) == (manifest.device, manifest.also_on)
        )

    def _devices(self, found: Manifest, device: str, go_on: bool) -> dict[str, Any]:
        """What the manifest then says of devices: where it was begun, and where else it went on."""
        begun, here = (one.partition(":")[0] for one in (found.device, device))
        also_on = found.also_on
        if begun and here not in (begun, *also_on) and self._holds_work:
            if not go_on:
                raise UserError(
                    f"{self.directory} was begun on {begun}, and this is {here}, whose numbers "
                    f"differ a little: go on with --device {begun}, choose another folder with "
                    "--out, or say `brittle run` with --continue-on-this-device, which the "
                    "manifest keeps."
                )
            also_on = (*also_on, here)
        return {"device": found.device or device, "also_on": also_on}

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """Work in the folder, beside other runs if need be.

        Temporary files that a killed run left are deleted, unless another run is at work here: it
        holds a lock on the folder, where the system has such locks.
        """
        with suppress(OSError):  # what is wrong with the folder is said where it is opened
            self.directory.mkdir(parents=True, exist_ok=True)
        with shared_lock(self.directory, self._clean):
            yield

    def _clean(self) -> None:
        """Delete the temporary files of runs that were killed."""
        for pattern in (".brittle-*.tmp", f"{FINE_TUNES}/*/*.tmp"):
            for path in self.directory.rglob(pattern):
                path.unlink(missing_ok=True)

    def write_manifest(self, manifest: Manifest) -> None:
        """Write the manifest, its fields in the order in which they are declared."""
        text = json.dumps(manifest.to_json(), indent=1, ensure_ascii=False) + "\n"
        self.write_file(MANIFEST, whole.seal(MANIFEST, text.encode()))

    def add_notes(self, manifest: Manifest, notes: Sequence[str]) -> Manifest:
        """Add to what the folder's manifest, which this one is, says beside its settings."""
        if not notes:
            return manifest
        manifest = self.manifest or manifest  # another shard may have added its own
        all_notes = tuple(dict.fromkeys([*manifest.notes, *notes]))
        manifest = manifest.model_copy(update={"notes": all_notes})
        self.write_manifest(manifest)
        return manifest

    def write_results(
        self, manifest: Manifest, files: Mapping[str, bytes | Iterable[bytes]]
    ) -> Manifest:
        """Write files that are made of the store, and their digests into the folder's manifest."""
        digests = {}
        for name, data in files.items():
            pieces = whole.Hashed([data] if isinstance(data, bytes) else data)
            self.write_file(name, pieces)
            digests[name] = pieces.digest
        if not manifest.noted:
            return manifest
        manifest = self.manifest or manifest  # as in `add_notes`
        manifest = manifest.model_copy(update={"files": {**manifest.files, **digests}})
        self.write_manifest(manifest)
        return manifest

    def forget_results(self) -> None:
        """Delete what `write_results` wrote; the store, which it was made of, stays."""
        for name in MADE:
            (self.directory / name).unlink(missing_ok=True)

    def mended(self) -> tuple[str, ...]:
        """As `Store.mended`."""
        kinds = {"picture": f"{ARTIFACTS}/", "cell": f"{CELLS}/"}
        counts = {
            kind: sum(path.startswith(folder) for path in self.damaged)
            for kind, folder in kinds.items()
        }
        what = [f"{n} {kind}{'s' * (n > 1)}" for kind, n in counts.items() if n]
        what += [MANIFEST] * (MANIFEST in self.damaged)
        if not what:
            return ()
        verb = "was" if len(self.damaged) == 1 else "were"
        return (f"{' and '.join(what)} {verb} damaged and made again.",)

    def write_file(self, name: str, data: bytes | Iterable[bytes]) -> None:
        """Write one of the folder's files, whole or not at all."""
        write_bytes(self.directory / name, data, overwrite=True)

    def has(self, key: str) -> bool:
        """As `Store.has`; a picture that is damaged is none."""
        if self._received.has(key):
            return True
        if key in self._whole:
            return (self.directory / artifact(key)).is_file()
        if self._read_picture(key) is None and not self._borrow(key):
            return False
        self._whole.add(key)
        return True

    def _borrow(self, key: str) -> bool:
        """Take a picture and its note from whoever has them."""
        for lender in self._lenders:
            data = lender._read_picture(key)
            if data is not None:
                self._write_note(key, lender._read_note(key))
                self.write_file(str(artifact(key)), data)
                return True
        return False

    def read_levels(self, key: str) -> Levels:
        """As `Store.read_levels`.

        Raises:
            UserError: the picture is damaged.
        """
        if self._received.has(key):
            return self._received.read_levels(key)
        return levels_from_png(self.read_png(key))

    def read_png(self, key: str) -> bytes:
        """The file of a picture; errors as `read_levels`."""
        data = self._read_picture(key)
        if data is None:
            raise UserError(f"{self.directory / artifact(key)} is damaged: {MEND}.")
        return data

    def write_levels(self, key: str, levels: Levels) -> None:
        """As `Store.write_levels`: the same file for the same picture."""
        self.write_png(key, png_from_levels(levels))

    def write_png(self, key: str, data: bytes) -> None:
        """Keep a picture's file, as `write_levels` makes it."""
        self._write_note(key, {**self._read_note(key), whole.PICTURE: whole.sha256(data)})
        self.write_file(str(artifact(key)), data)
        self._whole.add(key)

    def keep_received(self, key: str, levels: Levels) -> None:
        """As `Store.keep_received`."""
        if self.seen_only:
            self._received.write_levels(key, levels)
        else:
            self.write_levels(key, levels)

    def write_note(self, key: str, note: dict[str, Any]) -> None:
        """As `Store.write_note`; what it says of the picture's file stays."""
        kept = self._read_note(key).get(whole.PICTURE)
        self._write_note(key, {**note, **({} if kept is None else {whole.PICTURE: kept})})

    def read_cell(self, key: str) -> dict[str, Any]:
        """As `Store.read_cell`; scores that are damaged are none."""
        name = cell_file(key)
        try:
            return whole.read_cell(self.directory, name, noted=self.noted)[0]
        except FileNotFoundError:
            lent = next(filter(None, (one.read_cell(key) for one in self._lenders)), {})
            if lent:
                self.write_cell(key, lent)
            return lent
        except (Damaged, OSError):
            self.damaged.add(name)
            return {}

    def write_cell(self, key: str, cell: dict[str, Any]) -> None:
        """As `Store.write_cell`."""
        self._write_sealed(cell_file(key), cell)

    def _read_picture(self, key: str) -> bytes | None:
        name = artifact(key).as_posix()
        try:
            return whole.read_picture(self.directory, name, noted=self.noted)[0]
        except FileNotFoundError:
            return None
        except (Damaged, OSError):
            self.damaged.add(name)
            return None

    def _read_note(self, key: str) -> dict[str, Any]:
        """What is noted of a picture: nothing if that is damaged."""
        try:
            return whole.read_note(self.directory, artifact(key).as_posix(), noted=self.noted)
        except (Damaged, OSError):
            return {}

    def _write_note(self, key: str, note: dict[str, Any]) -> None:
        self._write_sealed(artifact(key).with_suffix(".json").as_posix(), note)

    def _write_sealed(self, name: str, data: Any) -> None:
        # Not flushed to the disk: what a power cut took is made again, with a note its picture.
        sealed = whole.seal(name, dump(data))
        write_bytes(self.directory / name, sealed, overwrite=True, flush=False)
