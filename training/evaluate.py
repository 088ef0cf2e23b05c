"""Measures the exported directory on photos that were not trained on, and prints its tables.

    python -m training.evaluate --set evaluate.pictures=FOLDER [--set evaluate.sizes=[256]]

Every section is measured once at each size and kept in the working folder, so that several
processes may share the work; delete ``evaluation/SIZE/NAME.json`` to measure it again.
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
from torch import Tensor, nn
from torch.nn.functional import interpolate

from brittle.editors import Img2Img, Inpaint, Instruct
from brittle.editors.sampling import Chained
from brittle.errors import Unavailable
from brittle.metrics import Calibration, Keep, Thresholds
from brittle.models import EditModel, load_model
from brittle.models.files import Directory
from brittle.models.parts import Part
from brittle.networks import efficientnet
from brittle.networks.prompt_classes import PROMPT_CLASSES
from brittle.networks.prompt_classifier import load_prompt_classifier
from brittle.sources.photos import load_photos as load_folder
from training.captions import RESERVED
from training.config import Config, from_command_line
from training.data import Photo, crop, jpeg, load_photos, to_pixels, to_tensor
from training.decoder import psnr
from training.files import write_json
from training.latents import NAMES
from training.looks import apply_look
from training.tables import Measured, tables
from training.teacher import load_teacher
from training.vulnerability import Encode, attack, gray_target, placebo, row

NONSENSE = ("blorf zint", "gadu pok 7", "vebol", "xulam tirrak", f"{RESERVED[0]} {RESERVED[1]}")
ROW_LOOKS = ("sepia", "golden hour", "night")
"""The looks of the paper's rows."""
EDITORS: dict[str, type[Chained]] = {one.name: one for one in (Img2Img, Instruct)}
"""By what each edits: the first model, and the second."""
COSTED = {"img2img": {"strength": 0.5, "num_inference_steps": 20, "guidance_scale": 3.0}}
"""Settings under which an edit's cost is measured; others' are the recommended ones."""
PARTS: tuple[Part, ...] = ("vae", "denoiser", "text_encoder")
PROBE_SIZE = 128
"""px a side of what the probe of labels sees: that of its training photos."""


