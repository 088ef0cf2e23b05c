"""A trial's folder made by code: bundled photographs, stand-ins for edits, and made-up numbers.

Nothing in it is a finding. The numbers are plausible, so that a page made of them looks like one.
"""

import csv
import hashlib
import io
import json
import math
from collections.abc import Sequence
from importlib import resources
from pathlib import Path

import numpy as np
from PIL import Image, ImageFilter
from scipy import stats

from brittle.analysis.summary import (
    BestOf,
    Claim,
    Effect,
    Flag,
    HalfLife,
    Headline,
    Interval,
    Missing,
    Outcome,
    PhotosNeeded,
    Placebo,
    Scope,
    StrengthTest,
    Summary,
    TransformCost,
    Usable,
    Verdict,
    WorstCase,
)
from brittle.declaration.primary import Primary

PHOTOS = (
    "astronaut.png",
    "camera.png",
    "chelsea.png",
    "coffee.png",
    "hubble_deep_field.jpg",
    "motorcycle_left.png",
    "retina.jpg",
    "rocket.jpg",
)
PROTECTION = "photoguard-encoder"
NOISE, SPECTRUM = f"noise({PROTECTION})", f"noise-spectrum({PROTECTION})"
ARMS = ("original", "gray", PROTECTION, NOISE, SPECTRUM)
EDITOR = "img2img:strength=0.5"
PROMPTS = ("heavy rain", "a pencil sketch")
SCOPE = "On the embedded model (128 px; the intervals cover photos, not models)"
OUTCOME = "Weakened by JPEG 85, 75 and 65; survived JPEG 95."
LEFT = {"none": 1.0, "q95": 0.92, "q90": 0.8, "q85": 0.66, "q80": 0.55, "q75": 0.44, "q65": 0.3,
        "q50": 0.18, "q30": 0.08, "q20": 0.04, "q10": 0.01}  # fmt: skip
LOST = {"q30": 0.06, "q20": 0.18, "q10": 0.4}
DECIDING = tuple(f"jpeg:quality={quality}" for quality in (95, 85, 75, 65))
SHORT = ("none", "jpeg:quality=95", "jpeg:quality=75", "jpeg:quality=30", "rotate:degrees=90")
FULL = (
    "none",
    *(f"jpeg:quality={quality}" for quality in (95, 90, 85, 80, 75, 65, 50, 30, 20, 10)),
    *("gaussian-blur:sigma=0.5", "gaussian-blur:sigma=1", "median-blur:size=3"),
    *("median-blur:size=5", "rotate:degrees=5", "rotate:degrees=90", "flip"),
)
OTHERS = {  # share of the effect left, usable share lost
    "gaussian-blur:sigma=0.5": (0.85, 0.02),
    "gaussian-blur:sigma=1": (0.6, 0.14),
    "median-blur:size=3": (0.5, 0.16),
    "median-blur:size=5": (0.42, 0.45),
    "rotate:degrees=5": (0.78, 0.05),
    "rotate:degrees=90": (0.83, 0.28),
    "flip": (0.97, 0.01),
}


def record(label: str, family: str = "transform") -> dict[str, object]:
    """A component's record from its text form."""
    name, _, parameters = label.partition(":")
    fields = dict(part.split("=") for part in parameters.split(",") if part)
    values = {key: float(value) if "." in value else int(value) for key, value in fields.items()}
    return {"family": family, "name": name, "version": 1, "fields": values}


def left(transform: str) -> float:
    """The made-up share of the effect that a transform leaves."""
    quality = "q" + transform.partition("quality=")[2]
    return OTHERS[transform][0] if transform in OTHERS else LEFT.get(quality, LEFT["none"])


def lost(transform: str) -> float:
    """The made-up usable share that a transform costs."""
    quality = "q" + transform.partition("quality=")[2]
    return OTHERS[transform][1] if transform in OTHERS else LOST.get(quality, 0.01)


def interval(values: Sequence[float], *, whole: float = 1.0, method: str = "t") -> Interval:
    """A mean over photos with its t interval, or without one below eight photos."""
    array = np.asarray(values, float) / whole
    n = len(array)
    estimate = float(array.mean())
    if n < 8:
        return Interval(estimate=estimate, method="none", n=n, note=f"{n} photos: no interval")
    half = float(stats.t.ppf(0.975, n - 1) * array.std(ddof=1) / math.sqrt(n))
    low, high = estimate - half, estimate + half
    return Interval(estimate=estimate, low=low, high=high, method=method, n=n)


