"""The leaderboard: entries in one order, as the page docs/leaderboard.md.

``brittle bench leaderboard leaderboard/ -o docs/leaderboard.md`` rewrites the page; a test holds it
to the entries.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, get_args

from pydantic import ValidationError

from brittle.analysis.half_life import NO_EFFECT, NO_SINGLE
from brittle.analysis.summary import Interval
from brittle.benching.declaration import shared_setting
from brittle.benching.entry import Entry, HalfLeft, Measured, Standing
from brittle.component import explain, name_of, registry
from brittle.errors import UserError, printable
from brittle.protections import Protection
from brittle.reporting.formatting import estimated, mostly, number, transform_name

ORDER: tuple[Standing, ...] = get_args(Standing)
RANKED = ORDER[:3]
"""What has a place: of the others nothing shows that they do anything."""
HEAD = """# Leaderboard

<!-- Made by `brittle bench leaderboard leaderboard/ -o docs/leaderboard.md`: don't edit. -->

Every row is one protection, run through the same declared trial as the others of its table, at the
same level of visibility ([the bench](bench.md)). Click a column's head to sort by it.
"""
LEGEND = """
## How to read it

- **Reach, worst case** is the headline: what is left of the protection's effect on edits, beyond
  noise of its own size, after the attacker chose for each photo the transform that leaves least,
  with the original at hand, which a real one lacks. What chooses is never what is scored. 0 is
  like noise, 1 is a photo that is gone. Brackets are intervals over photos, of {levels}.
