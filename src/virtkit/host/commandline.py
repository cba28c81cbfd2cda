"""What the kernel was started with (Documentation/admin-guide/kernel-parameters.rst), and which CPUs it set apart."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable

    from virtkit.core.cpuset import CpuSet
    from virtkit.host.kernel import Kernel

_CPUS = "/sys/devices/system/cpu"
_WORD = re.compile(r'(?:[^\s"]|"[^"]*"?)+')  # quotes keep white space in a value (lib/cmdline.c, next_arg)


class CommandLine(NamedTuple):
    words: tuple[str, ...]  # up to ``--``, behind which the first program's arguments stand
    isolated: CpuSet  # isolcpus=: no load is balanced onto them
    nohz_full: CpuSet  # no timer tick while one task runs there

    def values(self, name: str) -> tuple[str, ...]:
        return values(self.words, name)


def values(words: Iterable[str], name: str) -> tuple[str, ...]:
    """Of ``name=value``, in their order: of most parameters the last one counts. A bare ``name`` has value ''.

    ``-`` and ``_`` are the same in names.
    """
    pairs = (word.partition("=") for word in words)
    return tuple(value.strip('"') for key, _, value in pairs if _same(key, name))


def _same(left: str, right: str) -> bool:
    return left.replace("-", "_") == right.replace("-", "_")


def read_command_line(kernel: Kernel) -> CommandLine:
    words = parse_words(kernel.text("/proc/cmdline") or "")
    return CommandLine(words, _cpus(kernel, "isolated"), _cpus(kernel, "nohz_full"))


def parse_words(text: str) -> tuple[str, ...]:
    words = _WORD.findall(text)
    end = words.index("--") if "--" in words else len(words)
    return tuple(words[:end])


def _cpus(kernel: Kernel, name: str) -> CpuSet:
    """Kernels that could, but were not asked to, say ``(null)`` of ``nohz_full``."""
    path = f"{_CPUS}/{name}"
    return frozenset() if kernel.text(path) == "(null)" else kernel.cpu_list(path) or frozenset()
