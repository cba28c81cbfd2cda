"""CPUs of the host in the order of their numbers, written as libvirt and the kernel do: ``0-3,8``."""

from __future__ import annotations

from typing import TypeAlias

from virtkit.core.cpuset import format_list, parse_list

Cpus: TypeAlias = tuple[int, ...]  # sorted, each once

format_cpus = format_list


def parse_cpus(text: str) -> Cpus:
    """``0-3,8``; an empty text is no CPU at all. UsageError."""
    return tuple(sorted(parse_list(text)))
