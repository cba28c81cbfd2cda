"""``virtkit vm pin``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtkit.cli import options
from virtkit.cli.vm import facts

if TYPE_CHECKING:
    import argparse

    from virtkit.cli.options import Arguments
    from virtkit.cli.show import Console
    from virtkit.vm.process import Thread


def build(parser: Arguments) -> None:
    facts.named(parser)
    parser.add_argument("vcpus", metavar="PINS", nargs="?", default="", help="auto, or vCPU=CPUs, as in 0=2,1=3")
    parser.add_argument("--emulator", metavar="CPUS", default="", help="CPUs for all other threads of QEMU, as in 0-1")
    options.change(parser)
    parser.set_defaults(run=_pin)


def _pin(args: argparse.Namespace, console: Console) -> int:
    from virtkit import vm
    from virtkit.cli.change import carry_out

    asked = bool(args.vcpus or args.emulator)
    status = 0
    if asked:
        status = carry_out(vm.pin(args.name, args.vcpus, emulator=args.emulator), args, console, ask=False)
    if args.plan or (asked and console.json) or not vm.show(args.name).summary.active:
        return status
    threads = vm.threads(args.name)
    if console.json:
        console.data([dict(thread._asdict()) for thread in threads])
    else:
        console.table(("THREAD", "ROLE", "NAME", "MAY RUN ON CPU"), [_thread(thread) for thread in threads])
    return status


def _thread(thread: Thread) -> tuple[str, str, str, str]:
    from virtkit.vm.cpus import format_cpus

    role = thread.role if thread.role == "emulator" else f"{thread.role} {thread.number}"
    return str(thread.tid), role, thread.name, format_cpus(thread.cpus)
