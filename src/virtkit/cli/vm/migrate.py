"""``virtkit vm migrate``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtkit.cli import options
from virtkit.cli.vm import facts

if TYPE_CHECKING:
    import argparse

    from virtkit.cli.options import Arguments
    from virtkit.cli.show import Console
    from virtkit.core.plan import Json


def build(parser: Arguments) -> None:
    facts.named(parser)
    parser.add_argument("target", metavar="TARGET", help="a libvirt URI, or a host: qemu+ssh://TARGET/system is meant")
    parser.add_argument("--offline", action="store_true", help="the definition of a machine that is off")
    disks = parser.add_mutually_exclusive_group()
    disks.add_argument("--copy-storage-all", action="store_true", help="the content of its disks goes along")
    disks.add_argument("--copy-storage", metavar="DISK", action="append", default=[], help="that of this one, as vda")
    parser.add_argument("--overwrite", action="store_true", help="onto disks of the same path and size there")
    parser.add_argument("--unsafe", action="store_true", help="the storage is shared, though libvirt cannot see it")
    parser.add_argument("--bandwidth", metavar="SIZE", default="0", help="per second at most, as in 100M")
    parser.add_argument(
        "--max-downtime", metavar="MS", type=int, default=0, help="milliseconds it may stand still (300)"
    )
    parser.add_argument("--auto-converge", action="store_true", help="slow the guest down until the copy catches up")
    parser.add_argument("--postcopy", action="store_true", help="switch after one round, fetch the rest on demand")
    parser.add_argument("--address", metavar="HOST", default="", help="the target as its QEMU is to be reached")
    options.change(parser)
    parser.set_defaults(run=_migrate)


def _migrate(args: argparse.Namespace, console: Console) -> int:
    from virtkit import vm
    from virtkit.cli.change import carry_out
    from virtkit.core.units import parse_size

    plan = vm.migrate(
        args.name,
        args.target,
        offline=args.offline,
        copy=args.copy_storage,
        copy_all=args.copy_storage_all,
        overwrite=args.overwrite,
        unsafe=args.unsafe,
        bandwidth=parse_size(args.bandwidth),
        downtime=args.max_downtime,
        auto_converge=args.auto_converge,
        postcopy=args.postcopy,
        address=args.address,
    )

    def told() -> dict[str, Json]:
        """Milliseconds and bytes."""
        return {} if args.offline else {"journey": vm.journey(args.name, args.target)._asdict()}

    return carry_out(plan, args, console, told=told)
