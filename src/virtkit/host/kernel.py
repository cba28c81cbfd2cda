"""The host's one way to /proc and /sys: bounded reads, strict values.

A file that is absent, or that the kernel will not show, is "not available": None. A file whose content is not what
the kernel documents is also None, and a doubt that the reader of the facts gets to see.
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, NamedTuple

from virtkit.core.cpuset import CpuSet, parse_list, parse_mask
from virtkit.core.errors import SystemCallError, UsageError

if TYPE_CHECKING:
    from pathlib import Path

    from virtkit.core.system import System

LIMIT = 1 << 20  # bytes of one file; no file that is read here is longer on a sane host

_ENDS = " \t\n\0"  # some kernels end masks with a NUL byte
_NUMBER = re.compile(r"-?\d{1,20}", re.ASCII)
_FIELD = re.compile(r"(?:Node\s+\d+\s+)?(\w+(?:\(\w+\))?):\s*(\d{1,20})(?:\s+(kB))?", re.ASCII)


class Choice(NamedTuple):
    """``always [madvise] never``: what is set, and what could be."""

    value: str
    choices: tuple[str, ...]


def parse_choice(text: str) -> Choice | None:
    """None unless one of the words is in brackets; a word that is alone needs none."""
    words = text.split()
    chosen = [word[1:-1] for word in words if word[0] == "[" and word[-1] == "]"]
    if len(words) == 1 and not chosen and not set("[]") & set(text):
        chosen = words
    return Choice(chosen[0], tuple(word.strip("[]") for word in words)) if len(chosen) == 1 else None


class Kernel:
    """Reads below the system's root; ``doubts`` grows by one line for each file that makes no sense."""

    def __init__(self, system: System) -> None:
        self.system = system
        self.doubts: list[str] = []

    def doubt(self, path: str, found: str, expected: str) -> None:
        self.doubts.append(f"{path}: found {found[:40]!r}, expected {expected}")

    def text(self, path: str, limit: int = LIMIT) -> str | None:
        """At most ``limit`` bytes, without white space at the ends; of a longer file the whole lines that fit."""
        try:
            return read_file(self.system.path(path), limit).decode(errors="replace").strip(_ENDS)
        except OSError:
            return None

    def lines(self, path: str) -> list[str]:
        """All of a file of configuration, line by line; empty where it cannot be read."""
        try:
            return read_file(self.system.path(path), LIMIT).decode(errors="replace").splitlines()
        except OSError:
            return []

    def names(self, path: str) -> list[str]:
        try:
            return self.system.names(path)
        except SystemCallError:
            return []

    def link(self, path: str) -> str | None:
        """The last name of what a symbolic link points to: ``driver -> ../../bus/pci/drivers/vfio-pci``."""
        return os.path.basename(self.target(path) or "") or None

    def target(self, path: str) -> str | None:
        """What a symbolic link says; None where there is no link."""
        try:
            return os.readlink(self.system.path(path))
        except OSError:
            return None

    def number(self, path: str) -> int | None:
        text = self.text(path)
        if not text:
            return None
        if not _NUMBER.fullmatch(text):
            self.doubt(path, text, "a number")
            return None
        return int(text)

    def switch(self, path: str) -> bool | None:
        """A module parameter of kind bool or int: Y, N, 1, 0."""
        text = self.text(path)
        if not text:
            return None
        if text not in {"Y", "N", "1", "0"}:
            self.doubt(path, text, "Y, N, 1 or 0")
            return None
        return text in {"Y", "1"}

    def choice(self, path: str) -> Choice | None:
        """``[none] mq-deadline``; a single word without brackets is the only choice."""
        text = self.text(path)
        if not text:
            return None
        found = parse_choice(text)
        if not found:
            self.doubt(path, text, "words with one of them in brackets")
        return found

    def fields(self, path: str) -> dict[str, int]:
        """``MemTotal:  1024 kB`` lines: kB become bytes, bare numbers stay."""
        found = (_FIELD.fullmatch(line.strip()) for line in (self.text(path) or "").splitlines())
        return {field[1]: int(field[2]) * (1024 if field[3] else 1) for field in found if field}

    def cpu_list(self, path: str) -> CpuSet | None:
        text = self.text(path)
        return None if text is None else self._parsed(path, text, mask=False)

    def cpu_mask(self, path: str) -> CpuSet | None:
        """From ``path`` (a mask), else from the list that the kernel shows beside it; None where both are empty."""
        for name, mask in ((path, True), (_list_beside(path), False)):
            if text := self.text(name):
                return self._parsed(name, text, mask=mask)
        return None

    def _parsed(self, path: str, text: str, *, mask: bool) -> CpuSet | None:
        try:
            return parse_mask(text) if mask else parse_list(text)
        except UsageError as error:
            self.doubts.append(f"{path}: {error.message}")
            return None


def _list_beside(mask: str) -> str:
    """``shared_cpu_map`` -> ``shared_cpu_list``, ``cpumap`` -> ``cpulist``, ``core_cpus`` -> ``core_cpus_list``."""
    return mask.removesuffix("map") + "list" if mask.endswith("map") else mask + "_list"


def read_file(path: Path, limit: int) -> bytes:
    """At most ``limit`` bytes; of a longer file the whole lines that fit. OSError."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        content = _read(fd, limit + 1)
    finally:
        os.close(fd)
    return content if len(content) <= limit else content[: content.rfind(b"\n", 0, limit) + 1]


def _read(fd: int, length: int) -> bytes:
    content = b""
    while len(content) < length and (more := os.read(fd, length - len(content))):
        content += more
    return content
