"""A new machine: what a person decides about it, and the XML that follows.

What nobody asked for is left to libvirt: it adds controllers and PCI addresses, and another host's libvirt may add
others. Everything given here is in libvirt's schema since 4.0 or longer.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from virtkit.core.errors import UsageError
from virtkit.core.units import KIB
from virtkit.vm import forwards
from virtkit.vm.devices import BRIDGE, NETWORK
from virtkit.vm.domain import AGENT
from virtkit.vm.xml import Element, element, text

if TYPE_CHECKING:
    from virtkit.vm.forwards import Forward

MADE_BY = "urn:virtkit:machine"  # namespace of the metadata that marks a machine as made by virtkit

Cache = Literal["", "none", "writeback", "writethrough", "directsync", "unsafe"]
Io = Literal["", "threads", "native", "io_uring"]
Bus = Literal["virtio", "sata", "ide"]
Firmware = Literal["bios", "efi", "secure"]
Boot = Literal["hd", "cdrom", "network"]

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+:@-]{0,63}")  # libvirt makes file names and a cgroup of it
_MAC = re.compile(r"[0-9a-f][02468ace](:[0-9a-f]{2}){5}", re.IGNORECASE)  # an even first byte: no multicast


@dataclass(frozen=True)
class Disk:
    path: str  # absolute
    format: str  # raw, qcow2: never guessed from the content, which the guest writes
    cache: Cache = ""  # empty: QEMU's default, writeback
    io: Io = ""
    bus: Bus = "virtio"
    cdrom: bool = False
    read_only: bool = False


@dataclass(frozen=True)
class Nic:
    """One of the first three."""

    bridge: str = ""  # a bridge of the host
    network: str = ""  # a network of libvirt's
    user: bool = False  # QEMU's own NAT, for machines of an ordinary user
    mac: str = ""  # empty: ``derived_mac`` of the machine's name
    model: str = "virtio"  # e1000e, rtl8139 ...: for guests without virtio
    forwards: tuple[Forward, ...] = ()  # of ``user``: ports of the host that lead to it


@dataclass(frozen=True)
class Blueprint:
    name: str
    memory: int  # bytes
    cpus: int
    disks: tuple[Disk, ...] = ()
    nics: tuple[Nic, ...] = ()
    kvm: bool = True  # False: emulation (TCG), several times slower
    uuid: str = ""  # empty: libvirt makes one
    title: str = ""
    serial_log: str = ""  # absolute; everything that the serial console says is kept there
    chipset: Literal["q35", "pc"] = "q35"  # pc: for guests without virtio 1.0 (Linux before 4.0 or RHEL before 7)
    kernel: str = ""  # absolute; boots this instead of the first disk
    initramfs: str = ""
    kernel_arguments: str = ""
    firmware: Firmware = "bios"  # secure: UEFI with Secure Boot, Microsoft's and the distributions' keys enrolled
    tpm: bool = False  # TPM 2.0, by swtpm
    boot: tuple[Boot, ...] = ("hd",)
    screen: bool = False  # VNC on a socket file, which is no TCP port


def machine_xml(plan: Blueprint) -> str:
    """UsageError for what libvirt or QEMU would refuse or, worse, accept."""
    check(plan)
    return text(
        element(
            "domain",
            {"type": "kvm" if plan.kvm else "qemu"},
            element("name", text=plan.name),
            *_one("uuid", plan.uuid),
            *_one("title", plan.title),
            element("metadata", {}, element("virtkit:machine", {"xmlns:virtkit": MADE_BY})),
            element("memory", {"unit": "KiB"}, text=str(plan.memory // KIB)),
            element("vcpu", text=str(plan.cpus)),
            _os(plan),
            _features(plan),
            _cpu(plan.kvm),
            _clock(),
            element("on_poweroff", text="destroy"),
            element("on_reboot", text="restart"),
            element("on_crash", text="destroy"),
            _devices(plan),
        )
    )


def derived_mac(name: str, index: int = 0) -> str:
    """An address in QEMU's range that a machine of this name always gets: leases and udev names stay."""
    digest = hashlib.sha256(f"{name}/{index}".encode()).digest()
    return "52:54:00:" + ":".join(f"{byte:02x}" for byte in digest[:3])


def check(plan: Blueprint) -> None:
    """UsageError names the first field that cannot be."""
    name = plan.name
    check_name(name)
    if plan.memory < KIB or plan.memory % KIB:
        raise UsageError(f"{name}: memory is {plan.memory} bytes, expected a multiple of 1024")
    if plan.cpus < 1:
        raise UsageError(f"{name}: cpus is {plan.cpus}, expected 1 or more")
    if plan.firmware != "bios" and plan.chipset != "q35":
        raise UsageError(f"{name}: firmware is {plan.firmware}, expected bios with chipset {plan.chipset}")
    for disk in plan.disks:
        _check_disk(name, disk)
    for nic in plan.nics:
        if (bool(nic.bridge), bool(nic.network), nic.user).count(True) != 1:
            raise UsageError(f"{name}: nic has {nic}, expected either a bridge or a network")
        if nic.mac and not _MAC.fullmatch(nic.mac):
            raise UsageError(f"{name}: mac is {nic.mac!r}, expected a unicast address as in 52:54:00:12:34:56")


def check_name(name: str) -> None:
    if not _NAME.fullmatch(name):
        raise UsageError(f"machine: name is {name!r}, expected 1 to 64 letters, digits and _ . + : @ -")


def _check_disk(name: str, disk: Disk) -> None:
    if not disk.path.startswith("/"):
        raise UsageError(f"{name}: disk is {disk.path!r}, expected an absolute path")
    if disk.io == "native" and disk.cache not in ("none", "directsync"):
        found = disk.cache or "not given"  # QEMU: aio=native was specified, but it requires cache.direct=on
        raise UsageError(f"{name}: cache of {disk.path} is {found}, expected none or directsync with io native")


