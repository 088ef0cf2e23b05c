"""What a trial found, as data: the schema of ``summary.json``.

Everything that a report prints is a field here, words included, so that no number is computed twice
and none is worded twice. The definitions are those of ``docs/inference.md``.

Distances have the unit of their metric; shares lie in [0, 1] unless they are ratios, which are not
clamped. ``None`` means that a number can't be had; the reason stands in the field beside it.
"""

from pathlib import Path
from typing import Literal

from pydantic import Field

from brittle.data import Data
from brittle.declaration.primary import Primary

SCHEMA_VERSION = 1
MIN_PHOTOS = 8
"""Fewest photos that carry an interval over photos, and with it a verdict."""
SMALL = 0.10
"""Reach below which a file is not said to be protected, and of which few photos give no share."""

EffectWord = Literal[
    "no verdict",
    "never protected",
    "protected",
    "protects only after",
    "untestable",
    "broken",
    "survived",
    "weakened",
    "inconclusive",
]
AttackerWord = Literal[
    "open", "closed", "spoiled for everyone", "harder", "not settled", "not judged"
]

Finding = Literal["more is left after left", "more is left after right", "not settled"]
HalfLeft = Literal["more than half", "less than half", "not settled"]
Side = Literal["below", "above"]
Line = Literal["any", "oracle", "selector", "best fixed"]
Measure = Literal["reach", "usable"]


class Interval(Data):
    """An estimate over photos with its confidence interval.

    ``low`` and ``high`` are both null where there is no bound, or where fewer than eight photos
    allow no interval; ``note`` then says which, in the words to be printed.
    """

    estimate: float
    """The value found: a mean over photos, a share, or a ratio of means."""
    low: float | None = None
    """Lower end; null: no bound."""
    high: float | None = None
    """Upper end; null: no bound."""
    level: float = Field(0.95, gt=0, lt=1)
    """Coverage of the two-sided interval: 0.95, or 1 - 2 alpha / K where it decides a verdict."""
    method: str
    """``t``, ``fieller``, ``korn-graubard``, ``t + pseudo-photo``, ``bootstrap-t`` or ``none``;
    with ``+ thresholds`` where the thresholds of usable edits are counted in."""
    n: int = Field(ge=0)
    """Photos behind it, or groups of them; over collections, the collections or fine-tunes."""
    note: str = ""
    """What a reader must know: ``no bound``, ``4 photos: no interval``; empty otherwise."""


class Scope(Data):
    """What the numbers are about, and what they are not about."""

    model: str
    """Name of the edit model that made the edits."""
    models: tuple[str, ...] = ()
    """All edit models of the trial."""
    resolution: int | None = None
    """Side, in pixels, at which edits were made and compared."""
    white_box: bool | None = None
    """Whether the protection was optimised on the very model that edits; null: not known."""
    prompts: int | None = None
    """How many prompts edits were made with; intervals don't cover them. Null: not known."""
    statement: str = ""
    """The words that every answer starts with."""


class Missing(Data):
    """How much of the declared grid has no number."""

    cells: int
    """Points (photo, arm, transform, editor, prompt, seed) whose primary metric was asked for."""
    missing: int
    """Those of them without a number."""
    share: float
    """``missing / cells``; above 0.1 there is no verdict."""
    dropped: int
    """Points left out of every arm of a contrast because one of its arms lacks the number."""
    judged: int = 0
    """Edits (photo, transform, prompt, seed) of the primary arms whose verdict on usable edits asks
    for a judgement, of the protected and of the unprotected photo and of noise."""
    unjudged: int = 0
    """Those of them that lack one of these judgements; above a tenth, usable is not judged."""
    reasons: dict[str, int]
    """How often each reason was given, over all metrics."""


class StrongerNoise(Data):
    """How far each kind of noise moves edits beside one protection after one transform."""

    arm: str
    """The protection, by its label."""
    transform: str
    """The transform, in its text form."""
    kind: str
    """The kind that moves edits further, mean over photos."""
    distances: dict[str, float]
    """Mean distance to the control, for each kind, in the primary metric."""
    photos: dict[str, int]
    """For how many photos each kind was taken: the other photos choose for each."""


