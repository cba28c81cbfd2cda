"""What several verbs say about machines."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterator, Mapping
    from typing import TypeAlias

    from virtkit.cli.options import Arguments
    from virtkit.cli.show import Console
    from virtkit.vm.addresses import Address

    Part: TypeAlias = tuple[Callable[[Arguments], None], Callable[[argparse.Namespace, Console], int], str]

TYPES = {"kvm": ("KVM", "KVM"), "qemu": ("TCG", "TCG: emulated, several times slower than KVM")}  # short and long


def named(parser: Arguments) -> None:
    parser.add_argument("name", metavar="NAME", help="name, UUID or, while it runs, number")


def something(args: argparse.Namespace, *fields: str) -> None:
    """UsageError if none of these is given: there would be nothing to do."""
    from virtkit.core.errors import UsageError

    if all(getattr(args, field) is None for field in fields):
        words = ", ".join(f"--{field.replace('_', '-')}" for field in fields)
        raise UsageError(
            f"{args.name}: nothing to set, expected one of {words}",
            hint=f"virtkit vm set {args.name} {args.part} --help",
        )


def parts(parser: Arguments, known: Mapping[str, Part]) -> Iterator[Arguments]:
    """What of a machine a verb is about: its arguments are there already, the verb's flags are the caller's."""
    _refuse_swapped(parser, known)
    commands = parser.add_subparsers(metavar="WHAT", required=True, dest="part")
    for name, (fill, run, about) in known.items():
        part = commands.add_parser(name, help=about)
        fill(part)
        part.set_defaults(run=run)
        yield part


def _refuse_swapped(parser: Arguments, known: Mapping[str, Part]) -> None:
    """UsageError for ``set cpu web1 4``."""
    from virtkit.core.errors import UsageError

    first, second, *rest = *parser.following, "", ""
    if first in known and second and not second.startswith("-") and second not in known:
        meant = " ".join([parser.prog, second, first, *filter(None, rest)])
        raise UsageError(f"{first}: stands before the machine's name, expected after it", hint=meant)


def address(found: Address) -> str:
    said = {"agent": "the guest agent", "lease": "libvirt's DHCP lease", "arp": "this host's neighbour table"}
    prefix = f"/{found.prefix}" if found.source != "arp" else ""
    return f"{found.address}{prefix} (according to {said[found.source]})"
