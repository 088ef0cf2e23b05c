"""Whether all files of a folder are whole: what `brittle check` asks."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from brittle.errors import UserError
from brittle.models.finetuning import read_kept
from brittle.models.tuned import WEIGHTS
from brittle.progress import Progress, silent
from brittle.record import whole
from brittle.record.bundle import UNPACKED
from brittle.record.manifest import MANIFEST, Manifest, read_manifest
from brittle.record.record import IndexEntry, parse_index
from brittle.record.rows import decode_results
from brittle.record.store import (
    ARTIFACTS,
    CELLS,
    FINE_TUNES,
    INDEX,
    MADE,
    RESULTS,
    FolderStore,
)
from brittle.record.whole import CHANGED, UNREADABLE, Damaged

MISSING = "missing"


@dataclass(frozen=True)
class Damage:
    """One file that is damaged or missing, by its path in the folder, and what is wrong with it."""

    path: str
    what: str


@dataclass(frozen=True)
class Checked:
    """What a look at all files of a folder found.

    ``unchecked`` counts pictures and cells of a former version: they can be read, and have no
    digest that would tell a swap. ``finished``: no trial here lacks its table yet.
    """

    pictures: int
    cells: int
    fine_tunes: int
    damaged: tuple[Damage, ...]
    unchecked: int
    finished: bool


def check_folder(directory: Path, progress: Progress = silent) -> Checked:
    """Look at every file that brittle wrote into a folder, which stays as it is.

    Raises:
        UserError: it holds nothing of brittle's.
    """
    store, begun = FolderStore(directory), (directory / MANIFEST).is_file()
    manifest = store.manifest if begun else None
    pictures, cells = (
        {path.relative_to(directory).as_posix() for path in directory.glob(f"{kind}/??/*{suffix}")}
        for kind, suffix in ((ARTIFACTS, ".png"), (CELLS, ".json"))
    )
    if manifest is None and not (pictures or cells):
        raise UserError(f"{directory} holds no trial: name the folder of one.")
    damaged, unchecked = [*_manifest(directory)], 0
    with progress("files", len(pictures) + len(cells)) as advance:
        for name in sorted(pictures | cells):
            read = whole.read_picture if name in pictures else whole.read_cell
            try:
                _, vouched = read(directory, name, noted=store.noted)
                unchecked += not vouched
            except (Damaged, OSError) as error:
                damaged.append(Damage(name, str(error)))
            advance(1)
    weights = sorted(directory.glob(f"{FINE_TUNES}/*/{WEIGHTS}"))
    damaged += [
        Damage(path.relative_to(directory).as_posix(), f"{CHANGED}; delete it: it is learned anew")
        for path in weights
        if read_kept(path) is None
    ]
    index = [*_index(directory)]
    expected = {*_pictures(index, manifest), *_noted(directory)}
    if (directory / UNPACKED).exists():
        expected -= {one.cell for one in index}
    damaged += [Damage(name, MISSING) for name in sorted(expected - pictures - cells)]
    damaged += _made(directory, {} if manifest is None else manifest.files)
    finished = bool(index) or not begun
    return Checked(len(pictures), len(cells), len(weights), tuple(damaged), unchecked, finished)


def _manifest(directory: Path) -> Iterator[Damage]:
    try:
        read_manifest(directory / MANIFEST)
    except FileNotFoundError:
        if any((directory / name).is_file() for name in MADE):
            yield Damage(MANIFEST, MISSING)
    except Damaged as error:
        yield Damage(MANIFEST, str(error))


def _index(directory: Path) -> list[IndexEntry]:
    """The folder's index; nothing where that is damaged or not there yet."""
    try:
        return parse_index((directory / INDEX).read_bytes(), directory / INDEX)
    except (OSError, UserError):
        return []


def _pictures(index: list[IndexEntry], manifest: Manifest | None) -> Iterator[str]:
    """The files that the folder says it holds."""
    for entry in index:
        yield from filter(None, (entry.released, entry.received, entry.edited, entry.cell))
    for photo in manifest.photos if manifest is not None else ():
        if photo.mask is not None and index:
            yield photo.mask


def _noted(directory: Path) -> Iterator[str]:
    """Pictures of which there is a note, written just before the picture itself."""
    for path in directory.glob(f"{ARTIFACTS}/??/*.json"):
        picture = path.with_suffix(".png")
        if not picture.is_file():
            name = picture.relative_to(directory).as_posix()
            try:
                if whole.PICTURE in whole.read_note(directory, name, noted=False):
                    yield name
            except (Damaged, OSError):
                yield name


def _made(directory: Path, digests: dict[str, str]) -> Iterator[Damage]:
    """What is wrong with the files that were made of the store."""
    for name in MADE:
        try:
            data = (directory / name).read_bytes()
        except OSError:
            if name in digests:
                yield Damage(name, MISSING)
            continue
        if digests.get(name, whole.sha256(data)) != whole.sha256(data):
            yield Damage(name, CHANGED)
        elif not _can_be_read(name, data):
            yield Damage(name, UNREADABLE)


def _can_be_read(name: str, data: bytes) -> bool:
    try:
        if name == RESULTS:
            decode_results(data, where=name)
        if name == INDEX:
            parse_index(data, Path(name))
    except UserError:
        return False
    return True
