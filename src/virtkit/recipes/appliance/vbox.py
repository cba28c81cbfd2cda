"""VirtualBox's .vbox: its own XML, src/VBox/Main/xml/VirtualBox-settings.xsd."""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtkit.core.errors import ImageError, NotSupportedError
from virtkit.core.units import MIB
from virtkit.recipes.appliance import model, ovf, reading
from virtkit.recipes.appliance.model import Appliance, Card, Disk

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Literal

    from virtkit.vm.xml import Element

_BUSES = {"AHCI": "sata", "PIIX3": "ide", "PIIX4": "ide", "ICH6": "ide", "NVMe": "nvme"}  # the others are SCSI
_CONNECTIONS = ("BridgedInterface", "NAT", "NATNetwork", "HostOnlyInterface", "InternalNetwork")
_MOST_DEPTH = 64  # differencing images, one on another


def read(data: bytes, where: str) -> Appliance:
    """The machine as it is now, not as its snapshots keep it. ImageError, NotSupportedError."""
    root = reading.root_of(data, where)
    machine = next(reading.below(root, "Machine"), None)
    hardware = next(reading.below(machine, "Hardware"), None) if machine is not None else None
    if reading.local(root.tag) != "VirtualBox" or machine is None or hardware is None:
        raise ImageError(f"{where}: is {reading.local(root.tag)[:40]}, expected the machine of a .vbox file")
    if any(reading.below(root, "MachineEncrypted")):
        raise NotSupportedError(f"{where}: is encrypted", hint="VBoxManage encryptvm NAME setencryption --old-password")
    kind = reading.attribute(machine, "OSType")
    return Appliance(
        name=reading.attribute(machine, "name"),
        memory=_number(hardware, "Memory", "RAMSize", model.MOST_MEMORY // MIB, where) * MIB,
        cpus=_number(hardware, "CPU", "count", model.MOST_CPUS, where) or 1,
        disks=_disks(machine, hardware, where),
        cards=_cards(hardware, where),
        firmware=_firmware(hardware),
        tpm=_said(hardware, "TrustedPlatformModule", "type").lower() not in {"", "none"},
        os=kind,
        windows=ovf.is_windows(kind),
        left_out=tuple(_left_out(hardware)),
    )


def _said(node: Element, tag: str, name: str) -> str:
    return next((reading.attribute(found, name) for found in reading.below(node, tag)), "")


def _number(node: Element, tag: str, name: str, most: int, where: str) -> int:
    return reading.number(_said(node, tag, name), most, where, f"{tag} {name}")


def _disks(machine: Element, hardware: Element, where: str) -> tuple[Disk, ...]:
    files = {}
    for registry in reading.below(machine, "MediaRegistry", "HardDisks"):
        files.update(_media(registry, where))
    places = [*reading.below(machine, "StorageControllers"), *reading.below(hardware, "StorageControllers")]
    found: list[Disk] = []
    for controller in (each for place in places for each in reading.below(place, "StorageController")):
        bus = _BUSES.get(reading.attribute(controller, "type"), "scsi")
        for device in reading.below(controller, "AttachedDevice"):
            image = _said(device, "Image", "uuid")
            if reading.attribute(device, "type") == "HardDisk" and image:
                if image not in files:
                    raise ImageError(f"{where}: disk {image[:40]} is attached, and not in its MediaRegistry")
                found.append(Disk(reading.file_name(files[image], where), bus=bus))
    if len(found) > model.MOST_DISKS:
        raise ImageError(f"{where}: has {len(found)} disks, expected at most {model.MOST_DISKS}")
    return tuple(found)


def _media(registry: Element, where: str) -> dict[str, str]:
    """UUID -> file. A differencing image stands within the one that it is based on."""
    files: dict[str, str] = {}
    level = list(reading.below(registry, "HardDisk"))
    for _ in range(_MOST_DEPTH):
        files.update({reading.attribute(node, "uuid"): reading.attribute(node, "location") for node in level})
        level = [below for node in level for below in reading.below(node, "HardDisk")]
        if not level:
            return files
    raise ImageError(f"{where}: its disks stand on each other more than {_MOST_DEPTH} deep")


def _cards(hardware: Element, where: str) -> tuple[Card, ...]:
    plugged = [
        node for node in reading.below(hardware, "Network", "Adapter") if reading.attribute(node, "enabled") == "true"
    ]
    if len(plugged) > model.MOST_CARDS:
        raise ImageError(f"{where}: has {len(plugged)} network cards, expected at most {model.MOST_CARDS}")
    return tuple(
        Card(_network(node), ovf.mac(reading.attribute(node, "MACAddress")), reading.attribute(node, "type"))
        for node in plugged
    )


def _network(adapter: Element) -> str:
    """What it is plugged into: ``bridged eth0``, ``NAT``."""
    for kind in _CONNECTIONS:
        for node in reading.below(adapter, kind):
            word = {"BridgedInterface": "bridged", "HostOnlyInterface": "host-only"}.get(kind, kind)
            return f"{word} {reading.attribute(node, 'name')}".strip()
    return ""


def _firmware(hardware: Element) -> Literal["bios", "efi", "secure"]:
    kinds = (_said(hardware, "Firmware", "type"), _said(hardware, "BIOS", "type"))
    if not any(kind.upper().startswith("EFI") for kind in kinds):
        return "bios"
    secure = [node for node in hardware.iter() if reading.local(str(node.tag)) == "SecureBoot"]
    return "secure" if any(reading.attribute(node, "enabled") == "true" for node in secure) else "efi"


def _left_out(hardware: Element) -> Iterator[str]:
    if any(True for _ in reading.below(hardware, "SharedFolders", "SharedFolder")):
        yield "shared folders"
    if _said(hardware, "AudioAdapter", "enabled") == "true":
        yield "sound card"
    if any(reading.attribute(node, "enabled") == "true" for node in reading.below(hardware, "UART", "Port")):
        yield "serial ports"