def clipped(rate: Interval) -> Interval:
    """An interval of a share, inside 0 and 1."""
    if rate.low is None or rate.high is None:
        return rate
    return rate.model_copy(update={"low": max(rate.low, 0.0), "high": min(rate.high, 1.0)})


class Fake:
    """The made-up outcomes of a trial, drawn once from a seed."""

    def __init__(self, photos: Sequence[str], transforms: Sequence[str], prompts: int) -> None:
        random = np.random.default_rng(20)
        self.photos, self.transforms, self.prompts = tuple(photos), tuple(transforms), prompts
        strength = 1 + 0.3 * random.standard_normal(len(photos))
        self.effects = {
            transform: {
                photo: 0.34 * left(transform) * own + 0.015 * random.standard_normal()
                for photo, own in zip(photos, strength, strict=True)
            }
            for transform in transforms
        }
        self.usable: dict[tuple[str, str, str], list[int]] = {}
        for transform in transforms:
            for arm in ARMS:
                chance = 0.9 - lost(transform)
                chance -= {PROTECTION: 0.72 * left(transform), "gray": 0.9}.get(arm, 0.0)
                chance -= 0.05 if arm in (NOISE, SPECTRUM) else 0.0
                for photo in photos:
                    draws = random.random(prompts)
                    self.usable[photo, arm, transform] = [int(draw < chance) for draw in draws]


