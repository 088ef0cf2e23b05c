"""Both verdicts: what became of the effect, and what an attacker gets. First rule that applies."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from brittle.analysis.effects import Effects
from brittle.analysis.intervals import (
    Array,
    doubtful_low,
    mean_interval,
    ratio_interval,
    strong_keep_more,
)
from brittle.analysis.phrases import (
    count,
    noise_name,
    percent,
    transform_name,
    when,
    with_bounds,
)
from brittle.analysis.power import photos_needed
from brittle.analysis.sentences import (
    AttackerRuling,
    Ruling,
    Tried,
    findings,
    label_for,
    outcome,
    verdict_sentence,
)
from brittle.analysis.summary import (
    MIN_PHOTOS,
    Claim,
    EffectWord,
    Flag,
    Interval,
    Outcome,
    Side,
    Verdict,
)
from brittle.analysis.usable import UsableEdits
from brittle.component import name_of
from brittle.declaration.primary import Primary
from brittle.record.arms import ORIGINAL

MAX_MISSING = 0.1
TRIES = 4
ROOM_LEFT = 0.25
"""Share of the room below which a transform has shrunk every distance, a gray picture's too."""
RISES = 0.05
"""Error, one-sided, at which the share that is left is found to rise with the effect."""
OPTIMISED = "latent"
"""The metric that protections optimise: its numbers are printed without a word."""

Claims = dict[str, Claim]


