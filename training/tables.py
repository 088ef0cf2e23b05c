"""What was measured, as markdown: one table a topic, one column a size."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from brittle.metrics import Thresholds
from training.bars import bars

Content = Mapping[str, Any]
Measured = dict[int, dict[str, Content]]
"""By size in px and section."""
Rows = dict[str, str]


@dataclass(frozen=True)
class Topic:
    """A table: its title, what its cells say, and how a section's content becomes its rows."""

    title: str
    section: str
    caption: str
    rows: Callable[[Content], Rows]


def tables(measured: Measured) -> str:
    """Everything that was measured, the bars first."""
    by_bar = {
        size: {bar: f"{text}: {'yes' if reached else '**no**'}" for bar, text, reached in bars(one)}
        for size, one in measured.items()
    }
    parts = [table("bar: measured, reached", by_bar)]
    for topic in TOPICS:
        found = {
            size: topic.rows(one[topic.section])
            for size, one in measured.items()
            if topic.section in one
        }
        if any(found.values()):
            parts += [f"### {topic.title}", topic.caption, table("", found)]
    return "\n\n".join(parts)


def table(corner: str, by_size: Mapping[int, Rows]) -> str:
    """Rows under one column a size; a row that a size lacks has a dash there."""
    names = dict.fromkeys(name for rows in by_size.values() for name in rows)
    lines = [
        "| " + " | ".join([corner, *(f"{size} px" for size in by_size)]) + " |",
        "|---" * (1 + len(by_size)) + "|",
    ]
    for name in names:
        cells = [rows.get(name, "–") for rows in by_size.values()]
        lines.append("| " + " | ".join([name, *cells]) + " |")
    return "\n".join(lines)


def shares(asked: str, beside: str) -> Callable[[Content], Rows]:
    """A share by look, and what it is compared with."""

    def rows(content: Content) -> Rows:
        made = {"n, photos": "/".join(dict.fromkeys(str(one["n"]) for one in content.values()))}
        return made | {
            look: f"{one[asked]:.2f} ({one[beside]:.2f})" for look, one in content.items()
        }

    return rows


def thresholds(editor: str) -> Callable[[Content], Rows]:
    """The thresholds of an editor, and what they must lie above."""

    def rows(content: Content) -> Rows:
        if editor not in content:
            return {}
        found = Thresholds.model_validate(content[editor])
        made = {
            "photos": str(found.n),
            "`keep`": f"{found.tau_keep:.3f} ({found.validity.keep_between_photos:.3f})",
        }
        for look, threshold in found.tau_follow.items():
            says = f"{threshold:.3f} ({found.validity.follow_empty[look]:.3f})"
            made[look] = f"{says}, **not valid**" if found.why_not(look) else says
        return made

    return rows


def usable(content: Content) -> Rows:
    """Shares of usable edits by what was edited."""
    rows = {"n, edits": "/".join(dict.fromkeys(str(one["n"]) for one in content.values()))}
    for arm, one in content.items():
        moved = one["RMSE to the photo's edit"]
        rows[arm] = f"{one['usable']:.2f} ({one['follows']:.2f}, {one['keeps']:.2f}; {moved:.3f})"
    return rows


def distances(content: Content) -> Rows:
    """How near attacked photos come to the target."""
    rows = {"n, photos": str(content["n"])}
    for name, student in content["student"].items():
        teacher = content["teacher"][name]
        rows[f"protected, {name}"] = f"{student[1]:.2f} ({teacher[1]:.2f})"
    signs = (content[f"{who}, random signs"]["none"][1] for who in ("student", "teacher"))
    rows["random signs, none"] = "{:.2f} ({:.2f})".format(*signs)
    moved = (
        content[f"made on {maker}, seen by {judge}"]["none"][1]
        for judge, maker in (("student", "teacher"), ("teacher", "student"))
    )
    rows["made on the other, none"] = "{:.2f} ({:.2f})".format(*moved)
    return rows


def shifts(content: Content) -> Rows:
    """How far latents move."""
    rows = {}
    for what, suffix in (("protected", ""), ("random signs", ", random signs")):
        for name, student in content[f"student{suffix}"].items():
            teacher = content[f"teacher{suffix}"][name]
            rows[f"{what}, {name}"] = f"{student[0]:.2f} ({teacher[0]:.2f})"
    return rows


