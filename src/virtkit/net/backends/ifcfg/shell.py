"""The files of network-scripts: shell that only assigns, read without a shell, every byte of it kept.

As NetworkManager's ``shvar.c`` reads it: a value that a shell would have to compute is not known here. What the
scripts take for true and false is in ``is_true`` and ``is_false`` of RHEL's /etc/init.d/functions.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from virtkit.core.errors import NotSupportedError

if TYPE_CHECKING:
    from collections.abc import Iterable

TRUE, FALSE = {"t", "y", "yes", "on", "true", "1"}, {"f", "n", "no", "off", "false", "0"}
_ASSIGNMENT = re.compile(r"[ \t]*(?:export[ \t]+)?([A-Za-z_]\w*)=(.*)", re.DOTALL | re.ASCII)
_END = re.compile(r"\s*(?:\s#.*)?", re.DOTALL)  # a comment needs a space before it
_UNQUOTED = re.compile(r"[^\s'\"\\$`;&|<>()]+")
_SINGLE = re.compile(r"'([^']*)'")
_DOUBLE = re.compile(r'"((?:[^"\\$`]|\\.)*)"', re.DOTALL)
_ANSI = re.compile(r"\$'([^'\\]*)'")  # with a backslash in it, only a shell knows
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)


@dataclass(frozen=True)
class Line:
    raw: str
    key: str = ""  # empty: it assigns nothing
    value: str | None = None  # None: only a shell knows


@dataclass(frozen=True)
class ShellFile:
    path: str
    lines: tuple[Line, ...]

    def get(self, key: str) -> str:
        """The last assignment counts; empty where there is none. NotSupportedError: only a shell can say."""
        found = [line for line in self.lines if line.key == key]
        if not found:
            return ""
        value = found[-1].value
        if value is None:
            raise NotSupportedError(f"{self.path}: {key} is {found[-1].raw.strip()}, expected a plain value")
        return value

    def known(self, key: str) -> str:
        """As ``get``; empty for what only a shell can say."""
        found = [line for line in self.lines if line.key == key]
        return (found[-1].value or "") if found else ""

    def is_true(self, key: str) -> bool:
        return self.get(key).lower() in TRUE

    def is_false(self, key: str) -> bool:
        return self.get(key).lower() in FALSE


def read(path: str, text: str) -> ShellFile:
    """``"".join(line.raw for line in read(path, text).lines) == text``, whatever the text."""
    pieces = re.findall(r"[ \t]*#[^\n]*\n?|(?:[^\n\\]|\\.|\\\n)*\n|(?:[^\n\\]|\\.|\\\n)+\\?|\\", text)
    return ShellFile(path, tuple(map(_line, pieces)))


def _line(raw: str) -> Line:
    found = _ASSIGNMENT.match(raw)
    return Line(raw, found[1], _value(found[2].replace("\\\n", ""))) if found else Line(raw)


def _value(text: str) -> str | None:
    value, at = "", 0
    while not _END.fullmatch(text, at):
        for pattern, meaning in (
            (_ANSI, lambda found: found[1]),
            (_UNQUOTED, lambda found: found[0]),
            (_SINGLE, lambda found: found[1]),
            (_DOUBLE, lambda found: re.sub(r"\\([\"\\$`])", r"\1", found[1])),
            (_ESCAPED, lambda found: found[1]),
        ):
            if found := pattern.match(text, at):
                value, at = value + meaning(found), found.end()
                break
        else:
            return None
    return value


def quoted(value: str) -> str:
    """As it can stand behind an equals sign."""
    return value if re.fullmatch(r"[\w.:/,@%+-]*", value, re.ASCII) else "'" + value.replace("'", "'\\''") + "'"


def assignment(key: str, value: str) -> str:
    return f"{key}={quoted(value)}\n"


def joined(raws: Iterable[str]) -> str:
    """Lines of several files after one another; the last line of a file may lack its end."""
    return "".join(raw if not raw or raw.endswith("\n") else raw + "\n" for raw in raws)
