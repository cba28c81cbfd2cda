"""What the demo claims, each claim with what was seen: in the guest, in the kernel, in QEMU, in the LAN."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, NamedTuple

from virtkit import disk
from virtkit.core.errors import VirtkitError
from virtkit.core.units import format_size
from virtkit.recipes import lab
from virtkit.vm import connection, pinning
from virtkit.vm.agent import Agent
from virtkit.vm.blocks import block_caches
from virtkit.vm.cpus import format_cpus
from virtkit.vm.process import VCPU, process_id, threads

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from virtkit.core.system import System
    from virtkit.recipes.wanted import Wanted
    from virtkit.vm.machine import Machine

LEASE_SECONDS = 60


class Claim(NamedTuple):
    what: str
    evidence: str
    holds: bool


def gather(name: str, wanted: Wanted, system: System) -> list[Claim]:
    """Every claim; one that could not be looked at does not hold, and says why."""
    with connection.open() as libvirt:
        machine = libvirt.machine(name)
        lease = _lease(machine, system)
        return [
            _claim("guest runs", lambda: _guest(machine)),
            _claim("runs under", lambda: _accelerator(machine, wanted)),
            _claim("disk equals source", lambda: _content(wanted)),
            _claim("disk cache (QEMU)", lambda: _cache(machine, wanted)),
            _claim("virtio (guest)", lambda: _virtio(machine)),
            _claim("address from the LAN", lambda: _address(lease, machine)),
            _claim("LAN -> guest", lambda: _ping_guest(lease, system)),
            _claim("guest -> gateway", lambda: _ping_gateway(machine, system)),
            *_pins(machine, wanted, system),
        ]


def _claim(what: str, look: Callable[[], tuple[str, bool]]) -> Claim:
    try:
        return Claim(what, *look())
    except VirtkitError as error:
        return Claim(what, error.message, holds=False)


def _guest(machine: Machine) -> tuple[str, bool]:
    found = Agent(machine).os_info()
    return f"agent: {found.get('pretty-name')}, kernel {found.get('kernel-release')}", bool(found.get("kernel-release"))


def _accelerator(machine: Machine, wanted: Wanted) -> tuple[str, bool]:
    """QEMU's own word: ``query-kvm`` of QMP."""
    answer = machine.monitor({"execute": "query-kvm"})
    enabled = isinstance(answer, dict) and answer.get("enabled") is True
    return "KVM" if enabled else "TCG (emulation)", enabled == (wanted.domain.type == "kvm")


def _content(wanted: Wanted) -> tuple[str, bool]:
    image = wanted.machine.image
    result = disk.compare(
        str(wanted.source),
        str(wanted.disk),
        left_format=image.source_format,
        right_format=image.format,
        access=disk.Access(allow_backing=image.allow_backing, shared=True),  # the machine runs
    )
    size = disk.info(str(wanted.disk), image.format).virtual_size
    return f"{wanted.source.name} and {wanted.disk.name}: {format_size(size)} compared", result.same_content


def _cache(machine: Machine, wanted: Wanted) -> tuple[str, bool]:
    caches = block_caches(machine)
    policy = wanted.domain.disks[0].cache
    shown = ", ".join(f"{each.target} {each.mode} (O_DIRECT {'on' if each.direct else 'off'})" for each in caches)
    return f"query-block: {shown}", [each.mode for each in caches] == [policy]


def _virtio(machine: Machine) -> tuple[str, bool]:
    script = "for d in /sys/bus/virtio/devices/*/driver; do basename $(readlink $d); done"
    drivers = sorted(Agent(machine).execute(["/bin/sh", "-c", script]).stdout.split())
    return f"/sys/bus/virtio: {', '.join(drivers)}", {"virtio_blk", "virtio_net"} <= set(drivers)


def _lease(machine: Machine, system: System) -> lab.Lease | None:
    """The guest asks for its address in its own time after the agent answers."""
    mac = machine.now().nics[0].mac.lower()
    end = time.monotonic() + LEASE_SECONDS
    while True:
        for lease in lab.leases(system):
            if lease.mac.lower() == mac:
                return lease
        if time.monotonic() > end:
            return None
        time.sleep(0.2)


def _address(lease: lab.Lease | None, machine: Machine) -> tuple[str, bool]:
    if lease is None:
        return f"no lease within {LEASE_SECONDS} s", False
    inside = Agent(machine).execute(["/bin/ip", "-4", "addr"]).stdout
    return f"{lease.address}, lease of {lease.mac} in the router's DHCP server", f" {lease.address}/" in inside


def _ping_guest(lease: lab.Lease | None, system: System) -> tuple[str, bool]:
    if lease is None:
        return "no address to ask", False
    result = lab.ping_from_lan(system, lease.address)
    return _counted(result.received, result.sent, result.rtt), result.received == result.sent


def _ping_gateway(machine: Machine, system: System) -> tuple[str, bool]:
    gateway = lab.router(system).partition("/")[0]
    ran = Agent(machine).execute(["/bin/ping", "-c", "3", "-W", "2", gateway])
    summary = next(
        (line for line in ran.stdout.splitlines() if "transmitted" in line), ran.stdout.strip() or "no answer"
    )
    return f"{gateway}: {summary}", ran.status == 0


def _counted(received: int, sent: int, rtt: float | None) -> str:
    return f"{received} of {sent} pings answered" + (f", {rtt:g} ms" if rtt is not None else "")


def _pins(machine: Machine, wanted: Wanted, system: System) -> Iterator[Claim]:
    """Each thread of the QEMU process as the kernel has it."""
    pins = wanted.pins or pinning.Pins({})
    for thread in threads(system, process_id(system, machine.name)):
        if thread.role == VCPU and thread.number in pins.vcpus:
            shown = f"/proc: thread {thread.tid} ({thread.name}) on CPU {format_cpus(thread.cpus)}"
            yield Claim(f"vCPU {thread.number} pinned", shown, thread.cpus == pins.vcpus[thread.number])
