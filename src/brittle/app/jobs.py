"""Work as the server sees it: one piece after another, in a process that it can end."""

import multiprocessing
import secrets
import shutil
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from brittle.app.running import State, Work, serve
from brittle.errors import UserError

KEPT = 20
"""Passing jobs that are known after their end; the oldest goes first."""
PATIENCE = 3.0
"""Seconds in which cancelled work may come to its next step; then its process is ended."""
ENDED = "The system ended this work, most likely for lack of memory: use smaller photos."


@dataclass
class Job:
    """One piece of work: how far it is, what it said, and what it has found so far.

    A ``passing`` one leaves no files in its folder that a page goes on to show.
    """

    folder: Path
    passing: bool = False
    state: State = "waiting"
    notes: list[str] = field(default_factory=list)
    stages: list[dict[str, Any]] = field(default_factory=list)
    found: dict[str, Any] = field(default_factory=dict)
    problem: str = ""
    cancelled_at: float | None = None

    @property
    def name(self) -> str:
        """By which the page asks for it."""
        return self.folder.name

    @property
    def ended(self) -> bool:
        """Whether no more of it will happen."""
        return self.state not in ("waiting", "running")

    @property
    def cancelled(self) -> bool:
        """Whether somebody wants it to end."""
        return self.cancelled_at is not None

    def stop(self) -> None:
        """Let it end at its next step, or soon."""
        if not self.cancelled:
            self.cancelled_at = time.monotonic()

    def take(self, what: str, told: Any) -> None:
        """Keep what the work tells; the state comes last, since it ends the waiting."""
        if what == "found":
            self.found = {**self.found, **told}
        elif what == "note":
            self.notes = [*self.notes, told]
        elif what == "stages":
            self.stages = told
        else:
            state, self.problem = told
            self.stages, self.state = [], state

    def told(self) -> dict[str, Any]:
        """All that the page may know, as JSON has it."""
        known = ("state", "stages", "notes", "found", "problem")
        return {name: getattr(self, name) for name in known}


class WorkProcess:
    """The process: it keeps what it loaded from one job to the next."""

    def __init__(self) -> None:
        self._context = multiprocessing.get_context("spawn")
        self._stop = self._context.Event()
        self._closed = False
        self._start()

    def _start(self) -> None:
        self._connection, other = self._context.Pipe()
        self._process = self._context.Process(
            target=serve, args=(other, self._stop), daemon=True, name="brittle"
        )
        self._process.start()
        other.close()

    def close(self) -> None:
        """End the process, whatever it does."""
        self._closed = True
        self._process.kill()
        self._process.join()

    def do(self, job: Job, work: Work, private: Path) -> None:
        """Do some work, and keep with the job what is told of it."""
        if job.cancelled:
            job.take("end", ("stopped", ""))
            return
        self._stop.clear()
        job.state = "running"
        try:
            self._connection.send((work, job.folder, private))
            while job.state == "running":
                if job.cancelled_at is not None:
                    self._stop.set()
                    if time.monotonic() > job.cancelled_at + PATIENCE:
                        self._process.kill()  # its end of the connection closes
                if self._connection.poll(0.05):
                    job.take(*self._connection.recv())
        except (EOFError, OSError):
            self._process.join()
            self._connection.close()
            if not self._closed:
                self._start()
            job.take("end", ("stopped", "") if job.cancelled else ("failed", ENDED))


class Jobs:
    """The jobs of a server, of which one runs at a time: each may use all cores.

    What they made stays until the server ends, since a page offers it until then. Only passing jobs
    are forgotten: a page starts one whenever its slider rests.
    """

    def __init__(self, root: Path, private: Path) -> None:
        self.root, self.private = root, private
        self._known: dict[str, Job] = {}
        self._worker = WorkProcess()
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="brittle")

    def start(self, work: Work, *, passing: bool = False) -> Job:
        """Do the work as soon as those before it have ended; ``passing`` as of `Job`."""
        self._forget()
        job = Job(self.root / secrets.token_hex(16), passing)
        job.folder.mkdir(parents=True)
        self._known[job.name] = job
        self._pool.submit(self._worker.do, job, work, self.private)
        return job

    def _forget(self) -> None:
        past = [job for job in self._known.values() if job.passing and job.ended]
        for job in past[:-KEPT]:
            del self._known[job.name]
            shutil.rmtree(job.folder, ignore_errors=True)

    def named(self, name: str) -> Job:
        """The job of a name.

        Raises:
            UserError: it isn't known, or no longer.
        """
        if name not in self._known:
            raise UserError("This work is no longer known: start it again.")
        return self._known[name]

    def close(self) -> None:
        """Stop all work at once."""
        for job in self._known.values():
            job.stop()
        self._worker.close()
        self._pool.shutdown(cancel_futures=True)
