"""What was computed last, kept while it fits into a number of bytes."""

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable

from torch import Tensor

Tensors = tuple[Tensor, ...]


class Recent:
    """Remembers tensors up to ``limit`` bytes; the least recently used go first.

    Threads may share it: two that ask for the same at once both compute it, and neither waits.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.size = 0
        self._kept: OrderedDict[Hashable, Tensors] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: Hashable, compute: Callable[[], Tensors]) -> Tensors:
        """What is kept under a key, or else what ``compute`` gives."""
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
        computed = compute()
        with self._lock:
            if key not in self._kept:
                self._kept[key] = computed
                self.size += _bytes(computed)
            while self.size > self.limit:
                _, oldest = self._kept.popitem(last=False)
                self.size -= _bytes(oldest)
        return computed

    def forget(self) -> None:
        """Drop everything."""
        with self._lock:
            self._kept.clear()
            self.size = 0


def _bytes(tensors: Tensors) -> int:
    return sum(tensor.nbytes for tensor in tensors)
