"""The machines that run, as the kernel sees them: QEMU's processes, their threads and their memory (proc(5)).

Asks neither libvirt nor QEMU: what counts for the host is where threads may run and what memory is taken.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

from virtkit.core.cpuset import parse_list
from virtkit.core.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from virtkit.core.cpuset import CpuSet
    from virtkit.host.kernel import Kernel

_QEMU = re.compile(r"qemu-system-.*|qemu-kvm|kvm")  # Debian and upstream; Red Hat; Proxmox
_VCPU = re.compile(r"CPU \d+/(?:KVM|TCG)", re.ASCII)  # as QEMU names threads with debug-threads=on, libvirt's default


class VmThread(NamedTuple):
    tid: int
    name: str
    cpus: CpuSet  # where the kernel lets it run

    @property
    def is_vcpu(self) -> bool:
        return bool(_VCPU.fullmatch(self.name))


class VmMemory(NamedTuple):
    """Bytes; None: the kernel does not say, or says it to root alone."""

    resident: int | None
    proportional: int | None  # pages that n processes share count 1/n: the sum over all machines is what they take
    huge: int | None  # of anonymous memory, in transparent huge pages
    hugetlb: int | None  # from the pools of huge pages; not part of resident
    swapped: int | None
    merged_pages: int | None  # pages that KSM keeps once for this and others
    merge_profit: int | None  # what KSM saves here, less its own records


@dataclass(frozen=True)
class Vm:
    pid: int
    name: str | None  # of ``-name guest=``
    threads: tuple[VmThread, ...]
    memory: VmMemory


def read_vms(kernel: Kernel, programs: Mapping[int, str]) -> tuple[Vm, ...]:
    """By process number. ``programs`` as ``programs.read_programs`` gives them."""
    found = (_vm(kernel, pid) for pid, name in programs.items() if _QEMU.fullmatch(name))
    return tuple(vm for vm in found if vm)


def _vm(kernel: Kernel, pid: int) -> Vm | None:
    """None: it has ended, or is not a machine (``qemu-system-x86_64 -version``)."""
    words = (kernel.text(f"/proc/{pid}/cmdline") or "").split("\0")
    threads = _threads(kernel, pid)
    if not threads or not words[0]:
        return None
    return Vm(pid, _name(words), threads, _memory(kernel, pid))


def _name(words: list[str]) -> str | None:
    """``-name guest=web1,debug-threads=on`` or ``-name web1``; a comma in the name is doubled."""
    value = next((after for word, after in pairwise(words) if word in {"-name", "--name"}), "")
    for part in re.split(r"(?<!,),(?!,)", value):
        key, equals, text = part.partition("=")
        if not equals or key == "guest":
            return (text if equals else key).replace(",,", ",") or None
    return None


def _threads(kernel: Kernel, pid: int) -> tuple[VmThread, ...]:
    found = (_thread(kernel, pid, int(tid)) for tid in kernel.names(f"/proc/{pid}/task") if tid.isdecimal())
    return tuple(sorted((thread for thread in found if thread), key=lambda thread: thread.tid))


def _thread(kernel: Kernel, pid: int, tid: int) -> VmThread | None:
    lines = (line.partition(":") for line in (kernel.text(f"/proc/{pid}/task/{tid}/status") or "").splitlines())
    fields = {key: value.strip() for key, _, value in lines}
    try:
        return VmThread(tid, fields["Name"], parse_list(fields["Cpus_allowed_list"]))
    except (KeyError, UsageError):
        return None


def _memory(kernel: Kernel, pid: int) -> VmMemory:
    rollup = kernel.fields(f"/proc/{pid}/smaps_rollup")
    merging = _words(kernel.text(f"/proc/{pid}/ksm_stat") or "")
    pools = [rollup[key] for key in ("Shared_Hugetlb", "Private_Hugetlb") if key in rollup]
    return VmMemory(
        resident=rollup.get("Rss"),
        proportional=rollup.get("Pss"),
        huge=rollup.get("AnonHugePages"),
        hugetlb=sum(pools) if pools else None,
        swapped=rollup.get("Swap"),
        merged_pages=merging.get("ksm_merging_pages"),
        merge_profit=merging.get("ksm_process_profit"),
    )


def _words(text: str) -> dict[str, int]:
    """``ksm_merging_pages 12`` lines (Documentation/admin-guide/mm/ksm.rst); a profit may be negative."""
    found = (re.fullmatch(r"(\w+) (-?\d{1,20})", line, re.ASCII) for line in text.splitlines())
    return {line[1]: int(line[2]) for line in found if line}