- **Noise** is the strongest of the bench's kinds after each transform, as the other photos choose
  it, and in the worst case the one that moves untransformed edits farthest ([which
  noise](inference.md#which-noise)). The other kinds aren't tested apart.
- **Standing**: *holds*, if that interval lies above 0, and that of the reach without a transform
  too. *Acts until adapted to*, if only the latter does, and *acts, with nobody adapting*, if there
  is no worst case. *No more than noise*, if it doesn't: such rows have no place, and stand below
  all others, as do those with *too few photos* for an interval, and those with *no scale*: gray
  moves edits of their photos no further than noise, or not for sure, and reach is a share of that.
- **Flags** are signs that a number may not mean what it seems to ([all of them](flags.md)); where
  one stops verdicts, or more than a tenth of the numbers is missing, the standing is *withheld*.
- **Alone, each transform** leaves the reach of the second table; a dot marks what is not above
  noise for sure. The worst case may lie above the least of them: it was chosen without a look at
  what is scored.
- **Usable edits** of 100: what the attacker gets of the protected photo, of noise of the same size,
  and of the unprotected photo, each after the same search for the transform that serves best.
  Equal numbers mean that the protection prevents nothing.
- A protection of whole collections, which trains a model meanwhile, takes each photo for a
  collection of its own.
- **Half gone at JPEG**: the qualities between which half of the effect is lost. *No single one*:
  less than half is left at some quality, and more than half again at a lower one. *No effect*: none
  is above noise for sure without a transform. *Not settled* asks for more photos.
- Rows are comparable within one table, where the digits behind the number of photos agree: those
  are the photos. Visibility *own* is whatever a tool left, and its rows are not of one visibility.
  Intervals cover photos, not models or prompts.
"""
USUAL = 0.95
"""The level of intervals that decide no verdict."""
COLUMNS = (
    "#",
    "protection",
    "ST-LPIPS",
    "PSNR, dB",
    "reach, worst case",
    "attacker's choice",
    "reach, no transform",
    "half gone at JPEG",
    "usable edits: protected",
    "noise",
    "unprotected",
    "transfer",
    "cost a photo",
    "photos",
    "standing",
    "flags",
    "measured by",
)


class LeaderboardRow(NamedTuple):
    """One row of a table."""

    entry: Entry
    result: Measured


def read_entry(path: Path) -> Entry:
    """One file of the leaderboard.

    Raises:
        UserError: it is none.
    """
    try:
        return Entry.model_validate_json(path.read_bytes())
    except OSError as error:
        raise UserError(f"{path} can't be read: {error.strerror}.") from None
    except ValidationError as error:
        raise UserError(explain(error, str(path), Entry)) from None


def read_entries(folder: Path) -> list[Entry]:
    """All entries of a folder, in the order of their files.

    Raises:
        UserError: no such folder, a file that is no entry, or two of one result.
    """
    if not folder.is_dir():
        raise UserError(f"{folder}: there is no such folder of entries.")
    found, files = [], dict[str, Path]()
    for path in sorted(folder.glob("*.json")):
        found.append(read_entry(path))
        first = files.setdefault(found[-1].bundle_sha256, path)
        if first != path:
            raise UserError(f"{first} and {path} are of the same bundle: keep one of them.")
    return found


def ranked(lines: Iterable[LeaderboardRow]) -> list[LeaderboardRow]:
    """Lines in the table's order: by standing, and then by the reach that it rests on."""
    return sorted(lines, key=lambda line: (ORDER.index(line.result.standing), -_reach(line.result)))


def _reach(result: Measured) -> float:
    """What orders rows of one standing: the worst case, or where it decides nothing, the other."""
    found = (result.worst if result.standing in RANKED else None) or result.before
    return found.estimate if found else float("-inf")


def page(entries: Sequence[Entry]) -> str:
    """The text of docs/leaderboard.md.

    Raises:
        UserError: two entries of one version of a bench have other settings.
    """
    if not entries:
        return (
            f"{HEAD}\nNobody has submitted a result yet: [the bench](bench.md) says how.\n"
            f"{_legend(entries)}"
        )
    tables: dict[tuple[str, int], list[Entry]] = defaultdict(list)
    for entry in entries:
        tables[entry.bench, entry.bench_version].append(entry)
    for rows in tables.values():
        _check_alike(rows)
    return "".join([HEAD, *(_section(tables[at]) for at in sorted(tables)), _legend(entries)])


def _check_alike(rows: Sequence[Entry]) -> None:
    """Refuse rows that don't belong in one table; which photos they are of, the table says."""
    first, *others = ({**shared_setting(row.setting, row.protection), "photos": ""} for row in rows)
    for row, other in zip(rows[1:], others, strict=True):
        if differ := [name for name, value in first.items() if other[name] != value]:
            raise UserError(
                f"{rows[0].protection} and {row.protection} were measured under other settings "
                f"({', '.join(differ)}) of the bench {row.bench}, version {row.bench_version}: "
                "take one out, or raise the version of a bench that changed."
            )


def _legend(entries: Iterable[Entry]) -> str:
    """How to read the page, with the levels that these entries' intervals have."""
    results = [result for entry in entries for result in entry.results]
    reaches = [reach for one in results for reach in (one.before, *one.after.values())]
    found = {round(100 * reach.level, 1) for reach in reaches if reach} - {100 * USUAL}
    levels = f"{100 * USUAL:g} %"
    if found:
        others = ", ".join(f"{level:g} %" for level in sorted(found))
        levels += f"\n  ({others} for some without a transform, or after a primary one)"
    return LEGEND.format(levels=levels)


def _section(entries: Sequence[Entry]) -> str:
    first = entries[0]
    levels: dict[str, list[LeaderboardRow]] = defaultdict(list)
    for entry in entries:
        for result in entry.results:
            levels[result.level].append(LeaderboardRow(entry, result))
    models = ", ".join(sorted({f"{entry.model} at {entry.size} px" for entry in entries}))
    title = f"Bench {first.bench}, version {first.bench_version}"
    parts = [f"\n## {title}\n\nModel: {models}.\n"]
    for level in levels:
        parts.append(f"\n### {title}: visibility {level}\n\n")
        lines = ranked(levels[level])
        parts.append(_table(COLUMNS, _numbered(lines)))
        if known := [line for line in lines if line.result.after]:
            transforms = [*dict.fromkeys(one for line in known for one in line.result.after)]
            head = ("protection", "none", *map(transform_name, transforms))
            parts.append("\nReach that each transform leaves alone:\n\n")
            parts.append(_table(head, _after(known, transforms)))
    measured = {name_of(entry.protection) for entry in entries}
    if lacking := [one for one in registry(Protection.family).presets if one not in measured]:
        parts.append(f"\nPresets without a row here yet: {', '.join(lacking)}.\n")
    if published := [*_published(entries)]:
        parts.append("\nPublished numbers beside them, from other models, photos and budgets:\n\n")
        parts.append(_table(("protection", "what", "published", "setting", "source"), published))
    return "".join(parts)


def _numbered(lines: Sequence[LeaderboardRow]) -> Iterator[Sequence[str]]:
    for place, line in enumerate(lines, 1):
        yield (str(place) if line.result.standing in RANKED else "–", *_cells(line))


def _cells(line: LeaderboardRow) -> Iterator[str]:
    entry, result = line
    yield entry.protection
    yield estimated(result.st_lpips, digits=3)
    yield estimated(result.psnr, digits=1)
    yield estimated(result.worst) if result.worst else f"– ({result.worst_reason or 'no ceiling'})"
    yield mostly(result.worst_chosen) or "–"
    yield estimated(result.before)
    yield _half(result)
    yield (
        estimated(result.usable, per_hundred=True) if result.usable else _why(result.usable_reason)
    )
    yield estimated(result.usable_noise, per_hundred=True)
    yield estimated(result.usable_original, per_hundred=True)
    yield estimated(result.transfer) if result.transfer else _why(result.transfer_reason)
    yield entry.cost
    yield _photos(result.before, entry)
    yield result.standing + (f" ({result.withheld})" if result.withheld else "")
    yield ", ".join(result.flags) or "none"
    yield entry.measured_by or "not stated"


def _after(lines: Iterable[LeaderboardRow], transforms: Sequence[str]) -> Iterator[Sequence[str]]:
    for entry, result in lines:
        found = (result.before, *map(result.after.get, transforms))
        yield entry.protection, *map(_beyond_noise, found)


def _beyond_noise(reach: Interval | None) -> str:
    if reach is None:
        return "–"
    above = reach.low is not None and reach.low > 0
    return estimated(reach) if above else f"{estimated(reach)} ·"


def _half(result: Measured) -> str:
    if result.jpeg is None:
        return "–"
    low, high = result.jpeg.low, result.jpeg.high
    if low is None and high is None:
        return _without_half(result.jpeg)
    return f"{'?' if low is None else number(low, 0)} to {'?' if high is None else number(high, 0)}"


def _without_half(jpeg: HalfLeft) -> str:
    """Why there is no half-life: of an entry, the sentence alone says it."""
    why = {NO_SINGLE: "no single one", NO_EFFECT: "no effect"}
    return next((why[one] for one in why if jpeg.sentence.startswith(one)), "not settled")


def _why(reason: str) -> str:
    return f"– ({reason})" if reason else "–"


def _photos(reach: Interval | None, entry: Entry) -> str:
    return f"{reach.n if reach else 0} ({entry.photos_key[:6]})"


def _published(entries: Iterable[Entry]) -> Iterator[Sequence[str]]:
    seen = {(entry.protection, one): one for entry in entries for one in entry.reported}
    for (protection, _), one in seen.items():
        yield protection, one.what, one.value, one.setting, one.source


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(map(_safe, cells))} |\n" for cells in lines)


def _safe(cell: str) -> str:
    """A text from anyone as a cell: no line, column, tag or link of its own."""
    text = " ".join(printable(cell).split())
    for sign, written in (("&", "&amp;"), ("<", "&lt;"), ("|", "&#124;"), ("[", "&#91;")):
        text = text.replace(sign, written)
    return text
