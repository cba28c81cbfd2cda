"""``virtkit host pci``: devices that guests can have as their own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtkit.cli import options

if TYPE_CHECKING:
    import argparse

    from virtkit.cli.options import Arguments
    from virtkit.cli.show import Console
    from virtkit.core.plan import Json
    from virtkit.recipes.passthrough import Offer

_DEVICE = "address as in 0000:01:00.0, or the network card or disk on it"


def build(parser: Arguments) -> None:
    parts = parser.add_subparsers(metavar="WHAT", required=True, dest="part")
    about = "all devices by IOMMU group: driver, NUMA node, who has it, what is in the way"
    part = parts.add_parser("list", help=about, description=about)
    options.output(part)
    part.set_defaults(run=_list)
    about = "make virtual functions of a device; 0 takes them away"
    part = parts.add_parser("sriov", help=about, description=about)
    part.add_argument("device", metavar="DEVICE", help=_DEVICE)
    part.add_argument("count", metavar="COUNT", type=int, help="how many there are to be")
    part.add_argument("--persistent", action="store_true", help="after restarts as well, by a udev rule")
    options.change(part)
    part.set_defaults(run=_sriov)
    about = "change a device's driver; a machine's managed devices need no such thing"
    part = parts.add_parser("bind", help=about, description=about)
    part.add_argument("device", metavar="DEVICE", help=_DEVICE)
    part.add_argument(
        "--driver", metavar="NAME", default="vfio-pci", help="vfio-pci (default); original: the kernel's own choice"
    )
    options.change(part)
    part.set_defaults(run=_bind)


def _list(args: argparse.Namespace, console: Console) -> int:
    from virtkit.core.system import System
    from virtkit.host.passthrough import BOOT_IOMMU
    from virtkit.recipes.passthrough import offers

    found = sorted(offers(System()), key=_place)
    if console.json:
        console.data([_data(each) for each in found])
    elif not found:
        console.line("this host has no PCI bus")
    else:
        if all(each.device.iommu_group is None for each in found):
            console.line("✗ no device is in an IOMMU group: guests can have none of them")
            console.line(f"  to do: {BOOT_IOMMU}")
        console.table(("GROUP", "ADDRESS", "KIND", "DEVICE", "DRIVER", "NODE", "FOR A GUEST"), list(map(_row, found)))
    return 0


def _sriov(args: argparse.Namespace, console: Console) -> int:
    from virtkit import host
    from virtkit.cli.change import carry_out
    from virtkit.core.system import System

    plan = host.set_virtual_functions(System(), args.device, args.count, persistent=args.persistent)
    return carry_out(plan, args, console)


def _bind(args: argparse.Namespace, console: Console) -> int:
    from virtkit import host
    from virtkit.cli.change import carry_out
    from virtkit.core.system import System

    driver = "" if args.driver == "original" else args.driver
    return carry_out(host.bind_driver(System(), args.device, driver), args, console)


def _place(offer: Offer) -> tuple[bool, int, str]:
    """Those without a group come last."""
    group = offer.device.iommu_group
    return group is None, group or 0, offer.device.address


def _row(offer: Offer) -> tuple[str, ...]:
    device = offer.device
    functions = f" ({device.sriov.number} of {device.sriov.total} virtual functions)" if device.sriov else ""
    on_it = f" [{' '.join(device.names)}]" if device.names else ""
    return (
        "-" if device.iommu_group is None else str(device.iommu_group),
        device.address,
        device.kind,
        f"{offer.name}{on_it}{functions}",
        device.driver or "-",
        "-" if device.numa_node is None else str(device.numa_node),
        _verdict(offer),
    )


def _verdict(offer: Offer) -> str:
    if offer.machines:
        return f"of machine {', '.join(offer.machines)}"
    if offer.device.iommu_group is None:
        return "no: it is in no IOMMU group"
    return f"no: {offer.barrier}" if offer.barrier else "free"


def _data(offer: Offer) -> Json:
    device = offer.device
    known: dict[str, Json] = {name: value for name, value in device._asdict().items() if name != "sriov"}
    functions = dict(device.sriov._asdict()) if device.sriov else None
    return {
        **known,
        "kind": device.kind,
        "sriov": functions,
        "name": offer.name,
        "barrier": offer.barrier,
        "machines": list(offer.machines),
    }