@dataclass(frozen=True)
class Tested:
    """An interval, and what it asks of each unit: a number whose mean is compared with 0."""

    interval: Interval | None
    values: Array


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
        not_edited: Sequence[str] = (),
    ) -> None:
        """``primary`` names its arms; ``scope`` is what every sentence starts with.

        After the transforms ``not_edited`` no edits were made, though they were tried otherwise.
        """
        self.effects, self.usable, self.primary, self.flags = effects, usable, primary, flags
        self.scope, self.not_edited, self.unit = scope, not_edited, effects.unit
        self.alpha = primary.alpha_each

    def verdicts(self) -> tuple[list[Verdict], list[Outcome]]:
        """All verdicts, and for each arm what became of it in one sentence."""
        verdicts, outcomes = [], []
        for arm in self.primary.arms:
            claims = {
                transform: self.claims(arm, transform) for transform in self.primary.transforms
            }
            rulings = {t: self._rule(arm, t, found) for t, found in claims.items()}
            words = {transform: ruling.word for transform, ruling in rulings.items()}
            tried = self._tried(arm)
            outcomes.append(Outcome(arm=arm, words=dict(words), sentence=outcome(words, tried)))
            for transform, ruling in rulings.items():
                label = label_for(transform, words, tried)
                verdicts.append(self._verdict(arm, transform, claims[transform], ruling, label))
        return verdicts, outcomes

    def _tried(self, arm: str) -> Tried:
        """What all transforms leave of an arm's effect, declared or not."""
        edited = [
            transform
            for transform in self.effects.table.names("transform")
            if transform != "none" and self.effects.block(arm, transform).asked.any()
        ]
        found = {transform: self.effects.half_left(arm, transform) for transform in edited}
        not_edited = tuple(one for one in self.not_edited if one not in edited)
        return Tried(
            transforms=(*edited, *not_edited),
            less_than_half=tuple(one for one in edited if found[one] == "less than half"),
            not_settled=tuple(one for one in edited if found[one] == "not settled"),
            not_edited=not_edited,
        )

    def _verdict(
        self, arm: str, transform: str, claims: Claims, ruling: Ruling, label: str
    ) -> Verdict:
        attacker = self._attacker(arm, transform, claims, ruling)
        after, before = self.unit.means(*self.effects.share_pair(arm, transform))
        needed = None
        if len(before) >= MIN_PHOTOS and transform != "none":  # said of what is left after one
            needed = photos_needed(after, before, self.primary, self.alpha, self.unit.name)
        settled = _settled(claims.get("untestable")) or _holds(claims, "room lost")
        sentence = verdict_sentence(
            findings(self.effects, arm, transform, ruling, self.alpha),
            scope=self.scope,
            arm=arm,
            transform=transform,
            label=label,
            ruling=ruling,
            attacker=attacker,
            needed=needed,
        )
        if ruling.rule > 2 and not settled:
            sentence += (
                f" Whether {transform_name(transform)} also ruins edits of unprotected photos is "
                "not settled."
            )
        sentence += _weaker_against(claims, ruling) + _doubtful(claims, ruling, self.unit.name)
        if not attacker.said:
            sentence += f" {attacker.why[0].upper()}{attacker.why[1:]}."
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
            attacker=attacker.word,
            attacker_why=attacker.why,
            untestable_settled=settled,
            sentence=sentence,
            level=round(1 - 2 * self.alpha, 10),
            claims=tuple(claims.values()),
            photos_needed=needed,
            best_of=self.usable.best_of(arm, transform, TRIES),
        )

    # What is tested -----------------------------------------------------------------------------

    def claims(self, arm: str, transform: str) -> Claims:
        """Test every statement that has an interval, in the order of the rules."""
        tried = transform != "none"
        claims = [
            *self._protects_claims(arm),
            *(self._transform_claims(arm, transform) if tried else ()),
            *(self._share_claims(arm, transform) if tried else ()),
            *self._attacker_claims(arm, transform),
        ]
        return {claim.name: claim for claim in claims if claim}

    def _protects_claims(self, arm: str) -> list[Claim | None]:
        low, room = self.primary.margins.protected, self._room(arm, "none")
        above = claim("room", "a gray picture moves edits further than noise", room, 0.0, "above")
        if above is None or not above.holds:
            return [above]
        reach = partial(self._reach, arm, "none")
        return [
            above,
            claim("never protected", f"reach without a transform is below {low:g}", reach(), low,
                  "below"),
            self._acts(arm, "none", "protected", f"reach without a transform is above {low:g}",
                       reach, low),
        ]  # fmt: skip

    def _transform_claims(self, arm: str, transform: str) -> list[Claim | None]:
        margins, name = self.primary.margins, transform_name(transform)
        above = claim("room after", f"a gray picture moves edits further than noise after {name}",
                      self._room(arm, transform), 0.0, "above")  # fmt: skip
        unprotected = ((ORIGINAL, transform), (ORIGINAL, "none"))
        lost = None
        if not too_many(*self.usable.lacking(unprotected)):
            lost = self.usable.difference(ORIGINAL, transform, ORIGINAL, "none", self.alpha)
        low, many = margins.protected, percent(-margins.untestable)
        return [
            above,
            self._acts(arm, transform, "protected after", f"reach after {name} is above {low:g}",
                       partial(self._reach, arm, transform), low)
            if above and above.holds
            else None,
            claim("untestable", f"{name} takes more than {many} of 100 usable edits from "
                  "unprotected photos", lost, margins.untestable, "below"),
            claim("room lost", f"{name} leaves less than {percent(ROOM_LEFT)} % of what a gray "
                  "picture does beyond noise", self._room_left(arm, transform), ROOM_LEFT, "below"),
        ]  # fmt: skip

    def _room(self, arm: str, transform: str) -> Tested:
        room = self.effects.contrast(arm, transform).room
        return self._tested(self.effects.room(arm, transform, self.alpha), room)

    def _tested(self, interval: Interval | None, values: Array) -> Tested:
        return Tested(interval, self.unit.means(values)[0])

    def _reach(self, arm: str, transform: str, against: str | None = None) -> Tested:
        contrast = self.effects.contrast(arm, transform, against=against)
        return self._tested(
            self.effects.reach(arm, transform, self.alpha, against=against),
            contrast.effect - self.primary.margins.protected * contrast.room,
        )

    def _room_left(self, arm: str, transform: str) -> Tested:
        after = self.effects.contrast(arm, transform, paired="none").room
        before = self.effects.contrast(arm, "none", paired=transform).room
        return self._tested(
            self.effects.room_left(arm, transform, self.alpha), after - ROOM_LEFT * before
        )

    def _share_claims(self, arm: str, transform: str) -> list[Claim | None]:
        """Test what is left.

        Where the share is printed, its Fieller interval decides; where it is withheld, the linear
        form does: after - margin x before, against 0. Both say the same wherever both exist.
        """
        retention, _ = self.effects.retention(arm, transform, self.alpha)
        margins, shown = self.primary.margins, retention is not None

        def left(margin: float, *, against: str | None = None) -> Tested:
            after, before = self.effects.share_pair(arm, transform, against=against)
            values = after - margin * before
            if shown:
                return self._tested(ratio_interval(after, before, self.alpha, self.unit), values)
            return self._tested(mean_interval(values, self.alpha, self.unit), values)

        def words(compared: str, margin: float) -> str:
            statement = f"{compared} than {percent(margin)} % of the effect is left"
            return statement if shown else f"{statement} (effect minus that share)"

        def less(name: str, margin: float) -> Claim | None:
            threshold = margin if shown else 0.0
            found = claim(name, words("less", margin), left(margin), threshold, "below")
            if found is None or not found.holds:
                return found
            after, before = self.unit.means(*self.effects.share_pair(arm, transform))
            rises = bool(strong_keep_more(after, before, margin, RISES))
            return found.model_copy(update={"rises": rises, "holds": not rises})

        few, many = margins.broken, margins.survived
        return [
            less("broken", few),
            self._acts(arm, transform, "survived", words("more", many), partial(left, many),
                       many if shown else 0.0),
            less("weakened", many),
        ]  # fmt: skip

    def _acts(
        self,
        arm: str,
        transform: str,
        name: str,
        statement: str,
        find: Callable[..., Tested],
        threshold: float,
    ) -> Claim | None:
        """A claim that an arm acts: it must hold against noise of each kind, not only the stronger.

        The photos' choice of the stronger may err where kinds are nearly alike. ``find`` gives what
        is tested ``against`` one placebo, or the chosen ones.
        """
        placebos = self.effects.placebos(arm, transform)
        found = {"": find(against=None)}
        if len(placebos) > 1:
            found |= {kind: find(against=label) for kind, label in placebos.items()}
        return _least_sure(
            [
                claim(name, statement, tested, threshold, "above", against=kind)
                for kind, tested in found.items()
            ]
        )

    def _attacker_claims(self, arm: str, transform: str) -> list[Claim | None]:
        margins, alpha, usable = self.primary.margins, self.alpha, self.usable
        placebos, then = self.effects.placebos(arm, transform), when(transform)
        from_clean = usable.difference(arm, transform, ORIGINAL, "none", alpha)
        from_original = usable.difference(arm, transform, ORIGINAL, transform, alpha)
        few, many = percent(margins.closed), percent(margins.closed_original)
        return [
            claim("open", f"{then}, at most {percent(-margins.open)} of 100 edits fewer are "
                  "usable than of the untouched photo", from_clean, margins.open, "above"),
            claim("few usable", f"fewer than {few} of 100 edits are usable",
                  usable.rate(arm, transform, alpha), margins.closed, "below"),
            claim("original usable", f"more than {many} of 100 edits of the unprotected photo are "
                  f"usable {then}", usable.rate(ORIGINAL, transform, alpha),
                  margins.closed_original, "above"),
            _least_sure(
                [
                    claim("below placebo", "fewer edits are usable than with noise of its size",
                          usable.difference(arm, transform, placebo, transform, alpha), 0.0,
                          "below", against=kind if len(placebos) > 1 else "")
                    for kind, placebo in placebos.items()
                ]
            ),
            claim("harder", f"fewer edits are usable than of the unprotected photo {then}",
                  from_original, 0.0, "below"),
        ]  # fmt: skip

    # The rules ----------------------------------------------------------------------------------

    def _rule(self, arm: str, transform: str, claims: Claims) -> Ruling:
        if reason := self._no_verdict(arm, transform, claims):
            return Ruling("no verdict", 0, reason)
        if name_of(self.effects.metric) == OPTIMISED:
            return Ruling("no verdict", 0, "protections optimise latents", numbers=True)
        if _holds(claims, "never protected"):
            if _holds(claims, "protected after"):
                why = f"it acts only after {transform_name(transform)}"
                return Ruling("protects only after", 1, why)
            return Ruling("never protected", 1, claims["never protected"].statement)
        for name in ("untestable", "room lost"):
            if _holds(claims, name):
                return Ruling("untestable", 2, claims[name].statement)
        if not _holds(claims, "protected"):
            return Ruling("inconclusive", 1, "whether it protects at all is not settled")
        if transform == "none":
            return Ruling("protected", 1, claims["protected"].statement)
        rules: tuple[tuple[EffectWord, int], ...] = (
            ("broken", 3),
            ("survived", 4),
            ("weakened", 5),
        )
        for word, rule in rules:
            if _holds(claims, word):
                return Ruling(word, rule, claims[word].statement)
        return Ruling("inconclusive", 6, "the interval leaves more than one answer open")

    def _no_verdict(self, arm: str, transform: str, claims: Claims) -> str:
        """Rule 0: why nothing may be said; empty where something may."""
        if not self.effects.placebos(arm, "none"):
            return "there is no placebo"
        for flag in self.flags:
            concerned = flag.arm in (None, arm) and flag.transform in (None, transform)
            if flag.stops_verdict and concerned:
                return f"{flag.name}: {flag.meaning}"
        if not self.effects.block(arm, transform).asked.any():
            return f"there are no edits of it {when(transform)}"
        after = self.effects.contrast(arm, transform, paired="none")
        asked = after.rows + after.dropped
        if too_many(after.dropped, asked):
            return f"{after.dropped} of {count(asked, 'cell')} have no number"
        n = self.unit.count(after.known)
        if n < MIN_PHOTOS:
            return f"it has {count(n, self.unit.name)}, and a verdict takes {MIN_PHOTOS}"
        if "room" not in claims:
            return "there are no edits of a gray picture, so no ceiling"
        if not claims["room"].holds:
            return (
                "a gray picture does not move edits further than noise for sure, so reach has "
                "no scale"
            )
        return ""

    def _attacker(self, arm: str, transform: str, claims: Claims, ruling: Ruling) -> AttackerRuling:
        if self.usable.reason:
            return AttackerRuling("not judged", self.usable.reason)
        if ruling.rule == 0:
            return AttackerRuling("not judged", ruling.why)
        lacking, asked = self.usable.lacking(needed_for_attacker(self.effects, arm, transform))
        if too_many(lacking, asked):
            why = f"of {count(asked, 'edit')} {lacking} lack a judgement in some arm"
            return AttackerRuling("not judged", why, said=False)
        closed = ("few usable", "original usable", "below placebo")
        if _holds(claims, "open"):
            return AttackerRuling("open", claims["open"].statement)
        if all(_holds(claims, name) for name in closed):
            return AttackerRuling("closed", "; ".join(claims[name].statement for name in closed))
        if _holds(claims, "untestable"):
            return AttackerRuling("spoiled for everyone", claims["untestable"].statement)
        if _holds(claims, "harder"):
            return AttackerRuling("harder", claims["harder"].statement)
        return AttackerRuling("not settled", "the intervals leave more than one answer open")


