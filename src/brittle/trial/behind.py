"""Writing behind the work: pictures are compressed and flushed while the model goes on.

To compress a picture of 512 px takes a core 0.1 s, and to flush it the disk some more.
"""

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

from brittle.decoding import Levels
from brittle.parallel import PIXELS, cores
from brittle.record.store import Store


@contextmanager
def behind(store: Store) -> Iterator[Store]:
    """A store whose pictures are on their way into ``store``, and there when the context ends.

    What is on its way is at most `PIXELS` pixels and is lost by a kill. A failure to write is
    raised by a later write or at the end. If the work fails, what has not begun is not written.
    """
    with ThreadPoolExecutor(cores()) as pool:
        writing = Behind(store, pool)
        try:
            yield writing
            writing.wait(room=PIXELS)
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


class Behind(Store):
    """A store that others write to in threads; made by `behind`."""

    def __init__(self, store: Store, pool: ThreadPoolExecutor) -> None:
        self.store, self.pool = store, pool
        self.seen_only, self.directory = store.seen_only, store.directory
        self._levels: dict[str, Levels] = {}
        self._order: deque[tuple[str, Future[None]]] = deque()

    def wait(self, room: int) -> None:
        """Wait until at most `PIXELS` less ``room`` pixels are on their way, the first ones first.

        Raises:
            UserError: one of them couldn't be written.
        """
        while self._order and (self._order[0][1].done() or self._pixels + room > PIXELS):
            key, written = self._order.popleft()
            written.result()
            del self._levels[key]

    @property
    def _pixels(self) -> int:
        return sum(one.size // 3 for one in self._levels.values())

    def has(self, key: str) -> bool:
        """As `Store.has`."""
        return key in self._levels or self.store.has(key)

    def read_levels(self, key: str) -> Levels:
        """As `Store.read_levels`."""
        return self._levels[key] if key in self._levels else self.store.read_levels(key)

    def write_levels(self, key: str, levels: Levels) -> None:
        """As `Store.write_levels`, later."""
        self._later(key, levels, received=False)

    def keep_received(self, key: str, levels: Levels) -> None:
        """As `Store.keep_received`, later."""
        self._later(key, levels, received=True)

    def _later(self, key: str, levels: Levels, *, received: bool) -> None:
        self.wait(room=levels.size // 3)
        write = self.store.keep_received if received else self.store.write_levels
        self._levels[key] = levels
        self._order.append((key, self.pool.submit(write, key, levels)))

    def write_note(self, key: str, note: dict[str, Any]) -> None:
        """As `Store.write_note`, at once."""
        self.store.write_note(key, note)

    def read_cell(self, key: str) -> dict[str, Any]:
        """As `Store.read_cell`."""
        return self.store.read_cell(key)

    def write_cell(self, key: str, cell: dict[str, Any]) -> None:
        """As `Store.write_cell`, once every picture is written."""
        self.wait(room=PIXELS)
        self.store.write_cell(key, cell)
