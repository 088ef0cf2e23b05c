"""What JPEG in the loss buys a protection, by latents, at equal perceptual distance of the file.

    python benchmarks/arms_race.py --model embedded --photos FOLDER --side 128 --count 12

Two encoder protections of each photo's square, for each target, differ only in their expectation:
none, or what --foreseen says, JPEG at qualities 50..95 unless told otherwise. The more visible ones
are shortened until all published 8-bit files have the same perceptual distance from the photo.
Printed for each transform: the effect (root mean square distance of latents to the unprotected
photo's under the same transform, less a placebo's of the same size) of both, and the contrast
e_aware - 2 e_plain with its one-sided 97.5 % bounds (t over photos), each plain one with the aware
one of its target, and the first plain one with the last aware one. The placebo is the one with the
larger mean distance without a transform.

Protected files are kept in --work, so that a run that was stopped goes on; results.json lies there.
"""

import argparse
import hashlib
import json
from pathlib import Path

import numpy as np
from torch import Tensor

from brittle.analysis.intervals import mean_bounds
from brittle.budgets import PerceptualBudget
from brittle.images import png_bytes, read_photo, write_image
from brittle.metrics import PSNR, Latent, Perceptual
from brittle.models import EditModel, load_model
from brittle.protections import EncoderProtection, Noise, NoiseSpectrum
from brittle.sources.photos import load_photos
from brittle.transforms import Transform

TRANSFORMS = (
    "none",
    "jpeg:quality=95",
    "jpeg:quality=85",
    "jpeg:quality=75",
    "jpeg:quality=65",
    "jpeg:quality=50",
    "jpeg:quality=30",
    "jpeg:quality=75,subsampling=4:4:4",
    "webp:quality=75",
    "avif:quality=60",
    "resize:factor=0.5",
    "gaussian-blur:sigma=1",
    "shift:right=3,down=5+jpeg:quality=75",
    "jpeg:quality=75+resize:factor=0.5",
)
PLACEBOS = {"noise": Noise, "noise-spectrum": NoiseSpectrum}
PLACEBO_SEEDS = (1,)


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="embedded")
    parser.add_argument("--photos", default="sample", help="a folder; by default eight samples")
    parser.add_argument("--side", type=int, default=512, help="of the squares in pixels")
    parser.add_argument("--count", type=int, default=16)
    parser.add_argument("--steps", type=int, default=80)
    parser.add_argument("--budget", default="linf:12.75/255", help="of both, before levelling")
    parser.add_argument("--step", type=float, default=0.25, help="the first one's share of it")
    parser.add_argument("--targets", nargs="+", default=["gray"], help="gray, away or both")
    parser.add_argument("--foreseen", nargs="+", default=["jpeg:quality=50..95"])
    parser.add_argument("--work", type=Path, default=Path("arms-race-latents"))
    options = parser.parse_args()
    model = load_model(options.model)
    protections = {
        f"{kind} {target}": protection(options, target, expectation)
        for target in options.targets
        for kind, expectation in (("plain", ()), ("aware", tuple(options.foreseen)))
    }
    options.work.mkdir(parents=True, exist_ok=True)
    about = {"name": model.name, "model": str(model), "side": options.side}
    about |= {name: str(one) for name, one in protections.items()}
    rows: list[dict] = []
    photos = load_photos(options.photos, square=options.side)
    for label, of in list(photos.items())[: options.count]:
        files = {
            name: kept(options.work, model, one, of.image) for name, one in protections.items()
        }
        rows.append({"photo": label, **measured(model, of.image, level(of.image, files))})
        results = {**about, "n": len(rows), "photos": rows}
        (options.work / "results.json").write_text(json.dumps(results, indent=1))
        shown = [f"{rows[-1][name]['psnr']:.1f} dB at {rows[-1][name]['perceptual']:.3f}"
                 for name in protections]  # fmt: skip
        print(f"{label}: {', '.join(shown)}", flush=True)
    arms = list(protections)
    pairs = dict.fromkeys([*zip(arms[::2], arms[1::2], strict=True), (arms[0], arms[-1])])
    print("\n\n".join([table(rows, *pair) for pair in pairs] + [visibility(rows, arms)]))


