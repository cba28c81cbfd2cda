"""Devices are plugged into a running machine, and out of it."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from virtkit.core.errors import VerifyError
from virtkit.core.progress import Note, silent
from virtkit.vm import library, sights
from virtkit.vm.access.explain import explained
from virtkit.vm.actions.action import MachineAction
from virtkit.vm.difference import devices
from virtkit.vm.machine import POLL
from virtkit.vm.xml import parse, remove, text

if TYPE_CHECKING:
    from virtkit.core.plan import Json
    from virtkit.core.progress import Sink
    from virtkit.core.system import System
    from virtkit.vm.machine import Machine
    from virtkit.vm.xml import Element

LET_GO_SECONDS = 20  # for the guest to let go of a device
SIGHT_SECONDS = 3  # for the guest to notice one


@dataclass(frozen=True)
class _Plugging(MachineAction):
    stands_alone: ClassVar[bool] = True

    device: str  # as in ``difference.devices``
    description: str  # its XML

    def capture(self, system: System) -> Json:
        """The device's XML, or an empty text; None while the machine is off: nothing to put back then."""
        with self._open() as libvirt:
            machine = libvirt.find(self.name)
            if machine is None or not machine.active:
                return None
            node = _node(machine, self.device)
            return "" if node is None else text(_lasting(node))

    def fingerprint(self, state: Json) -> Json:
        """Whether it is there: where it is plugged in is libvirt's business."""
        return None if state is None else bool(state)

    def undo(self, system: System, before: Json) -> None:
        with self._open() as libvirt:
            machine = libvirt.find(self.name)
            if machine is None or not machine.active or before is None:
                return
            there = _node(machine, self.device) is not None
            if before and not there:
                _put_in(machine, self.device, str(before))
            elif there and not before:
                _take_out(machine, self.device)
            _look(machine, self.device, silent)

    def _expect(self, *, there: bool) -> None:
        with self._open() as libvirt:
            found = _node(libvirt.named(self.name), self.device) is not None
        if found != there:
            words = ("not plugged in", "still plugged in: the guest does not let go of it")
            raise VerifyError(self.describe(), f"is {words[found]}")


@dataclass(frozen=True)
class Plug(_Plugging):
    kind: ClassVar[str] = "vm.plug"
    sign: ClassVar[str] = "+"

    def describe(self) -> str:
        return f"machine {self.name}: now: plug in {self.device}"

    def apply(self, system: System, report: Sink) -> None:
        with self._open() as libvirt:
            machine = libvirt.named(self.name)
            before = sights.seen(machine, self.device)
            with explained(machine):
                _put_in(machine, self.device, self.description)
            report(Note(self.describe(), _look(machine, self.device, report, before)))

    def verify(self, system: System) -> None:
        self._expect(there=True)
        with self._open() as libvirt:
            machine, end = libvirt.named(self.name), time.monotonic() + LET_GO_SECONDS
            while (missing := _missing(devices(machine.now().node)[self.device])) and time.monotonic() < end:
                time.sleep(POLL)
        if missing:
            raise VerifyError(
                self.describe(), f"the guest leaves {missing} KiB of it unused, expected a virtio-mem driver"
            )


@dataclass(frozen=True)
class Unplug(_Plugging):
    kind: ClassVar[str] = "vm.unplug"
    sign: ClassVar[str] = "-"

    def describe(self) -> str:
        return f"machine {self.name}: now: take out {self.device}"

    def apply(self, system: System, report: Sink) -> None:
        with self._open() as libvirt:
            machine = libvirt.named(self.name)
            before = sights.seen(machine, self.device)
            report(Note(self.describe(), "waiting for the guest to let go"))
            _take_out(machine, self.device)
            report(Note(self.describe(), _look(machine, self.device, report, before)))

    def verify(self, system: System) -> None:
        self._expect(there=False)


def _node(machine: Machine, device: str) -> Element | None:
    """The device of the running machine; a virtio-mem that gives nothing is none: QEMU 7.2 never lets go of it."""
    node = devices(machine.now().node).get(device)
    return None if node is not None and _gives(node) == 0 else node


def _gives(node: Element) -> int | None:
    """How much memory a virtio-mem device is to give, and gives; None for any other device."""
    asked, given = node.findtext("target/requested"), node.findtext("target/current")
    return None if asked is None else int(asked) + int(given or 0)


def _missing(node: Element) -> int:
    """KiB that a virtio-mem device is to give and the guest does not use."""
    asked, given = node.findtext("target/requested"), node.findtext("target/current")
    return int(asked or 0) - int(given or 0)


def _put_in(machine: Machine, device: str, description: str) -> None:
    if device in devices(machine.now().node):
        _request(machine, device, parse(description).findtext("target/requested") or "0")
    else:
        machine.attach_device(description)


def _take_out(machine: Machine, device: str) -> None:
    node = _node(machine, device)
    if node is None:
        return
    if _gives(node) is None:
        machine.detach_device(text(node))
    else:
        _request(machine, device, "0")
    end = time.monotonic() + LET_GO_SECONDS
    while _node(machine, device) is not None and time.monotonic() < end:
        time.sleep(POLL)


def _request(machine: Machine, device: str, kib: str) -> None:
    node = devices(machine.now().node)[device]
    if (requested := node.find("target/requested")) is not None:
        requested.text = kib
        requested.set("unit", "KiB")
        machine.update_device(node, library.LIVE)


def _look(machine: Machine, device: str, report: Sink, before: str = "") -> str:
    """What the guest sees, once that changed or it had its time."""
    end = time.monotonic() + SIGHT_SECONDS
    while (now := sights.seen(machine, device)) == before and now != sights.BLIND and time.monotonic() < end:
        time.sleep(POLL)
    return now


def _lasting(node: Element) -> Element:
    """Without what libvirt gives a device while it is plugged in; the address stays, so that it comes back to it."""
    for path in ("alias", "target", "source", "backingStore"):
        for found in node.findall(path):
            if path == "backingStore" or (path == "alias" and not found.get("name", "").startswith("ua-")):
                remove(node, found)
            elif path == "source":
                found.attrib.pop("index", None)
            elif path == "target" and node.tag == "interface":
                remove(node, found)
    return parse(text(node))
