"""What the recipe aims at, beside what was measured at one size."""

from __future__ import annotations

from typing import Any

Row = tuple[str, str, bool]  # the bar, what was measured, whether it is reached


def bars(found: dict[str, dict[str, Any]]) -> list[Row]:
    """One row for each bar whose section was measured."""
    rows: list[Row] = []
    for section, judge in (
        ("vulnerability", vulnerability), ("autoencoder", autoencoder), ("editing", editing),
        ("nonsense", nonsense), ("usable", usable), ("cost", cost),
    ):  # fmt: skip
        if section in found:
            rows += judge(found[section])
    return rows


def vulnerability(content: dict[str, Any]) -> list[Row]:
    """The student is fooled, and recovers, about as the teacher does."""
    gaps = {
        name: content["student"][name][1] - content["teacher"][name][1]
        for name in ("none", "q95", "q85", "q75", "q65")
    }
    worst = max(gaps, key=lambda name: abs(gaps[name]))
    text = f"largest difference {gaps[worst]:+.3f} ({worst})"
    limit = (
        "distance to target within .05 of the teacher's without a transform and at JPEG 95 to 65"
    )
    return [(limit, text, abs(gaps[worst]) <= 0.05)]


def autoencoder(content: dict[str, Any]) -> list[Row]:
    """Reconstruction."""
    student, teacher = (content[who]["psnr"] for who in ("student", "teacher"))
    text = f"{student:.2f} dB (teacher {teacher:.2f})"
    return [
        ("reconstruction at least 25 dB", text, student >= 25),
        ("aim: within 1 dB of the teacher's", text, student >= teacher - 1),
    ]


def editing(content: dict[str, Any]) -> list[Row]:
    """Looks are seen, and only where they were asked for; subjects stay."""
    seen = {look: values["seen"] for look, values in content.items()}
    gain = {look: values["seen"] - values["unasked"] for look, values in content.items()}
    share = {
        look: values["kept"] / max(values["kept, procedural"], 1e-9)
        for look, values in content.items()
    }

    def row(text: str, values: dict[str, float], limit: float) -> Row:
        low = [look for look, value in values.items() if value < limit]
        worst = min(values, key=lambda look: values[look])
        missed = f"; missed by {', '.join(low)}" if low else ""
        return text, f"lowest {values[worst]:.2f} ({worst}){missed}", not low

    kept = sum(v["kept"] for v in content.values())
    made = sum(v["kept, procedural"] for v in content.values())
    return [
        row("every look seen in at least 70 % of its edits", seen, 0.7),
        row("and 40 points more often than without a prompt", gain, 0.4),
        row("subject kept in at least 80 % of the procedural look's share, each look", share, 0.8),
        ("the same over all looks", f"{kept / made:.2f}", kept / made >= 0.8),
    ]


def nonsense(content: dict[str, Any]) -> list[Row]:
    """Words that mean nothing do nothing."""
    text = f"{content['nonsense']:.3f} against {content['seed to seed']:.3f}"
    limit = "nonsense prompts move an edit less than another seed does (perceptual distance)"
    return [(limit, text, content["nonsense"] < content["seed to seed"])]


def usable(content: dict[str, Any]) -> list[Row]:
    """The paper's finding, on edits."""
    original, protected, back = (
        content[arm]["usable"] for arm in ("original", "protected", "protected + JPEG 65")
    )
    lost = original - protected
    given_back = (back - protected) / lost if lost > 0 else 0.0
    return [
        ("usable edits of untouched photos at least 60 %", f"{original:.2f}", original >= 0.6),
        ("protected photos: at least 30 points fewer", f"{-lost:+.2f}", lost >= 0.3),
        ("JPEG 65 gives back at least half of that", f"{given_back:.2f} of it", given_back >= 0.5),
    ]


def cost(content: dict[str, Any]) -> list[Row]:
    """Edits are cheap and the directory is small."""
    found = (content[dtype] for dtype in ("float32", "bfloat16"))
    time = min(one[how] for one in found for how in ("alone", "together")) / 2
    size = content["bytes"]
    return [
        ("at most 250 ms an edit on two cores", f"{time:.0f} ms", time <= 250),
        ("at most 64 MB", f"{size / 1e6:.1f} MB", size <= 64e6),
    ]
