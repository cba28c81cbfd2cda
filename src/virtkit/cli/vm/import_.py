"""``virtkit vm import``."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from virtkit.cli import options
from virtkit.cli.vm.create import WORKLOADS, absolute
from virtkit.core.errors import UsageError

if TYPE_CHECKING:
    import argparse

    from virtkit.cli.options import Arguments
    from virtkit.cli.show import Console
    from virtkit.vm.blueprint import Nic

_FORM = "bridge:NAME, network:NAME, user or none"


def build(parser: Arguments) -> None:
    parser.add_argument("file", metavar="FILE", help="an .ova, .ovf, .vmx or .vbox; its disks beside it or in it")
    parser.add_argument("--name", metavar="NAME", default="", help="of the new machine; else the package's own")
    parser.add_argument("--system", metavar="ID", default="", help="which machine, where an OVF has several")
    parser.add_argument(
        "--map",
        metavar="THEIRS=OURS",
        action="append",
        default=[],
        help=f"what a network of the package is here: {_FORM}; several times",
    )
    rest = parser.add_mutually_exclusive_group()
    rest.add_argument("--bridge", metavar="BRIDGE", default="", help="for all networks that --map does not name")
    rest.add_argument("--network", metavar="NETWORK", default="", help="likewise, one of libvirt's")
    rest.add_argument("--no-network", action="store_true", help="no network cards but those of --map")
    parser.add_argument("--keep-macs", action="store_true", help="the MAC addresses of the package: not while it runs")
    parser.add_argument(
        "--bus", choices=("virtio", "sata"), default="", help="of its disks; else SATA for Windows alone"
    )
    parser.add_argument("--directory", metavar="DIR", default="", help="where its disks go; else libvirt's images")
    parser.add_argument("-O", dest="format", choices=("qcow2", "raw"), default="qcow2", help="their format (qcow2)")
    parser.add_argument("--ignore-manifest", action="store_true", help="import what does not match its manifest")
    parser.add_argument("--workload", choices=WORKLOADS, default="web", help="decides how its disks are cached (web)")
    parser.add_argument("--accelerator", choices=("auto", "kvm", "tcg"), default="auto", help="auto: KVM if there is")
    parser.add_argument(
        "--drivers",
        choices=("auto", "none"),
        default="auto",
        help="auto: virt-v2v-in-place, where it is installed, puts virtio's into a Linux guest",
    )
    parser.add_argument("--start", action="store_true", help="start it, too")
    options.change(parser)
    parser.set_defaults(run=_import)


def _import(args: argparse.Namespace, console: Console) -> int:
    from virtkit.cli.change import carry_out
    from virtkit.core.system import System
    from virtkit.recipes.appliance.plan import Ask, plan_import

    ask = Ask(
        absolute(args.file),
        args.name,
        args.system,
        networks=_networks(args, console),
        everywhere=_everywhere(args),
        directory=absolute(args.directory),
        format=args.format,
        bus=args.bus,
        keep_macs=args.keep_macs,
        ignore_manifest=args.ignore_manifest,
        workload=args.workload,
        accelerator=args.accelerator,
        drivers=args.drivers,
        start=args.start,
    )
    return carry_out(plan_import(ask, System()), args, console)


def _everywhere(args: argparse.Namespace) -> Nic | None:
    from virtkit.vm.blueprint import Nic

    return Nic(args.bridge, args.network) if args.bridge or args.network else None


def _networks(args: argparse.Namespace, console: Console) -> dict[str, Nic | None]:
    """As they were mapped; those that nobody mapped are asked for where somebody can answer."""
    from virtkit.recipes.appliance.plan import networks

    mapped = dict(_mapped(each) for each in args.map)
    theirs = networks(absolute(args.file), args.system)
    if strangers := [name for name in mapped if name not in theirs]:
        known = ", ".join(theirs) or "it has none"
        raise UsageError(f"{args.file}: --map names network {strangers[0]!r}, expected one of its own: {known}")
    open_ones = [name for name in theirs if name not in mapped]
    if args.no_network:
        mapped |= dict.fromkeys(open_ones)
    elif not _everywhere(args) and not args.yes and console.can_ask():
        mapped |= {name: _answered(name, console) for name in open_ones}
    return mapped


def _mapped(said: str) -> tuple[str, Nic | None]:
    theirs, sign, ours = said.rpartition("=")
    if not sign:
        raise UsageError(f"--map: is {said!r}, expected THEIRS=OURS, where OURS is {_FORM}")
    return theirs, _ours(ours)


def _ours(said: str) -> Nic | None:
    from virtkit.vm.blueprint import Nic

    kind, _, name = said.strip().partition(":")
    if said in {"none", "user"}:
        return Nic(user=True) if said == "user" else None
    if kind not in {"bridge", "network"} or not name:
        raise UsageError(f"network is {said!r}, expected {_FORM}")
    return Nic(bridge=name) if kind == "bridge" else Nic(network=name)


def _answered(theirs: str, console: Console) -> Nic | None:
    console.note(f"network {theirs!r} of the package: what is it here? ({_FORM})")
    return _ours(sys.stdin.readline().strip())
