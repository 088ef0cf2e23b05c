"""How often an audit calls noise stronger than noise, with known truth.

    python benchmarks/audit_errors.py [--trials 2000]

A file is one more draw of the first of three kinds of noise; the other two stay five standard
deviations behind, so that this kind alone holds it back. `docs/audit.md` quotes what comes out.
"""

import argparse
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from brittle.analysis.randomization_test import FIRST, placebo_tests, together, unsettled
from brittle.record.arms import NOISES

Floats = NDArray[np.float64]
Line = tuple[float, dict[str, list[float]]]
"""How far the file moved the photo, and how far each draw of each kind did."""
SD, BEHIND, MOST, LINES, PHOTOS = 0.05, 5, 19, 9, 20
EFFECT: Line = (9.0, {kind: [1.0, 1.02, 0.98] for kind in NOISES})

LOGARITHMS: dict[str, Callable[[np.random.Generator, tuple[int, int]], Floats]] = {
    "normal": lambda draw, shape: draw.standard_normal(shape),
    "Student's t, 3 degrees": lambda draw, shape: draw.standard_t(3, shape),
    "one in ten 5 sd away": lambda draw, shape: (
        draw.standard_normal(shape) + 5 * (draw.random(shape) < 0.1)
    ),
    "of exponential distances": lambda draw, shape: np.log(draw.exponential(size=shape)),
}
"""What the logarithms of distances are like."""


def null_line(draw: np.random.Generator, name: str, wider: float = 1) -> Line:
    """A line whose file is noise of the first kind, which spreads ``wider`` than the others."""
    logs = SD * LOGARITHMS[name](draw, (len(NOISES), 1 + MOST)) * [[wider], [1], [1]]
    logs[1:] -= SD * BEHIND
    file, *own = np.exp(logs[0]).tolist()
    return file, dict(zip(NOISES, [own, *np.exp(logs[1:, 1:]).tolist()], strict=True))


def first_draws(line: Line) -> Line:
    """The draws that are made whatever they show."""
    return line[0], {kind: of[:FIRST] for kind, of in line[1].items()}


def in_turn(line: Line) -> Line:
    """As many draws as an audit takes."""
    protected, draws = line
    number = dict.fromkeys(draws, FIRST)
    while True:
        taken = {kind: of[: number[kind]] for kind, of in draws.items()}
        more = unsettled(protected, taken)
        if not more:
            return protected, taken
        for kind in more:
            number[kind] += 2


def any_line(draw: np.random.Generator, name: str, wider: float) -> tuple[bool, int]:
    """A photo whose file is noise: whether a line is called stronger, and its draws a line."""
    lines = [in_turn(null_line(draw, name, wider)) for _ in range(LINES)]
    wrong = any(test.stronger for test in placebo_tests(lines))
    return wrong, sum(len(of) for _, draws in lines for of in draws.values()) // LINES


def any_null_line(draw: np.random.Generator, name: str, wider: float) -> bool:
    """A protection of which eight transforms leave nothing: whether one is called stronger."""
    lines = [EFFECT, *(in_turn(null_line(draw, name, wider)) for _ in range(LINES - 1))]
    return any(test.stronger for test in placebo_tests(lines)[1:])


def null_folder(draw: np.random.Generator, name: str, wider: float) -> bool:
    """A folder of files that are noise: whether they are called stronger all together."""
    return together([first_draws(null_line(draw, name, wider)) for _ in range(PHOTOS)]) <= 0.05


def main(arguments: Sequence[str] | None = None) -> None:
    """Print a table of rates."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args(arguments)
    print(f"{asked.trials} trials, seed {asked.seed}")
    heads = ("logarithms of distances", "the file's kind spreads", "9 lines of noise")
    heads += ("8 lines of noise beside an effect", "20 photos of noise", "draws a line")
    print(f"| {' | '.join(heads)} |")
    for name in LOGARITHMS:
        for wider in (1, 4):
            draw = np.random.default_rng(asked.seed)
            lines = [any_line(draw, name, wider) for _ in range(asked.trials)]
            rates = [np.mean([wrong for wrong, _ in lines])] + [
                np.mean([of(draw, name, wider) for _ in range(asked.trials)])
                for of in (any_null_line, null_folder)
            ]
            spreads = "as the others" if wider == 1 else f"{wider} times as wide"
            drawn = np.mean([number for _, number in lines])
            shown = " | ".join(f"{rate:.3f}" for rate in rates)
            print(f"| {name} | {spreads} | {shown} | {drawn:.0f} |", flush=True)


if __name__ == "__main__":
    main()
