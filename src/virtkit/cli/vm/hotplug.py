"""``virtkit vm hotplug``: devices into a machine, now if it runs and from its next start on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtkit.cli import options
from virtkit.cli.vm import facts

if TYPE_CHECKING:
    import argparse

    from virtkit.cli.options import Arguments
    from virtkit.cli.show import Console

FORWARD = "[ADDRESS:]PORT:PORT"
FORWARDS = "QEMU's own NAT, by passt: a port of this host, 127.0.0.1's unless told, leads to one of the guest"


def build(parser: Arguments) -> None:
    facts.named(parser)
    for part in facts.parts(parser, PARTS):
        options.change(part)


def _cpu(parser: Arguments) -> None:
    parser.add_argument("count", metavar="N", type=int, nargs="?", default=1, help="so many more (1)")


def _memory(parser: Arguments) -> None:
    parser.add_argument("size", metavar="SIZE", help="as in 1G: so much more")
    parser.add_argument("--virtio-mem", action="store_true", help="a device that the guest gives back more easily")


def _disk(parser: Arguments) -> None:
    parser.add_argument("path", metavar="PATH", help="an image or a block device")
    parser.add_argument("-f", "--format", metavar="FORMAT", default="", help="raw, qcow2 ...; else it is detected")
    parser.add_argument("--target", metavar="TARGET", default="", help="vdb ...: else the next free one")
    parser.add_argument("--bus", choices=("virtio", "scsi", "usb"), default="virtio", help="virtio by default")
    parser.add_argument("--cache", metavar="MODE", default="none", help="cache mode (none)")
    parser.add_argument("--readonly", action="store_true", help="the guest cannot write to it")


def _nic(parser: Arguments) -> None:
    place = parser.add_mutually_exclusive_group(required=True)
    place.add_argument("--bridge", metavar="BRIDGE", default="", help="of this host")
    place.add_argument("--network", metavar="NETWORK", default="", help="of libvirt's")
    place.add_argument("--user-net", action="store_true", help="QEMU's own NAT, for machines of an ordinary user")
    parser.add_argument("--forward", metavar=FORWARD, action="append", default=[], help=FORWARDS)
    parser.add_argument("--model", metavar="MODEL", default="virtio", help="what the guest sees (virtio)")
    parser.add_argument("--mac", metavar="MAC", default="", help="else one that follows from the machine's name")


def _pci(parser: Arguments) -> None:
    parser.add_argument("address", metavar="ADDRESS", help="of a device of this host, as in 0000:01:00.0")


def _plug_cpu(args: argparse.Namespace, console: Console) -> int:
    from virtkit import vm
    from virtkit.cli.change import carry_out

    return carry_out(vm.hotplug_cpu(args.name, args.count), args, console, details=True)


def _plug_memory(args: argparse.Namespace, console: Console) -> int:
    from virtkit import vm
    from virtkit.cli.change import carry_out
    from virtkit.core.units import parse_size

    return carry_out(
        vm.hotplug_memory(args.name, parse_size(args.size), virtio=args.virtio_mem), args, console, details=True
    )


def _plug_disk(args: argparse.Namespace, console: Console) -> int:
    import os

    from virtkit import disk, vm
    from virtkit.cli.change import carry_out

    path = os.path.abspath(args.path)
    image_format = args.format or disk.info(path).format
    chosen = {"bus": args.bus, "target": args.target, "cache": args.cache, "readonly": args.readonly}
    return carry_out(vm.hotplug_disk(args.name, path, image_format, **chosen), args, console, details=True)


def _plug_nic(args: argparse.Namespace, console: Console) -> int:
    from virtkit import vm
    from virtkit.cli.change import carry_out
    from virtkit.vm.forwards import parse

    chosen = {"bridge": args.bridge, "network": args.network, "model": args.model, "mac": args.mac}
    into = tuple(parse(each) for each in args.forward)
    plan = vm.hotplug_nic(args.name, user=args.user_net, forwards=into, **chosen)
    return carry_out(plan, args, console, details=True)


def _plug_pci(args: argparse.Namespace, console: Console) -> int:
    from virtkit.cli.change import carry_out
    from virtkit.core.system import System
    from virtkit.recipes.passthrough import hotplug

    return carry_out(hotplug(args.name, args.address, System()), args, console, details=True)


PARTS = {
    "cpu": (_cpu, _plug_cpu, "vCPUs; the guest's agent brings them online"),
    "memory": (_memory, _plug_memory, "a memory module"),
    "disk": (_disk, _plug_disk, "an image or a block device"),
    "nic": (_nic, _plug_nic, "a network card"),
    "pci": (_pci, _plug_pci, "a PCI device of this host"),
}