def batch_at(size: int) -> int:
    """Pictures at a time, the most that a core's cache is good for at this size."""
    return max(1, 1024 // size)


def spread(total: int, count: int) -> list[int]:
    """Places of at most ``count`` of ``total`` things, evenly spread over them."""
    count = min(count, total)
    return [i * total // count for i in range(count)]


def exported(config: Config) -> Path:
    """The folder of the model that the editor to be measured runs on."""
    return config.export if config.evaluate.editor == Img2Img.name else config.instruct.export


def load_exported(config: Config, dtype: str, size: int) -> EditModel:
    """The exported model that the editor to be measured runs on."""
    first = load_model(str(config.export), dtype=dtype, size=size)
    folder = exported(config)
    if folder == config.export:
        return first
    return first.with_files(Directory(folder, "embedded-instruct", shared=config.export))


def results(config: Config) -> Path:
    """The folder of what was measured, one for each editor."""
    name = config.evaluate.editor
    return config.work / ("evaluation" if name == Img2Img.name else f"evaluation-{name}")


class Bench:
    """The exported model at one size, and the photos that all sections share."""

    def __init__(self, config: Config, size: int) -> None:
        self.config = config
        self.size = size
        self.batch = batch_at(size)
        self.editor = EDITORS[config.evaluate.editor]
        self.model = load_exported(config, config.evaluate.dtype, size)
        self.looks = load_prompt_classifier(config.export)
        found = load_folder(str(config.evaluate.pictures), square=size).values()
        self.pictures = torch.cat([photo.image for photo in found])
        self.network = efficientnet.load()

    def some(self, section: str) -> Tensor:
        """As many photos (N, 3, size, size) as a section looks at, spread over the folder."""
        count = self.config.evaluate.photos[section]
        return self.pictures[spread(len(self.pictures), count)]

    def thresholds(self) -> Thresholds:
        """Those of img2img's usable edits at this size."""
        editor = str(self.editor().resolve(self.model))
        return Calibration.of(self.model).find(editor, size=self.size)

    def edit(
        self,
        image: Tensor,
        prompt: str | list[str],
        seed: int = 0,
        model: EditModel | None = None,
        **fields: Any,
    ) -> Tensor:
        """Edits of (N, 3, H, W), in batches; seeds follow the photo's position."""
        editor = self.editor(**fields)
        prompts = [prompt] * len(image) if isinstance(prompt, str) else prompt
        parts = []
        for i in range(0, len(image), self.batch):
            rows = image[i : i + self.batch]
            seeds = [seed * 10_000 + i + j for j in range(len(rows))]
            some = prompts[i : i + self.batch]
            parts.append(editor.edit(model or self.model, rows, prompts=some, seeds=seeds))
        return torch.cat(parts)

    def in_batches(self, function: Callable[[Tensor], Tensor], image: Tensor) -> Tensor:
        """``function`` of all pictures, a batch at a time."""
        return torch.cat([function(rows) for rows in image.split(self.batch)])

    @torch.inference_mode()
    def autoencoded(self, image: Tensor) -> Tensor:
        """Encoded and decoded, clamped."""
        return self.in_batches(lambda x: self.model.decode(self.model.encode(x)).clamp(0, 1), image)

    @torch.inference_mode()
    def features(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """EfficientNet's logits (N, 1000) and unit-length pooled features (N, 1280)."""
        net = self.network
        logits, pooled = [], []
        for rows in image.split(self.batch):
            x = ((rows * 255 - 127) / 128).contiguous()
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
        return self.in_batches(lambda x: self.looks(x).softmax(1), image)

    def protect(self, image: Tensor) -> Tensor:
        """Encoder protection toward gray at 12.75/255, 40 steps, in a protection's arithmetic."""
        encode = self.model.encode_to_attack
        goal = gray_target(encode, image)
        return self.in_batches(lambda x: attack(encode, x, goal), image)


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
    image = bench.some("autoencoder")
    encoder = load_teacher(bench.config.teacher)
    decoder = load_teacher(bench.config.teacher, "decoder")
    with torch.inference_mode():
        by_teacher = bench.in_batches(lambda x: decoder(encoder(x)).clamp(0, 1), image)
    return {
        who: {
            "n": len(image),
            "psnr": float(psnr(made, image).mean()),
            "ssim": float(ssim(made, image, 11, padding="valid").mean()),
            "perceptual": float(perceptual_distance(made, image).mean()),
            "colour shift": float((made - image).mean((2, 3)).abs().mean() * 255),
        }
        for who, made in (("student", bench.autoencoded(image)), ("teacher", by_teacher))
    }


def measure_vulnerability(bench: Bench) -> dict[str, Any]:
    """The table of shift and distance for student and teacher, and transfer between them."""
    image = bench.some("vulnerability")
    who: dict[str, Encode] = {
        "student": bench.model.encode,
        "teacher": load_teacher(bench.config.teacher),
    }
    found: dict[str, Any] = {"n": len(image)}
    protected: dict[str, Tensor] = {}
    for name, encoder in who.items():
        goal = gray_target(encoder, image)

        def toward_gray(rows: Tensor, encoder: Encode = encoder, goal: Tensor = goal) -> Tensor:
            return attack(encoder, rows, goal)

        protected[name] = bench.in_batches(toward_gray, image)
        found[name] = row(encoder, image, protected[name], goal)
        found[f"{name}, random signs"] = row(encoder, image, placebo(image), goal)
    for maker, judge in (("student", "teacher"), ("teacher", "student")):
        goal = gray_target(who[judge], image)
        found[f"made on {maker}, seen by {judge}"] = row(who[judge], image, protected[maker], goal)
    return found


def top(logits: Tensor, count: int) -> Tensor:
    """Numbers of the ``count`` likeliest classes, (N, count)."""
    return logits.topk(count, dim=1).indices


def measure_editing(bench: Bench) -> dict[str, Any]:
    """For each look: how often it is seen in edits, without being asked for, and subject kept."""
    image = bench.some("editing")
    base = top(bench.features(bench.autoencoded(image))[0], 1)
    unasked = bench.look_probability(bench.edit(image, "")).argmax(1)
    found: dict[str, Any] = {}
    for look, wording in PROMPT_CLASSES.items():
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
    image = bench.some("nonsense")
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


def measure_thresholds(bench: Bench) -> dict[str, Any]:
    """The thresholds of usable edits at this size, without a mask and with one, where there are."""
    found = {}
    for editor, mask in ((bench.editor(), "none"), (Inpaint(), "auto")):
        if bench.model.denoiser.why_not(editor.task):
            continue
        settings = str(editor.resolve(bench.model))
        try:
            one = Calibration.of(bench.model).find(settings, mask, size=bench.size)
        except Unavailable:
            continue
        if one.size == bench.size:
            found[editor.name] = one.model_dump()
    return found


def measure_usable(bench: Bench) -> dict[str, Any]:
    """Usable edits of original, placebo, protected, and after JPEG; follow and keep apart."""
    image = bench.some("usable")
    thresholds = bench.thresholds()
    protected = bench.protect(image)
    arms = {
        "original": image,
        "random signs": placebo(image),
        "protected": protected,
        "protected + JPEG 85": compressed(protected, 85),
        "protected + JPEG 65": compressed(protected, 65),
    }
    found: dict[str, Any] = {}
    control: dict[str, Tensor] = {}
    for arm, received in arms.items():
        follows, keeps, moved = [], [], []
        for look in ROW_LOOKS:
            edited = bench.edit(received, look)
            control.setdefault(look, edited)
            probability = bench.look_probability(edited)[:, NAMES.index(look)]
            follows.append(probability >= thresholds.tau_follow[look])
            keeps.append(Keep().score(edited, image) >= thresholds.tau_keep)
            moved.append((edited - control[look]).square().mean((1, 2, 3)).sqrt())
        follow, keep = torch.stack(follows), torch.stack(keeps)
        found[arm] = {
            "n": follow.numel(),
            "usable": float((follow & keep).float().mean()),
            "follows": float(follow.float().mean()),
            "keeps": float(keep.float().mean()),
            "RMSE to the photo's edit": float(torch.stack(moved).mean()),
        }
    return found


def measure_arithmetic(bench: Bench) -> dict[str, Any]:
    """How far edits and their scores lie apart where the denoiser computes in float32."""
    image = bench.some("arithmetic")
    exact = load_exported(bench.config, "float32", bench.size)
    levels, follows, keeps = [], [], []
    for look in PROMPT_CLASSES:
        edits = [bench.edit(image, look, model=model) for model in (bench.model, exact)]
        levels.append((edits[0] - edits[1]).square().mean() * 255**2)
        seen = [bench.look_probability(edit)[:, NAMES.index(look)] for edit in edits]
        kept = [Keep().score(edit, image) for edit in edits]
        follows.append((seen[0] - seen[1]).abs().max())
        keeps.append((kept[0] - kept[1]).abs().max())
    return {
        "n": len(image),
        "RMSE of edits, levels": float(torch.stack(levels).mean().sqrt()),
        "largest difference of `follow`": float(torch.stack(follows).max()),
        "largest difference of `keep`": float(torch.stack(keeps).max()),
    }


def measure_generation(bench: Bench) -> dict[str, Any]:
    """Text to image: share of samples, each of another label, whose label a linear probe confirms.

    The probe is a ridge regression on EfficientNet's features of autoencoded training photos of
    128 px; samples are reduced to that.
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

    check = load_photos(bench.config.photos, "validation")[3::5]
    real = bench.autoencoded(pictures(check))
    count = bench.config.evaluate.photos["generation"]
    asked = [labels[i] for i in spread(len(labels), count)]
    samples = bench.edit(
        torch.full((len(asked), 3, bench.size, bench.size), 0.5),
        [f"a photo of {label}" for label in asked],
        strength=1.0,
    )
    samples = interpolate(samples, (PROBE_SIZE, PROBE_SIZE), mode="area")
    return {
        "labels": len(labels),
        "validation photos, top 1": right(real, [photo.label for photo in check], 1),
        "samples": len(asked),
        "samples, top 1": right(samples, asked, 1),
        "samples, top 5": right(samples, asked, 5),
        "chance, top 1": 1 / len(labels),
    }


def measure_inpainting(bench: Bench) -> dict[str, Any]:
    """Gradient jump across the border of a centred square, inpainted against the photo's own."""
    image = bench.some("inpainting")
    start, stop = bench.size * 5 // 16, bench.size * 11 // 16
    mask = torch.zeros(1, 1, bench.size, bench.size)
    mask[..., start:stop, start:stop] = 1

    def jump(picture: Tensor) -> float:
        """Mean difference of neighbours across the border, in levels of 255."""
        sides = [
            (along[..., a, start:stop] - along[..., a - 1, start:stop]).abs().mean()
            for along in (picture, picture.mT)
            for a in (start, stop)
        ]
        return float(torch.stack(sides).mean() * 255)

    seeds = iter(range(len(image)))

    def paint(rows: Tensor) -> Tensor:
        return Inpaint().edit(
            bench.model,
            rows,
            prompts=["heavy rain"] * len(rows),
            mask=mask.expand(len(rows), -1, -1, -1),
            seeds=[next(seeds) for _ in rows],
        )

    made = bench.in_batches(paint, image)
    return {"n": len(image), "photos": jump(image), "inpainted": jump(made)}


def measure_cost(bench: Bench) -> dict[str, Any]:
    """CPU time an edit in ms (img2img: 20 steps, strength .5, guidance), parameters and bytes.

    CPU time, the least of two tries, says the same on a machine that others use too.
    """
    found: dict[str, Any] = {}
    editor = bench.editor(**COSTED.get(bench.editor.name, {}))
    for dtype in ("float32", "bfloat16"):
        model = load_exported(bench.config, dtype, bench.size)

        def each(batch: int, model: EditModel = model) -> float:
            image, times = bench.pictures[:batch], []
            for _ in range(2):
                started = time.process_time()
                editor.edit(model, image, prompts=["heavy rain"] * batch, seeds=list(range(batch)))
                times.append(time.process_time() - started)
            return 1000 * min(times) / batch

        found[dtype] = {"alone": each(1), "together": each(bench.batch), "batch": bench.batch}
    for part in PARTS:
        found[f"parameters, {part}"] = sum(p.numel() for p in bench.model.part(part).parameters())
    found["parameters, look classifier"] = sum(p.numel() for p in bench.looks.parameters())
    files = [p for p in exported(bench.config).rglob("*") if p.is_file()]
    found["bytes"] = sum(p.stat().st_size for p in files)
    return found


SECTIONS: dict[str, Callable[[Bench], dict[str, Any]]] = {
    "editing": measure_editing,
    "nonsense": measure_nonsense,
    "thresholds": measure_thresholds,
    "usable": measure_usable,
    "arithmetic": measure_arithmetic,
    "vulnerability": measure_vulnerability,
    "autoencoder": measure_autoencoder,
    "inpainting": measure_inpainting,
    "generation": measure_generation,
    "cost": measure_cost,
}
FIRST_ALONE = ("vulnerability", "autoencoder", "inpainting", "generation")
"""Sections about what the second editor shares with the first, or can't do."""


def sections_of(config: Config) -> list[str]:
    """The sections that can be measured of the editor."""
    first = config.evaluate.editor == Img2Img.name
    return [name for name in SECTIONS if first or name not in FIRST_ALONE]


def evaluate(config: Config) -> str:
    """Measures what is missing, at every size, and returns the tables."""
    measured: Measured = {}
    asked = [name for name in sections_of(config) if name in config.evaluate.sections]
    for size in config.evaluate.sizes:
        bench = Bench(config, size)
        for section in asked:
            file = results(config) / str(size) / f"{section}.json"
            if not file.exists():
                write_json(file, SECTIONS[section](bench))
            measured.setdefault(size, {})[section] = json.loads(file.read_text())
    return tables(measured)


if __name__ == "__main__":
    print(evaluate(from_command_line(__doc__ or "")))