class Placebo(Data):
    """Which random perturbations of the same size stand for "protected by nothing"."""

    chosen: str | None
    """The kind that moves untransformed edits further, mean over the protections: the one to show
    where a single kind has to be shown."""
    distances: dict[str, float]
    """Mean distance to the control without a transform, for each kind, in the primary metric."""
    stronger: tuple[StrongerNoise, ...] = ()
    """What each protection was held against after each transform."""
    sentence: str
    """The choice in words."""

    def beside(self, arm: str) -> str | None:
        """The kind that moves untransformed edits further beside one protection."""
        for one in self.stronger:
            if (one.arm, one.transform) == (arm, "none"):
                return one.kind
        return self.chosen


class Effect(Data):
    """How far one arm moved the edits under one transform, in one metric."""

    arm: str
    """The arm, by its label."""
    transform: str
    """The transform, in its text form."""
    editor: str
    """The editor, in its text form."""
    metric: str
    """The metric, by its name."""
    exploratory: bool
    """True unless the trial declared this comparison as primary: then no verdict word is due."""
    n: int
    """Photos with a number."""
    rows: int
    """Points (photo, prompt, seed) averaged within the photos."""
    dropped: int
    """Points left out because an arm of the contrast lacks the number."""
    distance: float | None
    """Mean distance of the arm's edit to the control's."""
    placebo: float | None
    """Mean distance of the placebo's edit to the control's."""
    ceiling: float | None
    """Mean distance of a gray picture's edit to the control's."""
    effect: Interval | None
    """Distance beyond that of noise of its size, of the kind that moves edits further."""
    reach: Interval | None
    """Effect as a share of the ceiling's: 0 like noise of its size, 1 the photo is gone."""
    retention: Interval | None
    """Share of the effect without a transform that is left; never to be printed without reach."""
    retention_reason: str
    """Why retention is null, in the words to be printed: ``too weak for a share``."""
    win_rate: float | None
    """Share of points at which the arm moved the edit further than its placebo; 0.5: nothing."""
    cross_check: Interval | None
    """Bootstrap-t interval of the effect, for primary comparisons only."""
    per_photo: dict[str, float]
    """Effect of each photo."""
    photos_above: int
    """Photos whose effect lies above zero: "all 4 of 4 photos"."""
    per_photo_reach: dict[str, float]
    """Effect of each photo over the mean (ceiling - placebo): their mean is the reach."""
    summary: str
    """The numbers as a table shows them: reach and retention together, with n."""


class Usable(Data):
    """How often the edits of one arm under one transform are what an attacker wanted."""

    arm: str
    """The arm, by its label."""
    transform: str
    """The transform, in its text form."""
    editor: str
    """The editor, in its text form."""
    exploratory: bool
    """As in `Effect`."""
    n: int
    """Photos with a judgement."""
    rows: int
    """Edits judged."""
    usable: int
    """Edits found usable."""
    rate: Interval | None
    """Mean over photos of the photo's share of usable edits; null where ``reason`` says why."""
    reason: str
    """Why there is no rate."""
    difference: Interval | None
    """Rate minus the original's under the same transform, paired by photo."""
    from_clean: Interval | None
    """Rate minus the original's without a transform, paired by photo."""
    follow: float | None
    """Mean follow score; reported even where usable is not."""
    keep: float | None
    """Mean keep score; reported even where usable is not."""
    per_photo: dict[str, float]
    """Share of usable edits of each photo."""


class TransformCost(Data):
    """What a transform costs an edit of the unprotected photo."""

    transform: str
    """The transform, in its text form."""
    editor: str
    """The editor, in its text form."""
    metric: str
    """The metric, by its name."""
    usable: Interval | None
    """Usable share without the transform minus with it."""
    distance: Interval | None
    """Distance of the undone control to the edit without a transform."""
    seed_floor: Interval | None
    """Mean distance between edits of the photo under two seeds: what chance alone moves."""
    within_seed_floor: bool | None
    """True where the transform moves edits no further than another seed does, on average."""


class Claim(Data):
    """One tested statement, with the interval that decides it."""

    name: str
    """``never protected``, ``protected``, ``untestable``, ``broken``, ``survived``, ``open``, …"""
    statement: str
    """The statement in words and numbers."""
    interval: Interval
    """The quantity whose bound decides."""
    threshold: float
    """What the bound is compared with."""
    side: Side
    """``below``: holds if ``interval.high`` < threshold; ``above``: if ``interval.low`` > it."""
    against: str = ""
    """A claim of acting must hold against each kind of noise: the one that speaks most against it,
    where that is a single kind for all photos; empty: the stronger one on each photo."""
    twice: bool | None = None
    """Whether it still holds with the photo that speaks most against it counted twice; null: not
    asked, since its bound decides against it, or since it is about usable edits."""
    rises: bool = False
    """Of *broken* and *weakened*: whether the word is withheld since the share that is left rises
    with a photo's effect for sure, and one of three times the mean would keep more."""
    holds: bool
    """Whether the bound says so, and nothing withholds it."""


