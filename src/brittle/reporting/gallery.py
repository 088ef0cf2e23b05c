"""Which pictures stand where: the first screen's, and every photo's rows."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from brittle.analysis.summary import Effect
from brittle.reporting import formatting as words
from brittle.reporting.pictures import Album, Picture, perturbation
from brittle.reporting.source import Point, Row, Source

HEADLINE_TRANSFORM = "jpeg:quality=75"


@dataclass(frozen=True)
class Card:
    """A picture and its edit on the first screen."""

    title: str
    kind: str
    received: Picture | None
    """None where only the edit is known."""
    edited: Picture


@dataclass(frozen=True)
class Choice:
    """One photo of the first screen: the median, the best or the worst."""

    name: str
    photo: str
    fact: str
    prompt: str
    cards: tuple[Card, ...]


@dataclass
class Group:
    """What one arm looks like after a transform: as received, and its edits."""

    name: str
    kind: str
    arm: int
    received: Picture | None
    edits: list[Picture]


@dataclass
class Block:
    """One transform of a photo: a group of pictures for every arm, side by side."""

    title: str
    transform: int
    fact: str
    groups: list[Group]


@dataclass
class Page:
    """All pictures of one photo."""

    photo: str
    number: int
    credit: str
    notes: str
    size: str
    fact: str
    published: list[Picture]
    blocks: list[Block]
    ceiling: list[Picture] = field(default_factory=list)
    others: list[Picture] = field(default_factory=list)

    def pictures(self) -> Iterator[Picture]:
        """Its pictures, in the order in which they find room in the page."""
        yield from self.published
        for block in self.blocks:
            for group in block.groups:
                yield from group.edits
        for block in self.blocks:
            yield from (group.received for group in block.groups if group.received)
        yield from (*self.ceiling, *self.others)


class Gallery:
    """Everything that the report shows of one editor's pictures."""

    def __init__(self, source: Source, arms: list[str], placebo: str | None, editor: str) -> None:
        self.source, self.editor, self.album = source, editor, Album(source)
        self.arms = arms
        self.shown = ["original"]
        for arm in arms:
            self.shown += [f"{placebo}({arm})"] if placebo else []
            self.shown += [arm]
        # Of edits made elsewhere nobody has the pictures that went in: no frames without them.
        self.only_edits = "made" in source.manifest
        self._rows = {row.point: row for row in source.rows if row.editor == editor}
        self.prompts = list(
            dict.fromkeys([*source.prompts, *(row.prompt for row in self._rows.values())])
        )
        # The first seed of the trial, which every arm has; the clean edits of floor seeds follow.
        self.seed = next((row.seed for row in source.rows if row.arm != "original"), None) or next(
            (row.seed for row in source.rows), "0"
        )

    def choices(self, arm: str, transform: str | None) -> list[Choice]:
        """The first screen's photos: median, largest and smallest effect, without repetition."""
        headline = self.source.summary.headline
        effect = self.source.summary.effect(arm, "none", editor=self.editor)
        wanted = [
            ("median effect", headline.median_photo),
            ("largest effect", headline.best_photo),
            ("smallest effect", headline.worst_photo),
        ]
        named: dict[str, list[str]] = {}
        for name, photo in wanted:
            if photo is not None:
                named.setdefault(photo, []).append(name)
        if not named and self.source.photos:
            named = {next(iter(self.source.photos)): ["first photo"]}
        transform = transform or self._usual_transform()
        return [
            self._choice(" and ".join(names), photo, arm, transform, effect)
            for photo, names in named.items()
        ]

    def pages(self, first: list[str]) -> list[Page]:
        """A page of pictures for each photo, those of the first screen first."""
        photos = list(dict.fromkeys([*first, *self.source.photos, *self.source.summary.photos]))
        return [self._page(photo, number) for number, photo in enumerate(photos)]

    def _usual_transform(self) -> str | None:
        labels = list(self.source.transforms)
        if HEADLINE_TRANSFORM in labels:
            return HEADLINE_TRANSFORM
        return next((label for label in labels if label != "none"), None)

    def _choice(
        self, name: str, photo: str, arm: str, transform: str | None, effect: Effect | None
    ) -> Choice:
        prompt = self.prompts[0] if self.prompts else ""
        cells = [("original", "none"), (arm, "none")]
        cells += [(arm, transform), ("original", transform)] if transform else []
        cards = tuple(
            Card(
                self._card_title(label, after),
                self._kind(label),
                None if self.only_edits else self._received(photo, label, after),
                self._edited(photo, label, after, prompt, [f"edit: “{prompt}”"]),
            )
            for label, after in cells
        )
        fact = ""
        if effect and photo in effect.per_photo:
            fact = f"effect {words.number(effect.per_photo[photo], 3)}"
            if photo in effect.per_photo_reach:
                fact += f", reach {words.number(effect.per_photo_reach[photo])}"
            fact += f"; {words.count(effect.n, 'photo')} in the trial"
        return Choice(name, photo, fact, prompt, cards)

    def _page(self, photo: str, number: int) -> Page:
        said = self.source.photos.get(photo, {})
        blocks = [
            self._block(photo, transform, place)
            for place, transform in enumerate(self.source.transforms)
        ]
        facts = []
        for arm in self.arms:
            effect = self.source.summary.effect(arm, "none", editor=self.editor)
            if effect and photo in effect.per_photo_reach:
                facts.append(f"reach of {arm} {words.number(effect.per_photo_reach[photo])}")
        return Page(
            photo=photo,
            number=number,
            credit=str(said.get("credit") or ""),
            notes="; ".join(map(str, said.get("notes") or ())),
            size=f"{said['width']} × {said['height']} pixels" if "width" in said else "",
            fact=", ".join(facts),
            published=self._published(photo),
            blocks=blocks,
            ceiling=[
                self._edited(photo, "gray", "none", prompt, [f"“{prompt}”"])
                for prompt in self.prompts
                if self._row(photo, "gray", "none", prompt)
            ],
            others=self._other_seeds(photo),
        )

    def _known(self, picture: Picture) -> Picture | None:
        return None if self.only_edits and not picture.path else picture

    def _published(self, photo: str) -> list[Picture]:
        files = {label: self._released(photo, label) for label in self.shown}
        if self.only_edits:
            files = {label: path for label, path in files.items() if path}
        pictures = [
            self.album.picture(
                path, f"{photo}, {self._name(label)}, as published", [self._name(label)]
            )
            for label, path in files.items()
        ]
        if mask := self.source.photos.get(photo, {}).get("mask"):
            alt = f"{photo}, the mask: white may be edited"
            pictures.append(self.album.picture(str(mask), alt, ["mask: white may be edited"]))
        original = self.album.pixels(files.get("original"))
        for label in [label for label in files if label != "original"]:
            added = perturbation(original, self.album.pixels(files[label]), self._name(label))
            added.facts.insert(0, f"what {self._name(label)} adds")
            added.alt = f"{added.alt}: {photo}"
            pictures.append(added)
        return pictures

    def _block(self, photo: str, transform: str, place: int) -> Block:
        groups = []
        for number, label in enumerate(self.shown):
            edits = [
                self._edited(photo, label, transform, prompt, [f"edit: “{prompt}”"])
                for prompt in self.prompts
            ]
            received = None
            if transform != "none":
                received = self._known(self._received(photo, label, transform))
            groups.append(Group(self._name(label), self._kind(label), number, received, edits))
        facts = []
        for arm in self.arms:
            effect = self.source.summary.effect(arm, transform, editor=self.editor)
            if effect and photo in effect.per_photo_reach:
                of = f" of {arm}" if len(self.arms) > 1 else ""
                reach = words.number(effect.per_photo_reach[photo])
                facts.append(f"reach left{of} on this photo {reach}")
        title = words.transform_name(transform)
        return Block(title, place, ", ".join(facts), groups)

    def _other_seeds(self, photo: str) -> list[Picture]:
        return [
            self.album.picture(
                row.edited,
                f"{photo}, unprotected, edited with “{row.prompt}” under seed {row.seed}",
                [f"“{row.prompt}”", f"seed {row.seed}"],
            )
            for row in self._rows.values()
            if (row.image, row.arm, row.transform) == (photo, "original", "none")
            and row.seed != self.seed
        ]

    def _received(self, photo: str, label: str, transform: str) -> Picture:
        row = self._any_row(photo, label, transform)
        after = "" if transform == "none" else f" after {words.transform_name(transform)}"
        words_for = "as published" if transform == "none" else "as received"
        return self.album.picture(
            row.received if row else None, f"{photo}, {self._name(label)}{after}", [words_for]
        )

    def _edited(
        self, photo: str, label: str, transform: str, prompt: str, facts: list[str] | None = None
    ) -> Picture:
        row = self._row(photo, label, transform, prompt)
        after = "" if transform == "none" else f" after {words.transform_name(transform)}"
        alt = f"{photo}, {self._name(label)}{after}, edited with “{prompt}”"
        scored = self._scored(row.point) if row else []
        return self.album.picture(row.edited if row else None, alt, [*(facts or []), *scored])

    def _scored(self, point: Point) -> list[str]:
        scores = self.source.scores.get(point, {})
        facts = []
        if "usable" in scores and not self.source.summary.usable_reason:
            facts.append("usable" if scores["usable"] >= 0.5 else "not usable")
        return facts

    def _released(self, photo: str, label: str) -> str | None:
        row = self._any_row(photo, label, "none")
        return row.released if row else None

    def _any_row(self, photo: str, label: str, transform: str) -> Row | None:
        found = (self._row(photo, label, transform, prompt) for prompt in self.prompts)
        return next((row for row in found if row), None)

    def _row(self, photo: str, label: str, transform: str, prompt: str) -> Row | None:
        return self._rows.get((photo, label, transform, self.editor, prompt, self.seed))

    def _kind(self, label: str) -> str:
        if label in self.source.arms:
            return self.source.arms[label].kind
        return {"original": "original", "gray": "ceiling"}.get(label, "protection")

    def _name(self, label: str) -> str:
        return words.arm_name(label, self._kind(label))

    def _card_title(self, label: str, transform: str) -> str:
        name = {"original": "unprotected", "protection": "protected"}.get(
            self._kind(label), self._name(label)
        )
        return name if transform == "none" else f"{name}, {words.transform_name(transform)}"
