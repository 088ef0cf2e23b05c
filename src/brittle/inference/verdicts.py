"""Both verdicts: what became of the effect, and what an attacker gets. First rule that applies."""

from collections.abc import Sequence
from dataclasses import dataclass

from brittle.inference.effects import Effects
from brittle.inference.intervals import mean_interval
from brittle.inference.power import photos_needed
from brittle.inference.summary import (
    MIN_PHOTOS,
    AttackerWord,
    Claim,
    EffectWord,
    Flag,
    Interval,
    Outcome,
    PhotosNeeded,
    Verdict,
)
from brittle.inference.table import placebo_arm
from brittle.inference.usable import UsableEdits
from brittle.inference.words import count, percent, transform_name, with_bounds
from brittle.trial.primary import Primary

MAX_MISSING = 0.1
TRIES = 4


@dataclass(frozen=True)
class Ruling:
    """A word, the number of its rule, and the rule in words."""

    word: EffectWord
    rule: int
    why: str


class Judge:
    """Judges each protection under each primary transform, all at one error level."""

    def __init__(
        self,
        effects: Effects,
        usable: UsableEdits,
        primary: Primary,
        *,
        flags: Sequence[Flag],
        scope: str,
    ) -> None:
        """``primary`` names its arms; ``scope`` is what every sentence starts with."""
        self.effects, self.usable, self.primary, self.flags = effects, usable, primary, flags
        self.scope = scope
        self.tested = len(primary.arms) * len(primary.transforms)
        self.alpha = primary.alpha / max(self.tested, 1)

    def verdicts(self) -> tuple[list[Verdict], list[Outcome]]:
        """All verdicts, and for each arm what became of it in one sentence."""
        verdicts, outcomes = [], []
        for arm in self.primary.arms:
            rulings = {
                transform: self._rule(arm, transform, self._claims(arm, transform))
                for transform in self.primary.transforms
            }
            words = {transform: ruling.word for transform, ruling in rulings.items()}
            outcomes.append(Outcome(arm=arm, words=dict(words), sentence=outcome(words)))
            verdicts += [
                self._verdict(arm, transform, ruling, label_for(transform, words))
                for transform, ruling in rulings.items()
            ]
        return verdicts, outcomes

    def _verdict(self, arm: str, transform: str, ruling: Ruling, label: str) -> Verdict:
        claims = self._claims(arm, transform)
        attacker, attacker_why = self._attacker(arm, transform, claims, ruling)
        after, before = self.effects.share_pair(arm, transform)
        needed = None
        if len(before) >= MIN_PHOTOS:
            needed = photos_needed(after, before, self.primary, self.alpha)
        untestable = claims.get("untestable")
        settled = untestable is not None and (
            untestable.holds
            or (
                untestable.interval.low is not None
                and untestable.interval.low > untestable.threshold
            )
        )
        sentence = self._sentence(arm, transform, ruling, label, attacker, attacker_why, needed)
        if ruling.rule > 2 and not settled and not self.usable.reason:
            sentence += (
                f" Whether {transform_name(transform)} also ruins edits of unprotected photos is "
                "not settled."
            )
        return Verdict(
            arm=arm,
            transform=transform,
            editor=self.effects.editor,
            metric=self.effects.metric,
            n=len(before),
            word=ruling.word,
            label=label,
            rule=ruling.rule,
            why=ruling.why,
            attacker=attacker,
            attacker_why=attacker_why,
            untestable_settled=settled,
            sentence=sentence,
            level=round(1 - 2 * self.alpha, 10),
            claims=tuple(claims.values()),
            photos_needed=needed,
            best_of=self.usable.best_of(arm, transform, TRIES),
        )

    # What is tested -----------------------------------------------------------------------------

    def _claims(self, arm: str, transform: str) -> dict[str, Claim]:
        margins, alpha, name = self.primary.margins, self.alpha, transform_name(transform)
        reach = self.effects.reach(arm, "none", alpha)
        reach_after = self.effects.reach(arm, transform, alpha)
        lost = self.usable.difference("original", transform, "original", "none", alpha)
        placebo = placebo_arm(self.effects.kind or "", arm)
        tests = [
            ("never protected", f"reach without a transform is below {margins.protected:g}", reach,
             margins.protected, "below"),
            ("protected", f"reach without a transform is above {margins.protected:g}", reach,
             margins.protected, "above"),
            ("protected after", f"reach after {name} is above {margins.protected:g}", reach_after,
             margins.protected, "above"),
            ("untestable",
             f"{name} takes more than {percent(-margins.untestable)} of 100 usable edits from "
             "unprotected photos", lost, margins.untestable, "below"),
            *self._share_tests(arm, transform),
            ("open",
             f"after {name}, at most {percent(-margins.open)} of 100 edits fewer are usable than "
             "of the untouched photo", self.usable.difference(arm, transform, "original", "none",
             alpha), margins.open, "above"),
            ("few usable", f"fewer than {percent(margins.closed)} of 100 edits are usable",
             self.usable.rate(arm, transform, alpha), margins.closed, "below"),
            ("original usable",
             f"more than {percent(margins.closed_original)} of 100 edits of the unprotected photo "
             f"are usable after {name}", self.usable.rate("original", transform, alpha),
             margins.closed_original, "above"),
            ("below placebo", "fewer edits are usable than with noise of its size",
             self.usable.difference(arm, transform, placebo, transform, alpha), 0.0, "below"),
            ("harder", f"fewer edits are usable than of the unprotected photo after {name}",
             self.usable.difference(arm, transform, "original", transform, alpha), 0.0, "below"),
        ]  # fmt: skip
        return {
            key: make_claim(key, statement, interval, threshold, side)
            for key, statement, interval, threshold, side in tests
            if interval is not None
        }

    def _share_tests(
        self, arm: str, transform: str
    ) -> list[tuple[str, str, Interval | None, float, str]]:
        """The three claims about the share that is left.

        Where the share is printed, its Fieller interval decides; where it is withheld, the linear
        form does: after - margin x before, against 0. Both say the same wherever both exist.
        """
        after, before = self.effects.share_pair(arm, transform)
        retention, _ = self.effects.retention(arm, transform, self.alpha)
        margins = self.primary.margins
        tests: list[tuple[str, str, Interval | None, float, str]] = []
        for name, margin, side in (
            ("broken", margins.broken, "below"),
            ("survived", margins.survived, "above"),
            ("weakened", margins.survived, "below"),
        ):
            less = "less" if side == "below" else "more"
            statement = f"{less} than {percent(margin)} % of the effect is left"
            if retention is not None:
                tests.append((name, statement, retention, margin, side))
            else:
                linear = mean_interval(after - margin * before, self.alpha)
                tests.append((name, f"{statement} (effect minus that share)", linear, 0.0, side))
        return tests

    # The rules ----------------------------------------------------------------------------------

    def _rule(self, arm: str, transform: str, claims: dict[str, Claim]) -> Ruling:
        if reason := self._no_verdict(arm, transform):
            return Ruling("no verdict", 0, reason)
        name = transform_name(transform)
        if _holds(claims, "never protected"):
            if _holds(claims, "protected after"):
                return Ruling("protects only after", 1, f"it acts only after {name}")
            return Ruling("never protected", 1, claims["never protected"].statement)
        if _holds(claims, "untestable"):
            return Ruling("untestable", 2, claims["untestable"].statement)
        if not _holds(claims, "protected"):
            return Ruling("inconclusive", 1, "whether it protects at all is not settled")
        rules: tuple[tuple[EffectWord, int], ...] = (
            ("broken", 3),
            ("survived", 4),
            ("weakened", 5),
        )
        for word, rule in rules:
            if _holds(claims, word):
                return Ruling(word, rule, claims[word].statement)
        return Ruling("inconclusive", 6, "the interval leaves more than one answer open")

    def _no_verdict(self, arm: str, transform: str) -> str:
        """Rule 0: why nothing may be said; empty where something may."""
        if self.effects.kind is None:
            return "there is no placebo"
        for flag in self.flags:
            if (
                flag.stops_verdict
                and flag.arm in (None, arm)
                and flag.transform in (None, transform)
            ):
                return f"{flag.name}: {flag.meaning}"
        after = self.effects.contrast(arm, transform, paired="none")
        asked = after.rows + after.dropped
        if not self.effects.block(arm, transform).asked.any():
            return f"{transform_name(transform)} was not run for it"
        if after.dropped > MAX_MISSING * asked:
            return f"{after.dropped} of {count(asked, 'cell')} have no number"
        n = int(after.photos.sum())
        if n < MIN_PHOTOS:
            return f"{count(n, 'photo')}, and a verdict takes {MIN_PHOTOS}"
        if self.effects.reach(arm, "none", self.alpha) is None:
            return "there are no edits of a gray picture, so no ceiling"
        return ""

    def _attacker(
        self, arm: str, transform: str, claims: dict[str, Claim], ruling: Ruling
    ) -> tuple[AttackerWord, str]:
        if self.usable.reason:
            return "not judged", self.usable.reason
        if ruling.rule == 0:
            return "not judged", ruling.why
        closed = ("few usable", "original usable", "below placebo")
        if _holds(claims, "open"):
            return "open", claims["open"].statement
        if all(_holds(claims, name) for name in closed):
            return "closed", "; ".join(claims[name].statement for name in closed)
        if _holds(claims, "untestable"):
            return "spoiled for everyone", claims["untestable"].statement
        if _holds(claims, "harder"):
            return "harder", claims["harder"].statement
        return "not settled", "the intervals leave more than one answer open"

    # The words ----------------------------------------------------------------------------------

    def _sentence(
        self,
        arm: str,
        transform: str,
        ruling: Ruling,
        label: str,
        attacker: AttackerWord,
        attacker_why: str,
        needed: PhotosNeeded | None,
    ) -> str:
        if ruling.word == "no verdict":
            return f"{self.scope}, {arm}: no verdict, because {ruling.why}."
        found = self._found(arm, transform, ruling)
        ends: dict[AttackerWord, str] = {
            "open": "edits are as usable as without protection",
            "closed": "edits are of little use to an attacker, unlike the unprotected photo's",
            "spoiled for everyone": "edits of the unprotected photo are ruined as well",
            "harder": "fewer edits are usable than if the photo were unprotected",
            "not settled": "whether an attacker gets a usable edit is not settled",
            "not judged": f"usable edits are not judged: {attacker_why}",
        }
        contrast = attacker == "open" and ruling.word in ("survived", "weakened")
        link = "yet" if contrast else "and"
        heading = label if attacker in ("not settled", "not judged") else f"{label}, and {attacker}"
        text = f"{self.scope}, {arm}: {heading}: {found}, {link} {ends[attacker]}."
        if ruling.word == "inconclusive" and needed:
            text += f" {needed.sentence}"
        return text

    def _found(self, arm: str, transform: str, ruling: Ruling) -> str:
        """What was found, with the interval that decided; never the share alone."""
        name, alpha = transform_name(transform), self.alpha
        before = with_bounds(self.effects.reach(arm, "none", alpha))
        after = with_bounds(self.effects.reach(arm, transform, alpha))
        if ruling.rule in (1, 2):
            return f"reach is {before} without a transform and {after} after {name}"
        retention, reason = self.effects.retention(arm, transform, alpha)
        if retention is None:
            return f"after {name}, reach is {after} ({reason})"
        share = with_bounds(retention, as_percent=True)
        return f"after {name}, {share} of the effect is left (reach {after})"


