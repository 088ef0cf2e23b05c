"""What differs between a CPU and a GPU when models run on them, decided in one place."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor


def prepare(device: torch.device, dtype: torch.dtype) -> None:
    """Set how torch computes where a model of this dtype runs.

    On CUDA convolutions give the same bytes every time, and those of a model in float32 aren't
    rounded to TF32's 10 bits.
    """
    if device.type == "cuda":
        torch.backends.cudnn.deterministic = True
        torch.backends.cudnn.allow_tf32 = dtype != torch.float32


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
