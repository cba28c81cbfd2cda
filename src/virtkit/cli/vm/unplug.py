"""``virtkit vm unplug``: devices out of a machine, now if it runs and from its next start on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtkit.cli import options
from virtkit.cli.vm import facts

if TYPE_CHECKING:
    import argparse

    from virtkit.cli.options import Arguments
    from virtkit.cli.show import Console

KINDS = {
    "memory": ("NAME", "as in ua-mem0"),
    "disk": ("TARGET", "as in vdb"),
    "nic": ("MAC", "of the network card"),
    "pci": ("ADDRESS", "of the host's device, as in 0000:01:00.0"),
}


def build(parser: Arguments) -> None:
    facts.named(parser)
    parts = parser.add_subparsers(metavar="WHAT", required=True, dest="part")
    cpu = parts.add_parser("cpu", help="vCPUs; the guest's agent takes them offline first")
    cpu.add_argument("known", metavar="N", type=int, nargs="?", default=1, help="so many fewer (1)")
    options.change(cpu)
    cpu.set_defaults(run=_unplug)
    for kind, (word, about) in KINDS.items():
        part = parts.add_parser(kind, help=f"by {word.lower()}")
        part.add_argument("known", metavar=word, help=about)
        options.change(part)
        part.set_defaults(run=_unplug)


def _unplug(args: argparse.Namespace, console: Console) -> int:
    from virtkit import vm
    from virtkit.cli.change import carry_out

    cpus = args.part == "cpu"
    plan = vm.unplug_cpu(args.name, args.known) if cpus else vm.unplug(args.name, args.part, args.known)
    return carry_out(plan, args, console, details=True)
