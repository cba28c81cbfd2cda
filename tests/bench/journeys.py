"""How long machines stand still when they go to another host, of each kind; on two hosts in namespaces of this machine.

    sudo PYTHONPATH=src:tests .venv/bin/python -m bench.journeys [ROUNDS]

The guest has 128 MiB and two vCPUs, emulated; what is copied is 16 MiB of disk with 8 MiB written in it. ``virsh`` goes
the same ways, for comparison, where it can: it needs a storage pool over there to copy a disk.
"""

from __future__ import annotations

import statistics
import sys
import time
from typing import TYPE_CHECKING, NamedTuple

from virtkit.vm.blueprint import machine_xml
from vmhost import hosts
from vmhost.hosts import SHARED, Lan

if TYPE_CHECKING:
    from vmhost.hosts import Host

NAME = "traveller"
FILL = "yes virtkit | dd of=/dev/vda bs=1M count=8 iflag=fullblock conv=fsync 2>/dev/null"
NBD = """\
<disk type='network' device='disk'>
  <driver name='qemu' type='raw' cache='none'/>
  <source protocol='nbd' name='d0'><host name='kvm3' port='10809'/></source>
  <target dev='vda' bus='virtio'/>
</disk>
</devices>"""
SERVE = ("qemu-nbd", "--fork", "-t", "-e", "8", "-f", "raw", "-x", "d0", "--cache=none", f"{hosts.IMAGES}/d0")
VIRSH = ("migrate", "--live", "--persistent", "--undefinesource", NAME)


class Took(NamedTuple):
    downtime: float  # milliseconds
    total: float  # seconds, of the whole command


def main(rounds: int) -> None:
    lan = Lan()
    try:
        home, away = lan.host(1), lan.host(2)
        local, shared = home.disk(f"{NAME}.qcow2"), home.disk(f"{SHARED}/{NAME}.qcow2")
        blueprint = hosts.blueprint(NAME)
        kinds = {
            "shared directory": (machine_xml(hosts.blueprint(NAME, shared)), ("--unsafe",)),
            "network disk": (machine_xml(blueprint).replace("</devices>", NBD), ()),
            "disk copied": (machine_xml(hosts.blueprint(NAME, local)), ("--copy-storage-all", "--overwrite")),
        }
        serve(lan.host(3))
        for kind, (xml, words) in kinds.items():
            home.boot(blueprint, xml)
            home.shell(NAME, FILL)
            table(kind, "virtkit", [virtkit(home, away, words) for _ in range(rounds)])
            if kind != "disk copied":
                table(kind, "virsh", [virsh(home, away, words) for _ in range(rounds)])
            home.remove(NAME)
        home.define(machine_xml(hosts.idle(NAME)))
        table("offline", "virtkit", [virtkit(home, away, ("--offline",)) for _ in range(rounds)])
    finally:
        lan.close()


def serve(host: Host) -> None:
    host.run("qemu-img", "create", "-q", "-f", "raw", f"{hosts.IMAGES}/d0", "16M")
    host.run(*SERVE)


def virtkit(home: Host, away: Host, words: tuple[str, ...]) -> Took:
    """There; back is not timed."""
    began = time.monotonic()
    told = home.json("vm", "migrate", NAME, away.tcp, *words, "-y")
    took = time.monotonic() - began
    away.virtkit("vm", "migrate", NAME, home.tcp, *words, "-y")
    return Took(told.get("journey", {}).get("downtime") or 0, took)


def virsh(home: Host, away: Host, words: tuple[str, ...]) -> Took:
    began = time.monotonic()
    home.virsh(*VIRSH, away.tcp, *words)
    took = time.monotonic() - began
    with away.open() as libvirt:
        told = libvirt.machine(NAME).ask(dict, "jobStats", 1 | 2)
    away.virsh(*VIRSH, home.tcp, *words)
    return Took(int(told["downtime"]), took)


def table(kind: str, tool: str, took: list[Took]) -> None:
    downtimes, totals = sorted(each.downtime for each in took), sorted(each.total for each in took)
    still = f"{statistics.median(downtimes):.0f} ms ({downtimes[0]:.0f} to {downtimes[-1]:.0f})"
    whole = f"{statistics.median(totals):.2f} s ({totals[0]:.2f} to {totals[-1]:.2f})"
    sys.stdout.write(f"{kind:18} {tool:8} stood still {still:24} whole command {whole}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 5)
