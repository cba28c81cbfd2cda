"""``virtkit vm list``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtkit.cli import options
from virtkit.cli.vm import facts

if TYPE_CHECKING:
    import argparse

    from virtkit.cli.options import Arguments
    from virtkit.cli.show import Console
    from virtkit.vm.summary import Summary


def build(parser: Arguments) -> None:
    options.output(parser)
    parser.set_defaults(run=_list)


def _list(args: argparse.Namespace, console: Console) -> int:
    from virtkit import vm

    machines = vm.list()
    if console.json:
        console.data([dict(machine._asdict()) for machine in machines])
    elif not machines:
        console.line("no machines yet")
    else:
        console.table(("ID", "NAME", "STATE", "TYPE", "VCPUS", "MEMORY", "AUTOSTART"), [_row(m) for m in machines])
    return 0


def _row(machine: Summary) -> tuple[str, ...]:
    from virtkit.core.units import format_size

    return (
        "-" if machine.id is None else str(machine.id),
        machine.name,
        machine.state,
        facts.TYPES.get(machine.type, (machine.type, ""))[0],
        str(machine.vcpus),
        format_size(machine.memory),
        "yes" if machine.autostart else "no",
    )
