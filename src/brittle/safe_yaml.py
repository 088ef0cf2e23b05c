"""Reading YAML from anyone: plain values alone, by the rules of version 1.2, within bounds."""

import re
from typing import Any, NamedTuple

import yaml
from yaml.nodes import MappingNode, Node, ScalarNode
from yaml.reader import Reader

MAX_CHARACTERS, MAX_VALUES, MAX_DEPTH, MAX_DIGITS = 200_000, 20_000, 30, 20
"""What no trial needs more of: of a text; of values, an alias's counted wherever it stands; of
lists inside lists; of a whole number."""
_TAG = "tag:yaml.org,2002:"
_SCALARS = {
    "null": r"~|null|Null|NULL|",
    "bool": r"true|True|TRUE|false|False|FALSE",
    "int": r"[-+]?(0|[1-9][0-9]*)",
    "float": r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.inf|\.nan",
    "merge": r"<<",
}
_PATTERNS = {_TAG + tag: re.compile(f"^(?:{pattern})$") for tag, pattern in _SCALARS.items()}
_TAGS = {*_PATTERNS, *(_TAG + tag for tag in ("str", "seq", "map"))}


def read_yaml(text: str) -> Any:
    """Read YAML by the rules of its version 1.2: yes, 4:2:0 and 2026-01-01 are text.

    PyYAML follows 1.1, where they are true, 14520 and a date. Only plain values are read, of no
    more characters, values, levels and digits than the bounds above, and no key twice.

    Raises:
        yaml.YAMLError: the text isn't such YAML.
    """
    if len(text) > MAX_CHARACTERS:
        raise yaml.YAMLError(f"it has {len(text):,} characters, and {MAX_CHARACTERS:,} are read")
    return yaml.load(text, _Yaml)


class _Extent(NamedTuple):
    values: int
    depth: int


class _Yaml(yaml.SafeLoader):
    """Measures each node as it is composed, before anything is made of it."""

    yaml_implicit_resolvers: dict[str | None, Any] = {}  # noqa: RUF012

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._open = 0
        self._extents: dict[Node, _Extent] = {}

    def compose_node(self, parent: Node | None, index: int) -> Node | None:
        self._open += 1
        if self._open > MAX_DEPTH:
            raise _problem(parent, f"lists or mappings nest deeper than {MAX_DEPTH} levels")
        again = self.check_event(yaml.AliasEvent)
        node = super().compose_node(parent, index)
        self._open -= 1
        if again and node not in self._extents:
            raise _problem(node, "a value contains itself")
        if node is not None and not again:
            self._extents[node] = self._measured(node)
        return node

    def _measured(self, node: Node) -> _Extent:
        if node.tag not in _TAGS:
            raise _problem(node, f"{node.tag[:60]!r} marks no plain value")
        if isinstance(node, ScalarNode):
            _check_scalar(node)
            return _Extent(1, 1)
        parts = node.value
        if isinstance(node, MappingNode):
            _check_keys(node)
            parts = [part for pair in node.value for part in pair]
        inside = [self._extents[part] for part in parts]
        extent = _Extent(
            1 + sum(part.values for part in inside),
            1 + max((part.depth for part in inside), default=0),
        )
        if extent.values > MAX_VALUES:
            raise _problem(node, f"it stands for more than {MAX_VALUES:,} values")
        if extent.depth > MAX_DEPTH:
            raise _problem(node, f"lists or mappings nest deeper than {MAX_DEPTH} levels")
        return extent


for _tag, _pattern in _PATTERNS.items():
    _Yaml.add_implicit_resolver(_tag, _pattern, None)


def _check_scalar(node: ScalarNode) -> None:
    """Refuse what is no value of its tag, and characters that YAML has by escapes alone."""
    if node.tag in _PATTERNS and not _PATTERNS[node.tag].match(node.value):
        raise _problem(node, f"{node.value[:60]!r} is no {node.tag.removeprefix(_TAG)}")
    if node.tag == f"{_TAG}int" and len(node.value) > MAX_DIGITS:
        raise _problem(node, f"a number has {len(node.value):,} digits")
    if found := Reader.NON_PRINTABLE.search(node.value):
        raise _problem(node, f"a text has the character {found[0]!r}, which can't be shown")


def _check_keys(node: MappingNode) -> None:
    seen = set()
    for key, _ in node.value:
        name = (key.tag, key.value) if isinstance(key, ScalarNode) else (key.tag, key)
        if name in seen:
            raise _problem(node, f"the key {key.value[:60]!r} is there twice")
        seen.add(name)


def _problem(node: Node | None, problem: str) -> yaml.MarkedYAMLError:
    return yaml.MarkedYAMLError(problem=problem, problem_mark=node.start_mark if node else None)