class PhotosNeeded(Data):
    """How many photos would do, at 80 % power and the declared truths: never the observed share."""

    broken: int | None
    """For *broken* if nothing is left in truth."""
    survived: int | None
    """For *survived* if everything is left in truth."""
    sentence: str
    """Both numbers in words."""


class BestOf(Data):
    """How often at least one of several tries is usable."""

    tries: int
    """How many tries."""
    independent: float
    """If every try were a fresh draw: ``1 - (1 - rate) ** tries``."""
    within_photo: float | None
    """As found in tries on one photo; null where a photo has fewer edits than tries."""


class Verdict(Data):
    """Both verdicts for one protection and one primary transform."""

    arm: str
    """The arm, by its label."""
    transform: str
    """The transform, in its text form."""
    editor: str
    """The editor, in its text form."""
    metric: str
    """The metric, by its name."""
    n: int
    """Photos behind it."""
    word: EffectWord
    """What became of the effect."""
    label: str
    """The word as printed: ``survived the 4 declared of 8 tried``, and what the others leave."""
    rule: int
    """Number of the rule that decided, 0 to 6, as in ``docs/inference.md``."""
    why: str
    """The rule that decided, in words."""
    attacker: AttackerWord
    """What an attacker gets."""
    attacker_why: str
    """The rule that decided, in words."""
    untestable_settled: bool
    """Whether it is settled that the transform does not ruin everyone's edits."""
    sentence: str
    """Both verdicts in one sentence, scope first."""
    level: float
    """Coverage of the two-sided intervals that decide: 1 - 2 alpha / K."""
    claims: tuple[Claim, ...]
    """Every statement that was tested, in the order of the rules."""
    photos_needed: PhotosNeeded | None
    """How many photos would do; null where too little is known to say."""
    best_of: BestOf | None
    """What several tries are worth; null where usable is not judged."""


class Outcome(Data):
    """What became of one protection over all primary transforms, in words."""

    arm: str
    """The arm, by its label."""
    words: dict[str, str]
    """The effect's word for each primary transform."""
    sentence: str
    """``survived the 4 declared of 8 tried``, or which transforms did what."""


class StrengthTest(Data):
    """One step of a half-life's walk."""

    strength: float
    """The parameter's value."""
    transform: str
    """The transform, in its text form."""
    interval: Interval
    """E(strength) - E(none) / 2: above 0, more than half is left."""
    finding: HalfLeft
    """What the interval settles."""


class HalfLife(Data):
    """Where, along the strength of a transform, half of the effect is left."""

    arm: str
    """The arm, by its label."""
    editor: str
    """The editor, in its text form."""
    metric: str
    """The metric, by its name."""
    parameter: str
    """The transform and its parameter: ``JPEG quality``."""
    low: float | None
    """Last strength, from the harsh end, at which less than half is left; null: none."""
    high: float | None
    """Last strength, from the mild end, at which more than half is left; null: none."""
    single: bool
    """False where more than half is left beyond a strength at which less is left."""
    window: tuple[float, float] | None
    """Strengths between which less than half is left, where there is no single half-life."""
    tests: tuple[StrengthTest, ...]
    """Every strength, mild end first."""
    details: dict[str, str]
    """Encoder, subsampling, bits a pixel, where known."""
    sentence: str
    """The finding in words."""


class Comparison(Data):
    """Two transforms compared with each other, paired by photo."""

    arm: str
    """The arm, by its label."""
    editor: str
    """The editor, in its text form."""
    metric: str
    """The metric, by its name."""
    left: str
    """One transform."""
    right: str
    """The other."""
    difference: Interval
    """Effect left under ``left`` minus under ``right``."""
    usable_difference: Interval | None
    """Usable share under ``left`` minus under ``right``."""
    finding: Finding
    """What the interval settles."""
    sentence: str
    """The finding in words."""


