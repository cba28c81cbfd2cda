"""One machine as libvirt holds it: asks and tells, in our types. Found through ``connection.py``."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

from virtkit.core.errors import BusyError, MachineError
from virtkit.vm import library, schedule
from virtkit.vm.cpus import format_cpus
from virtkit.vm.domain import Domain
from virtkit.vm.xml import text

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from virtkit.core.plan import Json
    from virtkit.vm.cpus import Cpus
    from virtkit.vm.xml import Element

STATES = ("no state", "running", "idle", "paused", "in shutdown", "shut off", "crashed", "pmsuspended")  # virsh's words
_OPERATION_FAILED = 9  # VIR_ERR_OPERATION_FAILED: all that virDomainOpenConsole says when another session is open
POLL = 0.2  # seconds between two looks at a machine that is to change


class Machine(library.Handle):
    """Every method raises NotFoundError once somebody else has undefined the machine, MachineError as libvirt does."""

    def __init__(self, raw: object, uri: str) -> None:
        super().__init__(raw, uri)
        self.uri = uri
        self.name = self.subject = self.ask(str, "name")

    @property
    def uuid(self) -> str:
        return self.ask(str, "UUIDString")

    @property
    def id(self) -> int | None:
        """The number that libvirt gave it; None while it is off."""
        number = self.ask(int, "ID")
        return number if number >= 0 else None

    @property
    def state(self) -> str:
        number = int(self.ask(list, "state")[0])
        return STATES[number] if number < len(STATES) else f"state {number}"

    @property
    def active(self) -> bool:
        return bool(self.ask(int, "isActive"))

    @property
    def persistent(self) -> bool:
        """Whether it is still there when it is off."""
        return bool(self.ask(int, "isPersistent"))

    @property
    def autostart(self) -> bool:
        """Libvirt's own flag."""
        return bool(self.ask(int, "autostart"))

    @autostart.setter
    def autostart(self, wanted: bool) -> None:
        self.tell("setAutostart", int(wanted))

    @property
    def starts_with_host(self) -> bool:
        """By libvirt's own flag, or by an order of ours."""
        return self.persistent and (self.autostart or schedule.of(self.next_start()) is not None)

    @property
    def saved(self) -> bool:
        """Whether the next start resumes a saved memory image."""
        return bool(self.ask(int, "hasManagedSaveImage", 0))

    def now(self) -> Domain:
        """Its XML as it runs, or as it would start if it is off."""
        return Domain.parse(self.ask(str, "XMLDesc", 0))

    def next_start(self, *, secrets: bool = False) -> Domain:
        """Its XML for the next start; ``secrets``: with the passwords, to be handed to libvirt and nobody else."""
        flags = library.XML_INACTIVE | (library.XML_SECURE if secrets else 0)
        return Domain.parse(self.ask(str, "XMLDesc", flags))

    @property
    def holds_secrets(self) -> bool:
        """Whether its XML has passwords, which ``now`` and ``next_start`` leave out."""
        return self.next_start(secrets=True).digest != self.next_start().digest

    def start(self) -> None:
        self.tell("create")

    def press_power_button(self) -> None:
        self.tell("shutdownFlags", library.SHUTDOWN_ACPI)

    def destroy(self) -> None:
        """Pull the plug; data that the guest has not flushed is lost."""
        self.tell("destroy")

    def undefine(self, *, keep_nvram: bool) -> None:
        """``keep_nvram``: what its firmware wrote stays, the UEFI variables and the TPM's state."""
        if keep_nvram:
            self._undefine_keeping(library.UNDEFINE_KEEP_NVRAM)
        else:
            self.tell("undefineFlags", library.UNDEFINE_NVRAM)

    def forget(self) -> None:
        """As ``undefine``, with what libvirt notes of its snapshots and checkpoints; no file of its own goes."""
        self._undefine_keeping(library.UNDEFINE_KEEP_NVRAM | library.UNDEFINE_NOTES)

    def _undefine_keeping(self, flags: int) -> None:
        """Before 8.9 libvirt took the TPM's state along and knew no flag against it."""
        try:
            self.tell("undefineFlags", flags | library.UNDEFINE_KEEP_TPM)
        except MachineError as error:
            if library.error_number(error.__cause__) != library.INVALID_ARGUMENT:
                raise
            self.tell("undefineFlags", flags)

    def wait_until_off(self, seconds: float) -> bool:
        """Whether it was off within ``seconds``."""
        end = time.monotonic() + seconds
        while self.active:
            if time.monotonic() > end:
                return False
            time.sleep(POLL)
        return True

    def vcpu_pins(self, impact: int) -> list[Cpus]:
        """By vCPU the host CPUs where it may run; ``impact`` is library.LIVE or library.CONFIG."""
        return [_numbers(allowed) for allowed in self.ask(list, "vcpuPinInfo", impact)]

    def emulator_pin(self, impact: int) -> Cpus:
        return _numbers(self.ask(tuple, "emulatorPinInfo", impact))

    def iothread_pins(self, impact: int) -> dict[int, Cpus]:
        """By I/O thread's number."""
        return {int(number): _numbers(allowed) for number, allowed in self.ask(list, "ioThreadInfo", impact)}

    def pin_iothread(self, number: int, cpus: Cpus, impact: int) -> None:
        self.tell("pinIOThread", number, _map(cpus), impact)

    def set_memory_nodes(self, nodes: Cpus, mode: str) -> None:
        """For the next start. ``mode`` is strict or preferred (virDomainNumatuneMemMode)."""
        values = {"numa_nodeset": format_cpus(nodes), "numa_mode": ("strict", "preferred").index(mode)}
        self.tell("setNumaParameters", values, library.CONFIG)

    def pin_vcpu(self, vcpu: int, cpus: Cpus, impact: int) -> None:
        self.tell("pinVcpuFlags", vcpu, _map(cpus), impact)

    def pin_emulator(self, cpus: Cpus, impact: int) -> None:
        self.tell("pinEmulator", _map(cpus), impact)

    def update_device(self, device: Element, impact: int) -> None:
        """Change a device to ``device``, found by its MAC or target."""
        self.tell("updateDeviceFlags", text(device), impact)

    def attach_device(self, device: str) -> None:
        """Plug ``device`` (its XML) into the running machine."""
        self.tell("attachDeviceFlags", device, library.LIVE)

    def detach_device(self, device: str) -> None:
        """Ask the running guest to let go of a device; it may still be there when this returns."""
        self.tell("detachDeviceFlags", device, library.LIVE)

    def set_vcpus(self, count: int) -> None:
        """Of the running machine; beware of fewer under TCG (``knobs/vcpus``)."""
        self.tell("setVcpusFlags", count, library.LIVE)

    def set_balloon(self, kib: int) -> None:
        """What the running guest keeps, in KiB; it gives the rest when it can."""
        self.tell("setMemoryFlags", kib, library.LIVE)

    def balloon(self) -> int:
        """KiB that the running guest has, as QEMU says; libvirt's XML is off after a virtio-mem device was emptied."""
        return int(self.ask(dict, "memoryStats").get("actual", 0))

    def set_throttle(self, target: str, limits: dict[str, int]) -> None:
        """Of a disk of the running machine, by libvirt's names (``total_iops_sec`` ...); 0: no limit."""
        self.tell("setBlockIoTune", target, limits, library.LIVE)

    def set_text(self, kind: str, value: str) -> None:
        """``kind`` is title or description."""
        self.tell("setMetadata", library.METADATA[kind], value or None, None, None, library.LIVE)

    def set_metadata(self, namespace: str, prefix: str, xml: str) -> None:
        """A program's own element, in the definition and, while it runs, beside it; an empty one takes it away."""
        impact = library.CONFIG | (library.LIVE if self.active else 0)
        arguments = (xml, prefix, namespace) if xml else (None, None, namespace)
        self.tell("setMetadata", library.METADATA_ELEMENT, *arguments, impact)

    def agent(self, command: dict[str, Json], seconds: int) -> Json:
        """What the guest agent returns; MachineError if it does not answer within ``seconds``.

        libvirt's own calls to the agent (addresses, shutdown) wait for ever for one that hangs.
        """
        answer = library.libvirt_qemu().ask(str, "qemuAgentCommand", self.raw, json.dumps(command), seconds, 0)
        return _returned(answer, self.name)

    def monitor(self, command: dict[str, Json]) -> Json:
        """What QEMU's monitor returns (QMP)."""
        answer = library.libvirt_qemu().ask(str, "qemuMonitorCommand", self.raw, json.dumps(command), 0)
        return _returned(answer, self.name)

    def leases(self) -> list[tuple[str, str, int]]:
        """(MAC, address, prefix length) of what libvirt's own DHCP servers gave it."""
        links = self.ask(dict, "interfaceAddresses", library.ADDRESSES_LEASE, 0)
        return [
            (str(link["hwaddr"] or ""), str(entry["addr"]), int(entry["prefix"]))
            for link in links.values()
            for entry in link["addrs"] or []
        ]

    def open_console(self, stream: library.Handle, *, force: bool) -> None:
        """Connect ``stream`` to the first console; BusyError if somebody has it, unless ``force`` throws them out."""
        if not self.active:
            raise MachineError(f"{self.name}: is {self.state}, expected running", hint=f"virtkit vm start {self.name}")
        try:
            self.tell("openConsole", None, stream.raw, library.CONSOLE_FORCE if force else library.CONSOLE_SAFE)
        except MachineError as error:
            if library.error_number(error.__cause__) != _OPERATION_FAILED:
                raise
            hint = f"virtkit vm console {self.name} --force"
            raise BusyError(f"{self.name}: somebody else has its console", hint=hint) from error


def _returned(answer: str, name: str) -> Json:
    reply = json.loads(answer)
    if "error" in reply:
        raise MachineError(f"{name}: {reply['error'].get('desc', answer)}")
    value: Json = reply.get("return")
    return value


def _numbers(allowed: Sequence[bool]) -> Cpus:
    return tuple(index for index, yes in enumerate(allowed) if yes)


def _map(cpus: Iterable[int]) -> tuple[bool, ...]:
    chosen = frozenset(cpus)
    return tuple(index in chosen for index in range(max(chosen) + 1))
