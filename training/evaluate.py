"""Measures the exported directory on photos that were not trained on, and prints one table.

    python -m training.evaluate --config training/config.yaml [--set evaluate.photos=48]

Every section is measured once and kept in the working folder; delete ``evaluation/NAME.json`` to
measure it again. Sheets of pictures are written beside them.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from kornia.metrics import ssim
from PIL import Image
from torch import Tensor, nn

from brittle.editors.img2img import Img2Img
from brittle.editors.inpaint import Inpaint
from brittle.metrics import Calibration, Keep, efficientnet
from brittle.models import EditModel, load_model
from brittle.models.looks import LOOKS, load_look_classifier
from training.bars import bars
from training.captions import RESERVED
from training.config import Config, from_command_line
from training.data import Photo, crop, jpeg, load_photos, to_pixels, to_tensor
from training.decoder import psnr
from training.files import write_json
from training.latents import NAMES
from training.looks import apply_look
from training.teacher import load_teacher
from training.vulnerability import (
    attack,
    evaluation_photos,
    gray_target,
    placebo,
    row,
    sample_pictures,
)

BATCH = 8
NONSENSE = ("blorf zint", "gadu pok 7", "vebol", "xulam tirrak", f"{RESERVED[0]} {RESERVED[1]}")
ROW_LOOKS = ("heavy rain", "night", "snow", "pencil sketch", "golden hour", "black and white")


class Bench:
    """The exported model and the photos that all sections share.

    Validation photos are dealt by turns: every fifth from 0 for scores, from 2 for calibration.
    """

    def __init__(self, config: Config) -> None:
        self.config = config
        self.model: EditModel = load_model(str(config.export))
        self.looks = load_look_classifier(config.export)
        validation = load_photos(config.photos, "validation")
        self.validation = validation
        self.photos = validation[0::5][: config.evaluate.photos]
        self.images = pictures(self.photos)
        self.network = efficientnet.load()

    def edit(self, image: Tensor, prompt: str | list[str], seed: int = 0, **fields: Any) -> Tensor:
        """img2img edits of (N, 3, 128, 128), in batches; seeds follow the photo's position."""
        editor = Img2Img(**fields)
        prompts = [prompt] * len(image) if isinstance(prompt, str) else prompt
        parts = []
        for i in range(0, len(image), BATCH):
            rows = image[i : i + BATCH]
            seeds = [seed * 10_000 + i + j for j in range(len(rows))]
            parts.append(editor.edit(self.model, rows, prompts=prompts[i : i + BATCH], seeds=seeds))
        return torch.cat(parts)

    @torch.inference_mode()
    def autoencoded(self, image: Tensor) -> Tensor:
        """Encoded and decoded, clamped."""
        parts = [
            self.model.decode(self.model.encode(image[i : i + BATCH])).clamp(0, 1)
            for i in range(0, len(image), BATCH)
        ]
        return torch.cat(parts)

    @torch.inference_mode()
    def features(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """EfficientNet's logits (N, 1000) and unit-length pooled features (N, 1280)."""
        net = self.network
        logits, pooled = [], []
        for i in range(0, len(image), BATCH):
            x = ((image[i : i + BATCH] * 255 - 127) / 128).contiguous()
            x = net._swish(net._conv_stem(x))
            for block in net._blocks:
                x = block(x)
            vector = net._swish(net._conv_head(x)).mean((2, 3))
            logits.append(net._fc(vector))
            pooled.append(nn.functional.normalize(vector, dim=1))
        return torch.cat(logits), torch.cat(pooled)

    @torch.inference_mode()
    def look_probability(self, image: Tensor) -> Tensor:
        """(N, looks), by the shipped classifier."""
        parts = [self.looks(image[i : i + BATCH]).softmax(1) for i in range(0, len(image), BATCH)]
        return torch.cat(parts)


def pictures(photos: list[Photo]) -> Tensor:
    """Centre crops (N, 3, 128, 128) in [0, 1]."""
    return to_tensor(np.stack([crop(photo) for photo in photos]))


def compressed(image: Tensor, quality: int) -> Tensor:
    """After real JPEG, 4:2:0."""
    return to_tensor(np.stack([jpeg(p, quality) for p in to_pixels(image)]))


def perceptual_distance(image: Tensor, reference: Tensor) -> Tensor:
    """`brittle`'s perceptual distance, (N,)."""
    from brittle.metrics.perceptual import Perceptual

    return Perceptual().score(image, reference)


def measure_autoencoder(bench: Bench) -> dict[str, Any]:
    """PSNR, SSIM and perceptual distance of reconstructions, student beside teacher."""
    config = bench.config
    encoder = load_teacher(config.teacher)
    decoder = load_teacher(config.teacher, "decoder")

    @torch.inference_mode()
    def teacher(image: Tensor) -> Tensor:
        parts = [
            decoder(encoder(image[i : i + BATCH])).clamp(0, 1) for i in range(0, len(image), BATCH)
        ]
        return torch.cat(parts)

    sets = {
        "validation": pictures(bench.validation[:: config.evaluate.every]),
        "samples": to_tensor(sample_pictures()),
    }
    found: dict[str, Any] = {}
    for name, image in sets.items():
        for who, made in (("student", bench.autoencoded(image)), ("teacher", teacher(image))):
            found[f"{name}, {who}"] = {
                "n": len(image),
                "psnr": float(psnr(made, image).mean()),
                "ssim": float(ssim(made, image, 11, padding="valid").mean()),
                "perceptual": float(perceptual_distance(made, image).mean()),
                "colour shift": float((made - image).mean((2, 3)).abs().mean() * 255),
            }
    return found


class Student(nn.Module):
    """The shipped encoder, called like the teacher's."""

    def __init__(self, model: EditModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, image: Tensor) -> Tensor:
        """(N, 3, H, W) in [0, 1] -> latents."""
        return self.model.encode(image)


def measure_vulnerability(bench: Bench) -> dict[str, Any]:
    """The table of shift and distance for student and teacher, and transfer between them."""
    image = evaluation_photos(bench.validation)
    # The second target, on half of the photos, is another photo's latents.
    who = {"student": Student(bench.model), "teacher": load_teacher(bench.config.teacher)}
    found: dict[str, Any] = {}
    protected: dict[str, Tensor] = {}
    for name, encoder in who.items():
        goal = gray_target(encoder, image)
        protected[name] = attack(encoder, image, goal)
        found[name] = row(encoder, image, protected[name], goal)
        found[f"{name}, placebo"] = row(encoder, image, placebo(image), goal)
        some = image[::2]
        with torch.no_grad():
            other = encoder(some).roll(3, 0)
        found[f"{name}, another photo's latents"] = row(
            encoder, some, attack(encoder, some, other), other
        )
    for maker, judge in (("student", "teacher"), ("teacher", "student")):
        goal = gray_target(who[judge], image)
        found[f"made on {maker}, seen by {judge}"] = row(who[judge], image, protected[maker], goal)
    return found


def top(logits: Tensor, count: int) -> Tensor:
    """Numbers of the ``count`` likeliest classes, (N, count)."""
    return logits.topk(count, dim=1).indices


def measure_editing(bench: Bench) -> dict[str, Any]:
    """For each look: how often it is seen in edits, without being asked for, and subject kept."""
    image = bench.images
    base = top(bench.features(bench.autoencoded(image))[0], 1)
    unasked = bench.look_probability(bench.edit(image, "")).argmax(1)
    found: dict[str, Any] = {}
    for look, wording in LOOKS.items():
        prompts = [wording.alone[i % len(wording.alone)] for i in range(len(image))]
        edited = bench.edit(image, prompts)
        generator = torch.Generator().manual_seed(bench.config.seed)
        made = bench.autoencoded(apply_look(image, look, generator))
        number = NAMES.index(look)

        def kept(picture: Tensor) -> float:
            return float((top(bench.features(picture)[0], 5) == base).any(1).float().mean())

        found[look] = {
            "n": len(image),
            "seen": float((bench.look_probability(edited).argmax(1) == number).float().mean()),
            "unasked": float((unasked == number).float().mean()),
            "kept": kept(edited),
            "kept, procedural": kept(made),
            "seen, procedural": float(
                (bench.look_probability(made).argmax(1) == number).float().mean()
            ),
        }
    return found


def measure_nonsense(bench: Bench) -> dict[str, Any]:
    """Distance of nonsense prompts' edits to the empty prompt's, beside the seed-to-seed floor."""
    image = bench.images
    empty = bench.edit(image, "")
    floor = perceptual_distance(bench.edit(image, "", seed=1), empty)
    distances = [perceptual_distance(bench.edit(image, text), empty) for text in NONSENSE]
    look = perceptual_distance(bench.edit(image, "heavy rain"), empty)
    return {
        "n": len(image),
        "nonsense": float(torch.stack(distances).mean()),
        "seed to seed": float(floor.mean()),
        "heavy rain": float(look.mean()),
        "below the floor": float((torch.stack(distances) < floor).float().mean()),
    }


def protect(bench: Bench, image: Tensor) -> Tensor:
    """Encoder protection toward gray at 12.75/255, 40 steps."""
    student = Student(bench.model)
    goal = gray_target(student, image)
    parts = [attack(student, image[i : i + BATCH], goal) for i in range(0, len(image), BATCH)]
    return torch.cat(parts)


def measure_usable(bench: Bench) -> dict[str, Any]:
    """Usable edits of original, placebo, protected, and after JPEG; follow and keep apart."""
    image = bench.images
    calibration = Calibration.of(bench.model).find(str(Img2Img().resolve(bench.model)))
    protected = protect(bench, image)
    arms = {
        "original": image,
        "original + JPEG 65": compressed(image, 65),
        "placebo": placebo(image),
        "protected": protected,
        "protected + JPEG 85": compressed(protected, 85),
        "protected + JPEG 65": compressed(protected, 65),
    }
    found: dict[str, Any] = {}
    control: dict[str, Tensor] = {}
    for arm, received in arms.items():
        shares, follows, keeps, moved = [], [], [], []
        for look in ROW_LOOKS:
            edited = bench.edit(received, look)
            control.setdefault(look, edited)
            follow = bench.look_probability(edited)[:, NAMES.index(look)]
            keep = Keep().score(edited, image)
            usable = (follow >= calibration.tau_follow[look]) & (keep >= calibration.tau_keep)
            shares.append(usable.float())
            follows.append((follow >= calibration.tau_follow[look]).float())
            keeps.append((keep >= calibration.tau_keep).float())
            moved.append((edited - control[look]).square().mean((1, 2, 3)).sqrt())
        found[arm] = {
            "n": len(image),
            "usable": float(torch.stack(shares).mean()),
            "follows": float(torch.stack(follows).mean()),
            "keeps": float(torch.stack(keeps).mean()),
            "RMSE to the photo's edit": float(torch.stack(moved).mean()),
        }
    return found


def measure_generation(bench: Bench) -> dict[str, Any]:
    """Text to image: share of samples whose label a linear probe confirms.

    The probe is a ridge regression on EfficientNet's features of autoencoded training photos.
    """
    photos = load_photos(bench.config.photos, "train")
    rng = np.random.default_rng(bench.config.seed)
    by_label: dict[str, list[Photo]] = {}
    for i in rng.permutation(len(photos)):
        by_label.setdefault(photos[i].label, []).append(photos[i])
    labels = sorted(by_label)
    chosen = [photo for label in labels for photo in by_label[label][:10]]
    known = bench.features(bench.autoencoded(pictures(chosen)))[1].double()
    goal = torch.zeros(len(chosen), len(labels), dtype=torch.double)
    for n, photo in enumerate(chosen):
        goal[n, labels.index(photo.label)] = 1
    gram = known.T @ known + 0.1 * torch.eye(known.shape[1], dtype=torch.double)
    probe = torch.linalg.solve(gram, known.T @ goal)

    def right(image: Tensor, truth: list[str], count: int) -> float:
        seen = top(bench.features(image)[1].double() @ probe, count)
        goal_numbers = torch.tensor([labels.index(label) for label in truth])[:, None]
        return float((seen == goal_numbers).any(1).float().mean())

    check = bench.validation[3::5]
    real = bench.autoencoded(pictures(check))
    wanted = [label for label in labels for _ in range(2)]
    samples = bench.edit(
        torch.full((len(wanted), 3, 128, 128), 0.5),
        [f"a photo of {label}" for label in wanted],
        strength=1.0,
        num_inference_steps=30,
    )
    truth = [photo.label for photo in check]
    return {
        "labels": len(labels),
        "validation photos, top 1": right(real, truth, 1),
        "samples": len(wanted),
        "samples, top 1": right(samples, wanted, 1),
        "samples, top 5": right(samples, wanted, 5),
        "chance, top 1": 1 / len(labels),
    }


def measure_inpainting(bench: Bench) -> dict[str, Any]:
    """Gradient jump across the border of a centred square, inpainted against the photo's own."""
    image = bench.images[: 4 * BATCH]
    mask = torch.zeros(1, 1, 128, 128)
    mask[..., 40:88, 40:88] = 1

    def jump(picture: Tensor) -> float:
        border = [
            (picture[..., 40:88, a] - picture[..., 40:88, b]).abs().mean()
            for a, b in ((39, 40), (87, 88))
        ]
        border += [
            (picture[..., a, 40:88] - picture[..., b, 40:88]).abs().mean()
            for a, b in ((39, 40), (87, 88))
        ]
        return float(torch.stack(border).mean() * 255)

    made = []
    for i in range(0, len(image), BATCH):
        rows = image[i : i + BATCH]
        made.append(
            Inpaint().edit(
                bench.model,
                rows,
                prompts=["heavy rain"] * len(rows),
                mask=mask.expand(len(rows), -1, -1, -1),
                seeds=list(range(i, i + len(rows))),
            )
        )
    return {"n": len(image), "photos": jump(image), "inpainted": jump(torch.cat(made))}


def measure_cost(bench: Bench) -> dict[str, Any]:
    """Milliseconds an edit (20 steps, strength .5, guidance), parameters and bytes."""
    found: dict[str, Any] = {"threads": torch.get_num_threads()}
    for batch in (1, 8):
        times = []
        for _ in range(4):
            started = time.monotonic()
            Img2Img(strength=0.5, num_inference_steps=20, guidance_scale=3.0).edit(
                bench.model,
                bench.images[:batch],
                prompts=["heavy rain"] * batch,
                seeds=list(range(batch)),
            )
            times.append((time.monotonic() - started) / batch)
        found[f"ms an image, batch {batch}"] = 1000 * min(times)
    for part in ("vae", "unet", "text_encoder"):
        module = getattr(bench.model, part)
        found[f"parameters, {part}"] = sum(p.numel() for p in module.parameters())
    found["parameters, look classifier"] = sum(p.numel() for p in bench.looks.parameters())
    files = [p for p in Path(bench.config.export).rglob("*") if p.is_file()]
    found["bytes"] = sum(p.stat().st_size for p in files)
    return found


SECTIONS: dict[str, Callable[[Bench], dict[str, Any]]] = {
    "autoencoder": measure_autoencoder,
    "vulnerability": measure_vulnerability,
    "editing": measure_editing,
    "nonsense": measure_nonsense,
    "usable": measure_usable,
    "generation": measure_generation,
    "inpainting": measure_inpainting,
    "cost": measure_cost,
}


def sheet(columns: list[Tensor], file: Path) -> None:
    """Saves pictures as one PNG: a column each, photos down."""
    rows = [np.concatenate(list(to_pixels(column)), 0) for column in columns]
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.concatenate(rows, 1)).save(file, optimize=True)


