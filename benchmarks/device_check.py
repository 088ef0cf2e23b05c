"""Whether brittle does on a GPU what it does on a CPU, and how fast: one run, one JSON document.

    python benchmarks/device_check.py --out results.json        # on a GPU, at most 8 minutes
    python benchmarks/device_check.py --tiny --device cpu       # the same sections, small

The model is random, of Stable Diffusion 1.5's layout and widths, which costs what trained weights
do; ``--tiny`` divides the widths. Nothing is downloaded. A section that fails is recorded with its
error, and the others are run; one that no longer fits into ``--budget`` is left out and named.
What was found is written after each section, so a kill loses one. ``judged`` holds the aims, each
true, false or, where nothing was measured, null.
"""

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

import torch
from torch import Tensor

import brittle
from brittle.editors import Editor
from brittle.errors import Unavailable, UserError
from brittle.images import write_image
from brittle.metrics import Metric
from brittle.models import EditModel
from brittle.protections import PGD, Protection, Trace
from brittle.trial.plan import rows_a_call
from sd_layout import make

PROMPT = "a sepia photo"
NOTEBOOK_STEPS = 14.7
"""Steps a second of PhotoGuard's notebook, as its own output says, on a card of 2023."""
AIMED_EDITS = 25.0
"""Edits a second of 20 evaluations at 512 px."""
AIMED_GIB = 24.0
"""Memory of a gradient through 50 evaluations at 512 px."""
SECONDS = {
    "environment": 5, "build": 60, "agreement": 60, "encoder_attack": 60, "edits": 60,
    "chain_attack": 75, "loops": 40, "views": 20, "trial": 60, "out_of_memory": 40,
    "compiled": 90,
}  # fmt: skip
"""The sections in their order, and about how long each takes on a GPU."""


class Clock:
    """Seconds and memory on one device."""

    def __init__(self, device: torch.device) -> None:
        self.device, self.cuda = device, device.type == "cuda"

    def seconds(self, work: Callable[[], Any]) -> float:
        """How long some work takes, everything that it queued included."""
        self._wait()
        begun = time.perf_counter()
        work()
        self._wait()
        return time.perf_counter() - begun

    def peak_gib(self, work: Callable[[], Any]) -> float | None:
        """The most memory that some work holds at a time; unknown on a CPU."""
        if not self.cuda:
            work()
            return None
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
        work()
        self._wait()
        return torch.cuda.max_memory_allocated() / 2**30

    def ratio(self, ours: Callable[[], Any], bare: Callable[[], Any], times: int) -> dict[str, Any]:
        """Medians of both in turns, and of what one takes over the other."""
        ours(), bare()
        pairs = [(self.seconds(ours), self.seconds(bare)) for _ in range(times)]
        return {
            "seconds": statistics.median(one for one, _ in pairs),
            "bare_seconds": statistics.median(other for _, other in pairs),
            "ratio": statistics.median(one / other for one, other in pairs),
        }

    def waits(self, work: Callable[[], Any]) -> int | None:
        """How often some work makes the processor wait for the device; unknown on a CPU."""
        if not self.cuda:
            work()
            return None
        torch.cuda.set_sync_debug_mode("warn")
        try:
            with warnings.catch_warnings(record=True) as said:
                warnings.simplefilter("always")
                work()
        finally:
            torch.cuda.set_sync_debug_mode("default")
        return sum("synchronizing" in str(one.message) for one in said)

    def _wait(self) -> None:
        if self.cuda:
            torch.cuda.synchronize()


