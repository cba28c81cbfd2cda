"""A backup job: QEMU writes the disks as they are at one moment (push), or offers them on a socket (pull)."""

from __future__ import annotations

import json
import time
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from virtkit.core.errors import MachineError, VirtkitError
from virtkit.vm import library
from virtkit.vm.watched import PAUSE, Teller
from virtkit.vm.xml import element, text

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from virtkit.core.progress import Sink
    from virtkit.vm.machine import Machine
    from virtkit.vm.xml import Element

_COMPLETED = 1  # VIR_DOMAIN_JOB_STATS_COMPLETED
_FAILED, _CANCELLED = 4, 5  # virDomainJobType
_NO_CHECKPOINT, _NO_BACKUP, _INCONSISTENT = 103, 104, 109  # VIR_ERR_NO_DOMAIN_CHECKPOINT, ..., _CHECKPOINT_INCONSISTENT


CHANGED = "changed"  # in pull mode the bitmap that says what did, by this name


class Copy(NamedTuple):
    """One disk."""

    file: str  # that QEMU writes: the copy; in pull mode what the guest overwrites meanwhile
    since: str  # a checkpoint: only what changed since; empty: all of it


def request(copies: Mapping[str, Copy], others: Iterable[str], socket: str = "") -> str:
    """The XML of the job, by target; ``others`` stay out. ``socket``: pull mode, and the file where QEMU listens."""
    disks = [_disk(target, copy, pull=bool(socket)) for target, copy in copies.items()]
    disks += [element("disk", {"name": target, "backup": "no"}) for target in others]
    if not socket:
        return text(element("domainbackup", {"mode": "push"}, element("disks", {}, *disks)))
    server = element("server", {"transport": "unix", "socket": socket})
    return text(element("domainbackup", {"mode": "pull"}, server, element("disks", {}, *disks)))


def checkpoint(name: str, targets: Iterable[str], others: Iterable[str]) -> str:
    """The XML of the checkpoint that begins with the job: from it on QEMU notes what changes."""
    disks = [element("disk", {"name": target, "checkpoint": "bitmap"}) for target in targets]
    disks += [element("disk", {"name": target, "checkpoint": "no"}) for target in others]
    return text(element("domaincheckpoint", {}, element("name", text=name), element("disks", {}, *disks)))


def begin(machine: Machine, job: str, mark: str) -> None:
    """``mark``: the checkpoint's XML; empty: none."""
    machine.tell("backupBegin", job, mark or None, 0)


def lost_track(error: BaseException) -> bool:
    """Whether libvirt or QEMU does not know what changed: a checkpoint is gone, a bitmap is broken or missing."""
    return library.error_number(error.__cause__) in (_NO_CHECKPOINT, _INCONSISTENT)


def finish(machine: Machine, folder: str, step: str, report: Sink) -> None:
    """Until it is done and QEMU has closed what it wrote below ``folder``.

    MachineError if it failed; whatever ``report`` raises calls it off first.
    """
    teller = Teller(step, report)
    try:
        while _writes(machine):
            teller.look(machine)
            time.sleep(PAUSE)
    except BaseException:
        call_off(machine)
        raise
    ended = machine.ask(dict, "jobStats", _COMPLETED)
    if ended.get("type") in (_FAILED, _CANCELLED) or ended.get("success") is False:
        why = str(ended.get("errmsg") or "it was cancelled")
        hint = f"virsh domjobinfo {machine.name} --completed, and df"
        raise MachineError(f"{machine.name}: the backup failed: {why}", hint=hint)
    _await_closed(machine, folder)
    teller.end()


def call_off(machine: Machine, seconds: float = 20) -> None:
    """Until no backup job is left."""
    end = time.monotonic() + seconds
    while _writes(machine) and time.monotonic() < end:
        with suppress(VirtkitError):
            machine.tell("abortJob")
        time.sleep(PAUSE)


def running(machine: Machine, *marks: str) -> bool:
    """Whether there is a job whose files have one of ``marks`` in their paths."""
    wanted = _writes(machine)
    return any(mark in wanted for mark in marks)


def checkpoints(machine: Machine) -> Iterator[library.Handle]:
    for raw in machine.ask(list, "listAllCheckpoints", 0):
        yield library.Handle(raw, machine.name)


def has_checkpoint(machine: Machine, name: str) -> bool:
    return any(each.ask(str, "getName") == name for each in checkpoints(machine))


def forget(machine: Machine, names: Iterable[str]) -> None:
    """Delete checkpoints; where a bitmap is broken, libvirt's note of it alone."""
    wanted = frozenset(names)
    for each in checkpoints(machine):
        if each.ask(str, "getName") not in wanted:
            continue
        try:
            each.tell("delete", 0)
        except VirtkitError:
            each.tell("delete", 2)  # VIR_DOMAIN_CHECKPOINT_DELETE_METADATA_ONLY


def _await_closed(machine: Machine, folder: str, seconds: float = 20) -> None:
    """Libvirt says that it is done a moment before that."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        nodes = machine.monitor({"execute": "query-named-block-nodes", "arguments": {"flat": True}})
        if folder not in json.dumps(nodes):
            return
        time.sleep(PAUSE / 4)


def _writes(machine: Machine) -> str:
    """The XML of the backup job that it has; empty: none."""
    try:
        return machine.ask(str, "backupGetXMLDesc", 0)
    except VirtkitError as error:
        if machine.active and library.error_number(error.__cause__) != _NO_BACKUP:
            raise
        return ""


def _disk(target: str, copy: Copy, *, pull: bool) -> Element:
    mode = {"backupmode": "incremental", "incremental": copy.since} if copy.since else {"backupmode": "full"}
    export = {"exportname": target, "exportbitmap": CHANGED if copy.since else ""} if pull else {}
    return element(
        "disk",
        {"name": target, "backup": "yes", "type": "file", **mode, **export},
        element("driver", {"type": "qcow2"}),
        element("scratch" if pull else "target", {"file": copy.file}),
    )
