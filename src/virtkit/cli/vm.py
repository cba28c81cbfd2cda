"""``virtkit vm``: list, show, start, stop, kill, console, ip, pin, attach."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from virtkit.cli import options

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

    from virtkit.cli.options import Arguments, Commands
    from virtkit.cli.show import Console
    from virtkit.core.plan import Json
    from virtkit.vm.addresses import Address
    from virtkit.vm.process import Thread
    from virtkit.vm.summary import Details, DiskLine, Summary

NAME = "name, UUID or, while it runs, number"
TYPES = {"kvm": ("KVM", "KVM"), "qemu": ("TCG", "TCG: emulated, several times slower than KVM")}  # short and long


def build(parser: Arguments) -> None:
    verbs = parser.add_subparsers(metavar="VERB", required=True, dest="verb")
    _verb(verbs, "list", run_list, "all machines, running or not", options.output)
    _named(
        _verb(
            verbs, "show", run_show, "one machine: state, CPUs, memory, disks, network cards, addresses", options.output
        )
    )
    _named(_verb(verbs, "ip", run_ip, "a running machine's addresses, and who says so", options.output))
    _named(_verb(verbs, "start", run_start, "start a machine", options.change))
    stop = _verb(
        verbs, "stop", run_stop, "ask the guest to shut down, by its agent or ACPI, and wait for it", options.change
    )
    _named(stop)
    stop.add_argument("--seconds", metavar="N", type=int, default=60, help="how long to wait (default: 60)")
    _named(
        _verb(verbs, "kill", run_kill, "pull a machine's plug; what the guest has not written is lost", options.change)
    )
    _build_pin(
        _verb(
            verbs, "pin", run_pin, "keep a machine's threads on given CPUs, or show where they may run", options.change
        )
    )
    _build_attach(
        _verb(verbs, "attach", run_attach, "move a machine's network card to a bridge, while it runs", options.change)
    )
    _build_console(
        _verb(verbs, "console", run_console, "talk to a machine's serial console; ^] leaves", options.output)
    )


def _verb(
    verbs: Commands,
    verb: str,
    run: Callable[[argparse.Namespace, Console], int],
    about: str,
    flags: Callable[[Arguments], None],
) -> Arguments:
    parser = verbs.add_parser(verb, help=about, description=about)
    flags(parser)
    parser.set_defaults(run=run)
    return parser


def _named(parser: Arguments) -> None:
    parser.add_argument("name", metavar="NAME", help=NAME)


def _build_pin(parser: Arguments) -> None:
    _named(parser)
    parser.add_argument("vcpus", metavar="PINS", nargs="?", default="", help="auto, or vCPU=CPUs, as in 0=2,1=3")
    parser.add_argument("--emulator", metavar="CPUS", default="", help="CPUs for all other threads of QEMU, as in 0-1")


def _build_attach(parser: Arguments) -> None:
    _named(parser)
    parser.add_argument("--bridge", metavar="BRIDGE", required=True, help="a bridge of this host")
    parser.add_argument("--nic", metavar="MAC", default="", help="which network card, if the machine has several")
    parser.add_argument("--verify", action="store_true", help="put all back unless the guest is reached there")
    parser.add_argument("--timeout", metavar="N", type=float, default=60, help="seconds that --verify waits (60)")
    parser.add_argument("--restart", action="store_true", help="shut down, move, start: not while it runs")


def _build_console(parser: Arguments) -> None:
    _named(parser)
    parser.add_argument("--seconds", metavar="N", type=float, help="leave after this time, without a terminal too")
    parser.add_argument("--force", action="store_true", help="throw out whoever has the console")


def run_list(args: argparse.Namespace, console: Console) -> int:
    from virtkit import vm

    machines = vm.list()
    if console.json:
        console.data([dict(machine._asdict()) for machine in machines])
    elif not machines:
        console.line("no machines yet")
    else:
        console.table(("ID", "NAME", "STATE", "TYPE", "VCPUS", "MEMORY", "AUTOSTART"), [_row(m) for m in machines])
    return 0


def run_show(args: argparse.Namespace, console: Console) -> int:
    from virtkit import vm

    details = vm.show(args.name)
    if console.json:
        console.data(_data(details))
    else:
        for label, text in _lines(details):
            console.line(f"{label + ':' if label else '':<15} {text}".rstrip())
    return 0


def run_ip(args: argparse.Namespace, console: Console) -> int:
    from virtkit import vm
    from virtkit.core.errors import NotFoundError

    found = vm.ip(args.name)
    if console.json:
        console.data([dict(address._asdict()) for address in found])
    elif not found:
        unknown = f"{args.name}: neither its agent nor libvirt's leases nor this host's neighbour table know an address"
        raise NotFoundError(unknown, hint=f"virtkit vm show {args.name}")
    else:
        for address in found:
            console.line(_address(address))
    return 0


def run_start(args: argparse.Namespace, console: Console) -> int:
    from virtkit import vm
    from virtkit.cli.change import carry_out

    return carry_out(vm.start(args.name), args, console, ask=False)


def run_stop(args: argparse.Namespace, console: Console) -> int:
    from virtkit import vm
    from virtkit.cli.change import carry_out

    return carry_out(vm.stop(args.name, seconds=args.seconds), args, console, ask=False)


def run_kill(args: argparse.Namespace, console: Console) -> int:
    from virtkit import vm
    from virtkit.cli.change import carry_out

    return carry_out(vm.kill(args.name), args, console)


def run_pin(args: argparse.Namespace, console: Console) -> int:
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


def run_attach(args: argparse.Namespace, console: Console) -> int:
    from virtkit import vm
    from virtkit.cli.change import carry_out

    chosen = {"mac": args.nic, "verify": args.verify, "restart": args.restart, "seconds": args.timeout}
    return carry_out(vm.attach(args.name, args.bridge, **chosen), args, console)


def run_console(args: argparse.Namespace, console: Console) -> int:
    from virtkit.vm.console import converse, raw_terminal

    keyboard = sys.stdin.fileno()
    if not os.isatty(keyboard):
        console.note(converse(args.name, _hear, keyboard=keyboard, seconds=args.seconds, force=args.force))
        return 0
    with raw_terminal(keyboard):  # before the greeting: what is typed after it must reach the guest
        console.note(f"{args.name}: serial console; ^] leaves; the Enter key wakes a quiet guest\r")
        ended = converse(args.name, _hear, keyboard=keyboard, seconds=args.seconds, force=args.force)
    console.note(f"\n{args.name}: {ended}")
    return 0


def _hear(heard: bytes) -> None:
    sys.stdout.buffer.write(heard)
    sys.stdout.buffer.flush()


def _row(machine: Summary) -> tuple[str, ...]:
    from virtkit.core.units import format_size

    return (
        "-" if machine.id is None else str(machine.id),
        machine.name,
        machine.state,
        TYPES.get(machine.type, (machine.type, ""))[0],
        str(machine.vcpus),
        format_size(machine.memory),
        "yes" if machine.autostart else "no",
    )


def _lines(details: Details) -> list[tuple[str, str]]:
    from virtkit.core.units import format_size

    machine = details.summary
    memory = f"{format_size(machine.memory)} ({machine.memory} bytes)"
    lines = [
        (machine.name, machine.state + (f", number {machine.id}" if machine.active else "")),
        ("title", details.title),
        ("UUID", machine.uuid),
        ("type", TYPES.get(machine.type, (machine.type, machine.type))[1]),
        ("CPU", details.cpu),
        ("chipset", details.chipset),
        *_cpu_lines(details),
        (
            "memory",
            memory if machine.memory == machine.memory_maximum else f"{memory}, at most {machine.memory_maximum}",
        ),
        *_headed("disks", [_disk(disk) for disk in details.disks]),
        *_headed("network cards", [line for nic in details.nics for line in _nic(details, nic.mac)]),
        ("guest agent", "connected" if details.agent else "not connected"),
        ("autostart", "yes" if machine.autostart else "no"),
        ("serial log", details.serial_log),
        ("console", f"virtkit vm console {machine.name}" if machine.active else ""),
    ]
    return [(label, text) for label, text in lines if text]


def _cpu_lines(details: Details) -> list[tuple[str, str]]:
    from virtkit.vm.cpus import format_cpus

    machine = details.summary
    limit = f" of {machine.vcpus_maximum}" if machine.vcpus != machine.vcpus_maximum else ""
    if details.threads:
        own = [thread for thread in details.threads if thread.role != "emulator"]
        places = [f"{t.role} {t.number} may run on CPU {format_cpus(t.cpus)} (thread {t.tid})" for t in own]
        places.append(_emulator(details.threads))
    else:
        places = [f"vcpu {vcpu}: CPU {format_cpus(cpus)}" for vcpu, cpus in details.vcpu_pins.items()]
        places.append(f"emulator: CPU {format_cpus(details.emulator_pin)}")
    return [("vCPUs", f"{machine.vcpus}{limit}"), *(("", place) for place in places)]


def _emulator(threads: tuple[Thread, ...]) -> str:
    from virtkit.vm.cpus import format_cpus

    places = {format_cpus(thread.cpus) for thread in threads if thread.role == "emulator"}
    return f"emulator may run on CPU {' and '.join(sorted(places))} ({len(threads)} threads in all)"


def _headed(label: str, texts: list[str]) -> list[tuple[str, str]]:
    return [(label if index == 0 else "", text) for index, text in enumerate(texts)]


def _disk(disk: DiskLine) -> str:
    cache = f"cache {disk.cache}{' (default)' if disk.cache_default else ''}"
    return f"{disk.target}: {disk.source or 'empty'}, {disk.format}, {disk.device} on {disk.bus}, {cache}, io {disk.io}"


def _nic(details: Details, mac: str) -> list[str]:
    nic = next(nic for nic in details.nics if nic.mac == mac)
    where = f"{nic.type} {nic.source}" + (f" (bridge {nic.bridge})" if nic.type == "network" and nic.bridge else "")
    tap = f", tap {nic.tap}" if nic.tap else ""
    mine = [f"  {_address(address)}" for address in details.addresses if address.mac == mac.lower()]
    return [f"{mac}: {where}, {nic.model}{tap}, link {nic.link}", *mine]


def _address(address: Address) -> str:
    said = {"agent": "the guest agent", "lease": "libvirt's DHCP lease", "arp": "this host's neighbour table"}
    prefix = f"/{address.prefix}" if address.source != "arp" else ""
    return f"{address.address}{prefix} (according to {said[address.source]})"


def _thread(thread: Thread) -> tuple[str, str, str, str]:
    from virtkit.vm.cpus import format_cpus

    role = thread.role if thread.role == "emulator" else f"{thread.role} {thread.number}"
    return str(thread.tid), role, thread.name, format_cpus(thread.cpus)


def _data(details: Details) -> dict[str, Json]:
    """The summary's keys and those of the rest, on one level."""
    rest = details._asdict()
    del rest["summary"]
    listed = ("threads", "disks", "nics", "addresses")
    rest |= {key: [dict(entry._asdict()) for entry in rest[key]] for key in listed}
    return {**details.summary._asdict(), **rest}
