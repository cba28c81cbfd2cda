"""``virtkit vm ip``: the only address that counts is the one that somebody vouches for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtkit.cli import options
from virtkit.cli.vm import facts

if TYPE_CHECKING:
    import argparse

    from virtkit.cli.options import Arguments
    from virtkit.cli.show import Console


def build(parser: Arguments) -> None:
    facts.named(parser)
    options.output(parser)
    parser.set_defaults(run=_ip)


def _ip(args: argparse.Namespace, console: Console) -> int:
    from virtkit import vm
    from virtkit.core.errors import NotFoundError

    found = vm.ip(args.name)
    if console.json:
        console.data([dict(address._asdict()) for address in found])
    elif not found:
        unknown = f"{args.name}: neither its agent nor libvirt's leases nor this host's neighbour table know an address"
        raise NotFoundError(unknown, hint=f"does it run, has it a card: virtkit vm show {args.name}")
    else:
        for address in found:
            console.line(facts.address(address))
    return 0