def make_claim(name: str, statement: str, interval: Interval, threshold: float, side: str) -> Claim:
    """Test one statement: the bound of the interval that is shown decides."""
    bound = interval.high if side == "below" else interval.low
    holds = bound is not None and (bound < threshold if side == "below" else bound > threshold)
    return Claim(
        name=name,
        statement=statement,
        interval=interval,
        threshold=threshold,
        side="below" if side == "below" else "above",
        holds=holds,
    )


def _holds(claims: dict[str, Claim], name: str) -> bool:
    return name in claims and claims[name].holds


def label_for(transform: str, words: dict[str, EffectWord]) -> str:
    """The word as printed: what survived did so among the transforms tried, and no further."""
    word, name = words[transform], transform_name(transform)
    if word == "protects only after":
        return f"protects only after {name}"
    if word != "survived":
        return word
    if set(words.values()) == {"survived"}:
        return f"survived the {count(len(words), 'transform')} tried"
    return f"survived {name}, one of the {count(len(words), 'transform')} tried"


def outcome(words: dict[str, EffectWord]) -> str:
    """One arm's verdicts in a sentence, transforms with the same word together."""
    together: dict[str, list[str]] = {}
    for transform, word in words.items():
        together.setdefault(word, []).append(transform_name(transform))
    tried = count(len(words), "transform")
    if list(together) == ["survived"]:
        return f"survived the {tried} tried"
    if len(together) == 1:
        return f"{next(iter(together))}, for all of the {tried} tried"
    parts = [f"{word}: {', '.join(names)}" for word, names in together.items()]
    return f"of the {tried} tried: " + "; ".join(parts)