def too_many(missing: int, asked: int) -> bool:
    """Whether more than a tenth of what was asked for is missing, so that nothing may be said."""
    return missing > MAX_MISSING * asked


def needed_for_attacker(effects: Effects, arm: str, transform: str) -> list[tuple[str, str]]:
    """The arms and transforms on whose judgements an attacker's verdict rests."""
    noises = [(label, transform) for label in effects.placebos(arm, transform).values()]
    return [(arm, transform), (ORIGINAL, transform), (ORIGINAL, "none"), *noises]


def claim(
    name: str,
    statement: str,
    tested: Tested | Interval | None,
    threshold: float,
    side: Side,
    against: str = "",
) -> Claim | None:
    """Test one statement: the bound of the interval that is shown decides; None without one.

    Where single numbers are at hand, it must also hold with the least favourable counted twice.
    """
    values = tested.values if isinstance(tested, Tested) else None
    interval = tested.interval if isinstance(tested, Tested) else tested
    if interval is None:
        return None
    if side == "below":
        sure = interval.high is not None and interval.high < threshold
    else:
        sure = interval.low is not None and interval.low > threshold
    twice = None
    if sure and values is not None:
        favourable = -values if side == "below" else values
        twice = bool(doubtful_low(favourable, (1 - interval.level) / 2) > 0)
    return Claim(
        name=name,
        statement=statement,
        interval=interval,
        threshold=threshold,
        side=side,
        against=against,
        twice=twice,
        holds=sure and twice is not False,
    )


