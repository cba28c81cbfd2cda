"""A directory that takes values as the kernel does: what is in brackets moves, rivals become 0, some things are reset.

The real kernel is tried by tests/bench/host/knobs.py; this one can be killed, can lie, and counts what is written.
"""

from __future__ import annotations

import os
import signal
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from virtkit.core.errors import SystemCallError
from virtkit.core.system import System

if TYPE_CHECKING:
    from pathlib import Path

THP = "/sys/kernel/mm/transparent_hugepage"
FILES = {
    f"{THP}/enabled": "always [madvise] never",
    f"{THP}/defrag": "always defer defer+madvise [madvise] never",
    f"{THP}/shmem_enabled": "always within_size advise [never] deny force",
}


@dataclass(frozen=True)
class Imitation(System):
    """``deaf`` files take every value and keep theirs; the process dies in the middle of write number ``dies``."""

    deaf: frozenset[str] = frozenset()
    refusing: frozenset[str] = frozenset()
    dies: int = 0
    written: list[tuple[str, str]] = field(default_factory=list, compare=False)

    def write(self, absolute: str, text: str) -> None:
        if absolute in self.refusing:
            raise SystemCallError(f"write {absolute}", OSError(22, os.strerror(22)))
        self.written.append((absolute, text))
        if absolute not in self.deaf:
            self._take(absolute, text)
        if len(self.written) == self.dies:
            os.kill(os.getpid(), signal.SIGKILL)

    def _take(self, absolute: str, text: str) -> None:
        words = [word.strip("[]") for word in self.read(absolute).split()]
        shown = " ".join(f"[{word}]" if word == text else word for word in words) if len(words) > 1 else text
        super().write(absolute, shown)


def imitation(root: Path, files: dict[str, str] = FILES, **conduct: object) -> Imitation:
    for name, text in files.items():
        path = root / name.lstrip("/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text + "\n")
    return Imitation(root, **conduct)  # type: ignore[arg-type]  # the fields of the class
