"""``virtkit vm set``: fields of a machine; now where libvirt can, and from its next start."""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtkit.cli import options
from virtkit.cli.vm import facts
from virtkit.cli.vm.hotplug import FORWARD, FORWARDS

if TYPE_CHECKING:
    import argparse

    from virtkit.cli.options import Arguments
    from virtkit.cli.show import Console

LIMITS = ("iops", "read-iops", "write-iops", "bps", "read-bps", "write-bps")


def build(parser: Arguments) -> None:
    facts.named(parser)
    for part in facts.parts(parser, PARTS):
        part.add_argument("--later", action="store_true", help="from the next start only: the running machine stays")
        options.change(part)


def _cpu(parser: Arguments) -> None:
    parser.add_argument("count", metavar="COUNT", type=int, nargs="?", help="vCPUs")
    parser.add_argument("--most", metavar="N", type=int, help="how many it can have while it runs")


def _memory(parser: Arguments) -> None:
    parser.add_argument("size", metavar="SIZE", nargs="?", help="as in 2G: what the guest keeps")
    parser.add_argument("--most", metavar="SIZE", help="what it starts with: the balloon gives back up to this")
    parser.add_argument("--room", metavar="SIZE", help="how far memory can be plugged in while it runs")
    parser.add_argument("--slots", metavar="N", type=int, default=8, help="modules that --room is for (8)")


def _disk(parser: Arguments) -> None:
    from virtkit.vm.edits import CACHES, IOS

    parser.add_argument("target", metavar="TARGET", help="as vm show has it: vda, sda ...")
    parser.add_argument("--cache", choices=CACHES, help="cache mode")
    parser.add_argument("--io", choices=IOS, help="how QEMU reads and writes")
    parser.add_argument("--discard", choices=("unmap", "ignore", "default"), help="what the guest's discards do")
    parser.add_argument("--detect-zeroes", choices=("off", "on", "unmap", "default"), help="written zeroes")
    parser.add_argument("--iothread", metavar="N", type=int, help="a thread of its own, from 1; 0: none")
    parser.add_argument("--boot", metavar="N", type=int, help="place in the boot order, from 1; 0: not booted from")
    medium = parser.add_mutually_exclusive_group()
    medium.add_argument("--medium", metavar="PATH", help="what is in the drive")
    medium.add_argument("--eject", dest="medium", action="store_const", const="", help="empty the drive")
    for limit in LIMITS:
        unit = "operations" if limit.endswith("iops") else "bytes, as in 50M,"
        parser.add_argument(f"--{limit}", metavar="N", help=f"at most so many {unit} a second; 0: no limit")


def _nic(parser: Arguments) -> None:
    from virtkit.vm.edits import MODELS

    parser.add_argument("mac", metavar="MAC", nargs="?", default="", help="which, if the machine has several")
    place = parser.add_mutually_exclusive_group()
    place.add_argument(
        "--bridge", metavar="BRIDGE", help="of this host (vm attach also proves that the guest is there)"
    )
    place.add_argument("--network", metavar="NETWORK", help="of libvirt's")
    place.add_argument("--user-net", dest="user", action="store_true", default=None, help="QEMU's own NAT")
    parser.add_argument("--forward", dest="forwards", metavar=FORWARD, action="append", help=FORWARDS)
    parser.add_argument("--no-forward", dest="forwards", action="store_const", const=[], help="none of them")
    parser.add_argument("--link", choices=("up", "down"), help="the cable")
    parser.add_argument("--model", choices=MODELS, help="what the guest sees")
    parser.add_argument("--queues", metavar="N", type=int, help="of virtio; 0: one")
    parser.add_argument("--boot", metavar="N", type=int, help="place in the boot order, from 1; 0: not booted from")


def _ports(parser: Arguments) -> None:
    parser.add_argument("count", metavar="N", type=int, help="so many more")


def _serial(parser: Arguments) -> None:
    log = parser.add_mutually_exclusive_group(required=True)
    log.add_argument("--log", metavar="FILE", help="keeps what it says; vm console shows it first")
    log.add_argument("--no-log", dest="log", action="store_const", const="", help="it is no longer kept")


def _screen(_parser: Arguments) -> None:
    """Nothing to choose."""


def _set_cpu(args: argparse.Namespace, console: Console) -> int:
    from virtkit import vm
    from virtkit.cli.change import carry_out

    facts.something(args, "count", "most")
    return carry_out(vm.set_cpu(args.name, args.count, most=args.most, later=args.later), args, console, details=True)


def _set_memory(args: argparse.Namespace, console: Console) -> int:
    from virtkit import vm
    from virtkit.cli.change import carry_out
    from virtkit.core.units import parse_size

    facts.something(args, "size", "most", "room")
    size, most, room = (parse_size(text) if text else None for text in (args.size, args.most, args.room))
    plan = vm.set_memory(args.name, size, most=most, room=room, slots=args.slots, later=args.later)
    return carry_out(plan, args, console, details=True)


def _set_disk(args: argparse.Namespace, console: Console) -> int:
    from virtkit import vm
    from virtkit.cli.change import carry_out
    from virtkit.core.units import parse_size
    from virtkit.vm.edits import LIMITS as KNOWN
    from virtkit.vm.edits import DiskSettings

    fields = [field for field in DiskSettings._fields if field != "limits"]
    facts.something(args, *fields, *KNOWN)
    limits = {limit: parse_size(value) for limit in KNOWN if (value := getattr(args, limit)) is not None}
    settings = DiskSettings(**{field: getattr(args, field) for field in fields}, limits=limits)
    return carry_out(vm.set_disk(args.name, args.target, settings, later=args.later), args, console, details=True)


def _set_nic(args: argparse.Namespace, console: Console) -> int:
    from virtkit import vm
    from virtkit.cli.change import carry_out
    from virtkit.vm.edits import NicSettings
    from virtkit.vm.forwards import parse

    facts.something(args, *NicSettings._fields)
    given = {field: getattr(args, field) for field in NicSettings._fields}
    into = None if args.forwards is None else tuple(parse(each) for each in args.forwards)
    settings = NicSettings(**{**given, "forwards": into})
    return carry_out(vm.set_nic(args.name, args.mac, settings, later=args.later), args, console, details=True)


def _set_ports(args: argparse.Namespace, console: Console) -> int:
    from virtkit import vm
    from virtkit.cli.change import carry_out

    return carry_out(vm.set_ports(args.name, args.count), args, console, details=True)


def _set_serial(args: argparse.Namespace, console: Console) -> int:
    import os

    from virtkit import vm
    from virtkit.cli.change import carry_out

    path = os.path.abspath(args.log) if args.log else ""
    return carry_out(vm.set_serial_log(args.name, path), args, console, details=True)


def _set_screen(args: argparse.Namespace, console: Console) -> int:
    from virtkit import vm
    from virtkit.cli.change import carry_out

    return carry_out(vm.add_screen(args.name), args, console, details=True)


PARTS = {
    "cpu": (_cpu, _set_cpu, "how many vCPUs"),
    "memory": (_memory, _set_memory, "how much memory"),
    "disk": (_disk, _set_disk, "cache mode, io, discard, thread, limits, boot order, medium"),
    "nic": (_nic, _set_nic, "bridge, link, model, queues, boot order"),
    "serial": (_serial, _set_serial, "whether what its serial console says is kept"),
    "screen": (_screen, _set_screen, "a video card, and VNC on a socket file"),
    "ports": (_ports, _set_ports, "PCI Express ports for devices that are plugged in while it runs"),
}
