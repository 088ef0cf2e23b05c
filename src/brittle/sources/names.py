"""Which protected file belongs to which original, by names as people and tools give them."""

import difflib
import re
import unicodedata
from collections import defaultdict
from collections.abc import Collection, Iterable

_OF_ORIGINALS = re.compile(r"[\W_]+(original|orig|clean|unprotected|before)$")
"""What people add to an original's name."""
_NEAREST = 3


def match(originals: Collection[str], protected: Collection[str]) -> dict[str, str]:
    """The protected file's name for an original's, of names without their endings.

    The same name comes first, then the same but for case and Unicode's form (NFC, NFD), and then
    one that begins or ends with the original's: ``x_protected``, ``x-glazed-intensity50-V2``,
    ``glazed-x``. Where several would do, none is taken.
    """
    partners = {name: name for name in originals if name in protected}
    for may_own in (_same, _within):
        claims = defaultdict(list)
        for name in sorted(set(protected) - set(partners.values())):
            owners = may_own(name, originals)
            if len(owners) == 1:
                claims[owners[0]].append(name)
        free = {owner: names[0] for owner, names in claims.items() if len(names) == 1}
        partners = free | partners
    return partners


def nearest(name: str, others: Iterable[str]) -> list[str]:
    """The few of the others that are spelt most like a name, or may belong to it."""
    others = sorted(others)
    plain = {_plain(other): other for other in others}
    related = [one for one in others if _within(name, [one]) or _within(one, [name])]
    spelt = difflib.get_close_matches(_plain(name), plain, n=_NEAREST, cutoff=0.5)
    return [*dict.fromkeys([*related, *(plain[one] for one in spelt)])][:_NEAREST]


def _same(name: str, originals: Collection[str]) -> list[str]:
    return [one for one in originals if _plain(one) == _plain(name)]


def _within(name: str, originals: Collection[str]) -> list[str]:
    """The originals whose names, as long as possible, begin a name, or else end it."""
    whole = _plain(name)
    cores = {one: _OF_ORIGINALS.sub("", _plain(one)) for one in originals}
    for where in (_begins, _ends):
        found = [one for one, core in cores.items() if where(core, whole)]
        if found:
            longest = max(len(cores[one]) for one in found)
            return [one for one in found if len(cores[one]) == longest]
    return []


def _begins(core: str, whole: str) -> bool:
    """Whether a name begins another, up to where a word ends: img_1 doesn't begin img_10."""
    rest = whole[len(core) :]
    ended = not rest[:1].isalnum() or (core[-1:].isdigit() and rest[:1].isalpha())
    return bool(core) and whole.startswith(core) and ended


def _ends(core: str, whole: str) -> bool:
    before = whole[: -len(core)] if core else ""
    return bool(core) and whole.endswith(core) and not before[-1:].isalnum()


def _plain(name: str) -> str:
    """A name without what file systems and people write in two ways: case and composed letters."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold()).strip()
