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
KSM = "/sys/kernel/mm/ksm"
QUEUE = "/sys/block/vda/queue"
DIRTY = "/proc/sys/vm/dirty"
RIVALS = {
    f"{DIRTY}{which}_{one}": f"{DIRTY}{which}_{other}"
    for which in ("", "_background")
    for one, other in (("bytes", "ratio"), ("ratio", "bytes"))
}
COUPLED = {
    f"{DIRTY}_bytes": "0",
    f"{DIRTY}_ratio": "20",
    f"{KSM}/run": "0",
    f"{KSM}/advisor_mode": "[none] scan-time",
    f"{KSM}/pages_to_scan": "100",
    f"{QUEUE}/scheduler": "[none] mq-deadline bfq",
    f"{QUEUE}/nr_requests": "128",
    "/sys/block/vda/size": "8192",
}
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
        self._rules(absolute, text)
        words = [word.strip("[]") for word in self.read(absolute).split()]
        shown = " ".join(f"[{word}]" if word == text else word for word in words) if len(words) > 1 else text
        super().write(absolute, shown)

    def _rules(self, absolute: str, text: str) -> None:
        """Of mm/page-writeback.c, mm/ksm.c and block/elevator.c."""
        if absolute in RIVALS:
            if text == "0":
                raise SystemCallError(f"write {absolute}", OSError(22, os.strerror(22)))
            super().write(RIVALS[absolute], "0")
        if absolute == f"{KSM}/pages_to_scan" and "[none]" not in self.read(f"{KSM}/advisor_mode"):
            raise SystemCallError(f"write {absolute}", OSError(22, os.strerror(22)))
        if absolute == f"{KSM}/advisor_mode" and text == "scan-time":
            super().write(f"{KSM}/pages_to_scan", "500")
        if absolute == f"{QUEUE}/scheduler" and f"[{text}]" not in self.read(absolute):
            super().write(f"{QUEUE}/nr_requests", "64")


def imitation(root: Path, files: dict[str, str] = FILES, **conduct: object) -> Imitation:
    for name, text in files.items():
        path = root / name.lstrip("/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text + "\n")
    return Imitation(root, **conduct)  # type: ignore[arg-type]  # the fields of the class
