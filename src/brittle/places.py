"""Where files lie, as it may be published: no folder that tells a user's name."""

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from brittle.errors import printable

_DIGEST = re.compile(r"#[0-9a-f]{32}")
_ON_TOP = re.compile(r"\+(?=[^+]+\.safetensors)")
"""Between a model and a file on top of it."""


def stacked(model: str) -> list[str]:
    """The places of a model's name, ``MODEL+FILE=SCALE``: of the model, and of files on top."""
    return _ON_TOP.split(model)


def shown(path: str | Path) -> str:
    """A path as it may be published: from the current folder where it lies inside, else its name.

    A name that is no path, such as ``sample`` or a hub id, stays as it is.
    """
    if len(places := stacked(str(path))) > 1:
        return "+".join(map(shown, places))
    here, home = Path.cwd(), Path.home()
    place = Path(os.path.abspath(Path(path).expanduser()))
    tells = home != here and home.is_relative_to(here) and place.is_relative_to(home)
    if place.is_relative_to(here) and not tells:
        return printable(place.relative_to(here).as_posix())
    return "~" if place == home else printable(place.name or place)


class Hidden:
    """The absolute paths in the records of components, and what is published in their places.

    That is their last part, or as many as tell them apart, so that labels stay different. It does
    not depend on the current folder.
    """

    def __init__(self, records: Iterable[Mapping[str, Any]]) -> None:
        paths = {path for record in records for path in _absolute(record)}
        length = 1
        while len({_end(path, length) for path in paths}) < len(paths):
            length += 1
        # The longest first: one may begin another.
        self.instead = {path: _end(path, length) for path in sorted(paths, key=len, reverse=True)}

    def __call__(self, data: Any) -> Any:
        """The same plain data, without the paths."""
        if isinstance(data, str):
            for path, end in self.instead.items():
                data = data.replace(path, end)
            return data
        if isinstance(data, Mapping):
            return {self(key): self(value) for key, value in data.items()}
        if isinstance(data, (list, tuple)):
            return type(data)(map(self, data))
        return data


def _absolute(data: Any) -> Iterator[str]:
    """The absolute paths among the texts of plain data, without the digests behind them."""
    if isinstance(data, str):
        path = _DIGEST.sub("", data)
        if path.startswith("~") or Path(path).is_absolute():
            yield path
    elif isinstance(data, Mapping):
        for value in data.values():
            yield from _absolute(value)
    elif isinstance(data, (list, tuple)):
        for value in data:
            yield from _absolute(value)


def _end(path: str, parts: int) -> str:
    return "/".join(Path(path).parts[-parts:])
