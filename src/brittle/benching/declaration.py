"""What a bench declares: a trial without its protection, and how visible a file may be."""

import re
from collections.abc import Iterable, Mapping
from importlib import resources
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from pydantic import Field, ValidationError, field_validator

from brittle.budgets import read_budget
from brittle.component import explain, name_of, parse_parameters, registry
from brittle.data import Data
from brittle.declaration.trial import Trial, inside, make_trial
from brittle.errors import UserError, shortened
from brittle.protections import Protection
from brittle.safe_yaml import read_yaml

SIZES = ("quick", "small", "full")
OWN = "own"
"""The level of files that another tool made: they are as visible as that tool left them."""
OF_A_SUBMISSION = ("title", "protections", "names", "files", "budgets")
"""Fields of a trial that a bench doesn't have: they are set for what is run on it."""
NOT_SHARED = (*OF_A_SUBMISSION, "plugins")
"""Fields in which trials of one bench differ."""


class Bench(Data):
    """One declared trial for any protection; results of two versions are never put side by side."""

    name: str = Field(pattern=r"^[\w-]+$")
    version: int = Field(ge=1)
    levels: dict[str, str] = Field(min_length=1)
    """By its name, the budget of each level of visibility, from the mildest on."""
    trial: dict[str, Any]
    """The trial's fields, but for its title and what belongs to a protection. ``photos`` lie beside
    the file; without them the user names a folder."""

    @field_validator("levels")
    @classmethod
    def _own_is_taken(cls, value: dict[str, str]) -> dict[str, str]:
        if OWN in value:
            raise ValueError(f"{OWN} is the level of files that another tool made: rename yours")
        return value

    @field_validator("trial")
    @classmethod
    def _of_any_protection(cls, value: dict[str, Any]) -> dict[str, Any]:
        if named := [field for field in OF_A_SUBMISSION if field in value]:
            raise ValueError(
                f"a bench is for any protection, and sets {', '.join(named)} itself: leave "
                f"{'it' if len(named) == 1 else 'them'} out"
            )
        return value


class Submission(NamedTuple):
    """One protection as a bench runs it."""

    bench: Bench
    protection: str
    """As it was named."""
    trial: Trial
    levels: dict[str, str]
    """By the trial's arm, its level of visibility."""

    @property
    def slug(self) -> str:
        """What its files are called."""
        return re.sub(r"[^\w-]+", "-", self.protection).strip("-")[:100]


def load_bench(named: str | Path) -> Bench:
    """One of brittle's benches by its size (`SIZES`), or one's own file of the same form.

    Raises:
        UserError: no such file, or no bench in it.
    """
    shipped = str(named) in SIZES
    try:
        if shipped:
            text = resources.files("brittle.benching").joinpath(f"{named}.yaml").read_text("utf-8")
        else:
            text = Path(named).read_text(encoding="utf-8")
        found = _read(text)
        if found.name in SIZES and not shipped:
            raise UserError(
                f"{named}: {found.name} is a bench of brittle's own: give yours another name."
            )
    except OSError:
        raise UserError(
            f"{named}: no such bench: say quick, small or full, or name a file."
        ) from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"{named} is not YAML: {shortened(error, 400)}") from None
    except ValidationError as error:
        raise UserError(explain(error, str(named), Bench)) from None
    if found.trial.get("photos", "sample") == "sample":
        return found
    photos = inside(Path(named).parent, str(found.trial["photos"]), f"{named}: photos")
    return found.model_copy(update={"trial": found.trial | {"photos": photos}})


def _read(text: str) -> Bench:
    """A bench, and all that it doesn't say itself as the one that it is `like`."""
    written = read_yaml(text)
    if not isinstance(written, dict) or written.get("like") not in SIZES:
        return Bench.model_validate(written)
    base = load_bench(written.pop("like"))
    trial = written.get("trial")
    if trial is None or isinstance(trial, dict):
        trial = base.trial | (trial or {})
    return Bench.model_validate(base.model_dump() | written | {"trial": trial})


def title(protection: str, bench: str, version: int) -> str:
    """A protection's trial on a bench, as its title and answer name it."""
    return f"{protection} on the bench {bench} {version}"


def submission(
    bench: Bench, protection: str, *, photos: Path | None = None, files: Path | None = None
) -> Submission:
    """A protection's trial: one arm for each level of visibility, or one of given ``files``.

    ``protection`` is a preset or ``name:field=value``; with ``files``, what the tool is called.

    Raises:
        UserError: an unknown protection, or one with a budget beside its own; a name that has no
            letters; photos that are missing.
    """
    written = {"title": title(protection, bench.name, bench.version)} | bench.trial
    if photos is not None:
        written["photos"] = str(photos)
    if "photos" not in written:
        raise UserError(f"The bench {bench.name} has no photos of its own: name yours, --photos.")
    short = re.sub(r"[^\w-]+", "-", name_of(protection)).strip("-")
    if not short:
        raise UserError(f"{protection!r} is no name: letters and digits make one.")
    if files is not None:
        label = f"{short}-{OWN}"
        written |= {"protections": (), "files": {label: str(files)}}
        levels = {label: OWN}
    else:
        component = _without_budget(protection)
        levels = {f"{short}-{level}": level for level in bench.levels}
        names = {
            label: str(component.with_budget(read_budget(bench.levels[level])))
            for label, level in levels.items()
        }
        written |= {"protections": tuple(names), "names": names}
    return Submission(bench, protection, make_trial(written, bench.name), levels)


def shared_setting(setting: Mapping[str, Any], where: str) -> dict[str, Any]:
    """What all trials of one bench have alike, with every default, as plain data.

    Raises:
        UserError: it is no trial's setting; ``where`` begins the sentence.
    """
    of_the_bench = {name: one for name, one in setting.items() if name not in NOT_SHARED}
    return make_trial(of_the_bench, where).model_dump(mode="json", exclude={*NOT_SHARED})


def departures(
    bench: Bench, setting: Mapping[str, Any], levels: Iterable[tuple[str, str]]
) -> list[str]:
    """The fields in which a trial's ``setting``, or its levels with their budgets, leave a bench.

    Not its photos: a user's own may stand in their place.

    Raises:
        UserError: as `shared_setting`.
    """
    declared = shared_setting(bench.trial, bench.name)
    theirs = shared_setting(setting, "The setting")
    differ = [name for name, one in declared.items() if theirs[name] != one and name != "photos"]
    if [*levels] not in ([*bench.levels.items()], [(OWN, "")]):
        differ.append("levels")
    return differ


def _without_budget(text: str) -> Protection:
    """The protection; a budget of the user's would be discarded, and would shape the step."""
    component, name = Protection.parse(text), name_of(text)
    kind, preset = registry(Protection.family).resolve(name)
    has_one = "budget" in preset or not kind.model_fields["budget"].is_required()
    if has_one and "budget" in parse_parameters(text.partition(":")[2], context=text):
        raise UserError(
            f"{text}: a bench runs every protection at its own levels of visibility: leave the "
            "budget out."
        )
    return component
