"""What CPU this is, and whether this host is itself a guest."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from virtkit.host.kernel import Kernel

CPUINFO = "/proc/cpuinfo"
FIRST_CPU = 1 << 16  # bytes of it; the first CPU's entry is about 2 KiB
_MODEL_KEYS = ("model name", "cpu model", "cpu", "uarch", "family")  # x86 and arm64; mips; ppc; riscv; ia64


class Cpu(NamedTuple):
    vendor: str | None
    model: str | None
    flags: frozenset[str]  # of the first CPU, with the "vmx flags" that kernels since 5.9 show apart
    is_x86: bool


class Guest(NamedTuple):
    """Whether this host runs inside a virtual machine; None: cannot be told."""

    inside: bool | None
    product: str | None  # as the firmware names the machine


def read_cpu(kernel: Kernel) -> Cpu:
    entry = _first_entry(kernel.text(CPUINFO, FIRST_CPU) or "")
    flags = " ".join(entry.get(key, "") for key in ("flags", "vmx flags", "Features", "features"))
    models = (entry[key] for key in _MODEL_KEYS if entry.get(key))
    vendor = entry.get("vendor_id") or entry.get("vendor") or entry.get("CPU implementer")
    return Cpu(vendor, next(models, None), frozenset(flags.split()), "flags" in entry and "vendor_id" in entry)


def _first_entry(text: str) -> dict[str, str]:
    """``key : value`` lines up to the first empty line that follows flags: s390 begins with a block for all CPUs."""
    entry: dict[str, str] = {}
    for line in text.splitlines():
        key, colon, value = line.partition(":")
        if colon:
            entry.setdefault(key.strip(), "".join(filter(str.isprintable, value)).strip())
        elif entry.keys() & {"flags", "Features", "features"}:
            break
    return entry


def read_guest(kernel: Kernel, cpu: Cpu) -> Guest:
    dmi = (kernel.text(f"/sys/class/dmi/id/{name}") for name in ("sys_vendor", "product_name"))
    product = " ".join("".join(filter(str.isprintable, part)) for part in dmi if part) or None
    if "hypervisor" in cpu.flags or kernel.text("/sys/hypervisor/type") or _named_in_device_tree(kernel):
        return Guest(inside=True, product=product)
    return Guest(inside=False if cpu.is_x86 else None, product=product)


def _named_in_device_tree(kernel: Kernel) -> bool:
    return kernel.text("/proc/device-tree/hypervisor/compatible") is not None
