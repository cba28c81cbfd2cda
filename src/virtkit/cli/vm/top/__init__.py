"""``virtkit vm top``: what machines do, live, once, as JSON, or for Prometheus."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from virtkit.cli import options

if TYPE_CHECKING:
    import argparse

    from virtkit.cli.options import Arguments
    from virtkit.cli.show import Console
    from virtkit.core.plan import Json
    from virtkit.vm.verbs.watching import Busy

SORTS = ("cpu", "steal", "mem", "read", "write", "rx", "tx", "name")


def build(parser: Arguments) -> None:
    parser.add_argument("names", metavar="NAME", nargs="*", help="only these; else all")
    parser.add_argument("--sort", choices=SORTS, default="cpu", help="what comes first (cpu); by the name: first A")
    parser.add_argument("--reverse", action="store_true", help="the other way round")
    parser.add_argument("--devices", action="store_true", help="each disk and network card, too")
    parser.add_argument("--interval", metavar="S", type=float, default=2, help="seconds between two looks (2)")
    parser.add_argument("--once", action="store_true", help="one table and no more; always so without a terminal")
    parser.add_argument("--pss", action="store_true", help="memory with shared pages divided: walks all page tables")
    parser.add_argument("--prometheus", action="store_true", help="counters by libvirt-exporter's names, once")
    parser.add_argument("--output-file", metavar="FILE", default="", help="whole or not at all: node_exporter's *.prom")
    options.output(parser)
    parser.set_defaults(run=_top)


def _top(args: argparse.Namespace, console: Console) -> int:
    from virtkit.core.errors import UsageError

    if args.interval <= 0:
        raise UsageError(f"interval is {args.interval:g} s, expected more than 0", hint="--interval 2")
    if args.output_file and not args.prometheus:
        raise UsageError("--output-file: is for Prometheus alone", hint="--prometheus --output-file FILE")
    if args.prometheus:
        return _prometheus(args, console)
    if args.once or console.json or not (sys.stdin.isatty() and sys.stdout.isatty()):
        return _once(args, console)
    from virtkit.cli.vm.top import live

    return live.run(args)


def _once(args: argparse.Namespace, console: Console) -> int:
    from virtkit import vm
    from virtkit.cli.vm.top.table import hints, rows, sorted_machines, titles

    machines = sorted_machines(
        vm.load(args.names, seconds=args.interval, pss=args.pss), args.sort, reverse=args.reverse
    )
    if console.json:
        console.data([_data(machine) for machine in machines])
    elif not machines:
        console.line("no machines yet")
    else:
        console.table(titles(pss=args.pss), rows(machines, devices=args.devices, pss=args.pss))
        for hint in hints(machines):
            console.note(f"note: {hint}")
    return 0


def _data(busy: Busy) -> dict[str, Json]:
    """Raw counters, rates, and what the host says, each under a key of its own."""
    from virtkit.vm.machine import STATES

    machine, memory = busy.counters, busy.counters.memory
    groups = ("vcpus", "disks", "cards")
    counted = {key: value for key, value in machine._asdict().items() if key not in groups}
    counted |= {key: [each._asdict() for each in getattr(machine, key)] for key in groups}
    counted["memory"] = memory._asdict() | {"used": memory.used}
    load = busy.load and busy.load._asdict() | {
        key: [each._asdict() for each in getattr(busy.load, key)] for key in ("disks", "cards")
    }
    return {
        "name": machine.name,
        "uuid": machine.uuid,
        "state": STATES[machine.state],
        "load": load,
        "host": busy.footprint and busy.footprint._asdict(),
        "counters": counted,
    }


def _prometheus(args: argparse.Namespace, console: Console) -> int:
    from virtkit import vm
    from virtkit.core.errors import MachineError, UsageError
    from virtkit.vm.exposition import DOWN

    if args.names:
        raise UsageError("--prometheus: is about all machines", hint="virtkit vm top --prometheus")
    try:
        _give(vm.metrics(), args.output_file, console)
    except MachineError:
        _give(DOWN, args.output_file, console)
        raise
    return 0


def _give(text: str, file: str, console: Console) -> None:
    if file:
        from virtkit.cli.vm.create import absolute
        from virtkit.core.system import System

        System().replace(absolute(file), text.encode())
    else:
        console.write(text)
