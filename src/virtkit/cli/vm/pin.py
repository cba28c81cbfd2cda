"""``virtkit vm pin``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtkit.cli import options
from virtkit.cli.vm import facts
from virtkit.core.errors import UsageError

if TYPE_CHECKING:
    import argparse

    from virtkit.cli.options import Arguments
    from virtkit.cli.show import Console
    from virtkit.core.plan import Plan
    from virtkit.vm.process import Thread


def build(parser: Arguments) -> None:
    facts.named(parser)
    parser.add_argument("vcpus", metavar="PINS", nargs="?", default="", help="auto, none, or vCPU=CPUs, as in 0=2,1=3")
    parser.add_argument("--emulator", metavar="CPUS", default="", help="CPUs for all other threads of QEMU, as in 0-1")
    options.change(parser)
    parser.set_defaults(run=_pin)


def _pin(args: argparse.Namespace, console: Console) -> int:
    from virtkit import vm
    from virtkit.cli.change import carry_out

    asked = bool(args.vcpus or args.emulator)
    status = 0
    if asked:
        status = carry_out(_plan(args), args, console, ask=False)
    if args.plan or (asked and console.json) or not vm.show(args.name).summary.active:
        return status
    threads = vm.threads(args.name)
    if console.json:
        console.data([dict(thread._asdict()) for thread in threads])
    else:
        console.table(("THREAD", "ROLE", "NAME", "MAY RUN ON CPU"), [_thread(thread) for thread in threads])
    return status


def _plan(args: argparse.Namespace) -> Plan:
    """``none`` frees all threads; ``auto`` asks the planner, which knows the caches and the other machines."""
    from virtkit import vm

    if args.vcpus not in {"auto", "none"}:
        return vm.pin(args.name, args.vcpus, emulator=args.emulator)
    if args.vcpus == "auto":
        from virtkit.recipes.placement.auto import pin

        return pin(args.name, args.emulator)
    if args.emulator:
        raise UsageError("--emulator: with none no thread is pinned, expected one of both")
    return vm.unpin(args.name)


def _thread(thread: Thread) -> tuple[str, str, str, str]:
    from virtkit.vm.cpus import format_cpus

    role = thread.role if thread.role == "emulator" else f"{thread.role} {thread.number}"
    return str(thread.tid), role, thread.name, format_cpus(thread.cpus)