class Check:
    """The sections, each of which returns what it found."""

    def __init__(self, device: str, folder: Path, *, tiny: bool) -> None:
        self.device, self.folder, self.tiny = device, folder, tiny
        self.clock = Clock(torch.device(device))
        self.side = 64 if tiny else 512
        self.dtype = "float32" if tiny else "bfloat16"

    def model(self, device: str | None = None, dtype: str | None = None) -> EditModel:
        """The random model, read from its folder as a user's is."""
        return brittle.load_model(
            self.folder / "model", device=device or self.device, dtype=dtype or self.dtype
        )

    def photos(self, count: int, side: int | None = None) -> Tensor:
        """Smooth pictures with grain, (count, 3, side, side) on the 8-bit grid."""
        side = side or self.side
        stream = torch.Generator().manual_seed(7)
        coarse = torch.rand(count, 3, 9, 9, generator=stream)
        smooth = torch.nn.functional.interpolate(coarse, (side, side), mode="bicubic")
        grain = 0.03 * torch.randn(count, 3, side, side, generator=stream)
        return ((smooth + grain).clamp(0, 1) * 255).round() / 255

    def environment(self) -> dict[str, Any]:
        """What runs here."""
        card = torch.cuda.get_device_name() if self.clock.cuda else "none"
        return {
            "brittle": brittle.__version__, "torch": torch.__version__, "card": card,
            "cuda": torch.version.cuda, "threads": torch.get_num_threads(), "tiny": self.tiny,
        }  # fmt: skip

    def build(self) -> dict[str, Any]:
        """Make the random model and read it back."""
        made = self.clock.seconds(
            lambda: make(self.folder / "model", torch.float16, tiny=self.tiny, device=self.device)
        )
        model = self.model()
        return {
            "build_s": made,
            "hash_s": self.clock.seconds(lambda: model.content_hash),
            "first_edit_s": self.clock.seconds(lambda: self._edit(model, self.photos(1), 2)),
            "tf32_convolutions": torch.backends.cudnn.allow_tf32,
            "tf32_products": torch.backends.cuda.matmul.allow_tf32,
            "rows_a_call": rows_a_call(model),
            "attention": sorted(
                {type(one).__name__ for one in model.part("denoiser").attn_processors.values()}
            ),
        }

    def agreement(self) -> dict[str, Any]:
        """How far float32 results of this device and of the CPU lie apart, in [0, 1] units."""
        image = self.photos(2, 64)
        here, there = (self._results(device, image) for device in (self.device, "cpu"))
        found = {name: float((here[name] - there[name]).abs().max()) for name in here}
        levels = (here["edit"] * 255).round() != (there["edit"] * 255).round()
        model, odd = brittle.load_model("embedded", device=self.device), self.photos(1, 333)
        attack = Protection.parse("encoder:steps=3")
        twice = [attack(model.at(128), odd, seeds=[0]) for _ in range(2)]
        return {
            "largest_difference": found,
            "largest_difference_of_a_score": self._scores_apart(),
            "share_of_levels_that_differ": float(levels.float().mean()),
            "resized_photo_to_the_same_bytes_twice": bool(twice[0].equal(twice[1])),
        }

    def _scores_apart(self) -> float:
        """How far scores of this device lie from the CPU's, where the model is less exact."""
        images, references = self.photos(3, 96), self.photos(3, 96).flip(0)
        apart = []
        for name in ("perceptual", "keep", "style", "psnr", "ssim"):
            here, there = (
                Metric.parse(name).score(
                    images, references, model=brittle.load_model("embedded", device=device)
                )
                for device in (self.device, "cpu")
            )
            apart.append(float((here - there).abs().max()))
        return max(apart)

    def _results(self, device: str, image: Tensor) -> dict[str, Tensor]:
        model = self.model(device, "float32")
        with torch.inference_mode():
            latents = model.encode(model.fit(image))
        edited = self._edit(model, image, 4)
        protected = Protection.parse("encoder:steps=3")(model, image, seeds=[0, 1])
        return {"encode": latents.cpu(), "edit": edited, "protect": protected}

    def _edit(self, model: EditModel, image: Tensor, evaluations: int) -> Tensor:
        editor = Editor.parse(f"img2img:strength=1,num_inference_steps={evaluations}")
        rows = range(len(image))
        return editor.edit(model, image, prompts=[PROMPT for _ in rows], seeds=rows)

    def encoder_attack(self) -> dict[str, Any]:
        """Steps of the product's loop a second, beside bare passes through the same encoder."""
        found, steps = {}, 3 if self.tiny else 20
        attack = Protection.parse(f"encoder:steps={steps}")
        for rows in (1, 4):
            model, image = self.model(), self.photos(rows)
            pixels = image.to(model.device)

            def bare(model: EditModel = model, pixels: Tensor = pixels) -> None:
                for _ in range(steps):
                    leaf = pixels.clone().requires_grad_()
                    encoded = model.vae.encode((leaf * 2 - 1).to(model.attack_dtype))
                    torch.autograd.grad(encoded.latent_dist.mean.square().sum(), leaf)

            def ours(model: EditModel = model, image: Tensor = image, rows: int = rows) -> Tensor:
                return attack(model, image, seeds=range(rows))

            timed = self.clock.ratio(ours, bare, 2 if self.tiny else 3)
            speed = rows * steps / timed["seconds"]
            found[f"{rows} photos"] = {
                **timed, "photo_steps_per_s": speed, "peak_gib": self.clock.peak_gib(ours)
            }  # fmt: skip
        once, again = (attack(model, image, seeds=range(rows)) for _ in range(2))
        found["same_bytes_twice"] = bool(once.equal(again))
        model.vae.to(memory_format=torch.contiguous_format)
        found["channels last over contiguous"] = timed["seconds"] / self.clock.seconds(ours)
        low, both = self.model(dtype="bfloat16:vae=bfloat16"), range(rows)
        attack(low, image, seeds=both)
        found["photo_steps_per_s in bfloat16"] = (
            rows * steps / self.clock.seconds(lambda: attack(low, image, seeds=both))
        )
        return found

    def edits(self) -> dict[str, Any]:
        """Edits a second of 20 evaluations, and whether a row's bytes hang on its neighbours."""
        found: dict[str, Any] = {}
        model, evaluations = self.model(), 2 if self.tiny else 20
        for rows in (1, 4) if self.tiny else (1, 4, 16):
            image = self.photos(rows)

            def work(image: Tensor = image) -> Tensor:
                return self._edit(model, image, evaluations)

            work()
            found[f"batch {rows}"] = {
                "edits_per_s": rows / self.clock.seconds(work),
                "peak_gib": self.clock.peak_gib(work),
            }
        image = self.photos(4)
        once, again = (self._edit(model, image, evaluations) for _ in range(2))
        found["same_bytes_twice"] = bool(once.equal(again))
        channels_last = self.clock.seconds(lambda: self._edit(model, image, evaluations))
        for part in ("vae", "denoiser"):
            model.part(part).to(memory_format=torch.contiguous_format)
        self._edit(model, image, evaluations)
        contiguous = self.clock.seconds(lambda: self._edit(model, image, evaluations))
        return {**found, "channels last over contiguous": channels_last / contiguous}

    def chain_attack(self) -> dict[str, Any]:
        """A gradient through the whole editor: time and memory at 4 and at 50 evaluations."""
        found, model, image = {}, self.model(), self.photos(1)
        for evaluations in (4, 50):
            attack = Protection.parse(f"diffusion:steps=1,draws=1,evaluations={evaluations}")
            trace = Trace()

            def work(attack: Protection = attack, trace: Trace = trace) -> Tensor:
                return attack(model, image, seeds=[0], trace=trace)

            peak = self.clock.peak_gib(work)
            found[f"{evaluations} evaluations"] = {
                "seconds": self.clock.seconds(work), "peak_gib": peak,
                "gradient_vanished": bool(trace.vanished is None or trace.vanished.any()),
            }  # fmt: skip
        return found

    def compiled(self) -> dict[str, Any]:
        """What it buys that torch compiles the denoiser, and what that costs once."""
        if not self.clock.cuda:
            raise Unavailable("on a CPU it takes minutes")
        rows, plain, compiled = 16, self.model(), self.model(dtype=f"{self.dtype}:compiled")
        image = self.photos(rows)
        self._edit(plain, image, 2)  # reads the weights
        once = self.clock.seconds(lambda: self._edit(compiled, image, 2))
        slow, fast = (
            self.clock.seconds(partial(self._edit, model, image, 20)) for model in (plain, compiled)
        )
        return {"first_call_s": once, "edits_per_s": rows / fast, "ratio": fast / slow}

    def loops(self) -> dict[str, Any]:
        """How often each step waits for the device, and whether what is no number is refused."""
        model, image = self.model(), self.photos(1)

        def edit(evaluations: int) -> Tensor:
            return self._edit(model, image, evaluations)

        def attack(steps: int) -> Tensor:
            return Protection.parse(f"encoder:steps={steps}")(model, image, seeds=[0])

        found: dict[str, Any] = {}
        for name, work in (("evaluation", edit), ("step", attack)):
            work(4)
            few, many = (self.clock.waits(lambda n=n, work=work: work(n)) for n in (4, 12))
            each = None if few is None or many is None else (many - few) / 8
            found[f"waits for each {name}"] = each
        for part, work in (("denoiser", edit), ("vae", attack)):
            with torch.no_grad():
                next(model.part(part).parameters()).fill_(torch.nan)
            try:
                work(4)
                found[f"refused {part}"] = False
            except UserError:
                found[f"refused {part}"] = True
            model.release()
        return found

    def views(self) -> dict[str, Any]:
        """A protection that foresees transforms, view by view and with views joined."""
        model, image, steps = self.model(), self.photos(1), 2 if self.tiny else 5
        views = ",".join(["jpeg:quality=50..95"] * 4)
        attack = Protection.parse(f"encoder:steps={steps},expectation=[{views}]")
        assert isinstance(attack, PGD)

        def work() -> Tensor:
            return attack(model, image, seeds=[0])

        def one_by_one() -> Tensor:
            with mock.patch.object(PGD, "views_at_once", return_value=1):
                return work()

        differ = (work() * 255).round() != (one_by_one() * 255).round()
        return {
            "views_at_once": attack.views_at_once(model, image),
            "share_of_levels_that_differ": float(differ.float().mean()),
            **self.clock.ratio(work, one_by_one, 2), "peak_gib": self.clock.peak_gib(work),
        }  # fmt: skip

    def trial(self) -> dict[str, Any]:
        """A small trial; a third of its pictures are taken away, and it is run again."""
        trial, folder = self._trial(batch=4), self.folder / "trial"
        seconds = self.clock.seconds(lambda: self._run(trial, folder))
        pictures = sorted(folder.glob("artifacts/*/*.png"))
        before = {path: path.read_bytes() for path in pictures}
        for path in pictures[::3]:
            path.unlink()
        self._run(trial, folder)
        differ = sum(path.read_bytes() != was for path, was in before.items())
        return {
            "seconds": seconds, "pictures": len(before), "differ": differ,
            "report": (folder / "report.html").is_file(),
        }  # fmt: skip

    def out_of_memory(self) -> dict[str, Any]:
        """A trial whose batch does not fit halves it; asked of a GPU alone, by a limit."""
        if not self.clock.cuda:
            raise Unavailable("a CPU's memory is not limited here")
        model = self.model()
        few, many = self.photos(2), self.photos(8)
        peak_of_few = self.clock.peak_gib(lambda: self._edit(model, few, 2)) or 0.0
        peak_of_many = self.clock.peak_gib(lambda: self._edit(model, many, 2)) or 0.0
        model.release()
        limit = (peak_of_few + peak_of_many) / 2
        total = torch.cuda.get_device_properties(0).total_memory / 2**30
        torch.cuda.set_per_process_memory_fraction(min(1.0, limit / total))
        try:
            self._run(self._trial(batch=8), self.folder / "little")
        finally:
            torch.cuda.set_per_process_memory_fraction(1.0)
        manifest = json.loads((self.folder / "little" / "manifest.json").read_text())
        return {"limit_gib": limit, "batch": manifest["batch"], "notes": manifest["notes"]}

    def _run(self, trial: Path, folder: Path) -> None:
        loaded = brittle.load_trial(trial, [f"model={self.folder / 'model'}"])
        brittle.run_trial(loaded, folder, device=self.device, dtype=self.dtype)

    def _trial(self, batch: int) -> Path:
        for index, photo in enumerate(self.photos(8).split(1)):
            with suppress(UserError):  # of an earlier trial
                write_image(self.folder / "photos" / f"{index}.png", photo)
        path = self.folder / "trial.yaml"
        path.write_text(
            "title: device check\nphotos: photos\n"
            "protections: ['encoder:steps=4']\ntransforms: ['jpeg:quality=75']\n"
            f"editors: ['img2img:num_inference_steps=4']\nprompts: [{PROMPT}]\n"
            f"metrics: [perceptual, psnr]\nbatch: {batch}\nfloor_seeds: []\n"
            "placebos: [noise]\n"
        )
        return path


