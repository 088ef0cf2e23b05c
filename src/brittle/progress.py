"""Progress that a caller may show: a stage, how much there is of it, and how much is done."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

Advance = Callable[[int], None]
Progress = Callable[[str, int], AbstractContextManager[Advance]]
"""``with progress("edits", 120) as advance: advance(8)``"""


@contextmanager
def silent(stage: str, total: int) -> Iterator[Advance]:
    """Show nothing."""
    yield lambda done: None


@contextmanager
def bars() -> Iterator[Progress]:
    """Show a bar with an estimate of the time left for each stage, on standard error."""
    from rich import progress as rich
    from rich.console import Console

    columns = (
        rich.TextColumn("{task.description:<12}"),
        rich.BarColumn(),
        rich.MofNCompleteColumn(),
        rich.TimeElapsedColumn(),
        rich.TextColumn("left"),
        rich.TimeRemainingColumn(),
    )
    with rich.Progress(*columns, console=Console(stderr=True)) as shown:

        @contextmanager
        def stage(name: str, total: int) -> Iterator[Advance]:
            task = shown.add_task(name, total=total)
            yield lambda done: shown.advance(task, done)

        yield stage
