"""Progress that a caller may show: a stage, how much there is of it, and how much is done."""

import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from threading import Lock

Advance = Callable[[float], None]
Progress = Callable[[str, float], AbstractContextManager[Advance]]
"""``with progress("edits", 120) as advance: advance(8)``"""
ALL = "all"
"""The name of the stage that `overall` adds; its total is 100."""
RECENT = 600.0
"""Seconds whose pace says how long the rest will take: no two stages are foreseen equally well."""


@dataclass
class Stage:
    """A stage that is shown."""

    name: str
    total: float
    begun: float = 0
    done: float = 0
    marks: list[tuple[float, float]] = field(default_factory=list)
    """When how much was done, as far back as `pace` looks."""

    def pace(self, now: float) -> float | None:
        """Seconds for one more, by the last `RECENT`, or by all where nothing was done in them."""
        begin = (self.begun, 0.0)
        self.marks = [*(self.marks or [begin]), (now, self.done)]
        while len(self.marks) > 1 and self.marks[1][0] <= now - RECENT:
            del self.marks[0]
        for then, done in (self.marks[0], begin):
            if self.done > done:
                return (now - then) / (self.done - done)
        return None

    @property
    def count(self) -> str:
        """How far it is: 12/300, or 42 % of all of them."""
        return f"{self.done:.0f} %" if self.name == ALL else f"{self.done:.0f}/{self.total:.0f}"


class Guessed:
    """A part of a stage whose length is a guess: it advances by this in the end, and never by more.

    Once it was passed, the rest of the part goes by unseen; `finish` fills up what is left of it.
    """

    def __init__(self, advance: Advance, length: float) -> None:
        self.advance, self.left = advance, length

    def __call__(self, done: float) -> None:
        """As the stage's own advance."""
        step = min(done, self.left)
        self.left -= step
        self.advance(step)

    def finish(self) -> None:
        """The part is done."""
        self(self.left)


@contextmanager
def silent(stage: str, total: float) -> Iterator[Advance]:
    """Show nothing."""
    yield lambda done: None


@contextmanager
def overall(progress: Progress, weights: Mapping[str, float]) -> Iterator[Progress]:
    """Show how far all stages together are, beside each of them.

    ``weights`` says of each stage, by its name, how much of the whole it is, in any unit: seconds,
    say, that were measured beforehand. Other stages count nothing.
    """
    whole = sum(weights.values())
    if not whole:
        yield progress
        return
    with progress(ALL, 100) as advance_all:

        @contextmanager
        def stage(name: str, total: float) -> Iterator[Advance]:
            share = 100 * weights.get(name, 0) / whole / (total or 1)

            def both(done: float) -> None:
                advance_all(share * done)
                advance(done)

            with progress(name, total) as advance:
                yield both

        yield stage


@contextmanager
def on_stderr(say: Callable[[str], None]) -> Iterator[Progress]:
    """Show progress on standard error: bars on a terminal; else `say` a line a minute."""
    if not sys.stderr.isatty():
        yield Log(say).stage
        return
    with bars() as progress:
        yield progress


@contextmanager
def bars() -> Iterator[Progress]:
    """Show a bar with an estimate of the time left for each stage, as long as it lasts."""
    from rich import progress as rich
    from rich.console import Console

    columns = (
        rich.TextColumn("{task.description:<12}"),
        rich.BarColumn(),
        rich.TextColumn("{task.fields[count]}"),
        rich.TimeElapsedColumn(),
        rich.TextColumn("left"),
        rich.TimeRemainingColumn(),
    )
    # Rich prints what goes to standard output above the bars, on standard error: not into a file.
    shown = rich.Progress(
        *columns,
        console=Console(stderr=True),
        transient=True,
        redirect_stdout=sys.stdout.isatty(),
        speed_estimate_period=RECENT,  # what takes half a minute a piece has an estimate, too
    )
    with shown:

        @contextmanager
        def stage(name: str, total: float) -> Iterator[Advance]:
            task, mine = shown.add_task(name, total=total, count=""), Stage(name, total)

            def advance(done: float) -> None:
                mine.done += done
                shown.update(task, completed=mine.done, count=mine.count)

            advance(0)
            try:
                yield advance
            finally:
                shown.remove_task(task)

        yield stage


class Log:
    """Says how far the work is, a line every so many seconds: a bar would fill a log with copies.

    The first line comes after as long: what takes less leaves none.
    """

    def __init__(
        self,
        say: Callable[[str], None],
        seconds: float = 60,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.say, self.seconds, self.clock = say, seconds, clock
        self._due = clock() + seconds
        self._open: list[Stage] = []
        self._lock = Lock()

    @contextmanager
    def stage(self, name: str, total: float) -> Iterator[Advance]:
        """A `Progress`."""
        mine = Stage(name, total, begun=self.clock())
        self._open.append(mine)

        def advance(done: float) -> None:
            with self._lock:  # stages advance in threads
                mine.done += done
                if self.clock() < self._due:
                    return
                self._due = self.clock() + self.seconds
                self.say(self._line())

        try:
            yield advance
        finally:
            self._open.remove(mine)

    def _line(self) -> str:
        """How far each stage is, and how long the outermost will still take at its pace."""
        outermost = self._open[0]
        line = ", ".join(f"{one.name} {one.count}" for one in self._open)
        pace = outermost.pace(self.clock())
        if pace is None:
            return line
        return f"{line}; about {duration(pace * max(0.0, outermost.total - outermost.done))} left"


def duration(seconds: float) -> str:
    """A time as one says it: 40 seconds, 12 minutes, 3.5 hours."""
    if seconds < 90:
        return f"{seconds:.0f} seconds"
    if seconds < 5400:
        return f"{seconds / 60:.0f} minutes"
    return f"{seconds / 3600:.1f} hours"