class WorstCase(Data):
    """What is left when the attacker may choose the transform, or none, for each photo.

    Nothing that chooses scores, except in ``any``.
    """

    arm: str
    """The arm, by its label."""
    line: Line
    """``any``: some transform gives a usable edit. ``oracle``: chosen for each photo with the
    original at hand, from other seeds and other photos. ``selector``: likewise, by what the
    attacker can score. ``best fixed``: one transform, chosen on the other photos."""
    editor: str
    """The editor, in its text form."""
    metric: str
    """The metric, by its name."""
    transforms: int
    """How many transforms there were to choose from, ``none`` among them."""
    chosen_by: str
    """What chose for ``usable``, and for the selector's effect, in words; empty: nothing did."""
    effect: Interval | None
    """Effect that is left; but for the selector, chosen to be small."""
    effect_chosen: dict[str, int]
    """How often each transform was chosen for it, most often first."""
    effect_reason: str
    """Why there is none."""
    share: Interval | None
    """That effect over the effect without a transform; a ratio, not clamped."""
    share_reason: str
    """Why there is none: ``too weak for a share``."""
    reach: Interval | None = None
    """That effect as a share of all that a perfect protection would add without a transform: 0 like
    noise of its size, 1 the photo is gone. Null where there is no effect, or no gray picture."""
    usable: Interval | None
    """Usable share."""
    usable_chosen: dict[str, int]
    """How often each transform was chosen for it, most often first."""
    usable_reason: str
    """Why there is none."""
    plain_minimum: float | None
    """For ``any``: smallest effect of each photo, chosen and scored alike, so too small."""


class Flag(Data):
    """A sign that a result may not mean what it seems to."""

    name: str
    """What it is called."""
    meaning: str
    """What may be wrong."""
    todo: str
    """What to do about it."""
    where: str
    """What it concerns, in words; empty: the trial."""
    arm: str | None = None
    """The arm that it concerns; null: all of them."""
    transform: str | None = None
    """The transform that it concerns; null: all of them."""
    stops_verdict: bool
    """Whether no verdict may be given while it stands."""


class Agreement(Data):
    """Whether a person who did not know the arms agrees with `usable`."""

    marked: int = 0
    """Edits that a person marked; 0: nobody did."""
    n: int = 0
    """Marked edits on which `usable` has a judgement, too."""
    photos: int = 0
    """Photos that they are of."""
    both: int = 0
    """Edits that both call usable."""
    person_only: int = 0
    """Edits that only the person calls usable."""
    brittle_only: int = 0
    """Edits that only `usable` calls so."""
    neither: int = 0
    """Edits that neither does."""
    kappa: Interval | None = None
    """Cohen's kappa: 0 agreement by chance alone, 1 full agreement; null where it has no value."""
    sentence: str = "Usable was not validated by a person."
    """The finding in words."""


class FairPoint(Data):
    """One point of a curve of protection against imperceptibility."""

    protection: str
    """The protection, without its budget."""
    transform: str
    """The transform, in its text form."""
    ruler: str
    """What distortion is measured in: the primary metric, or ``psnr``."""
    place: float
    """Where in each photo's range of distortions that all protections reach: 0 mild, 1 strong."""
    distortion: float
    """Mean over photos of the published file's distance to the photo; of psnr, in decibels (of the
    mean RMSE)."""
    effect: Interval | None
    """Distance of the edits beyond the placebo's, read off between the budgets."""
    reach: Interval | None
    """The same as a share of the ceiling's."""
    usable: float | None
    """Share of usable edits; null where usable is not judged."""
    n: int
    """Photos behind it."""


class FairDifference(Data):
    """Two protections at equal distortion, paired by photo."""

    left: str
    """One protection."""
    right: str
    """The other."""
    transform: str
    """The transform, in its text form."""
    ruler: str
    """What is equal: the primary metric's distance of the published files, or their ``psnr``."""
    outcome: Measure
    """``reach``, tested as a difference of effects, or ``usable``."""
    difference: Interval
    """The outcome of ``left`` minus that of ``right``, in the middle of the common range."""


class FairRanking(Data):
    """Protections in order, under one transform and by one outcome."""

    transform: str
    """The transform, in its text form."""
    outcome: Measure
    """More reach is better, and fewer usable edits."""
    at: Literal["equal distortion", "equal budget"]
    """What was equal; a ranking at equal budget alone is no comparison of what protections cost."""
    budget: str = ""
    """The budget that was equal, in its text form; empty: each protection's own."""
    ranks: dict[str, int]
    """1 + the number of protections that are better: at equal distortion, in both rulers for sure;
    at equal budget, by the estimate alone."""
    sentence: str
    """The ranking in words."""