def make_sheets(bench: Bench, folder: Path) -> None:
    """``looks.png`` (photos x looks) and ``paper-rows.png`` (arms, each with its edits)."""
    image = torch.cat([to_tensor(sample_pictures()), bench.images[[3, 14, 20]]])
    sheet(
        [image, bench.autoencoded(image), *(bench.edit(image, p) for p in ("", *LOOKS))],
        folder / "looks.png",
    )
    protected = protect(bench, image)
    arms = [image, placebo(image), protected, compressed(protected, 65)]
    columns = list(arms)
    for look in ROW_LOOKS[:3]:
        columns += [bench.edit(arm, look) for arm in arms]
    sheet(columns, folder / "paper-rows.png")


def table(found: dict[str, dict[str, Any]]) -> str:
    """Everything that was measured, as markdown, the bars first."""
    lines = ["| bar | measured | reached |", "|---|---|---|"]
    lines += [f"| {bar} | {text} | {'yes' if ok else '**no**'} |" for bar, text, ok in bars(found)]
    lines.append("")
    for section, content in found.items():
        lines += [f"### {section}", ""]
        if section == "vulnerability":
            lines += vulnerability_table(content)
        elif all(isinstance(value, dict) for value in content.values()):
            keys = list(next(iter(content.values())))
            lines += ["| | " + " | ".join(keys) + " |", "|---" * (len(keys) + 1) + "|"]
            for name, values in content.items():
                cells = [number(values[key]) for key in keys]
                lines.append(f"| {name} | " + " | ".join(cells) + " |")
        else:
            lines += [f"- {name}: {number(value)}" for name, value in content.items()]
        lines.append("")
    return "\n".join(lines)


def vulnerability_table(content: dict[str, Any]) -> list[str]:
    """Rows of distance to the target (and shift) by transform."""
    keys = list(next(iter(content.values())))
    lines = ["| dist (shift) | " + " | ".join(keys) + " |", "|---" * (len(keys) + 1) + "|"]
    for name, values in content.items():
        cells = [f"{values[key][1]:.3f} ({values[key][0]:.2f})" for key in keys]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return lines


def number(value: Any) -> str:
    """Three digits for fractions, all of them for counts."""
    return f"{value:.3f}" if isinstance(value, float) else str(value)


def evaluate(config: Config) -> str:
    """Measures what is missing and returns the table."""
    folder = config.work / "evaluation"
    bench = Bench(config)
    found: dict[str, dict[str, Any]] = {}
    for section, measure in SECTIONS.items():
        if section not in config.evaluate.sections:
            continue
        file = folder / f"{section}.json"
        if not file.exists():
            write_json(file, measure(bench))
        found[section] = json.loads(file.read_text())
    if config.evaluate.sheets and not (folder / "paper-rows.png").exists():
        make_sheets(bench, folder)
    return table(found)


if __name__ == "__main__":
    print(evaluate(from_command_line(__doc__ or "")))