def _least_sure(claims: Sequence[Claim | None]) -> Claim | None:
    """Of one claim against several placebos, the one that decides; None if one has no interval."""
    known = [one for one in claims if one is not None]
    if not known or len(known) < len(claims):
        return None

    def bound(one: Claim) -> float:
        low, high = one.interval.low, one.interval.high
        if low is None or high is None:
            return -np.inf
        return low if one.side == "above" else -high

    return min(known, key=lambda one: (one.holds, bound(one)))


def _weaker_against(claims: Claims, ruling: Ruling) -> str:
    """Which noise leaves a claim of acting open that holds against the stronger on each photo."""
    asked = {1: ("protected", "never protected"), 6: ("survived", "weakened")}
    name, opposite = asked.get(ruling.rule, ("", ""))
    if ruling.word != "inconclusive" or not {name, opposite} <= set(claims):
        return ""
    found, low = claims[name], claims[opposite].interval.low
    if not found.against or low is None or low <= found.threshold:
        return ""
    share = name == "survived" and found.threshold > 0
    what = "the effect that is left" if name == "survived" else "reach"
    shown = with_bounds(found.interval, as_percent=share)
    return f" Against {noise_name(found.against)} alone, {what} is {shown}."


def _holds(claims: Claims, name: str) -> bool:
    return name in claims and claims[name].holds


def _settled(untestable: Claim | None) -> bool:
    """Whether a transform is known to ruin everyone's edits, or known not to."""
    if untestable is None:
        return False
    low = untestable.interval.low
    return untestable.holds or (low is not None and low > untestable.threshold)


def _doubtful(claims: Claims, ruling: Ruling, unit: str) -> str:
    """Why a word of a rule before the one that applies was withheld, though its interval holds."""
    asked = ["never protected", "protected", "broken", "survived", "weakened"]
    before = asked[: asked.index(ruling.word)] if ruling.word in asked else asked
    rising = [name for name in before if name in claims and claims[name].rises]
    if ruling.rule > 1 and rising:
        return (
            f" It is not called {rising[0]}: the share that is left rises with the effect, and the "
            f"{unit}s where the protection acts most, which are few, would keep more."
        )
    doubted = [name for name in before if name in claims and claims[name].twice is False]
    if ruling.rule == 0 or not doubted:
        return ""
    return (
        f" The two methods disagree whether {claims[doubted[0]].statement}: it is not sure with "
        f"the {unit} that speaks most against it counted twice. More {unit}s would settle it."
    )
