"""``virtkit host topology``."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from virtkit.cli import options
from virtkit.cli.host import source
from virtkit.cli.host.words import counts

if TYPE_CHECKING:
    import argparse

    from virtkit.cli.options import Arguments
    from virtkit.cli.show import Console
    from virtkit.host.painting import Tenant
    from virtkit.host.pci import PciDevice
    from virtkit.host.topology import Topology


def build(parser: Arguments) -> None:
    source.add(parser)
    about = "of another host, as lstopo (hwloc) or virsh capabilities wrote it"
    parser.add_argument("--xml", metavar="FILE", help=about)
    options.output(parser)
    parser.set_defaults(run=topology)


def topology(args: argparse.Namespace, console: Console) -> int:
    from virtkit.host.drawing import Scene, draw
    from virtkit.host.kernel import Kernel
    from virtkit.host.painting import paint, tenants
    from virtkit.host.pci import read_pci
    from virtkit.host.picture import data
    from virtkit.host.programs import read_programs
    from virtkit.host.topology import read_topology
    from virtkit.host.vms import read_vms

    if args.xml:
        found = _written(args.xml)
        devices: tuple[PciDevice, ...] = ()
        machines: tuple[Tenant, ...] = ()
    else:
        with source.host_of(args) as system:
            kernel = Kernel(system)
            found, devices = read_topology(kernel), read_pci(kernel)
            machines = tenants(read_vms(kernel, read_programs(kernel)), found.cpus)
    if console.json:
        listed = [data(machine) for machine in machines]
        console.data({**data(found), "devices": [data(device) for device in devices], "machines": listed})
        return 0
    painting = paint(machines, found.cpus)
    console.line(counts(found))
    for line in (*draw(Scene(found, painting.marks, devices)), *painting.legend):
        console.line(f"  {line}")
    return 0


def _written(path: str) -> Topology:
    """UsageError for a file that is no such document, NotFoundError and SystemCallError as for any file."""
    from virtkit.core.system import System
    from virtkit.host.topologies import read_document

    return read_document(System().read(os.path.abspath(path)))