class Fair(Data):
    """Protections compared at equal distortion."""

    editor: str
    """The editor, in its text form."""
    metric: str
    """The metric, by its name."""
    protections: dict[str, tuple[str, ...]]
    """The budgets of each protection, in their text form."""
    reason: str
    """Why protections are not compared at equal distortion; empty where they are."""
    rulers: tuple[str, ...]
    """What distortion was measured in."""
    left_out: dict[str, tuple[str, ...]]
    """By ruler, the photos without a distortion that all protections reach."""
    curve: tuple[FairPoint, ...]
    """Protection against imperceptibility."""
    differences: tuple[FairDifference, ...]
    """Every pair of protections."""
    rankings: tuple[FairRanking, ...]
    """At equal distortion, and at equal budget for contrast."""
    level: float
    """Coverage of the intervals of ``differences``: all pairs and transforms share the error."""
    sentences: tuple[str, ...]
    """The findings in words."""


class Headline(Data):
    """The report's sentence in counts of usable edits, placebo and worst case included."""

    sentence: str
    """The sentence, scope first."""
    arm: str = ""
    """The protection that it is about; empty where there is none."""
    transform: str | None = None
    """The transform it names; null where the trial has no primary one with numbers."""
    median_photo: str | None = None
    """The photo to show: of median effect without a transform, among the photos of which an
    unprotected edit is usable (among all, where there is none)."""
    best_photo: str | None = None
    """The photo with the largest effect."""
    worst_photo: str | None = None
    """The photo with the smallest effect."""


class Preference(Data):
    """What was generated after learning, picture by picture beside its twin without protection.

    Twins share prompt, seed and the seed of the fine-tune, after the same transform.
    """

    arm: str
    """The protection, by its label."""
    transform: str
    """The transform, in its text form."""
    metric: str
    """The metric, by its text form."""
    pairs: int
    """Pictures compared."""
    preferred: float
    """Pairs in which the protected picture is at least as close to the originals as its twin; ties
    count half."""
    preference: Interval | None
    """``preferred`` as a share: a half is as good as without protection."""
    preferred_placebo: float | None
    """As ``preferred``, of the placebo."""
    preference_placebo: Interval | None
    """As ``preference``, of the placebo."""
    best_of: tuple[float, ...]
    """For K = 1, 2, …: how often the best of K protected pictures of a prompt is as close as the
    middle one of the unprotected."""
    best_of_placebo: tuple[float, ...] | None
    """The same of the placebo."""
    best_of_clean: tuple[float, ...]
    """The same of the unprotected pictures: what K tries bring anyone."""


class Ends(Data):
    """The scale on which mimicry is read, and how far unprotected pictures led along it."""

    metric: str
    """The metric, by its text form."""
    transform: str
    """The transform, in its text form."""
    originals: float | None
    """Mean distance of the originals from each other."""
    base_model: float | None
    """Mean distance to the originals of what the model generates without having learned."""
    clean: float | None
    """That of what it generates after the unprotected pictures, transformed."""
    learned: Interval | None
    """``base_model - clean``: what learning brought."""
    learned_clearly: bool
    """Whether ``learned`` lies above zero for sure."""
    reason: str
    """Why nothing is scaled, and there is no reach; empty where ``learned_clearly``."""


class BestTransform(Data):
    """Of all transforms the closest picture, seed by seed: an attacker who tries each of them."""

    arm: str
    """The protection, by its label."""
    metric: str
    """The metric, by its text form."""
    transforms: int
    """How many are tried, no transform among them."""
    share: float | None
    """How often it is at least as close as the untransformed unprotected picture."""
    placebo: float | None
    """The same of the placebo."""
    clean: float | None
    """The same of the unprotected pictures: what so many tries bring anyone."""


class Style(Data):
    """What a trial over collections finds beside effects.

    There models learn from each arm's pictures, and distances are those of what they generate to
    the originals. What `Summary` says of photos is there said of collections, or of one's
    fine-tunes; reach is on a scale from mimicry without protection (0) to none at all (1).
    """

    collections: tuple[str, ...]
    """What was learned from, by name."""
    fine_tunes: int
    """Fine-tunes of each collection, arm and transform."""
    prompts: tuple[str, ...]
    """What was asked for."""
    seeds: tuple[int, ...]
    """With which seeds."""
    unit: Literal["collections", "fine-tunes", "none"]
    """What intervals are over."""
    unit_words: str
    """The same in words, with what it can't say."""
    preferences: tuple[Preference, ...]
    """Every protection, transform and metric; the primary metric first."""
    ends: tuple[Ends, ...]
    """The scale, by metric and transform."""
    best_transforms: tuple[BestTransform, ...]
    """The best of all transforms."""

    def preference(self, arm: str, transform: str, metric: str) -> Preference | None:
        """Find the preferences of a protection under a transform in a metric."""
        for one in self.preferences:
            if (one.arm, one.transform, one.metric) == (arm, transform, metric):
                return one
        return None

    def end(self, transform: str, metric: str) -> Ends | None:
        """Find the scale of a metric under a transform."""
        for one in self.ends:
            if (one.transform, one.metric) == (transform, metric):
                return one
        return None


