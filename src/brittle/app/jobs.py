"""Work for the page: one piece after another, with its progress, stopped when somebody cancels."""

import os
import re
import secrets
import shutil
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event, Lock
from typing import Any, Literal

from brittle.errors import UserError, out_of_memory, printable
from brittle.progress import Advance

State = Literal["waiting", "running", "done", "failed", "stopped"]
KEPT = 20
"""Jobs whose files are kept; the oldest goes first."""
MEMORY = "Memory doesn't suffice for this: use smaller photos, or fewer programs at once."
BUG = "brittle made an error of its own, and the terminal shows it: please report it."


class Stopped(Exception):
    """Somebody cancelled. Raised inside the work, wherever it next says how far it is."""


@dataclass
class Stage:
    """A part of a job: how much of it there is, and how much is done."""

    name: str
    total: float
    done: float = 0


@dataclass
class Job:
    """One piece of work: how far it is, what it says, and what it has found so far.

    ``folder`` is its own, and may be read by the page.
    """

    folder: Path
    private: Path
    """What lies below this folder, in two folders more, is named from there."""
    state: State = "waiting"
    notes: list[str] = field(default_factory=list)
    found: dict[str, Any] = field(default_factory=dict)
    problem: str = ""
    _stages: list[Stage] = field(default_factory=list)
    _stop: Event = field(default_factory=Event)
    _lock: Lock = field(default_factory=Lock)

    @property
    def name(self) -> str:
        """By which the page asks for it."""
        return self.folder.name

    def stop(self) -> None:
        """Let it end at its next step."""
        self._stop.set()

    def heed(self) -> None:
        """End here if somebody cancelled.

        Raises:
            Stopped: so it is.
        """
        if self._stop.is_set():
            raise Stopped

    def say(self, text: str) -> None:
        """Tell the page a sentence."""
        self.heed()
        self.notes.append(self.hiding(text))

    def hiding(self, text: object) -> str:
        """A text without the folders that nobody but the server knows."""
        hidden = (
            re.escape(f"{self.private}{os.sep}")
            + rf"\w+[{re.escape(os.sep)}]\w+{re.escape(os.sep)}"
        )
        return re.sub(hidden, "", printable(text))

    @contextmanager
    def progress(self, name: str, total: float) -> Iterator[Advance]:
        """A `brittle.progress.Progress`; stages may lie inside each other."""
        self.heed()
        stage = Stage(printable(name), total)
        self._stages.append(stage)

        def advance(done: float) -> None:
            self.heed()
            with self._lock:  # stages advance in threads
                stage.done += done

        try:
            yield advance
        finally:
            self._stages.remove(stage)

    def run(self, work: "Work") -> None:
        """Do the work, and keep how it ended."""
        try:
            self.heed()
            self.state = "running"
            work(self)
            self.state = "done"
        except Stopped:
            self.state = "stopped"
        except Exception as error:
            self.problem = self.hiding(problem(error))
            self.state = "failed"

    def told(self) -> dict[str, Any]:
        """All that the page may know, as JSON has it."""
        return {
            "state": self.state,
            "stages": [vars(one) for one in [*self._stages]],
            "notes": [*self.notes],
            "found": dict(self.found),
            "problem": self.problem,
        }


Work = Callable[[Job], None]


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


class Jobs:
    """The jobs of a server, of which one runs at a time: each may use all cores."""

    def __init__(self, root: Path, private: Path) -> None:
        self.root, self.private = root, private
        self._known: dict[str, Job] = {}
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="brittle")

    def start(self, work: Work) -> Job:
        """Do the work as soon as those before it have ended."""
        job = Job(self.root / secrets.token_hex(16), self.private)
        job.folder.mkdir(parents=True)
        self._known[job.name] = job
        for name in [*self._known][:-KEPT]:
            old = self._known.pop(name)
            old.stop()
            shutil.rmtree(old.folder, ignore_errors=True)
        self._pool.submit(job.run, work)
        return job

    def named(self, name: str) -> Job:
        """The job of a name.

        Raises:
            UserError: it isn't known, or no longer.
        """
        if name not in self._known:
            raise UserError("This work is no longer known: start it again.")
        return self._known[name]

    def close(self) -> None:
        """Stop all work, and wait until it has ended."""
        for job in self._known.values():
            job.stop()
        self._pool.shutdown(cancel_futures=True)
