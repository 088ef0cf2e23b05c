"""All cores of the computer, each with work of its own."""

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import torch

Item = TypeVar("Item")
Result = TypeVar("Result")


def on_all_cores(compute: Callable[[Item], Result], items: Iterable[Item]) -> list[Result]:
    """``compute`` of each item, in their order, one core an item.

    Where torch shares one operation among cores, they wait for each other, for long where another
    program holds one of them; and the last bits depend on their number.
    """
    cores = torch.get_num_threads()
    try:
        with ThreadPoolExecutor(cores, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            return [*pool.map(compute, items)]
    finally:
        torch.set_num_threads(cores)  # a thread sets what later ones and MKL start with, too
