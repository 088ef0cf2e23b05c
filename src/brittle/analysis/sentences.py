"""Verdicts in sentences: both words, the interval that decided, never the share alone."""

from collections.abc import Iterable
from dataclasses import dataclass

from brittle.analysis.effects import Effects
from brittle.analysis.phrases import count, transform_name, when, with_bounds
from brittle.analysis.summary import AttackerWord, EffectWord, PhotosNeeded

ENDS: dict[AttackerWord, str] = {
    "open": "edits are as usable as without protection",
    "closed": "edits are of little use to an attacker, unlike the unprotected photo's",
    "spoiled for everyone": "edits of the unprotected photo are ruined as well",
    "harder": "fewer edits are usable than if the photo were unprotected",
    "not settled": "whether an attacker gets a usable edit is not settled",
    "not judged": "usable edits are not judged",
}


@dataclass(frozen=True)
class Ruling:
    """A word, the number of its rule, and the rule in words."""

    word: EffectWord
    rule: int
    why: str
    numbers: bool = False
    """Whether the numbers are printed although there is no verdict."""


@dataclass(frozen=True)
class AttackerRuling:
    """A word and the rule in words."""

    word: AttackerWord
    why: str
    said: bool = True
    """Whether the verdict's sentence, or the report's first, says why by itself."""


def verdict_sentence(
    found: str,
    *,
    scope: str,
    arm: str,
    transform: str,
    label: str,
    ruling: Ruling,
    attacker: AttackerRuling,
    needed: PhotosNeeded | None,
) -> str:
    """Join both verdicts and what was ``found`` in one sentence."""
    if ruling.word == "no verdict":
        text = f"{scope}, {arm}: no verdict {when(transform)}, because {ruling.why}"
        return f"{text}: {found}." if ruling.numbers else f"{text}."
    end = ENDS[attacker.word]  # why they are not judged is said once, by the headline
    contrast = attacker.word == "open" and ruling.word in ("protected", "survived", "weakened")
    settled = attacker.word not in ("not settled", "not judged")
    word, limits, rest = label.partition("; ")
    heading = f"{word}, and {attacker.word}{limits}{rest}" if settled else label
    text = f"{scope}, {arm}: {heading}: {found}, {'yet' if contrast else 'and'} {end}."
    return f"{text} {needed.sentence}" if ruling.word == "inconclusive" and needed else text


def findings(effects: Effects, arm: str, transform: str, ruling: Ruling, alpha: float) -> str:
    """Say what was found, with the interval that decided; reach always stands beside the share."""
    before = with_bounds(effects.reach(arm, "none", alpha))
    if transform == "none":
        return f"reach is {before}"
    name = transform_name(transform)
    after = with_bounds(effects.reach(arm, transform, alpha))
    if ruling.rule in (1, 2):
        both = f"reach is {before} without a transform and {after} after {name}"
        return f"{both}; {ruling.why}" if ruling.rule == 2 else both
    retention, reason = effects.retention(arm, transform, alpha)
    if retention is None:
        return f"after {name}, reach is {after} ({reason})"
    share = with_bounds(retention, as_percent=True)
    return f"after {name}, {share} of the effect is left (reach {after})"


@dataclass(frozen=True)
class Tried:
    """All transforms that were tried on an arm, declared or not, and what they leave."""

    transforms: tuple[str, ...]
    less_than_half: tuple[str, ...] = ()
    """After these less than half of the effect is left, for sure."""
    not_settled: tuple[str, ...] = ()
    """After these it is not settled whether half of it is left."""
    not_edited: tuple[str, ...] = ()
    """After these nothing was edited: they were tried in another way."""

    def counted(self, declared: int) -> str:
        """How many transforms were declared, of all that were tried."""
        if declared >= len(self.transforms):
            return f"{count(declared, 'transform')} tried"
        return f"{declared} declared of {len(self.transforms)} tried"

    @property
    def limits(self) -> str:
        """What else the transforms tried do: it belongs beside *survived*."""
        parts = []
        if self.less_than_half:
            parts.append(f"less than half is left after {_names(self.less_than_half)}")
        if self.not_settled:
            parts.append(f"whether half is left is not settled after {_names(self.not_settled)}")
        if self.not_edited:
            parts.append(f"no edits were made after {_names(self.not_edited)}")
        return "".join(f"; {part}" for part in parts)


def _names(transforms: Iterable[str]) -> str:
    return ", ".join(map(transform_name, transforms))


def label_for(transform: str, words: dict[str, EffectWord], tried: Tried) -> str:
    """Print the word: what survived did so among the transforms tried, and no further."""
    word, name = words[transform], transform_name(transform)
    if transform == "none" and word != "no verdict":
        return f"{word} (no transform was tried)"
    if word == "protects only after":
        return f"protects only after {name}"
    if word != "survived":
        return word
    if set(words.values()) == {"survived"}:
        return f"survived the {tried.counted(len(words))}{tried.limits}"
    return f"survived {name}, one of the {tried.counted(len(words))}{tried.limits}"


def outcome(words: dict[str, EffectWord], tried: Tried) -> str:
    """Sum up one arm's verdicts, transforms with the same word together."""
    together: dict[str, list[str]] = {}
    for transform, word in words.items():
        together.setdefault(word, []).append(transform_name(transform))
    if "none" in words:
        return label_for("none", words, tried)
    counted = tried.counted(len(words))
    if list(together) == ["survived"]:
        return f"survived the {counted}{tried.limits}"
    if len(together) == 1:
        return f"{next(iter(together))}, for all of the {counted}"
    parts = [f"{word}: {', '.join(names)}" for word, names in together.items()]
    limits = tried.limits if "survived" in together else ""
    return f"of the {counted}: {'; '.join(parts)}{limits}"