def protection(
    options: argparse.Namespace, target: str, expectation: tuple[str, ...]
) -> EncoderProtection:
    """The encoder protection of one arm: steps of a share of the radius, falling to 1 %."""
    return EncoderProtection(
        budget=options.budget,
        steps=options.steps,
        step_size=EncoderProtection(budget=options.budget).budget.radius * options.step,
        schedule="linear",
        target=target,
        random_start=target == "away",
        expectation=expectation,
    )


def kept(work: Path, model: EditModel, one: EncoderProtection, photo: Tensor) -> Tensor:
    """The protected photo, from the folder where it was made before."""
    identity = f"{one.record()}{model.content_hash}".encode() + png_bytes(photo)
    path = work / f"{hashlib.sha256(identity).hexdigest()[:24]}.png"
    if not path.is_file():
        write_image(path, one(model, photo, seeds=[0]))
    return read_photo(path).image


def level(photo: Tensor, files: dict[str, Tensor]) -> dict[str, Tensor]:
    """The files at the smallest of their perceptual distances: the others shortened to it."""
    smallest = min(float(Perceptual().score(file, photo)) for file in files.values())
    budget = PerceptualBudget(radius=smallest, within=1.0)
    return {name: budget.round_inside(photo, file) for name, file in files.items()}


def measured(model: EditModel, photo: Tensor, files: dict[str, Tensor]) -> dict[str, dict]:
    """Visibility of each file, and the distances of its latents and its placebos' by transform."""
    found: dict[str, dict] = {}
    for name, file in files.items():
        arms = {name: [file]}
        for kind, placebo in PLACEBOS.items():
            arms[kind] = [placebo().draw(photo, file, seeds=[seed]) for seed in PLACEBO_SEEDS]
        found[name] = {
            "psnr": float(PSNR().score(file, photo)),
            "perceptual": float(Perceptual().score(file, photo)),
            "largest": float(((file - photo) * 255).abs().max()),
            "distance": {},
        }
        for text in TRANSFORMS:
            transform = Transform.read(text)
            control = transform.apply(photo, seeds=[0])
            found[name]["distance"][text] = {
                ("arm" if arm == name else arm): float(
                    np.mean([
                        float(Latent().score(transform.apply(one, seeds=[0]), control, model=model))
                        for one in pictures
                    ])
                )
                for arm, pictures in arms.items()
            }  # fmt: skip
    return found


def effects(rows: list[dict], name: str) -> dict[str, np.ndarray]:
    """Each photo's effect by transform, less the stronger placebo."""
    untouched = [row[name]["distance"]["none"] for row in rows]
    kind = max(PLACEBOS, key=lambda kind: np.mean([one[kind] for one in untouched]))
    return {
        text: np.array([
            row[name]["distance"][text]["arm"] - row[name]["distance"][text][kind] for row in rows
        ])
        for text in TRANSFORMS
    }  # fmt: skip


def table(rows: list[dict], one: str, other: str) -> str:
    """The effects of two arms by transform, and their contrast."""
    plain, aware = effects(rows, one), effects(rows, other)
    lines = [f"| transform | {one} | {other} | {other} - 2 {one} |", "|---|---|---|---|"]
    for text in TRANSFORMS:
        mean, low, high = mean_bounds(aware[text] - 2 * plain[text], 0.025)
        lines.append(
            f"| {text} | {plain[text].mean():.3f} | {aware[text].mean():.3f} "
            f"| {mean:+.3f} [{low:+.3f}, {high:+.3f}] |"
        )
    return "\n".join(lines)


def visibility(rows: list[dict], arms: list[str]) -> str:
    """How far the files of each arm lie from the photos, in words."""
    lines = []
    for name in arms:
        psnr, perceptual, largest = (
            np.mean([row[name][what] for row in rows]) for what in ("psnr", "perceptual", "largest")
        )
        lines.append(
            f"{name}: {psnr:.2f} dB, perceptual distance {perceptual:.3f}, largest change "
            f"{largest:.1f} levels (means of {len(rows)} photos)"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
