"""``virtkit vm show``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtkit.cli import options
from virtkit.cli.vm import facts

if TYPE_CHECKING:
    import argparse

    from virtkit.cli.options import Arguments
    from virtkit.cli.show import Console
    from virtkit.core.plan import Json
    from virtkit.vm.labels import Label
    from virtkit.vm.process import Thread
    from virtkit.vm.summary import Details, DiskLine


def build(parser: Arguments) -> None:
    facts.named(parser)
    options.output(parser)
    parser.set_defaults(run=_show)


def _show(args: argparse.Namespace, console: Console) -> int:
    from virtkit import vm

    details = vm.show(args.name)
    if console.json:
        console.data(_data(details))
    else:
        for label, text in _lines(details):
            console.line(f"{label + ':' if label else '':<15} {text}".rstrip())
    return 0


def _lines(details: Details) -> list[tuple[str, str]]:
    from virtkit.core.units import format_size

    machine = details.summary
    memory = f"{format_size(machine.memory)} ({machine.memory} bytes)"
    lines = [
        (machine.name, machine.state + (f", number {machine.id}" if machine.active else "")),
        ("title", details.title),
        ("UUID", machine.uuid),
        ("type", facts.TYPES.get(machine.type, (machine.type, machine.type))[1]),
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
        *_headed("security", [_label(label) for label in details.labels if label.driver != "none"]),
        ("autostart", "yes" if machine.autostart else "no"),
        *_headed("next start", [f"{change}" for change in details.drift]),
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
        places.append(f"{details.pinned} of {len(details.threads)} threads pinned")
    else:
        places = [f"vcpu {vcpu}: CPU {format_cpus(cpus)}" for vcpu, cpus in details.vcpu_pins.items()]
        places.append(f"emulator: CPU {format_cpus(details.emulator_pin)}")
    return [("vCPUs", f"{machine.vcpus}{limit}"), *(("", place) for place in places)]


def _emulator(threads: tuple[Thread, ...]) -> str:
    from virtkit.vm.cpus import format_cpus

    places = {format_cpus(thread.cpus) for thread in threads if thread.role == "emulator"}
    return f"emulator may run on CPU {' and '.join(sorted(places))}"


def _headed(label: str, texts: list[str]) -> list[tuple[str, str]]:
    return [(label if index == 0 else "", text) for index, text in enumerate(texts)]


def _disk(disk: DiskLine) -> str:
    cache = f"cache {disk.cache}{' (default)' if disk.cache_default else ''}"
    return f"{disk.target}: {disk.source or 'empty'}, {disk.format}, {disk.device} on {disk.bus}, {cache}, io {disk.io}"


def _nic(details: Details, mac: str) -> list[str]:
    nic = next(nic for nic in details.nics if nic.mac == mac)
    where = "QEMU's own NAT" if nic.type == "user" else f"{nic.type} {nic.source}"
    where += f" (bridge {nic.bridge})" if nic.type == "network" and nic.bridge else ""
    where += "".join(f", {forward}" for forward in nic.forwards)
    tap = f", tap {nic.tap}" if nic.tap else ""
    mine = [f"  {facts.address(address)}" for address in details.addresses if address.mac == mac.lower()]
    return [f"{mac}: {where}, {nic.model}{tap}, link {nic.link}", *mine]


def _label(label: Label) -> str:
    """A machine that is off gets its label when it starts."""
    ways = {True: ", enforced", False: ", only complains", None: ""}
    return f"{label.driver}: {_owner(label.label) or label.label or 'given at its start'}{ways[label.enforced]}"


def _owner(label: str) -> str:
    """``+64055:+107`` of the driver dac -> ``libvirt-qemu:kvm (64055:107)``; empty for anything else."""
    import grp
    import pwd

    uid, _, gid = label.replace("+", "").partition(":")
    if not (uid.isdecimal() and gid.isdecimal()):
        return ""
    try:
        return f"{pwd.getpwuid(int(uid)).pw_name}:{grp.getgrgid(int(gid)).gr_name} ({uid}:{gid})"
    except KeyError:
        return ""


def _data(details: Details) -> dict[str, Json]:
    """The summary's keys and those of the rest, on one level."""
    rest = details._asdict()
    del rest["summary"]
    listed = ("threads", "disks", "nics", "addresses", "labels", "drift")
    rest |= {key: [dict(entry._asdict()) for entry in rest[key]] for key in listed}
    return {**details.summary._asdict(), **rest}
