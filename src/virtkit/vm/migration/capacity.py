"""Whether the other host can run it: its QEMU, CPU, memory, and the CPUs that the machine is pinned to."""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtkit.core.errors import VirtkitError
from virtkit.core.units import KIB, format_size
from virtkit.vm import library
from virtkit.vm.backing import page_size
from virtkit.vm.cpus import format_cpus, parse_cpus
from virtkit.vm.migration.way import Obstacle
from virtkit.vm.xml import parse, text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from virtkit.vm.connection import Connection
    from virtkit.vm.domain import Domain

_FAIL_INCOMPATIBLE = 1  # VIR_CONNECT_COMPARE_CPU_FAIL_INCOMPATIBLE: the refusal names the features
_CPU_INCOMPATIBLE = 91  # VIR_ERR_CPU_INCOMPATIBLE
_ALL_CELLS = -1  # VIR_NODE_MEMORY_STATS_ALL_CELLS
_SAME_AS_HOST = frozenset({"host-passthrough", "maximum"})


def emulator(domain: Domain, there: Connection) -> Iterator[Obstacle]:
    """Program, chipset of this version, and accelerator: asked together, for libvirt answers for all of them."""
    try:
        there.host.ask(str, "getDomainCapabilities", *_kind(domain), 0)
    except VirtkitError as error:
        wanted = f"{domain.node.findtext('devices/emulator')} with {domain.machine} and {domain.type}"
        mend = f"virsh --connect {there.uri} capabilities shows what it has"
        yield Obstacle(f"emulator: {there.hostname} says {_said(error)}, expected {wanted}", mend)


def processor(domain: Domain, here: Connection, there: Connection) -> Iterator[Obstacle]:
    cpu = domain.node.find("cpu")
    if cpu is None or (domain.cpu_mode in _SAME_AS_HOST and domain.type != "kvm"):
        return
    flags = _FAIL_INCOMPATIBLE
    try:
        if domain.cpu_mode in _SAME_AS_HOST:
            there.host.tell("compareCPU", _host_cpu(here), flags)
        else:
            there.host.tell("compareHypervisorCPU", *_kind(domain), text(cpu), flags)
    except VirtkitError as error:
        if library.error_number(error.__cause__) != _CPU_INCOMPATIBLE:
            return  # no answer is no obstacle: libvirt asks again when the machine arrives
        mend = f"virtkit vm edit {domain.name}: a <cpu> that both have (virsh hypervisor-cpu-baseline), then restart it"
        yield Obstacle(
            f"CPU: {there.hostname} lacks features of {domain.cpu_model or 'this host'}: {_said(error)}", mend
        )


def memory(domain: Domain, there: Connection) -> Iterator[Obstacle]:
    """Free, or in caches that the kernel gives back; huge pages are counted by themselves."""
    if size := page_size(domain):
        yield from _huge_pages(domain, size // KIB, there)
        return
    found = there.host.ask(dict, "getMemoryStats", _ALL_CELLS, 0)
    free = sum(int(found.get(key, 0)) for key in ("free", "buffers", "cached")) * KIB
    if free < domain.memory:
        text = f"memory: {there.hostname} has {format_size(free)} free, expected {format_size(domain.memory)}"
        yield Obstacle(text, f"LIBVIRT_DEFAULT_URI={there.uri} virtkit vm list")


def pins(domain: Domain, there: Connection) -> Iterator[Obstacle]:
    """CPUs that the other host does not have, or has switched off."""
    count, online, _ = there.host.ask(tuple, "getCPUMap")
    has = frozenset(number for number in range(count) if online[number])
    wanted = {f"vCPU {pin.vcpu}": pin.cpus for pin in domain.vcpu_pins}
    if domain.emulator_pin:
        wanted["emulator"] = domain.emulator_pin
    for who, cpus in wanted.items():
        missing = [cpu for cpu in parse_cpus(cpus) if cpu not in has]
        if missing:
            found = f"{who} is pinned to CPU {format_cpus(tuple(missing))}"
            expected = f"one of {format_cpus(tuple(sorted(has)))} of {there.hostname}"
            yield Obstacle(
                f"CPU pins: {found}, expected {expected}", f"virtkit vm pin {domain.name} 0=..., or to all CPUs"
            )


def older(here: Connection, there: Connection) -> Iterator[str]:
    """Notes: newer to older works only where QEMU's authors made it work."""
    for word, method in (("QEMU", "getVersion"), ("libvirt", "getLibVersion")):
        mine, other = here.host.ask(int, method), there.host.ask(int, method)
        if other < mine:
            found = f"{word} is {version(other)} on {there.hostname} and {version(mine)} here"
            yield f"{found}: from newer to older it often fails, and the machine runs on here"


def version(number: int) -> str:
    """``7002022`` is 7.2.22."""
    return f"{number // 1000000}.{number // 1000 % 1000}.{number % 1000}"


def _huge_pages(domain: Domain, size: int, there: Connection) -> Iterator[Obstacle]:
    """``size`` is in KiB, as libvirt counts it."""
    cells = there.host.ask(dict, "getFreePages", [size], 0, 1)
    free = sum(int(count) for cell in cells.values() for count in cell.values()) * size * KIB
    if free < domain.memory:
        text = f"huge pages: {there.hostname} has {format_size(free)} free, expected {format_size(domain.memory)}"
        yield Obstacle(text, "virtkit host hugepages, on that host")


def _kind(domain: Domain) -> tuple[str | None, str | None, str | None, str]:
    arch = domain.node.find("os/type")
    return (
        domain.node.findtext("devices/emulator"),
        None if arch is None else arch.get("arch"),
        domain.machine or None,
        domain.type,
    )


def _host_cpu(here: Connection) -> str:
    cpu = parse(here.host.ask(str, "getCapabilities")).find("host/cpu")
    return "" if cpu is None else text(cpu)


def _said(error: VirtkitError) -> str:
    return error.message.partition(": ")[2].rpartition(" (libvirt error")[0] or error.message
