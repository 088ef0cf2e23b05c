"""What a folder of pictures says of how each was made, so that a job that was stopped goes on.

One line of JSON a picture, in a hidden file beside them: the key of all that it depends on, and the
digest of its file. The line is added before the picture is written. So a picture without a line was
made otherwise, and a line without its picture says nothing. Lines are only added, which costs the
same for the last picture as for the first, and two jobs in one folder lose none; of two lines the
later counts, and one that a kill cut short, or that brittle didn't write so, is skipped.
"""

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from brittle.errors import UserError
from brittle.record.lock import shared_lock
from brittle.record.whole import sha256

NAME = ".brittle.jsonl"
NUMBER = (float, int)  # and no bool, which is an int by inheritance


@dataclass(frozen=True)
class Note:
    """How one picture was made: ``made`` is the key, ``digest`` that of the file.

    ``seconds`` and ``found``, numbers by their name, are what was said of it.
    """

    file: str
    made: str
    digest: str
    seconds: float
    found: Mapping[str, float | str]


class Notes:
    """What a folder says of its pictures."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._notes = {note.file: note for note in _read(folder / NAME)}

    def find(self, file: Path, made: str) -> Note | None:
        """The note of a file that is there as it was written, and was made so."""
        note = self._notes.get(self._name(file))
        if note is None or note.made != made or not file.is_file():
            return None
        return note if sha256(file.read_bytes()) == note.digest else None

    def add(
        self, file: Path, made: str, data: bytes, seconds: float, found: Mapping[str, float | str]
    ) -> None:
        """Note a picture whose file ``data`` is about to be written.

        Raises:
            UserError: the system refuses.
        """
        note = Note(self._name(file), made, sha256(data), seconds, found)
        path = self.folder / NAME
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with path.open("ab") as lines:
                # The end of the line before comes first: a kill may have cut that line short.
                lines.write(b"\n" + json.dumps(asdict(note)).encode())
                lines.flush()
                os.fsync(lines.fileno())
        except OSError as error:
            raise UserError(f"{path} couldn't be written: {error.strerror or error}.") from error

    @contextmanager
    def at_work(self, folders: set[Path]) -> Iterator[None]:
        """Write into folders of this one; what killed jobs left half written there is deleted."""

        def clean() -> None:
            for folder in folders:
                for path in folder.glob(".brittle-*.tmp"):
                    path.unlink(missing_ok=True)

        with suppress(OSError):  # what is wrong with the folder is said where it is written to
            self.folder.mkdir(parents=True, exist_ok=True)
        with shared_lock(self.folder, clean):
            yield

    def _name(self, file: Path) -> str:
        return file.relative_to(self.folder).as_posix()


def _read(path: Path) -> Iterator[Note]:
    if not path.is_file():
        return
    for line in path.read_bytes().splitlines():
        try:
            note = Note(**json.loads(line))
        except (ValueError, TypeError, RecursionError):  # cut short, or another version's
            continue
        if _as_written(note):
            yield note


def _as_written(note: Note) -> bool:
    """Whether the values of a note that was read are of the types that it declares."""
    texts = (note.file, note.made, note.digest)
    return (
        all(isinstance(text, str) for text in texts)
        and type(note.seconds) in NUMBER
        and isinstance(note.found, dict)
        and all(type(value) in (*NUMBER, str) for value in note.found.values())
    )
