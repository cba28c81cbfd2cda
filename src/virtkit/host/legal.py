"""What a knob can be set to: how its file spells a value, what may be asked for, how that is written.

A value is text in one spelling per meaning, so that two compare: ``1`` (never ``Y``), ``0-3`` (never ``0,1,2,3``).
``text`` is always what the knob's file reads now, or the file that lists its choices.
"""

from __future__ import annotations

import re
from typing import NamedTuple, Protocol

from virtkit.core.cpuset import format_list, parse_list, parse_mask
from virtkit.core.errors import UsageError
from virtkit.core.units import parse_size
from virtkit.host.commandline import parse_words, values
from virtkit.host.kernel import parse_choice

_NUMBER = re.compile(r"-?\d{1,20}", re.ASCII)
_SWITCH = {"Y": "1", "y": "1", "1": "1", "on": "1", "N": "0", "n": "0", "0": "0", "off": "0"}
_PARTITIONS = ("member", "root", "isolated")
_CPUS_IN_WORD = 32  # of a mask


class Legal(Protocol):
    def value(self, text: str) -> str | None:
        """What is set where the file reads ``text``; None if that is not what the kernel documents."""

    def accept(self, wanted: str, text: str) -> str | None:
        """``wanted`` as a value; None if the kernel would not take it."""

    def spell(self, value: str) -> str:
        """As it is written to the file."""

    def told(self, text: str) -> str:
        """What is legal, for people: ``always | madvise | never``, ``0 to 200``."""


class Bracketed(NamedTuple):
    """``always [madvise] never``: the file itself says what this kernel takes."""

    def value(self, text: str) -> str | None:
        found = parse_choice(text)
        return found.value if found else None

    def accept(self, wanted: str, text: str) -> str | None:
        found = parse_choice(text)
        return wanted if found and wanted in found.choices else None

    def spell(self, value: str) -> str:
        return value

    def told(self, text: str) -> str:
        found = parse_choice(text)
        return " | ".join(found.choices) if found else ""


class Words(NamedTuple):
    """Words (or numbers that stand for words) that the kernel's documentation lists."""

    choices: tuple[str, ...]

    def value(self, text: str) -> str | None:
        return text if text in self.choices else None

    def accept(self, wanted: str, text: str) -> str | None:
        return self.value(wanted)

    def spell(self, value: str) -> str:
        return value

    def told(self, text: str) -> str:
        return " | ".join(self.choices)


class Listed(NamedTuple):
    """One of the words of the file ``Knob.choices``, as cpufreq's governors."""

    def value(self, text: str) -> str | None:
        return text if text and len(text.split()) == 1 else None

    def accept(self, wanted: str, text: str) -> str | None:
        return wanted if wanted in text.split() else None

    def spell(self, value: str) -> str:
        return value

    def told(self, text: str) -> str:
        return " | ".join(text.split())


class Switch(NamedTuple):
    """On and off, spelled 1 and 0, or Y and N as module parameters are."""

    def value(self, text: str) -> str | None:
        return _SWITCH.get(text)

    def accept(self, wanted: str, text: str) -> str | None:
        return _SWITCH.get(wanted)

    def spell(self, value: str) -> str:
        return value

    def told(self, text: str) -> str:
        return "0 | 1"


class Range(NamedTuple):
    """Whole numbers; ``unit`` is for people, but for ``bytes``, where 256M may be asked for."""

    low: int
    high: int
    unit: str = ""
    words: tuple[str, ...] = ()  # legal besides

    def value(self, text: str) -> str | None:
        return text if text in self.words else str(int(text)) if _NUMBER.fullmatch(text) else None

    def accept(self, wanted: str, text: str) -> str | None:
        if self.unit == "bytes":
            try:
                wanted = str(parse_size(wanted))
            except UsageError:
                return None
        value = self.value(wanted)
        return value if value in self.words or (value and self.low <= int(value) <= self.high) else None

    def spell(self, value: str) -> str:
        return value

    def told(self, text: str) -> str:
        return " | ".join([f"{self.low} to {self.high} {self.unit}".rstrip(), *self.words])


class Cpus(NamedTuple):
    """A set of CPUs: ``0-3,8``; ``mask``: the file holds ``0000010f``. Empty, some kernels spell it ``(null)``."""

    mask: bool = False

    def value(self, text: str) -> str | None:
        if text == "(null)":
            return ""
        try:
            return format_list(parse_mask(text) if self.mask else parse_list(text))
        except UsageError:
            return None

    def accept(self, wanted: str, text: str) -> str | None:
        try:
            return format_list(parse_list(wanted))
        except UsageError:
            return None

    def spell(self, value: str) -> str:
        if not self.mask:
            return value
        bits = sum(1 << cpu for cpu in parse_list(value))
        words = [f"{bits >> shift & 0xFFFFFFFF:08x}" for shift in range(0, max(bits.bit_length(), 1), _CPUS_IN_WORD)]
        return ",".join(reversed(words))

    def told(self, text: str) -> str:
        return "CPUs, as in 0-3,8"


class Given(NamedTuple):
    """What the kernel was started with: the last ``name=value`` of ``/proc/cmdline``; only a boot takes another.

    Shown as it was given, because kernels know more words than are offered here.
    """

    name: str
    legal: Words | Cpus
    unset: str = ""  # what it is where the command line does not say

    def value(self, text: str) -> str | None:
        given = values(parse_words(text), self.name)
        return self.legal.value(given[-1]) or given[-1] if given else self.unset

    def accept(self, wanted: str, text: str) -> str | None:
        return self.legal.accept(wanted, "")

    def spell(self, value: str) -> str:
        return value

    def told(self, text: str) -> str:
        return self.legal.told("")


class Partition(NamedTuple):
    """What a control group's CPUs are (cgroup-v2.rst, cpuset.cpus.partition): ``isolated``, ``isolated invalid``."""

    def value(self, text: str) -> str | None:
        state = text.partition(" (")[0]  # why it is invalid stands behind
        return state if state.removesuffix(" invalid") in _PARTITIONS else None

    def accept(self, wanted: str, text: str) -> str | None:
        return wanted if wanted in _PARTITIONS else None

    def spell(self, value: str) -> str:
        return value.removesuffix(" invalid")

    def told(self, text: str) -> str:
        return " | ".join(_PARTITIONS)
