"""``virtkit vm create``."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from virtkit.cli import options
from virtkit.cli.vm.hotplug import FORWARD, FORWARDS

if TYPE_CHECKING:
    import argparse

    from virtkit.cli.options import Arguments
    from virtkit.cli.show import Console
    from virtkit.recipes.making.order import Login, Order, Storage
    from virtkit.vm.blueprint import Nic

WORKLOADS = ("web", "database", "realtime", "desktop", "build")


def build(parser: Arguments) -> None:
    parser.add_argument("name", metavar="NAME", help="of the new machine")
    _disk(parser)
    machine(parser)
    cloud_init(parser)
    parser.add_argument("--start", action="store_true", help="start it, too")
    parser.add_argument("--autostart", action="store_true", help="start it with the host")
    options.change(parser)
    parser.set_defaults(run=_create)


def _disk(parser: Arguments) -> None:
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--image", metavar="FILE", default="", help="its disk comes from this image of any format")
    source.add_argument("--tree", metavar="DIR", default="", help="its disk has the root file system and kernel of DIR")
    source.add_argument("--empty", action="store_true", help="its disk is new: for --iso or --pxe")
    parser.add_argument("-f", dest="image_format", metavar="FORMAT", help="format of FILE; raw has to be said")
    parser.add_argument(
        "--by",
        choices=("copy", "reflink", "overlay", "in-place"),
        default="copy",
        help="copy (converts, any format); reflink: shares blocks; overlay: stands on FILE; in-place: uses FILE itself",
    )
    parser.add_argument("--allow-backing", action="store_true", help="FILE may name backing files anywhere")
    parser.add_argument("--disk", metavar="PATH", default="", help="where the disk is made; else in libvirt's images")
    parser.add_argument("--pool", metavar="POOL", default="", help="likewise; every file may be a POOL:VOLUME, too")
    parser.add_argument(
        "-O", dest="format", choices=("qcow2", "raw"), help="its format; else PATH's suffix says, or qcow2"
    )
    parser.add_argument("--size", metavar="SIZE", help="of an empty disk; one from an image grows to it")
    parser.add_argument("--iso", metavar="FILE", default="", help="an installer, in a CD-ROM drive")
    parser.add_argument("--pxe", action="store_true", help="boot from the network while the disk is empty")


def machine(parser: Arguments) -> None:
    """What a machine is, wherever it comes from."""
    parser.add_argument("--memory", metavar="SIZE", help="as in 4G; else what the system is known to need, or 2G")
    parser.add_argument("--cpus", metavar="N", type=int, help="virtual CPUs (2)")
    parser.add_argument("--bridge", metavar="BRIDGE", action="append", default=[], help="a network card on it")
    parser.add_argument("--network", metavar="NETWORK", action="append", default=[], help="likewise on libvirt's")
    parser.add_argument("--forward", metavar=FORWARD, action="append", default=[], help=f"a card on {FORWARDS}")
    parser.add_argument("--no-network", action="store_true", help="no network card")
    parser.add_argument("--mac", metavar="MAC", action="append", default=[], help="of the first card, the second ...")
    parser.add_argument("--os", metavar="ID", default="", help="libosinfo's short id, as debian12: sets what it needs")
    firmware = parser.add_mutually_exclusive_group()
    firmware.add_argument("--uefi", dest="firmware", action="store_const", const="efi", help="boot by UEFI")
    firmware.add_argument(
        "--secure-boot", dest="firmware", action="store_const", const="secure", help="and only signed"
    )
    parser.add_argument("--tpm", action="store_true", help="a TPM 2.0, by swtpm")
    parser.add_argument(
        "--screen", action="store_true", help="a screen (VNC on a socket file); --iso and --pxe have it"
    )
    parser.add_argument("--workload", choices=WORKLOADS, default="web", help="decides how its disk is cached (web)")
    parser.add_argument("--accelerator", choices=("auto", "kvm", "tcg"), default="auto", help="auto: KVM if there is")
    parser.add_argument("--serial-log", metavar="FILE", default="", help="keeps what the serial console says")


def cloud_init(parser: Arguments) -> None:
    """cloud-init; any of them makes a seed."""
    parser.add_argument("--hostname", metavar="NAME", default="", help="for cloud-init; else the machine's name")
    parser.add_argument("--user", metavar="USER", default="", help="for cloud-init: who may log in, and become root")
    parser.add_argument("--ssh-key", metavar="FILE", action="append", default=[], help="public keys that open the door")
    parser.add_argument("--network-config", metavar="FILE", default="", help="for cloud-init, version 2; else DHCP")
    parser.add_argument("--user-data", metavar="FILE", default="", help="for cloud-init, in place of --user")


def _create(args: argparse.Namespace, console: Console) -> int:
    from virtkit.cli.change import carry_out
    from virtkit.core.system import System
    from virtkit.recipes.making.create import plan_create

    return carry_out(plan_create(_order(args), System()), args, console)


def _order(args: argparse.Namespace) -> Order:
    from virtkit.core.units import parse_size
    from virtkit.recipes.making.order import Order

    return Order(
        args.name,
        _storage(args),
        memory=parse_size(args.memory) if args.memory else None,
        cpus=args.cpus,
        nics=nics(args),
        os=args.os,
        login=login(args),
        firmware=args.firmware,
        tpm=args.tpm,
        screen=args.screen,
        workload=args.workload,
        accelerator=args.accelerator,
        serial_log=absolute(args.serial_log),
        autostart=args.autostart,
        start=args.start,
    )


def _storage(args: argparse.Namespace) -> Storage:
    from virtkit.core.units import parse_size
    from virtkit.recipes.making.order import Storage

    return Storage(
        image=_file(args.image),
        image_format=args.image_format,
        by=args.by,
        allow_backing=args.allow_backing,
        tree=absolute(args.tree),
        path=_file(args.disk),
        pool=args.pool,
        format=args.format or ("raw" if args.disk.endswith((".raw", ".img")) else "qcow2"),
        size=parse_size(args.size) if args.size else None,
        iso=_file(args.iso),
        pxe=args.pxe,
    )


def _file(text: str) -> str:
    """``POOL:VOLUME`` as it is; a path from here."""
    from virtkit.recipes.making.volumes import is_one

    return text if is_one(text) else absolute(text)


def login(args: argparse.Namespace) -> Login | None:
    from virtkit.recipes.making.order import Login

    asked = (args.hostname, args.user, args.ssh_key, args.network_config, args.user_data)
    if not any(asked):
        return None
    keys = tuple(absolute(file) for file in args.ssh_key)
    return Login(args.hostname, args.user, keys, absolute(args.network_config), absolute(args.user_data))


def nics(args: argparse.Namespace) -> tuple[Nic, ...] | None:
    """As they were asked for, those on bridges first; None: nobody said."""
    from dataclasses import replace

    from virtkit.core.errors import UsageError
    from virtkit.vm.blueprint import Nic
    from virtkit.vm.forwards import parse

    into = tuple(parse(each) for each in args.forward)
    asked = [*(Nic(bridge=each) for each in args.bridge), *(Nic(network=each) for each in args.network)]
    asked += [Nic(user=True, forwards=into)] if into else []
    if args.no_network and (asked or args.mac):
        raise UsageError(
            f"{args.name}: --no-network is given, expected no --bridge, --network, --forward or --mac with it"
        )
    if len(args.mac) > len(asked):
        wrong = f"{args.name}: has {len(args.mac)} MAC addresses for {len(asked)} network cards"
        raise UsageError(wrong, hint="--network default --mac ...")
    macs = [*args.mac, *[""] * (len(asked) - len(args.mac))]
    found = tuple(replace(nic, mac=mac) for nic, mac in zip(asked, macs, strict=True))
    return found if found or args.no_network else None


def absolute(path: str) -> str:
    """``path`` from here; empty stays empty."""
    return os.path.abspath(os.path.expanduser(path)) if path else ""
