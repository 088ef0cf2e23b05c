"""What it saves on a CPU that layers' memory is kept for the next one; with glibc.

    python benchmarks/freed_memory.py [--model embedded sd1] [--side 128 256 512] [--rounds 5]

Processes that keep freed memory, as brittle does (`devices.keeping_freed_memory`), and that give it
back, as by default, take turns: per round one each, which takes the median of 7 times of a pass
through the encoder and back, as protections run it, and of a look without gradient. Printed for
each model and side: both, and the median over the rounds of kept to given back.
"""

import argparse
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import nullcontext

import torch

from brittle.models import load_model, parts

WAYS = ("kept", "given back")


def main() -> None:
    """Run the benchmark, or one round of one way where ``--way`` says so."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", nargs="+", default=["embedded", "sd1"])
    parser.add_argument("--side", nargs="+", type=int, default=[128, 256, 512])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--way", choices=WAYS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.way:
        print(*one_round(options.way, options.model[0], options.side[0]))
        return
    for model in options.model:
        for side in options.side:
            compare(model, side, options.rounds)


def compare(model: str, side: int, rounds: int) -> None:
    """Print both ways' seconds, and their ratio."""
    found = [[in_process(way, model, side) for way in WAYS] for _ in range(rounds)]
    for place, name in enumerate(("there and back", "a look")):
        kept, given = ([one[way][place] for one in found] for way in range(2))
        ratios = [a / b for a, b in zip(kept, given, strict=True)]
        print(
            f"{model}, {side} px, {name}: {statistics.median(kept):.3f} s and "
            f"{statistics.median(given):.3f} s, ratio {statistics.median(ratios):.2f} "
            f"({min(ratios):.2f} to {max(ratios):.2f})",
            flush=True,
        )


def in_process(way: str, model: str, side: int) -> list[float]:
    """What `one_round` gives in a process of its own."""
    command = [sys.executable, __file__, "--way", way, "--model", model, "--side", str(side)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return [float(one) for one in done.stdout.split()]


def one_round(way: str, name: str, side: int) -> tuple[float, float]:
    """Seconds of a pass through the encoder and back, and of a look."""
    if way != WAYS[0]:
        parts.keeping_freed_memory = nullcontext
    model = load_model(name, size=side)
    photo = torch.rand(1, 3, side, side, generator=torch.Generator().manual_seed(0))
    asked = photo.clone().requires_grad_()

    def back() -> None:
        torch.autograd.grad(model.encode_to_attack(asked).square().sum(), asked)

    def look() -> None:
        with torch.no_grad():
            model.encode_to_attack(photo)

    return typical(back), typical(look)


def typical(work: Callable[[], None]) -> float:
    """The median of 7 times, after one that warms up."""
    work()
    times = []
    for _ in range(7):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


if __name__ == "__main__":
    main()
