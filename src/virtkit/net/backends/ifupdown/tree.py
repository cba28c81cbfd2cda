"""All files that ifupdown reads: /etc/network/interfaces and what it includes, in the order in which it reads them."""

from __future__ import annotations

import glob
import os
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from virtkit.core.errors import NotSupportedError
from virtkit.core.files import text_of
from virtkit.net.backends.ifupdown.syntax import Document, Line, Stanza, read

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from virtkit.core.system import System

MAIN = "/etc/network/interfaces"
MOST_FILES, MOST_BYTES = 500, 1 << 20
PLAIN = re.compile(r"[^$~`'\"\\<>&;|(){}]+")  # what wordexp(3) leaves as it is, but for wildcards
DIRECTORY_ENTRY = re.compile(r"[a-zA-Z0-9_-]+")


@dataclass(frozen=True)
class Tree:
    documents: dict[str, Document] = field(default_factory=dict)  # by path, in the order of reading
    flat: str = ""  # all of them as one file, as they are read

    def stanzas(self, keyword: str = "iface") -> Iterator[Stanza]:
        for document in self.documents.values():
            yield from document.stanzas(keyword)

    def named(self, name: str) -> list[Stanza]:
        return [stanza for stanza in self.stanzas() if stanza.name == name]

    def selections(self) -> Iterator[tuple[str, int, Line]]:
        for path, document in self.documents.items():
            for index, line in document.selections():
                yield path, index, line


def load(system: System, changed: Mapping[str, str | None] | None = None) -> Tree:
    """``changed`` stands for the files that it names; None: there is no such file.

    NotSupportedError: more than anybody has, or names that only a shell can expand.
    """
    texts = changed or {}

    def text(path: str) -> str | None:
        return texts[path] if path in texts else text_of(system, path)

    documents: dict[str, Document] = {}
    flat = "".join(_lines(system, MAIN, text, documents))
    return Tree(documents, flat)


def _lines(
    system: System, path: str, text: Callable[[str], str | None], documents: dict[str, Document]
) -> Iterator[str]:
    content = None if path in documents else text(path)
    if content is None:
        return
    if len(content) > MOST_BYTES or len(documents) >= MOST_FILES:
        raise NotSupportedError(f"{path}: more than {MOST_FILES} files or {MOST_BYTES >> 20} MiB are configured")
    documents[path] = Document(path, read(content))
    for line in documents[path].lines:
        if line.keyword == "source" or line.keyword.startswith("source-dir"):
            for included in _included(system, path, line):
                yield from _lines(system, included, text, documents)
            yield "no-scripts\n"  # names nothing, and ends the stanza before it, as the include does
        else:
            yield line.raw if line.raw.endswith("\n") else line.raw + "\n"


def _included(system: System, path: str, line: Line) -> list[str]:
    found = []
    for word in line.words[1:]:
        if not PLAIN.fullmatch(word):
            raise NotSupportedError(f"{path}:{line.number}: includes {word}, expected a path or a wildcard")
        places = _expand(system, os.path.join(os.path.dirname(path), word))
        if line.keyword == "source":
            found += [place for place in places if system.path(place).is_file()]
        else:
            found += [f"{place}/{name}" for place in places for name in system.names(place) if _taken(name)]
    return [place for place in found if system.path(place).is_file()]


def _taken(name: str) -> bool:
    return bool(DIRECTORY_ENTRY.fullmatch(name))


def _expand(system: System, pattern: str) -> list[str]:
    if not glob.has_magic(pattern):
        return [pattern]
    return sorted(f"/{found}" for found in glob.glob(pattern.lstrip("/"), root_dir=system.root))
