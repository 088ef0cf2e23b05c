"""Which pictures stand where: the first screen's, and every photo's rows."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from brittle.analysis.finished import Finished
from brittle.analysis.summary import Effect
from brittle.record.arms import GRAY, ORIGINAL
from brittle.record.manifest import PhotoEntry
from brittle.record.record import IndexEntry, Point
from brittle.reporting.formatting import arm_name, count, number, transform_name
from brittle.reporting.pictures import Picture, ReportPictures, embed, perturbation

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

    photo: PhotoEntry
    number: int
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


def photos_page(trial: Finished, limit: int) -> dict[str, Any]:
    """What the template for photos is given: pictures of at most ``limit`` characters."""
    summary, gallery, arms = trial.summary, Gallery(trial), trial.protections
    arm = summary.headline.arm if summary.headline.arm in arms else (arms or [""])[0]
    choices = gallery.choices(arm, summary.headline.transform)
    pages = gallery.pages([choice.photo for choice in choices])
    shown = [
        picture
        for choice in choices
        for card in choice.cards
        for picture in (card.received, card.edited)
        if picture
    ]
    rest = [picture for page in pages for picture in page.pictures()]
    return {
        "gallery": gallery,
        "choices": choices,
        "pages": pages,
        "room": embed(shown, rest, gallery.album, limit),
        "headline_verdict": summary.verdict(arm, summary.headline.transform or ""),
        "star": "what carries a verdict"
        if gallery.only_edits
        else "what the trial declared beforehand",
    }


class Gallery:
    """Everything that the report shows of the first editor's pictures."""

    def __init__(self, trial: Finished) -> None:
        self.record, self.manifest, self.summary = trial.record, trial.manifest, trial.summary
        self.editor, self.arms, self.album = (
            trial.editor,
            trial.protections,
            ReportPictures(trial.record),
        )
        self.transforms = [one.label for one in self.manifest.transforms]
        compared = [label for arm in self.arms for label in trial.compared(arm).values()]
        self.shown = list(dict.fromkeys([ORIGINAL, *compared]))
        # Of edits made elsewhere nobody has the pictures that went in: no frames without them.
        self.only_edits = bool(self.manifest.made)
        rows = [row for row in self.record.index if row.editor == self.editor]
        self.prompts = list(dict.fromkeys([*self.manifest.prompts, *(row.prompt for row in rows)]))
        # The first seed of the trial, which every arm has; the clean edits of floor seeds follow.
        seeds = [row.seed for row in sorted(rows, key=lambda row: row.arm == ORIGINAL)]
        self.seed = seeds[0] if seeds else 0

    def choices(self, arm: str, transform: str | None) -> list[Choice]:
        """The first screen's photos: of median, largest and smallest effect, without repetition."""
        headline = self.summary.headline
        effect = self.summary.effect(arm, "none", editor=self.editor)
        wanted = [
            ("typical photo", headline.median_photo),
            ("largest effect", headline.best_photo),
            ("smallest effect", headline.worst_photo),
        ]
        named: dict[str, list[str]] = {}
        for name, photo in wanted:
            if photo is not None:
                named.setdefault(photo, []).append(name)
        if not named and self.manifest.photos:
            named = {self.manifest.photos[0].name: ["first photo"]}
        tried = [label for label in self.transforms if label != "none"]
        usual = HEADLINE_TRANSFORM if HEADLINE_TRANSFORM in tried else next(iter(tried), None)
        return [
            self._choice(" and ".join(names), photo, arm, transform or usual, effect)
            for photo, names in named.items()
        ]

    def pages(self, first: list[str]) -> list[Page]:
        """A page of pictures for each photo, those of the first screen first."""
        photos = sorted(
            self.manifest.photos,
            key=lambda photo: first.index(photo.name) if photo.name in first else len(first),
        )
        return [self._page(photo, place) for place, photo in enumerate(photos)]

    def _choice(
        self, name: str, photo: str, arm: str, transform: str | None, effect: Effect | None
    ) -> Choice:
        prompt = self.prompts[0] if self.prompts else ""
        cells = [(ORIGINAL, "none"), (arm, "none")]
        cells += [(arm, transform), (ORIGINAL, transform)] if transform else []
        cards = tuple(
            Card(
                self._card_title(label, after),
                self._kind(label),
                None if self.only_edits else self._received(photo, label, after),
                self._edited(photo, label, after, prompt),
            )
            for label, after in cells
        )
        fact = ""
        if effect and photo in effect.per_photo:
            of = f" of {arm}" if len(self.arms) > 1 else ""
            fact = f"effect{of} {number(effect.per_photo[photo], 3)}"
            if photo in effect.per_photo_reach:
                fact += f", reach {number(effect.per_photo_reach[photo])}"
            fact += f"; {count(effect.n, 'photo')} in the trial"
        return Choice(name, photo, fact, prompt, cards)

    def _page(self, photo: PhotoEntry, place: int) -> Page:
        reaches = self._reaches(photo.name, "none")
        return Page(
            photo=photo,
            number=place,
            fact=", ".join(f"reach of {arm} {reach}" for arm, reach in reaches.items()),
            published=self._published(photo),
            blocks=[
                self._block(photo.name, transform, at)
                for at, transform in enumerate(self.transforms)
            ],
            ceiling=[
                self._edited(photo.name, GRAY, "none", prompt)
                for prompt in self.prompts
                if self._row(photo.name, GRAY, "none", prompt)
            ],
            others=self._other_seeds(photo.name),
        )

    def _reaches(self, photo: str, transform: str) -> dict[str, str]:
        """How far each protection reaches on one photo, where that is known."""
        found = {arm: self.summary.effect(arm, transform, editor=self.editor) for arm in self.arms}
        return {
            arm: number(effect.per_photo_reach[photo])
            for arm, effect in found.items()
            if effect and photo in effect.per_photo_reach
        }

    def _known(self, picture: Picture) -> Picture | None:
        return None if self.only_edits and not picture.path else picture

    def _published(self, photo: PhotoEntry) -> list[Picture]:
        files = {label: self._released(photo.name, label) for label in self.shown}
        if self.only_edits:
            files = {label: path for label, path in files.items() if path}
        pictures = [
            self.album.picture(
                path, f"{photo.name}, {self._name(label)}, as published", [self._name(label)]
            )
            for label, path in files.items()
        ]
        if photo.mask:
            words = "mask: white may be edited"
            pictures.append(self.album.picture(photo.mask, f"{photo.name}, the {words}", [words]))
        original = self.album.pixels(files.get(ORIGINAL))
        for label in [label for label in files if label != ORIGINAL]:
            added = perturbation(original, self.album.pixels(files[label]), self._name(label))
            added.facts.insert(0, f"what {self._name(label)} adds")
            added.alt = f"{added.alt}: {photo.name}"
            pictures.append(added)
        return pictures

    def _block(self, photo: str, transform: str, place: int) -> Block:
        groups = []
        for at, label in enumerate(self.shown):
            received = None
            if transform != "none":
                received = self._known(self._received(photo, label, transform))
            edits = [self._edited(photo, label, transform, prompt) for prompt in self.prompts]
            groups.append(Group(self._name(label), self._kind(label), at, received, edits))
        facts = [
            f"reach left{f' of {arm}' if len(self.arms) > 1 else ''} on this photo {reach}"
            for arm, reach in self._reaches(photo, transform).items()
        ]
        return Block(transform_name(transform), place, ", ".join(facts), groups)

    def _other_seeds(self, photo: str) -> list[Picture]:
        return [
            self.album.picture(
                row.edited,
                f"{photo}, unprotected, edited with “{row.prompt}” under seed {row.seed}",
                [f"“{row.prompt}”", f"seed {row.seed}"],
            )
            for row in self.record.index
            if (row.image, row.arm, row.transform, row.editor)
            == (photo, ORIGINAL, "none", self.editor)
            and row.seed != self.seed
        ]

    def _received(self, photo: str, label: str, transform: str) -> Picture:
        row = self._any_row(photo, label, transform)
        after = "" if transform == "none" else f" after {transform_name(transform)}"
        words_for = "as published" if transform == "none" else "as received"
        return self.album.picture(
            row.received if row else None, f"{photo}, {self._name(label)}{after}", [words_for]
        )

    def _edited(self, photo: str, label: str, transform: str, prompt: str) -> Picture:
        row = self._row(photo, label, transform, prompt)
        after = "" if transform == "none" else f" after {transform_name(transform)}"
        alt = f"{photo}, {self._name(label)}{after}, edited with “{prompt}”"
        facts = [f"edit: “{prompt}”"]
        usable = self.record.scores.get(row.point, {}).get("usable") if row else None
        if usable is not None and not self.summary.usable_reason:
            facts.append("usable" if usable >= 0.5 else "not usable")
        return self.album.picture(row.edited if row else None, alt, facts)

    def _released(self, photo: str, label: str) -> str | None:
        row = self._any_row(photo, label, "none")
        return row.released if row else None

    def _any_row(self, photo: str, label: str, transform: str) -> IndexEntry | None:
        found = (self._row(photo, label, transform, prompt) for prompt in self.prompts)
        return next((row for row in found if row), None)

    def _row(self, photo: str, label: str, transform: str, prompt: str) -> IndexEntry | None:
        point = Point(photo, label, transform, self.editor, prompt, self.seed)
        return self.record.by_point.get(point)

    def _kind(self, label: str) -> str:
        return self.manifest.arm(label).kind

    def _name(self, label: str) -> str:
        return arm_name(label, self._kind(label))

    def _card_title(self, label: str, transform: str) -> str:
        name = {"original": "unprotected", "protection": "protected"}.get(
            self._kind(label), self._name(label)
        )
        return name if transform == "none" else f"{name}, {transform_name(transform)}"