def make_summary(fake: Fake, *, usable_reason: str = "", too_weak: bool = False) -> Summary:
    """A summary of the made-up outcomes, as the inference would lay it out."""
    n = len(fake.photos)
    few = n < 8
    primary = Primary(
        arms=(PROTECTION,),
        editor=EDITOR,
        transforms=tuple(one for one in DECIDING if one in fake.transforms) or fake.transforms[-1:],
    )
    effects = [_effect(fake, one, primary, too_weak) for one in fake.transforms]
    rates = {
        (arm, transform): _usable(fake, arm, transform, usable_reason)
        for arm in ARMS
        for transform in fake.transforms
    }
    by_effect = sorted(fake.photos, key=lambda photo: fake.effects["none"][photo])
    shown = "jpeg:quality=75" if "jpeg:quality=75" in fake.transforms else primary.transforms[-1]
    counts = {
        name: 100 * sum(fake_rate.per_photo.values()) / n
        for name, fake_rate in {
            "unprotected": rates["original", "none"],
            "placebo": rates[NOISE, "none"],
            "protected": rates[PROTECTION, "none"],
            "protected after": rates[PROTECTION, shown],
            "unprotected after": rates["original", shown],
        }.items()
        if fake_rate.per_photo
    }
    sentence = (
        "Of 100 edits, usable: {:.0f} of the unprotected photo, {:.0f} with plain noise, {:.0f} of "
        "the protected one, {:.0f} of the protected one after JPEG 75 (unprotected after JPEG 75: "
        "{:.0f}).".format(*counts.values())
        if counts
        else "Whether edits are usable can't be judged; how far they moved can."
    )
    return Summary(
        scope=Scope(
            model="embedded",
            models=("embedded",),
            resolution=128,
            white_box=True,
            statement=SCOPE,
        ),
        n_photos=n,
        photos=fake.photos,
        illustration=few,
        illustration_words=f"an illustration on {n} photos" if few else "",
        primary=primary,
        comparisons_tested=len(primary.transforms),
        alpha_each=0.025 / len(primary.transforms),
        placebo=Placebo(
            chosen="noise",
            distances={"noise": 0.031, "noise-spectrum": 0.028},
            sentence="The placebo is plain noise, which moves untransformed edits further "
            "(0.031) than noise with the protection's spectrum (0.028).",
        ),
        headline=Headline(
            sentence=sentence,
            arm=PROTECTION,
            transform=shown,
            per_hundred=counts,
            median_photo=by_effect[n // 2],
            best_photo=by_effect[-1],
            worst_photo=by_effect[0],
        ),
        verdicts=() if few else tuple(_verdict(fake, one) for one in primary.transforms),
        outcomes=(Outcome(arm=PROTECTION, words={}, sentence=OUTCOME),) if not few else (),
        effects=tuple(effects),
        usable=tuple(rates.values()),
        usable_reason=usable_reason,
        transform_costs=tuple(_cost(fake, one, usable_reason) for one in fake.transforms[1:]),
        half_lives=() if few else (_half_life(),),
        comparisons=(),
        worst_cases=() if few else (_worst_case(fake),),
        flags=(
            Flag(
                name="scale-dependent",
                meaning="Two metrics disagree by more than 0.25 about how much is left.",
                todo="Report both, and don't call it a share of the protection.",
                where="gaussian-blur:sigma=1",
                stops_verdict=False,
            ),
        ),
        missing=Missing(cells=640, missing=0, share=0.0, dropped=0, reasons={}),
    )


def _effect(fake: Fake, transform: str, primary: Primary, too_weak: bool) -> Effect:
    values = fake.effects[transform]
    whole = 0.6
    clean = float(np.mean(list(fake.effects["none"].values())))
    return Effect(
        arm=PROTECTION,
        transform=transform,
        editor=EDITOR,
        metric="perceptual",
        exploratory=transform not in primary.transforms,
        n=len(values),
        rows=len(values) * fake.prompts,
        dropped=0,
        distance=float(np.mean(list(values.values()))) + 0.03,
        placebo=0.03,
        ceiling=0.63,
        effect=interval(list(values.values())),
        reach=interval(list(values.values()), whole=whole, method="fieller"),
        retention=None
        if too_weak or transform == "none"
        else interval(list(values.values()), whole=clean, method="fieller"),
        retention_reason="too weak for a share" if too_weak else "",
        win_rate=0.9,
        cross_check=None,
        per_photo=values,
        photos_above=sum(value > 0 for value in values.values()),
        per_photo_reach={photo: value / whole for photo, value in values.items()},
        summary="",
    )


def _usable(fake: Fake, arm: str, transform: str, reason: str) -> Usable:
    shares = {photo: float(np.mean(fake.usable[photo, arm, transform])) for photo in fake.photos}
    rate = clipped(interval(list(shares.values()), method="korn-graubard"))
    total = sum(sum(fake.usable[photo, arm, transform]) for photo in fake.photos)
    return Usable(
        arm=arm,
        transform=transform,
        editor=EDITOR,
        exploratory=True,
        n=0 if reason else len(shares),
        rows=0 if reason else len(shares) * fake.prompts,
        usable=0 if reason else total,
        rate=None if reason else rate,
        reason=reason,
        difference=None,
        from_clean=None,
        follow=0.7,
        keep=0.6,
        per_photo={} if reason else shares,
    )


def _cost(fake: Fake, transform: str, reason: str) -> TransformCost:
    n = len(fake.photos)
    wobble = np.linspace(-0.02, 0.02, n)
    base = 0.05 + 0.5 * lost(transform) + 0.04 * (1 - left(transform))
    return TransformCost(
        transform=transform,
        editor=EDITOR,
        metric="perceptual",
        usable=None if reason else interval(list(lost(transform) + 2 * wobble)),
        distance=interval(list(base + wobble)),
        seed_floor=interval(list(0.1 + wobble)),
        within_seed_floor=base < 0.1,
    )


def _verdict(fake: Fake, transform: str) -> Verdict:
    share = left(transform)
    word = "survived" if share > 0.85 else "weakened" if share > 0.25 else "broken"
    attacker = "open" if share < 0.5 else "not settled"
    label = "survived the 4 transforms tried" if word == "survived" else word
    quality = transform.partition("=")[2]
    return Verdict(
        arm=PROTECTION,
        transform=transform,
        editor=EDITOR,
        metric="perceptual",
        n=len(fake.photos),
        word=word,
        label=label,
        rule={"broken": 3, "survived": 4, "weakened": 5}[word],
        why="The upper bound of the effect minus 0.75 of the untransformed effect lies below 0.",
        attacker=attacker,
        attacker_why="The share of usable edits is at most 0.15 below that of clean edits.",
        untestable_settled=True,
        sentence=f"{SCOPE}: {label}, and {attacker}: after JPEG {quality}, {100 * share:.0f} % of "
        "the effect is left.",
        level=0.9875,
        claims=(
            Claim(
                name="weakened",
                statement="less than 0.75 of the effect is left",
                interval=interval(list(fake.effects[transform].values())),
                threshold=0.0,
                side="below",
                holds=word == "weakened",
            ),
        ),
        photos_needed=PhotosNeeded(broken=16, survived=33, sentence="About 16 photos would do."),
        best_of=BestOf(tries=4, independent=0.68, within_photo=None),
    )


def _half_life() -> HalfLife:
    test = StrengthTest(
        strength=80,
        transform="jpeg:quality=80",
        interval=Interval(estimate=0.02, low=0.01, high=0.03, method="t", n=8),
        finding="more than half",
    )
    return HalfLife(
        arm=PROTECTION,
        editor=EDITOR,
        metric="perceptual",
        parameter="jpeg quality",
        low=75,
        high=85,
        single=True,
        window=None,
        tests=(test,),
        details={"encoder": "libjpeg-turbo 3.1", "subsampling": "4:2:0"},
        sentence="Half of the effect is gone between JPEG 85 and JPEG 75.",
    )


def _worst_case(fake: Fake) -> WorstCase:
    return WorstCase(
        arm=PROTECTION,
        line="oracle",
        editor=EDITOR,
        metric="perceptual",
        transforms=len(fake.transforms) - 1,
        effect=interval(list(fake.effects[fake.transforms[-1]].values())),
        share=0.3,
        usable=None,
        plain_minimum=0.2,
        chosen={fake.transforms[-1]: len(fake.photos)},
        reason="",
    )


def make_store(
    directory: Path,
    *,
    photos: Sequence[str] | None = None,
    count: int = 8,
    side: int = 24,
    transforms: Sequence[str] = SHORT,
    prompts: Sequence[str] = PROMPTS,
    title: str = "A made-up trial: none of its numbers is a finding",
    usable_reason: str = "",
    too_weak: bool = False,
) -> Path:
    """Write a whole folder; ``photos`` renames the bundled photographs."""
    directory.mkdir(parents=True, exist_ok=True)
    names = list(photos or (Path(file).stem for file in PHOTOS))[:count]
    fake = Fake(names, transforms, len(prompts))
    summary = make_summary(fake, usable_reason=usable_reason, too_weak=too_weak)
    (directory / "summary.json").write_text(summary.to_json(), encoding="utf-8")
    manifest = make_manifest(names, transforms, prompts, side, title)
    write_json(directory / "manifest.json", manifest)
    write_json(directory / "index.json", _pictures(directory, fake, prompts, side))
    _results(directory, fake, prompts, usable_reason)
    return directory


def write_json(path: Path, data: object) -> None:
    """Write JSON as the store does."""
    text = json.dumps(data, indent=1, sort_keys=True, ensure_ascii=False)
    path.write_text(text, encoding="utf-8")


def make_manifest(
    names: Sequence[str], transforms: Sequence[str], prompts: Sequence[str], side: int, title: str
) -> dict[str, object]:
    """A manifest as the trial writes it."""
    resolved = {"title": title, "prompts": list(prompts), "transforms": list(transforms)}
    kinds = ("original", "ceiling", "protection", "placebo", "placebo")
    encoder = record("photoguard-encoder", "protection") | {"fields": {"budget": "12.75/255 linf"}}
    return {
        "schema_version": 1,
        "title": title,
        "primary": Primary().model_dump(mode="json"),
        "created": "2026-11-25T04:00:00+00:00",
        "trial": {"as_written": {"prompts": list(prompts)}, "resolved": resolved},
        "notes": ["To stay near 6 minutes on this machine, the demo left out one prompt."],
        "batch": 8,
        "code": {"version": "0.1.0", "git": "0123abcd"},
        "packages": {"torch": "2.13.0", "diffusers": "0.36.0", "pillow": "13.0.0"},
        "codecs": {"libjpeg-turbo": "3.1.2", "pillow": "13.0.0"},
        "machine": {"python": "3.11.9", "system": "Linux"},
        "device": "cpu",
        "dtype": "float32",
        "model": {"name": "embedded", "content_hash": "c0ffee" * 5, "size": 128},
        "photos": [
            {
                "name": name,
                "digest": hashlib.sha256(name.encode()).hexdigest()[:32],
                "width": side,
                "height": side,
                "credit": f"the photographer of {name}, CC0",
                "notes": [f"cropped to its centre, {side} × {side}"],
                "jpeg_traces": False,
                "seeds": {"0": 1234567},
            }
            for name in names
        ],
        "arms": [
            {"label": label, "kind": kind}
            | ({"record": encoder, "source": "the paper, section 3"} if kind != "original" else {})
            for label, kind in zip(ARMS, kinds, strict=True)
        ],
        "transforms": [{"label": label, "record": record(label)} for label in transforms],
        "editors": [{"label": EDITOR, "record": record(EDITOR, "editor")}],
        "metrics": [{"label": "perceptual", "record": record("perceptual", "metric")}],
        "prompts": list(prompts),
    }


def _pictures(
    directory: Path, fake: Fake, prompts: Sequence[str], side: int
) -> list[dict[str, object]]:
    rows = []
    for file, photo in zip(PHOTOS, fake.photos, strict=False):
        released = {arm: _release(arm, photograph(file, side)) for arm in ARMS}
        for transform in fake.transforms:
            for arm in ARMS:
                received = transformed(released[arm], transform)
                weight = left(transform) * {PROTECTION: 0.75, "gray": 1.0}.get(arm, 0.02)
                for prompt in prompts:
                    rows.append(
                        {
                            "image": photo,
                            "arm": arm,
                            "transform": transform,
                            "editor": EDITOR,
                            "prompt": prompt,
                            "seed": 0,
                            "released": _save(directory, released[arm]),
                            "received": _save(directory, received),
                            "edited": _save(
                                directory, edited(received, prompts.index(prompt), weight)
                            ),
                        }
                    )
    return rows


def _save(directory: Path, image: Image.Image) -> str:
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    key = hashlib.sha256(buffer.getvalue()).hexdigest()[:32]
    path = Path("artifacts") / key[:2] / f"{key}.png"
    (directory / path).parent.mkdir(parents=True, exist_ok=True)
    (directory / path).write_bytes(buffer.getvalue())
    return path.as_posix()


def photograph(file: str, side: int) -> Image.Image:
    """A bundled photograph, cropped to its centre."""
    with Image.open(str(resources.files("skimage") / "data" / file)) as image:
        image = image.convert("RGB")
        short = min(image.size)
        x, y = (image.width - short) // 2, (image.height - short) // 2
        box = (x, y, x + short, y + short)
        return image.crop(box).resize((side, side), Image.Resampling.LANCZOS)


def _release(arm: str, photo: Image.Image) -> Image.Image:
    if arm == "original":
        return photo
    if arm == "gray":
        return Image.new("RGB", photo.size, (128, 128, 128))
    random = np.random.default_rng(len(arm))
    pixels = np.asarray(photo).astype(int)
    noise = random.standard_normal(pixels.shape)
    if arm == PROTECTION:  # coarse enough to look like the real thing
        coarse = Image.fromarray(random.integers(0, 256, pixels.shape, dtype=np.uint8))
        noise = np.asarray(coarse.filter(ImageFilter.GaussianBlur(0.8))).astype(float) - 128
    return Image.fromarray(np.clip(pixels + 12 * np.sign(noise), 0, 255).astype(np.uint8))


def transformed(image: Image.Image, transform: str) -> Image.Image:
    """The real thing, as far as Pillow has it."""
    fields = record(transform)["fields"]
    assert isinstance(fields, dict)
    if transform.startswith("jpeg"):
        buffer = io.BytesIO()
        image.save(buffer, "JPEG", quality=int(fields["quality"]))
        return Image.open(io.BytesIO(buffer.getvalue())).convert("RGB")
    if transform.startswith("gaussian-blur"):
        return image.filter(ImageFilter.GaussianBlur(fields["sigma"]))
    if transform.startswith("median-blur"):
        return image.filter(ImageFilter.MedianFilter(int(fields["size"])))
    if transform.startswith("rotate"):
        return image.rotate(fields["degrees"], Image.Resampling.BICUBIC)
    return image.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if transform == "flip" else image


def edited(image: Image.Image, prompt: int, weight: float) -> Image.Image:
    """A stand-in for an edit: a look, fading into a meaningless pattern with ``weight``."""
    smooth = np.asarray(image.filter(ImageFilter.GaussianBlur(0.7))).astype(float)
    height, width = smooth.shape[:2]
    if prompt == 0:
        look = smooth * (0.55, 0.65, 0.8) + 15
        look[:, ::5] += 12
    else:
        gray = smooth.mean(axis=2, keepdims=True)
        edges = sum(np.abs(slope) for slope in np.gradient(gray[..., 0]))
        look = np.repeat((245 - 5 * edges)[..., None], 3, axis=2)
    y, x = np.mgrid[:height, :width]
    wave = 110 + 50 * np.sin(x / width * 19 + 2 * np.sin(y / height * 9))
    pattern = np.stack([wave, wave * 0.9 + 10, 190 - wave * 0.6], axis=2)
    mixed = (1 - weight) * look + weight * pattern
    return Image.fromarray(np.clip(mixed, 0, 255).astype(np.uint8))


def _results(directory: Path, fake: Fake, prompts: Sequence[str], reason: str) -> None:
    columns = ("image", "arm", "transform", "editor", "prompt", "seed")
    columns += ("metric", "reference", "value", "reason")
    with (directory / "results.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns)
        for (photo, arm, transform), judged in sorted(fake.usable.items()):
            for prompt, value in zip(prompts, judged, strict=True):
                row = (photo, arm, transform, EDITOR, prompt, "0")
                number = "" if reason else repr(float(value))
                writer.writerow((*row, "usable", "photo", number, reason))