class Summary(Data):
    """Everything that a trial found."""

    schema_version: int = SCHEMA_VERSION
    """Raised when a field changes its meaning."""
    scope: Scope
    """What the numbers are about."""
    n_photos: int
    """Photos with an effect."""
    n_groups: int = 0
    """Groups of photos that belong together, which intervals and verdicts count; 0: none do."""
    photos: tuple[str, ...]
    """All photos by name, sorted."""
    illustration: bool
    """Fewer than eight photos: dots, counts and ranges; no interval over photos, no verdict."""
    illustration_words: str
    """``an illustration on 4 photos``; empty for a trial of eight and more."""
    primary: Primary
    """The declaration, with ``arms`` and ``editor`` filled in."""
    comparisons_tested: int
    """K: arms times primary transforms."""
    alpha_each: float
    """The level, a side, at which each is tested: alpha / K."""
    placebo: Placebo
    """The choice of placebo."""
    headline: Headline
    """The sentence of counts."""
    verdicts: tuple[Verdict, ...]
    """Both verdicts for each primary arm and transform."""
    outcomes: tuple[Outcome, ...]
    """One sentence for each primary arm."""
    effects: tuple[Effect, ...]
    """Effects in every metric."""
    usable: tuple[Usable, ...]
    """Usable shares of every arm, the original and placebos among them."""
    usable_reason: str
    """Why usable can't be judged in this trial; empty where it can."""
    thresholds: str = ""
    """Whether intervals allow for how unsure the thresholds of usable edits are, in words."""
    transform_costs: tuple[TransformCost, ...]
    """What each transform costs anyone."""
    half_lives: tuple[HalfLife, ...]
    """Where half of the effect is left."""
    comparisons: tuple[Comparison, ...]
    """The announced contrasts."""
    worst_cases: tuple[WorstCase, ...]
    """The attacker's choice of a transform for each photo."""
    fair: Fair | None = None
    """Protections compared at equal distortion; null for a trial of one protection."""
    flags: tuple[Flag, ...]
    """Whatever may make a result invalid."""
    missing: Missing
    """What has no number."""
    agreement: Agreement = Agreement()
    """Whether a person agrees with `usable`."""
    style: Style | None = None
    """Of a trial over collections, from which models learned: what only such a trial finds."""

    def effect(
        self, arm: str, transform: str, *, metric: str | None = None, editor: str | None = None
    ) -> Effect | None:
        """Find the effect of an arm under a transform; metric and editor default to the primary."""
        wanted = (arm, transform, metric or self.primary.metric, editor or self.primary.editor)
        for row in self.effects:
            if (row.arm, row.transform, row.metric, row.editor) == wanted:
                return row
        return None

    def usable_of(self, arm: str, transform: str, *, editor: str | None = None) -> Usable | None:
        """Find the usable share of an arm under a transform; the editor defaults to the primary."""
        wanted = (arm, transform, editor or self.primary.editor)
        for row in self.usable:
            if (row.arm, row.transform, row.editor) == wanted:
                return row
        return None

    def jpeg_half_life(self, arm: str) -> HalfLife | None:
        """Find an arm's half-life over JPEG quality."""
        for row in self.half_lives:
            if (row.arm, row.parameter) == (arm, "JPEG quality"):
                return row
        return None

    def verdict(self, arm: str, transform: str) -> Verdict | None:
        """Find both verdicts for one protection and one primary transform."""
        for row in self.verdicts:
            if (row.arm, row.transform) == (arm, transform):
                return row
        return None

    def to_json(self) -> str:
        """Write the text of ``summary.json``: indented, fields in the order above."""
        return self.model_dump_json(indent=1) + "\n"

    @classmethod
    def read(cls, path: Path) -> "Summary":
        """Read a ``summary.json``; pydantic's ValidationError where it is not one."""
        return cls.model_validate_json(path.read_text(encoding="utf-8"))