def judged(found: dict[str, Any]) -> dict[str, bool | None]:
    """The aims, by what was measured."""

    def get(*path: str) -> Any:
        value: Any = found
        for step in path:
            value = value.get(step) if isinstance(value, dict) else None
        return value

    def holds(measured: Any, true: Callable[[Any], bool]) -> bool | None:
        return None if measured is None else true(measured)

    def full(*path: str) -> Any:
        """As `get`, where the widths are whole."""
        return None if get("environment", "tiny") else get(*path)

    few, many = (get("chain_attack", f"{n} evaluations", "peak_gib") for n in (4, 50))
    return {
        "encoder attack within 1.05 of bare passes": holds(
            full("encoder_attack", "4 photos", "ratio"), lambda one: one <= 1.05
        ),
        "encoder attack at three times the notebook's speed": holds(
            full("encoder_attack", "4 photos", "photo_steps_per_s"),
            lambda one: one >= 3 * NOTEBOOK_STEPS,
        ),
        "25 edits a second": holds(
            full("edits", "batch 16", "edits_per_s"), lambda one: one >= AIMED_EDITS
        ),
        "50 evaluations in less than 24 GiB": holds(many, lambda one: one < AIMED_GIB),
        "50 evaluations in 1.15 times the memory of 4": holds(
            many, lambda one: one <= 1.15 * (few or one)
        ),
        "float32 latents agree with the CPU's to 1e-4": holds(
            get("agreement", "largest_difference", "encode"), lambda one: one <= 1e-4
        ),
        "scores agree with the CPU's to 1e-4": holds(
            get("agreement", "largest_difference_of_a_score"), lambda one: one <= 1e-4
        ),
        "no evaluation and no step waits for the GPU": holds(
            get("loops", "waits for each evaluation"),
            lambda one: not one and not get("loops", "waits for each step"),
        ),
        "what is no number is refused": holds(
            get("loops", "refused denoiser"), lambda one: one and get("loops", "refused vae")
        ),
        "joined views are faster than one by one": holds(
            full("views", "ratio"), lambda one: one < 1
        ),
        "a photo is protected to the same bytes twice": get("encoder_attack", "same_bytes_twice"),
        "the same bytes twice": get("edits", "same_bytes_twice"),
        "a resized photo is protected to the same bytes twice": get(
            "agreement", "resized_photo_to_the_same_bytes_twice"
        ),
        "a trial resumes to the same bytes": holds(get("trial", "differ"), lambda one: one == 0),
        "out of memory halves the batch": holds(get("out_of_memory", "batch"), lambda one: one < 8),
    }


