"""Which programs run here that matter to a host of machines: the machines themselves, and who else tunes the host."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

    from virtkit.host.kernel import Kernel

TUNERS = {  # the kernel's name of the program (at most 15 bytes) -> what it sets by itself
    "tuned": "what its profile says",
    "ksmtuned": "KSM",
    "momd": "KSM and balloons",
    "irqbalance": "affinity of interrupts",
    "numad": "affinity and memory of big processes",
    "power-profiles-": "the CPUs' frequency governor",
    "tlp": "power saving",
}
_FILES = {  # what the names of the files begin with that it writes; tuned's profile says what tuned writes
    "ksmtuned": "/sys/kernel/mm/ksm/",
    "momd": "/sys/kernel/mm/ksm/",
    "irqbalance": "/proc/irq/",
    "numad": "/sys/kernel/mm/transparent_hugepage/khugepaged/scan_sleep_millisecs",
    "power-profiles-": "/sys/devices/system/cpu/",
    "tlp": "/sys/devices/system/cpu/",
}


class Tuner(NamedTuple):
    """A program that changes knobs by itself, and would undo ours."""

    name: str
    pid: int
    sets: str
    profile: str | None  # tuned's

    def writes(self, file: str) -> bool:
        """Whether it may write this file of the kernel by itself, at any time."""
        return self.name in _FILES and file.startswith(_FILES[self.name])


def read_programs(kernel: Kernel) -> Mapping[int, str]:
    """The kernel's name of the program (proc_pid_comm(5)) of every process, by number."""
    pids = sorted(int(name) for name in kernel.names("/proc") if name.isdecimal())
    named = ((pid, kernel.text(f"/proc/{pid}/comm")) for pid in pids)
    return {pid: name for pid, name in named if name}


def find_tuners(kernel: Kernel, programs: Mapping[int, str]) -> tuple[Tuner, ...]:
    """Each once, by its oldest process."""
    found: dict[str, Tuner] = {}
    for pid, name in programs.items():
        if name in TUNERS:
            profile = kernel.text("/etc/tuned/active_profile") or None if name == "tuned" else None
            found.setdefault(name, Tuner(name, pid, TUNERS[name], profile))
    return tuple(found.values())