def _os(plan: Blueprint) -> Element:
    boot = [] if plan.kernel else [element("boot", {"dev": device}) for device in plan.boot]
    return element(
        "os",
        {} if plan.firmware == "bios" else {"firmware": "efi"},
        element("type", {"arch": "x86_64", "machine": plan.chipset}, text="hvm"),
        *_firmware(plan.firmware),
        *_one("kernel", plan.kernel),
        *_one("initrd", plan.initramfs),
        *_one("cmdline", plan.kernel_arguments),
        *boot,
    )


def _firmware(chosen: Firmware) -> list[Element]:
    """What libvirt looks for among the host's firmware descriptions (/usr/share/qemu/firmware)."""
    if chosen == "bios":
        return []
    keys = ["secure-boot", "enrolled-keys"] if chosen == "secure" else ["secure-boot"]
    enabled = "yes" if chosen == "secure" else "no"
    return [element("firmware", {}, *(element("feature", {"enabled": enabled, "name": key}) for key in keys))]


def _features(plan: Blueprint) -> Element:
    """System management mode keeps Secure Boot's variables from the guest's kernel."""
    smm = [element("smm", {"state": "on"})] if plan.firmware == "secure" else []
    return element("features", {}, element("acpi"), element("apic"), *smm)


def _cpu(kvm: bool) -> Element:  # noqa: FBT001  the accelerator decides all of it
    """Under KVM the host's own CPU. Emulated, the plainest: each emulated feature costs (boot 4 s, not 7)."""
    if kvm:
        return element("cpu", {"mode": "host-passthrough", "check": "none"})
    model = element("model", {"fallback": "forbid"}, text="qemu64")
    return element("cpu", {"mode": "custom", "match": "exact", "check": "none"}, model)


def _clock() -> Element:
    """The timers of libvirt's and virt-manager's x86 guests: no lost-tick storms after a pause, no slow HPET."""
    return element(
        "clock",
        {"offset": "utc"},
        element("timer", {"name": "rtc", "tickpolicy": "catchup"}),
        element("timer", {"name": "pit", "tickpolicy": "delay"}),
        element("timer", {"name": "hpet", "present": "no"}),
    )


def _devices(plan: Blueprint) -> Element:
    log = [element("log", {"file": plan.serial_log, "append": "on"})] if plan.serial_log else []
    agent = element("target", {"type": "virtio", "name": AGENT})
    return element(
        "devices",
        {},
        *(disk_element(disk, target) for disk, target in zip(plan.disks, targets(plan.disks), strict=True)),
        *(_nic(nic, nic.mac or derived_mac(plan.name, index)) for index, nic in enumerate(plan.nics)),
        element("serial", {"type": "pty"}, *log, element("target", {"port": "0"})),
        element("console", {"type": "pty"}, element("target", {"type": "serial", "port": "0"})),
        element("channel", {"type": "unix"}, agent),
        *(screen() if plan.screen else []),
        *([_tpm()] if plan.tpm else []),
        element("rng", {"model": "virtio"}, element("backend", {"model": "random"}, text="/dev/urandom")),
        element("memballoon", {"model": "virtio"}, element("stats", {"period": "5"})),
    )


def targets(disks: tuple[Disk, ...]) -> list[str]:
    """vda, vdb, sda ...: in order, by bus."""
    taken: dict[str, int] = {}
    names = []
    for disk in disks:
        prefix = {"virtio": "vd", "sata": "sd", "ide": "hd"}[disk.bus]
        taken[prefix] = taken.get(prefix, -1) + 1
        names.append(prefix + _letters(taken[prefix]))
    return names


def _letters(index: int) -> str:
    """A, b ... z, aa, ab ...: as Linux names disks (drivers/scsi/sd.c, sd_format_disk_name)."""
    rest, last = divmod(index, 26)
    return (_letters(rest - 1) if rest else "") + chr(ord("a") + last)


def disk_element(disk: Disk, target: str) -> Element:
    block = disk.path.startswith("/dev/")
    driver = {"name": "qemu", "type": disk.format, "cache": disk.cache, "io": disk.io}
    locked = disk.read_only or disk.cdrom
    return element(
        "disk",
        {"type": "block" if block else "file", "device": "cdrom" if disk.cdrom else "disk"},
        element("driver", driver if locked else {**driver, "discard": "unmap"}),
        element("source", {"dev" if block else "file": disk.path}),
        element("target", {"dev": target, "bus": disk.bus}),
        *([element("readonly")] if locked else []),
    )


def _nic(nic: Nic, mac: str) -> Element:
    kind = "user" if nic.user else BRIDGE if nic.bridge else NETWORK
    source = [] if nic.user else [element("source", {kind: nic.bridge or nic.network})]
    return element(
        "interface",
        {"type": kind},
        element("mac", {"address": mac.lower()}),
        *source,
        element("model", {"type": nic.model}),
        *forwards.elements(nic.forwards),
    )


def screen() -> list[Element]:
    """Standard VGA is what every installer can draw on; the tablet keeps the pointer where the viewer's is."""
    return [
        element("graphics", {"type": "vnc"}, element("listen", {"type": "socket"})),
        element("video", {}, element("model", {"type": "vga"})),
        element("input", {"type": "tablet", "bus": "usb"}),
    ]


def _tpm() -> Element:
    return element("tpm", {"model": "tpm-crb"}, element("backend", {"type": "emulator", "version": "2.0"}))


def _one(tag: str, content: str) -> list[Element]:
    """The element, or none where there is nothing to put in."""
    return [element(tag, text=content)] if content else []