def run(check: Check, sections: list[str], budget: float, out: Path | None) -> dict[str, Any]:
    """What the sections found, and what failed or was left out."""
    begun, found = time.monotonic(), dict[str, Any]()
    for name in sections:
        left, takes = budget - (time.monotonic() - begun), SECONDS[name]
        if left < takes:
            found[name] = {"left_out": f"{left:.0f} s left, and it takes about {takes}"}
            continue
        started = time.monotonic()
        try:
            found[name] = getattr(check, name)()
        except Unavailable as error:
            found[name] = {"left_out": str(error)}
        except Exception as error:  # the other sections still say something
            found[name] = {"error": repr(error), "where": traceback.format_exc().splitlines()[-6:]}
        found[name]["section_s"] = round(time.monotonic() - started, 1)
        print(f"{name}: {found[name]['section_s']} s", file=sys.stderr, flush=True)
        found["judged"] = judged(found)
        if out is not None:
            out.write_text(json.dumps(found, indent=1) + "\n")
    return found


def main() -> None:
    """Run the check; exits with 1 if a section failed or an aim is missed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--tiny", action="store_true", help="divided widths, float32")
    parser.add_argument("--budget", type=float, default=480.0, help="seconds for everything")
    parser.add_argument("--only", nargs="*", default=[], choices=SECONDS, help="sections")
    parser.add_argument("--out", type=Path, help="write the JSON here, after every section")
    options = parser.parse_args()
    os.environ["HF_HUB_OFFLINE"] = "1"
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # before CUDA is first used
    wanted = {"environment", "build", *(options.only or SECONDS)}
    with tempfile.TemporaryDirectory(prefix="brittle-check-") as folder:
        check = Check(options.device, Path(folder), tiny=options.tiny)
        sections = [name for name in SECONDS if name in wanted]
        found = run(check, sections, options.budget, options.out)
    print(json.dumps(found, indent=1))
    failed = any("error" in one for one in found.values() if isinstance(one, dict))
    sys.exit(failed or False in found["judged"].values())


if __name__ == "__main__":
    main()