def reconstruction(content: Content) -> Rows:
    """Student beside teacher."""
    pairs = [(name, content["student"][name], content["teacher"][name]) for name in UNITS]
    rows = {"n, photos": str(content["student"]["n"])}
    return rows | {
        f"{name}{UNITS[name][0]}": f"{own:{UNITS[name][1]}} ({other:{UNITS[name][1]}})"
        for name, own, other in pairs
    }


UNITS = {
    "psnr": (", dB", ".2f"),
    "ssim": ("", ".3f"),
    "perceptual": ("", ".3f"),
    "colour shift": (", levels", ".2f"),
}


def plain(content: Content) -> Rows:
    """Names and numbers as they are."""
    return {name: number(value) for name, value in content.items()}


def seams(content: Content) -> Rows:
    """Jumps across the border, and how much larger painting makes them."""
    return plain(content) | {"ratio": number(content["inpainted"] / content["photos"])}


def cost(content: Content) -> Rows:
    """Times by arithmetic, then sizes."""
    rows = {}
    for dtype in ("float32", "bfloat16"):
        one = content[dtype]
        rows[f"{dtype}, one at a time"] = f"{one['alone']:.0f} ms"
        rows[f"{dtype}, together"] = f"{one['together']:.0f} ms ({one['batch']})"
    return rows | {
        name: number(value) for name, value in content.items() if not isinstance(value, dict)
    }


def number(value: Any) -> str:
    """Three digits for fractions, all of them for counts."""
    return f"{value:.3f}" if isinstance(value, float) else f"{value:,}"


TOPICS = (
    Topic(
        "Looks seen",
        "editing",
        "Share of edits in which the look classifier sees the look that the prompt names (in edits"
        " without a prompt).",
        shares("seen", "unasked"),
    ),
    Topic(
        "Subjects kept",
        "editing",
        "Share of edits whose first five classes (EfficientNet) hold the autoencoded photo's first"
        " (the same for the look itself, made by arithmetic and autoencoded).",
        shares("kept", "kept, procedural"),
    ),
    Topic(
        "Words that mean nothing",
        "nonsense",
        "Perceptual distance to the edit without a prompt; the last row: share of nonsense prompts'"
        " edits that are nearer than another seed's.",
        plain,
    ),
    Topic(
        "Thresholds of usable edits, img2img",
        "thresholds",
        "`follow` and `keep` must reach these (what they must lie above: the 95th percentile of"
        " `follow` in edits without a prompt, of `keep` between different photos).",
        thresholds("img2img"),
    ),
    Topic(
        "Thresholds of usable edits, instruct",
        "thresholds",
        "As above.",
        thresholds("instruct"),
    ),
    Topic(
        "Thresholds of usable edits, inpainting",
        "thresholds",
        "As above; the centre ellipse is painted. A dash: not calibrated, `usable` has no value.",
        thresholds("inpaint"),
    ),
    Topic(
        "Usable edits",
        "usable",
        "Share of usable edits (share that follows, share that keeps; RMSE to the photo's edit).",
        usable,
    ),
    Topic(
        "bfloat16 against float32",
        "arithmetic",
        "The same edits, all twelve looks, with the denoiser in either.",
        plain,
    ),
    Topic(
        "Vulnerability: distance to the target",
        "vulnerability",
        "Student (teacher), after each transform.",
        distances,
    ),
    Topic(
        "Vulnerability: shift of the latents",
        "vulnerability",
        "Student (teacher), after each transform.",
        shifts,
    ),
    Topic("Reconstruction", "autoencoder", "Student (teacher).", reconstruction),
    Topic(
        "Inpainting's seams",
        "inpainting",
        "Mean difference of neighbouring pixels across the border of a centred square, in levels of"
        " 255: in photos, and after the square was painted (`heavy rain`).",
        seams,
    ),
    Topic(
        "Text to image",
        "generation",
        "A label a sample, 20 steps, reduced to 128 px, at which the probe of labels works.",
        plain,
    ),
    Topic(
        "Cost",
        "cost",
        "CPU time an edit, of one core with AVX-512 bf16 that others used too: 20 steps at strength"
        " .5 with guidance, so 20 evaluations of the UNet (instruct: 20 without guidance). In"
        " brackets: how many at a time.",
        cost,
    ),
)
