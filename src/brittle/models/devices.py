"""What differs between a CPU and a GPU when models run on them, decided in one place."""

import ctypes
import platform
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from threading import Lock

import torch
from torch import Tensor

NARROW = 8
"""Latents up to this width are 2 wide before one of the first three halvings of a UNet."""
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_MMAP_MAX = -1, -3, -4  # malloc.h
_MMAP_MAX = 65536  # its default


def prepare(device: torch.device, dtype: torch.dtype) -> None:
    """Set how torch computes where a model of this dtype runs.

    On CUDA convolutions give the same bytes every time, and those of a model in float32 aren't
    rounded to TF32's 10 bits.
    """
    if device.type == "cuda":
        torch.backends.cudnn.deterministic = True
        torch.backends.cudnn.allow_tf32 = dtype != torch.float32


@contextmanager
def keeping_freed_memory() -> Iterator[None]:
    """Have glibc keep for the next layer what one frees: a third of a pass at 512 px.

    By default it gives blocks of more than 32 MiB back to the system, which fills new ones with
    zeros, page by page (`benchmarks/freed_memory.py`). Outside of networks they are given back as
    ever, since large photos' would lie scattered between what is kept. One setting holds for all
    threads.
    """
    allocator = _allocator()
    allocator.enter()
    try:
        yield
    finally:
        allocator.leave()


@contextmanager
def sound_when_narrow(latents: Tensor) -> Iterator[None]:
    """Run narrow latents (N, C, h, w) in bfloat16 on a CPU without oneDNN.

    With AMX, its strided convolutions of inputs that are 2 wide read memory that nobody wrote.
    """
    narrow = latents.device.type == "cpu" and latents.shape[-1] <= NARROW
    if not narrow or latents.dtype != torch.bfloat16:
        yield
        return
    before = torch._C._get_mkldnn_enabled()
    torch._C._set_mkldnn_enabled(False)
    try:
        yield
    finally:
        torch._C._set_mkldnn_enabled(before)


def give_back_freed_memory() -> None:
    """Have glibc give back what it kept for networks, so that it counts as free."""
    if _allocator().known:
        ctypes.CDLL(None).malloc_trim(0)


@cache
def _allocator() -> "_Allocator":
    return _Allocator()


class _Allocator:
    """glibc's, and how many networks run."""

    def __init__(self) -> None:
        self.lock, self.networks = Lock(), 0
        self.known = platform.libc_ver()[0] == "glibc"
        self.tell(_M_TRIM_THRESHOLD, 2**31 - 1)
        # Told one of its limits, it no longer sets the others by what it sees.
        self.tell(_M_MMAP_THRESHOLD, 2**25)

    def enter(self) -> None:
        """A network begins to run."""
        with self.lock:
            self.networks += 1
            self.tell(_M_MMAP_MAX, 0)

    def leave(self) -> None:
        """One has run."""
        with self.lock:
            self.networks -= 1
            if not self.networks:
                self.tell(_M_MMAP_MAX, _MMAP_MAX)

    def tell(self, limit: int, value: int) -> None:
        """Set one of its limits, by its number in malloc.h."""
        if self.known:
            ctypes.CDLL(None).mallopt(limit, value)


def channels_last(module: torch.nn.Module) -> None:
    """Lay out the weights of a module's convolutions as a GPU's half-precision kernels want them.

    Those of a video's convolutions have five dimensions, and stay.
    """
    for weight in module.parameters():
        if weight.dim() == 4:
            weight.data = weight.data.contiguous(memory_format=torch.channels_last)


@contextmanager
def exactly(device: torch.device) -> Iterator[None]:
    """Convolutions in float32 as they are, whatever the model's dtype allows: for what measures.

    Threads that go in and out need it around them all, since torch keeps one setting a process.
    """
    if device.type != "cuda":
        yield
        return
    before = torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.allow_tf32 = False
    try:
        yield
    finally:
        torch.backends.cudnn.allow_tf32 = before


def for_scores(device: torch.device) -> torch.device:
    """Where the networks of metrics run: on a model's GPU, if that knows float64."""
    return device if device.type == "cuda" else torch.device("cpu")


def room_for_more(device: torch.device) -> int:
    """Bytes that one call may take where larger calls are faster: a quarter of a GPU's memory.

    On other devices none, nor where the GPU is another machine's.
    """
    if device.type != "cuda" or not torch.cuda.is_available():
        return 0
    return int(torch.cuda.get_device_properties(device).total_memory // 4)


class Questions:
    """Questions about what a device computes, asked without making it wait.

    A GPU's answer is read when the next question comes: one call of a model later, so that the
    device always has work.
    """

    def __init__(self) -> None:
        self._settle: Callable[[], None] = _nothing

    def ask(self, holds: Tensor, otherwise: Callable[[], None]) -> None:
        """Call ``otherwise`` if a scalar is false; on a GPU at the next question, or `settle`."""
        if not holds.is_cuda:
            if not holds:
                otherwise()
            return
        here = holds.to("cpu", non_blocking=True)
        copied = torch.cuda.Event()
        copied.record()

        def settle() -> None:
            copied.synchronize()
            if not here:
                otherwise()

        self.settle()
        self._settle = settle

    def settle(self) -> None:
        """Wait for the answer to the last question, if there is one."""
        before, self._settle = self._settle, _nothing
        before()


def _nothing() -> None:
    """There is no question."""
