"""All cores of the computer, each with work of its own."""

import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from math import ceil
from typing import TypeVar

import torch

from brittle.control_groups import groups_of, text_of

PIXELS = 32_000_000
"""Of pictures that are worked on at the same time, which take about 100 bytes a pixel."""

Item = TypeVar("Item")
Result = TypeVar("Result")


def cores() -> int:
    """How many cores this process may keep busy: of its affinity and its control groups' quota."""
    return max(1, min([_affinity(), *_quotas()]))


def _affinity() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _quotas() -> list[int]:
    """What each group may use of the processors' time, in cores; begun ones count."""
    found = []
    for group in groups_of("cpu"):
        quota, _, period = text_of(group / "cpu.max").strip().partition(" ")
        quota = quota or text_of(group / "cpu.cfs_quota_us").strip()
        period = period or text_of(group / "cpu.cfs_period_us").strip()
        if quota.isdigit() and period.isdigit():
            found.append(ceil(int(quota) / int(period)))
    return found


def threads_for(pixels: int, most: int) -> int:
    """How many threads may each work on a picture of so many pixels, so that memory is bounded."""
    return max(1, min(most, PIXELS // pixels))


def on_all_cores(
    compute: Callable[[Item], Result], items: Iterable[Item], *, pixels: int = 1
) -> list[Result]:
    """``compute`` of each item, in their order, one core an item.

    Where each works on a picture of many ``pixels``, fewer do at the same time.

    Where torch shares one operation among cores, they wait for each other, for long where another
    program holds one of them; and the last bits depend on their number.
    """
    before = torch.get_num_threads()
    try:
        threads = threads_for(pixels, min(before, cores()))
        with ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            return [*pool.map(compute, items)]
    finally:
        torch.set_num_threads(before)  # a thread sets what later ones and MKL start with, too
