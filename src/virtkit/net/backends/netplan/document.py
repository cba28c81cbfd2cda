"""A YAML file as nodes that know where they stand in its text, so that it can be edited without being written anew.

Built from the parser's events: aliases keep a place of their own, which composed nodes do not have. As netplan does
(libyaml), only the first document counts, ``<<`` is a key like any other, and a key may be there twice.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, TypeAlias

import yaml

from virtkit.core.errors import NotSupportedError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from yaml._yaml import Mark as LibraryMark
    from yaml.error import Mark as OwnMark

    Mark: TypeAlias = "OwnMark | LibraryMark"

MOST_CHARACTERS = 256 * 1024  # of a file; a host with 500 VLANs has 60 KiB
MOST_NODES = 50_000  # with every alias counted as what it stands for
MOST_DEPTH = 32


@dataclass(frozen=True)
class Scalar:
    start: int  # in the text; with the anchor and the tag, if there are any
    end: int  # after the last character
    value: str
    anchor: str = ""
    weight: int = 1  # nodes, with aliases counted as what they stand for


@dataclass(frozen=True)
class Sequence:
    start: int
    end: int
    items: tuple[Node, ...]
    flow: bool  # in brackets
    anchor: str = ""

    @property
    def weight(self) -> int:
        return 1 + sum(item.weight for item in self.items)


@dataclass(frozen=True)
class Entry:
    key: Scalar
    value: Node

    @property
    def name(self) -> str:
        return self.key.value

    @property
    def start(self) -> int:
        return self.key.start

    @property
    def end(self) -> int:
        return max(self.key.end, self.value.end)


@dataclass(frozen=True)
class Mapping:
    start: int
    end: int
    entries: tuple[Entry, ...]
    flow: bool  # in braces
    anchor: str = ""

    @property
    def weight(self) -> int:
        return 1 + sum(1 + entry.value.weight for entry in self.entries)

    def get(self, name: str) -> Entry | None:
        """The last one of this name, which is the one that counts for a scalar."""
        return next((entry for entry in reversed(self.entries) if entry.name == name), None)


@dataclass(frozen=True)
class Alias:
    start: int
    end: int
    target: Node
    weight: int
    anchor: str = ""


Node: TypeAlias = "Scalar | Sequence | Mapping | Alias"
Data: TypeAlias = "str | tuple[Data, ...] | dict[str, tuple[Data, ...]]"  # all values of a key that is there twice


@dataclass(frozen=True)
class Document:
    path: str
    text: str
    root: Node | None  # None: nothing but white space and comments

    def place(self, position: int) -> str:
        """``/etc/netplan/50.yaml:7:3``, as netplan says it."""
        before = self.text[:position]
        line = before.count("\n") + 1
        return f"{self.path}:{line}:{position - before.rfind(chr(10))}"

    @property
    def line_end(self) -> str:
        first = self.text.find("\n")
        return "\r\n" if first > 0 and self.text[first - 1] == "\r" else "\n"


@lru_cache(maxsize=64)  # each link of a host is looked for in the same files
def parse(path: str, text: str) -> Document:
    """NotSupportedError with the place for what is no YAML, or too much of it."""
    if len(text) > MOST_CHARACTERS:
        raise NotSupportedError(f"{path}: has {len(text)} characters, expected at most {MOST_CHARACTERS}")
    try:
        return Document(path, text, _Builder(path, text, yaml.parse(text, Loader=yaml.SafeLoader)).root())
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f"{path}:{mark.line + 1}:{mark.column + 1}" if mark else path
        raise NotSupportedError(f"{place}: is no YAML: {error.problem or error.context}") from error
    except yaml.YAMLError as error:
        raise NotSupportedError(f"{path}: is no YAML: {str(error).splitlines()[0]}") from error


def resolved(node: Node) -> Node:
    return node.target if isinstance(node, Alias) else node


def data(node: Node) -> Data:
    """What the text says, without how it says it; scalars are text, as they are for netplan."""
    match resolved(node):
        case Scalar(value=value):
            return value
        case Sequence(items=items):
            return tuple(map(data, items))
        case Mapping(entries=entries):
            found: dict[str, tuple[Data, ...]] = {}
            for entry in entries:
                found[entry.name] = (*found.get(entry.name, ()), data(entry.value))
            return found
    raise AssertionError(node)  # an alias stands for one of these


def walk(node: Node) -> Iterator[Node]:
    """The node and all below it in the text; what an alias stands for is elsewhere."""
    yield node
    if isinstance(node, Sequence):
        for item in node.items:
            yield from walk(item)
    elif isinstance(node, Mapping):
        for entry in node.entries:
            yield from walk(entry.key)
            yield from walk(entry.value)


@dataclass
class _Builder:
    path: str
    text: str
    events: Iterator[yaml.Event]
    anchors: dict[str, Node] = field(default_factory=dict)  # an anchor is known when its node is whole: no loops
    depth: int = 0

    def root(self) -> Node | None:
        for event in self.events:
            if isinstance(event, yaml.DocumentStartEvent):
                return self._node(next(self.events))
        return None

    def _node(self, event: yaml.Event) -> Node:
        self.depth += 1
        if self.depth > MOST_DEPTH:
            raise NotSupportedError(f"{self._place(event)}: is nested {self.depth} deep, expected {MOST_DEPTH} at most")
        node = self._made(event, _index(event.start_mark), _index(event.end_mark))
        if node.weight > MOST_NODES:
            raise NotSupportedError(f"{self._place(event)}: is {node.weight} nodes, expected {MOST_NODES} at most")
        if node.anchor:
            self.anchors[node.anchor] = node
        self.depth -= 1
        return node

    def _made(self, event: yaml.Event, start: int, end: int) -> Node:
        if isinstance(event, yaml.AliasEvent):
            return self._alias(event, event.anchor or "", start, end)
        if isinstance(event, yaml.ScalarEvent):
            return Scalar(start, end, event.value, event.anchor or "")
        if isinstance(event, yaml.SequenceStartEvent):
            items, end = self._children(end, flow=bool(event.flow_style))
            return Sequence(start, end, tuple(items), bool(event.flow_style), event.anchor or "")
        if isinstance(event, yaml.MappingStartEvent):
            parts, end = self._children(end, flow=bool(event.flow_style))
            keys, values = map(self._key, parts[::2]), parts[1::2]
            return Mapping(start, end, tuple(map(Entry, keys, values)), bool(event.flow_style), event.anchor or "")
        raise AssertionError(event)

    def _children(self, end: int, *, flow: bool) -> tuple[list[Node], int]:
        """A block collection ends for the parser where the next thing begins, comments and all; here, with its text."""
        found: list[Node] = []
        while not isinstance(event := next(self.events), yaml.CollectionEndEvent):
            found.append(self._node(event))
        return found, _index(event.end_mark) if flow else max((child.end for child in found), default=end)

    def _alias(self, event: yaml.Event, name: str, start: int, end: int) -> Alias:
        if name not in self.anchors:
            raise NotSupportedError(f"{self._place(event)}: is no YAML: no whole anchor {name} before this alias")
        return Alias(start, end, self.anchors[name], self.anchors[name].weight)

    def _key(self, node: Node) -> Scalar:
        if not isinstance(node, Scalar):
            place = Document(self.path, self.text, None).place(node.start)
            raise NotSupportedError(f"{place}: key is {type(node).__name__.lower()}, expected a name")
        return node

    def _place(self, event: yaml.Event) -> str:
        return Document(self.path, self.text, None).place(_index(event.start_mark))


def _index(mark: Mark | None) -> int:
    return mark.index if mark else 0
