"""The threads of a machine's QEMU process, read from the kernel: proc(5), /proc/PID/task/TID/status.

``taskset -p PID`` moves the first thread only; a vCPU, an iothread or a worker stays where it was. So what is asked
is every thread, and never what libvirt believes.
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, NamedTuple

from virtkit.core.errors import MachineError, SystemCallError
from virtkit.vm.cpus import Cpus, parse_cpus

if TYPE_CHECKING:
    from collections.abc import Sequence

    from virtkit.core.system import System

VCPU, IOTHREAD, EMULATOR = "vcpu", "iothread", "emulator"

_VCPU = re.compile(r"CPU (\d+)/(?:KVM|TCG)", re.ASCII)  # as QEMU names its threads; libvirt asks it to
_IOTHREAD = re.compile(r"IO iothread(\d+)", re.ASCII)  # "IO mon_iothread" is the monitor's: emulator
_KEY = re.compile(r"(/[^\0\",:=]+)/master-key\.aes")


class Thread(NamedTuple):
    tid: int
    name: str
    role: str  # vcpu, iothread or emulator
    number: int  # of the vCPU or iothread; 0 for the emulator's
    cpus: Cpus  # where the kernel lets it run


def process_id(system: System, name: str) -> int:
    """The process of a running machine of this host; MachineError if there is none."""
    for folder in _folders():
        number = system.read_or(f"{folder}/{name}.pid", "")
        if number.isdecimal() and f"guest={name}," in system.read_or(f"/proc/{number}/cmdline", ""):
            return int(number)
    raise MachineError(f"{name}: its QEMU process was not found on this host")


def own_directory(system: System, pid: int) -> str:
    """Where libvirt lets this QEMU, and no other one, make files: its key lies there. MachineError."""
    found = _KEY.search(system.read_or(f"/proc/{pid}/cmdline", ""))
    if found is None:
        raise MachineError(f"process {pid}: names no master-key.aes of libvirt's, expected one")
    return found[1]


def threads(system: System, pid: int) -> list[Thread]:
    """All of them: vCPUs first, then iothreads, then the emulator's; threads that end meanwhile are left out."""
    found = []
    for tid in system.names(f"/proc/{pid}/task"):
        status = dict(_lines(system.read_or(f"/proc/{pid}/task/{tid}/status", "")))
        if "Cpus_allowed_list" in status:
            role, number = _role(status["Name"])
            found.append(Thread(int(tid), status["Name"], role, number, parse_cpus(status["Cpus_allowed_list"])))
    order = (VCPU, IOTHREAD, EMULATOR)
    return sorted(found, key=lambda thread: (order.index(thread.role), thread.number, thread.tid))


def pinned(found: Sequence[Thread], online: Cpus) -> int:
    """How many of a machine's threads may not run everywhere: after ``taskset -cp 0 PID`` it is one."""
    return sum(thread.cpus != online for thread in found)


def allow(thread: Thread, cpus: Cpus) -> None:
    """Let one thread run on ``cpus``; nothing to do if it has ended. SystemCallError."""
    try:
        os.sched_setaffinity(thread.tid, cpus)
    except ProcessLookupError:
        return
    except OSError as error:
        raise SystemCallError(f"pin thread {thread.tid} ({thread.name})", error) from error


def _folders() -> tuple[str, str]:
    own = os.environ.get("XDG_RUNTIME_DIR") or f"{os.path.expanduser('~')}/.cache"
    return "/run/libvirt/qemu", f"{own}/libvirt/qemu/run"


def _role(name: str) -> tuple[str, int]:
    if found := _VCPU.fullmatch(name):
        return VCPU, int(found[1])
    if found := _IOTHREAD.fullmatch(name):
        return IOTHREAD, int(found[1])
    return EMULATOR, 0


def _lines(status: str) -> list[tuple[str, str]]:
    pairs = (line.partition(":") for line in status.splitlines())
    return [(key, value.strip()) for key, _, value in pairs]
