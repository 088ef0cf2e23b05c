"""What one result of a bench is: the schema of the files in ``leaderboard/``.

``python -m brittle.benching.entry`` rewrites the JSON schema; a test holds it to the models.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from brittle.analysis.summary import MIN_PHOTOS, Interval
from brittle.data import Data

SCHEMA = Path(__file__).parent / "schema" / "entry.schema.json"
Standing = Literal[
    "holds",
    "acts until adapted to",
    "acts, with nobody adapting",
    "no more than noise",
    "too few photos",
    "no scale",
    "withheld",
]


class Reported(Data):
    """A number that a protection's authors, or others, published."""

    what: str
    """What was measured, and which way is better."""
    value: str
    """The number as published, with its unit."""
    setting: str
    """Model, data and budget: numbers of other settings agree in sign at best."""
    source: str
    """Paper and table."""


class HalfLeft(Data):
    """JPEG's half-life: between which qualities half of the effect is gone."""

    low: float | None
    """Highest quality, from below, at which less than half is left; null: none."""
    high: float | None
    """Lowest quality, from above, at which more than half is left; null: none."""
    sentence: str
    """The finding in words."""


class Measured(Data):
    """What was measured of one protection at one level of visibility.

    Reach is the effect beyond noise of the perturbation's size as a share of what a gray picture
    does: 0 like that noise, 1 the photo is gone. The worst case is the adaptive attacker's: each
    photo's transform is chosen to leave least, on other seeds and photos.
    """

    level: str
    """The level of visibility; ``own``: as another tool left its files."""
    arm: str
    """The arm of the trial."""
    budget: str
    """The budget of the published file; empty: another tool's."""
    st_lpips: Interval | None
    """ST-LPIPS between published file and photo."""
    psnr: Interval | None
    """PSNR between them, in decibels."""
    worst: Interval | None
    """The headline: reach that the worst case leaves."""
    worst_reason: str
    """Why there is none."""
    worst_chosen: dict[str, int]
    """How often each transform was chosen, most often first."""
    transforms: int
    """How many there were to choose from, none among them."""
    before: Interval | None
    """Reach without a transform."""
    after: dict[str, Interval | None] = Field(default_factory=dict)
    """Reach after each transform alone; empty in entries of former versions."""
    usable: Interval | None
    """Share of usable edits of the protected photo, in the worst case for usable edits."""
    usable_noise: Interval | None
    """The same of noise of its size, after the same search."""
    usable_original: Interval | None
    """The same of the unprotected photo, after the same search."""
    usable_reason: str
    """Why there are none."""
    jpeg: HalfLeft | None
    """JPEG's half-life; null with fewer than eight photos."""
    transfer: Interval | None
    """Reach without a transform in the bench's second editor."""
    transfer_reason: str
    """Why there is none."""
    flags: tuple[str, ...]
    """Signs that a number may not mean what it seems to; docs/flags.md says what each is."""
    withheld: str
    """Why nothing is concluded: a flag that stops verdicts, or numbers that are missing."""

    @property
    def standing(self) -> Standing:
        """What the intervals settle, against the strongest kind of noise as other photos choose it.

        There is no scale where gray moves edits no further than noise, or not for sure.
        """
        if self.withheld:
            return "withheld"
        if self.before is None or self.before.low is None:
            few = self.before is not None and self.before.n < MIN_PHOTOS
            return "too few photos" if few else "no scale"
        if self.before.low <= 0:
            return "no more than noise"
        if self.worst is None:
            return "acts, with nobody adapting"
        holds = self.worst.low is not None and self.worst.low > 0
        return "holds" if holds else "acts until adapted to"


class Entry(Data):
    """One protection's result: a file of the leaderboard."""

    schema_version: Literal[1] = 1
    protection: str
    """The protection as it was named, or what made the files."""
    source: str
    """Where it comes from: a paper, public code, another tool."""
    records: dict[str, dict[str, Any] | None]
    """By arm, the component's record; null: its files were made elsewhere."""
    plugin: str = ""
    """SHA-256, its first 16 digits, of the plugin that the protection comes from."""
    cost: str
    """What one photo costs to protect, in units that are the same on every machine."""
    bench: str
    """The bench's name."""
    bench_version: int
    """Its version."""
    setting: dict[str, Any]
    """The trial as it was run."""
    model: str
    """The edit model."""
    model_hash: str
    """The hash of its files."""
    size: int
    """The long side, in pixels, at which edits were made."""
    photos: int
    """How many photos."""
    photos_key: str
    """The hash of their digests: entries with another were measured on other photos."""
    results: tuple[Measured, ...]
    """One for each level of visibility, the mildest first."""
    reported: tuple[Reported, ...] = ()
    """What was published, to stand beside what was measured."""
    version: str
    """brittle's version."""
    commit: str = ""
    """The commit of the checkout that ran, with "+" where it was changed; empty: not known."""
    device: str
    """The kind of device."""
    measured: str
    """When the trial was begun, UTC."""
    measured_by: str = ""
    """Who ran it."""
    bundle_sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    """The digest of the bundle from which everything here follows."""
    bundle_url: str = ""
    """Where the bundle lies, for `brittle bench verify`."""

    def to_json(self) -> str:
        """Write the text of an entry's file."""
        return self.model_dump_json(indent=1) + "\n"


def schema() -> Mapping[str, Any]:
    """The JSON schema of an entry's file."""
    return Entry.model_json_schema(mode="serialization")


def write() -> None:
    """Write the schema."""
    SCHEMA.write_text(json.dumps(schema(), indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    write()
