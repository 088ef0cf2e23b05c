"""All cores of the computer, each with work of its own."""

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import torch

PIXELS = 32_000_000
"""Of pictures that are worked on at the same time, which take about 100 bytes a pixel."""

Item = TypeVar("Item")
Result = TypeVar("Result")


def threads_for(pixels: int, cores: int) -> int:
    """How many threads may each work on a picture of so many pixels, so that memory is bounded."""
    return max(1, min(cores, PIXELS // pixels))


def on_all_cores(
    compute: Callable[[Item], Result], items: Iterable[Item], *, pixels: int = 1
) -> list[Result]:
    """``compute`` of each item, in their order, one core an item.

    Where each works on a picture of many ``pixels``, fewer do at the same time.

    Where torch shares one operation among cores, they wait for each other, for long where another
    program holds one of them; and the last bits depend on their number.
    """
    cores = torch.get_num_threads()
    try:
        threads = threads_for(pixels, cores)
        with ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            return [*pool.map(compute, items)]
    finally:
        torch.set_num_threads(cores)  # a thread sets what later ones and MKL start with, too
