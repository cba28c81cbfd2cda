"""One tunable of the host, as data: where it is, what it can be, what hangs on it, what it does and how we know.

A family of knobs is a file ``host/knobs/<family>.py`` with ``KNOBS = (Knob(...), ...)``, mostly one literal each. All
that follows from a knob's file is not said again: whether this kernel has it (the file is there), whether it can be set
at run time (the file can be written), and what keeps it over a restart (``host/persistence``): sysctl.d for /proc/sys,
udev for /sys/block, modprobe.d for a module's parameters, tmpfiles.d for the rest of /sys.
"""

from __future__ import annotations

import os
import re
import stat
from enum import StrEnum
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

from virtkit.core.cpuset import parse_list
from virtkit.core.errors import UsageError
from virtkit.host.disks import read_disks
from virtkit.host.legal import Cpus

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from virtkit.host.kernel import Kernel
    from virtkit.host.legal import Legal

    Counter = Callable[[Kernel, str], int | None]  # (kernel, place)
    # (kernel, place, wanted) -> why this must not be written now; empty: it may
    Refusal = Callable[[Kernel, str, str], str]


class Scope(StrEnum):
    """What there is one of per place; the place's name stands for ``{place}`` in the knob's files."""

    HOST = "host"  # one, and no place
    NODE = "node"  # 0
    DISK = "disk"  # vda
    THP = "page size"  # 64kB
    CPU = "cpu"  # 0
    IRQ = "irq"  # 24


class Risk(StrEnum):
    """What a change costs. Above SAFE nothing is changed unless somebody asks for that very knob."""

    SAFE = "safe"
    RESTART = "VM restart"  # machines notice it when they start again
    REBOOT = "reboot"
    SECURITY = "security"  # opens or closes a hole between machines
    DATA = "data"  # can lose what was written


class Says(NamedTuple):
    en: str
    zh: str


class Evidence(NamedTuple):
    """``source``: who says so, to be looked up: a commit, a document, ``measured``. No figure: a rule of thumb."""

    source: str
    figure: str = ""
    conditions: str = ""


class Knob(NamedTuple):
    name: str  # as typed: a sysctl's own name (vm.swappiness), else <subject>.<file> (thp.enabled)
    file: str  # read and written; {place} stands for the node, disk, CPU or IRQ
    legal: Legal
    explain: Says  # what it does to machines, and when to turn it which way
    evidence: tuple[Evidence, ...]
    scope: Scope = Scope.HOST
    risk: Risk = Risk.SAFE
    danger: Says | None = None  # what goes wrong with it
    effective: str = ""  # another file that says what counts after a write (an IRQ's effective_affinity_list)
    choices: str = ""  # another file that lists what is legal (scaling_available_governors)
    formerly: Mapping[str, str] = MappingProxyType({})  # words of older kernels -> today's
    parameter: str = ""  # on the kernel command line, as in "transparent_hugepage={value}"
    unit: str = ""  # kept by systemd, as in "machine.slice Slice AllowedCPUs"
    rival: str = ""  # the knob that becomes 0 when this is written, and the other way round; 0 itself is no value
    resets: tuple[str, ...] = ()  # knobs that the kernel sets anew when this is written: they come after it, both ways
    needs: tuple[str, str] | None = None  # (knob, value): the kernel takes this only while that has this value
    refusal: Refusal | None = None
    counter: Counter | None = None  # a write counts from the next of these events on: until one comes, it waits
    implied: tuple[str, str] | None = (
        None  # (file, word): while its own file is not there and that lists the word, empty
    )
    family: str = ""  # the name of its module; host/registry fills it in


class Setting(NamedTuple):
    """A knob at one of its places: what is read and written."""

    knob: Knob
    place: str = ""

    @property
    def name(self) -> str:
        return f"{self.knob.name}@{self.place}" if self.place else self.knob.name

    @property
    def file(self) -> str:
        return self.at(self.knob.file)

    def at(self, template: str) -> str:
        return template.replace("{place}", self.place)

    def present(self, kernel: Kernel) -> bool:
        """Whether this kernel and this hardware have it, with a value that makes sense."""
        return self.read(kernel) is not None

    def writable(self, kernel: Kernel) -> bool:
        """The mode says it to root, too: sysfs refuses to open a file for writing that nobody may write."""
        try:
            return bool(stat.S_IMODE(os.stat(kernel.system.path(self.file)).st_mode) & 0o222)
        except OSError:
            return False

    def read(self, kernel: Kernel) -> str | None:
        """What it is set to; None: not here."""
        return self._value(kernel, self.file)

    def counts(self, kernel: Kernel) -> str | None:
        """What is in effect, which after a write may be less or later than what is set."""
        return self._value(kernel, self.at(self.knob.effective) if self.knob.effective else self.file)

    def reached(self, kernel: Kernel, wanted: str) -> bool:
        """Whether ``wanted`` is set and in effect; an interrupt may stay on some of the CPUs that it was given."""
        counts = self.counts(kernel)
        if self.knob.effective and isinstance(self.knob.legal, Cpus):
            there = parse_list(counts or "")
            return self.read(kernel) == wanted and bool(there) and there <= parse_list(wanted)
        return counts == wanted

    def legal(self, kernel: Kernel) -> str:
        return self.knob.legal.told(self._choices(kernel))

    def accept(self, kernel: Kernel, wanted: str) -> str:
        """``wanted`` in the one spelling; UsageError."""
        value = self.knob.legal.accept(wanted, self._choices(kernel))
        if value is not None and not (self.knob.rival and value == "0"):
            return value
        today = self.knob.formerly.get(wanted, "")
        told = f"{self.legal(kernel)}" + (", not 0" if self.knob.rival else "")
        more = f"; {wanted} was a word of older kernels, today's is {today}" if today else ""
        raise UsageError(
            f"{self.name}: value is {wanted!r}, expected {told}{more}",
            hint=f"virtkit host set {self.name}={today}" if today else f"virtkit host knobs {self.knob.family}",
        )

    def _value(self, kernel: Kernel, path: str) -> str | None:
        text = kernel.text(path)
        if text is None and self.knob.implied:
            file, word = self.knob.implied
            return "" if word in (kernel.text(file) or "").split() else None
        return None if text is None else self.knob.legal.value(text)

    def _choices(self, kernel: Kernel) -> str:
        return kernel.text(self.at(self.knob.choices or self.knob.file)) or ""


def places(kernel: Kernel, scope: Scope) -> list[str]:
    """The names of all there are of ``scope``, in the order of the kernel; of the host one without a name."""
    if scope is Scope.HOST:
        return [""]
    if scope is Scope.DISK:
        return [disk.name for disk in read_disks(kernel)]
    folder, prefix, unit = _FOLDERS[scope]
    named = (re.fullmatch(rf"{prefix}(\d{{1,10}}){unit}", name, re.ASCII) for name in kernel.names(folder))
    return [f"{number}{unit}" for number in sorted(int(found[1]) for found in named if found)]


_FOLDERS = {
    Scope.NODE: ("/sys/devices/system/node", "node", ""),
    Scope.CPU: ("/sys/devices/system/cpu", "cpu", ""),
    Scope.IRQ: ("/proc/irq", "", ""),
    Scope.THP: ("/sys/kernel/mm/transparent_hugepage", "hugepages-", "kB"),
}
