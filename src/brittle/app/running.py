"""Work from inside, in a process of its own: it says how far it is, and ends when told to."""

import os
import re
import signal
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.synchronize import Event
from pathlib import Path
from threading import Lock
from typing import Any, Literal

from brittle.errors import UserError, out_of_memory, printable
from brittle.progress import Advance

State = Literal["waiting", "running", "done", "failed", "stopped"]
MEMORY = "Memory doesn't suffice for this: use smaller photos, or fewer programs at once."
BUG = "brittle made an error of its own, and the terminal shows it: please report it."


class Stopped(Exception):
    """Somebody cancelled. Raised inside the work, wherever it next says how far it is."""


@dataclass
class Stage:
    """A part of the work: how much of it there is, and how much is done."""

    name: str
    total: float
    done: float = 0


class Running:
    """A piece of work: what it says and shows goes to the server, through ``tell``.

    ``folder`` is its own, and the page may read what lies there. Of paths below ``private``, no
    text names the folders that nobody but the server knows.
    """

    def __init__(
        self, folder: Path, private: Path, tell: Callable[[str, Any], None], stop: Event
    ) -> None:
        self.folder, self._tell, self._stop = folder, tell, stop
        separator = re.escape(os.sep)
        self._hidden = re.compile(
            rf"{re.escape(str(private))}{separator}\w+{separator}\w+{separator}"
        )
        self._stages: list[Stage] = []
        self._lock = Lock()  # stages advance in threads, and what is told comes whole

    @property
    def name(self) -> str:
        """By which the page asks for it."""
        return self.folder.name

    def heed(self) -> None:
        """End here if somebody cancelled.

        Raises:
            Stopped: so it is.
        """
        if self._stop.is_set():
            raise Stopped

    def show(self, **found: Any) -> None:
        """Let the page have a part of the answer."""
        self.heed()
        with self._lock:
            self._tell("found", found)

    def say(self, text: str) -> None:
        """Tell the page a sentence."""
        self.heed()
        with self._lock:
            self._tell("note", self.hiding(text))

    def hiding(self, text: object) -> str:
        """A text without the folders that nobody but the server knows."""
        return self._hidden.sub("", printable(text))

    @contextmanager
    def progress(self, name: str, total: float) -> Iterator[Advance]:
        """A `brittle.progress.Progress`; stages may lie inside each other."""
        stage = Stage(printable(name), total)

        def advance(done: float) -> None:
            self.heed()
            with self._lock:
                stage.done += done
                self._tell("stages", [{**vars(one)} for one in self._stages])

        self._stages.append(stage)
        try:
            advance(0)
            yield advance
        finally:
            self._stages.remove(stage)


Work = Callable[[Running], None]
"""It goes to another process: a function of a module, or one with some of its arguments."""


def serve(connection: Connection, stop: Event) -> None:
    """Do one piece of work after another, as they come; ends when the server is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the server ends this process itself
    from brittle.app.model import embedded

    embedded()
    with suppress(EOFError, BrokenPipeError):
        while True:
            work, folder, private = connection.recv()
            running = Running(folder, private, lambda *told: connection.send(told), stop)
            connection.send(("end", _outcome(work, running)))


def _outcome(work: Work, running: Running) -> tuple[State, str]:
    """How some work ended, and what went wrong."""
    try:
        running.heed()
        work(running)
    except Stopped:
        return "stopped", ""
    except Exception as error:
        return "failed", running.hiding(problem(error))
    return "done", ""


def problem(error: Exception) -> str:
    """What went wrong, in a sentence for a person."""
    if isinstance(error, UserError):
        return str(error)
    if isinstance(error, OSError) and error.strerror:
        return str(UserError(f"{error.filename or 'The system'}: {error.strerror}."))
    if out_of_memory(error):
        return MEMORY
    traceback.print_exception(error)
    return BUG
