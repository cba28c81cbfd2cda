"""VMware's .vmx: a line for each setting, ``scsi0:0.fileName = "disk.vmdk"``; the keys' case does not count.

VMware has no document for it; libvirt's src/vmx/vmx.c says what the keys mean, and its tests have examples.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from virtkit.core.errors import ImageError
from virtkit.core.units import MIB
from virtkit.recipes.appliance import model, ovf, reading
from virtkit.recipes.appliance.model import Appliance, Card, Disk

if TYPE_CHECKING:
    from typing import Literal

MOST_LINES = 20_000
_LINE = re.compile(r'\s*([A-Za-z0-9_.:-]+)\s*=\s*"?(.*?)"?\s*')
_ESCAPED = re.compile(r"\|([0-9A-Fa-f]{2})")
_DISK = re.compile(r"(scsi|sata|ide|nvme)(\d{1,3}):(\d{1,3})")
_CARD = re.compile(r"ethernet(\d{1,3})")
_NETWORKS = {"nat": "NAT", "bridged": "bridged", "hostonly": "host-only"}  # of VMware Workstation, which has no names
_LEFT_OUT = {"floppy0": "floppy drive", "sound": "sound card", "serial0": "serial port", "parallel0": "parallel port"}


def read(data: bytes, where: str) -> Appliance:
    """ImageError for what is no such file, or describes no machine."""
    said = _settings(reading.decoded(data, where), where)
    if "virtualhw.version" not in said and "config.version" not in said:
        raise ImageError(f"{where}: has no virtualHW.version, expected a .vmx of VMware")
    guest = said.get("guestos", "")
    return Appliance(
        name=said.get("displayname", ""),
        memory=reading.number(said.get("memsize", ""), model.MOST_MEMORY // MIB, where, "memsize") * MIB,
        cpus=reading.number(said.get("numvcpus", "1"), model.MOST_CPUS, where, "numvcpus"),
        disks=_disks(said, where),
        cards=_cards(said, where),
        firmware=_firmware(said),
        tpm=_true(said, "vtpm.present") or _true(said, "managedvm.autoaddvtpm"),
        os=guest,
        windows=ovf.is_windows(guest),
        left_out=tuple(name for key, name in _LEFT_OUT.items() if _true(said, f"{key}.present")),
    )


def _settings(text: str, where: str) -> dict[str, str]:
    lines = text.splitlines()
    if len(lines) > MOST_LINES:
        raise ImageError(f"{where}: has {len(lines)} lines, expected at most {MOST_LINES}")
    found: dict[str, str] = {}
    for line in lines:
        if (parts := _LINE.fullmatch(line)) and not line.lstrip().startswith("#"):
            found[parts[1].lower()] = _ESCAPED.sub(lambda code: chr(int(code[1], 16)), parts[2])
    return found


def _disks(said: dict[str, str], where: str) -> tuple[Disk, ...]:
    """SCSI, SATA, IDE, NVMe as a BIOS looks for what boots; empty drives and CD-ROMs are left away."""
    places = [
        (bus, int(controller), int(unit), said.get(f"{key}.filename", ""))
        for key in {key.rpartition(".")[0] for key in said}
        if (found := _DISK.fullmatch(key)) and _true(said, f"{key}.present") and _is_disk(said, key)
        for bus, controller, unit in (found.groups(),)
    ]
    order = ("scsi", "sata", "ide", "nvme")
    places.sort(key=lambda place: (order.index(place[0]), *place[1:]))
    if len(places) > model.MOST_DISKS:
        raise ImageError(f"{where}: has {len(places)} disks, expected at most {model.MOST_DISKS}")
    return tuple(Disk(reading.file_name(file, where), bus=bus) for bus, _, _, file in places)


def _is_disk(said: dict[str, str], key: str) -> bool:
    kind = said.get(f"{key}.devicetype", "disk").lower()
    return kind in {"disk", "scsi-harddisk", "ata-harddisk"} and bool(said.get(f"{key}.filename"))


def _cards(said: dict[str, str], where: str) -> tuple[Card, ...]:
    keys = sorted({found[0] for key in said if (found := _CARD.match(key))}, key=lambda key: int(key[8:]))
    cards = tuple(_card(said, key) for key in keys if _true(said, f"{key}.present"))
    if len(cards) > model.MOST_CARDS:
        raise ImageError(f"{where}: has {len(cards)} network cards, expected at most {model.MOST_CARDS}")
    return cards


def _card(said: dict[str, str], key: str) -> Card:
    kind = said.get(f"{key}.connectiontype", "bridged").lower()
    name = said.get(f"{key}.networkname") or said.get(f"{key}.vnet") or _NETWORKS.get(kind, kind)
    address = said.get(f"{key}.address") or said.get(f"{key}.generatedaddress", "")
    return Card(name, ovf.mac(address), said.get(f"{key}.virtualdev", ""))


def _firmware(said: dict[str, str]) -> Literal["bios", "efi", "secure"]:
    if said.get("firmware", "").lower() != "efi":
        return "bios"
    return "secure" if _true(said, "uefi.secureboot.enabled") else "efi"


def _true(said: dict[str, str], key: str) -> bool:
    return said.get(key, "").lower() == "true"
