"""OVF descriptions 1.0 to 2.0: DMTF DSP0243; the resource types are CIM's (CIM_ResourceAllocationSettingData)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from virtkit.core.errors import ImageError, UsageError
from virtkit.recipes.appliance import model, reading
from virtkit.recipes.appliance.model import Appliance, Card, Disk

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Literal

    from virtkit.vm.xml import Element

CPU, MEMORY, ETHERNET, DISK = "3", "4", "10", "17"
_BUSES = {"5": "ide", "6": "scsi", "20": "sata"}
_UNHEARD = frozenset({"1", "24"})  # other and graphics: every machine has what these are
_NAMES = {
    "14": "floppy drive",
    "15": "CD drive",
    "16": "DVD drive",
    "21": "serial port",
    "22": "parallel port",
    "23": "USB controller",
    "35": "sound card",
}
_ITEMS = ("Item", "StorageItem", "EthernetPortItem")  # the last two since OVF 2.0
_WINDOWS = re.compile(r"windows|winnt|^win\d|microsoft", re.IGNORECASE)
_UNIT = re.compile(r"(?:bytes?)?\s*(?:\*\s*)?(?:(2|10)\^(\d{1,2})|(\d{1,15}))?", re.IGNORECASE)
_OLD_UNITS = {"kilobytes": 10, "kb": 10, "megabytes": 20, "mb": 20, "gigabytes": 30, "gb": 30}  # OVF 1.0


class _Item(NamedTuple):
    """One device of the virtual hardware."""

    kind: str
    instance: str
    parent: str
    address: str
    on_parent: str
    resource: str
    quantity: str
    units: str
    connection: str
    subtype: str
    name: str


def read(data: bytes, where: str, wanted: str = "") -> Appliance:
    """The machine that it describes, or ``wanted`` of several. ImageError, UsageError."""
    root = reading.root_of(data, where)
    if reading.local(root.tag) != "Envelope":
        raise ImageError(f"{where}: is {reading.local(root.tag)[:40]}, expected an OVF Envelope")
    system = _system(root, where, wanted)
    hardware = next(reading.below(system, "VirtualHardwareSection"), None)
    if hardware is None:
        raise ImageError(f"{where}: has no VirtualHardwareSection: it describes no hardware")
    configuration = _configuration(root)
    items = [_item(node) for node in _chosen(hardware, configuration)]
    described, windows = _operating_system(system)
    settings = {_key(node): reading.attribute(node, "value") for node in reading.below(hardware, "Config")}
    return Appliance(
        name=reading.text(system, "Name") or reading.attribute(system, "id"),
        memory=_memory(items, where),
        cpus=sum(reading.number(each.quantity, model.MOST_CPUS, where, "CPUs") for each in items if each.kind == CPU),
        disks=_disks(root, items, where),
        cards=_cards(items, where),
        firmware=_firmware(system, settings),
        tpm=any("tpm" in each.subtype.lower() for each in items),
        os=described,
        windows=windows,
        configuration=configuration,
        left_out=_left_out(items),
    )


def _system(root: Element, where: str, wanted: str) -> Element:
    found = [*reading.below(root, "VirtualSystem"), *reading.below(root, "VirtualSystemCollection", "VirtualSystem")]
    if wanted:
        found = [node for node in found if reading.attribute(node, "id") == wanted]
    names = ", ".join(reading.attribute(node, "id") for node in found)
    if not found:
        raise ImageError(f"{where}: describes no machine{f' {wanted}' if wanted else ''}")
    if len(found) > 1:
        raise UsageError(f"{where}: describes {len(found)} machines ({names[:200]})", hint="--system ID, one at a time")
    return found[0]


def _configuration(root: Element) -> str:
    """The deployment option that is the default, DSP0243 9.8; the first where none says that it is."""
    options = list(reading.below(root, "DeploymentOptionSection", "Configuration"))
    usual = [node for node in options if reading.attribute(node, "default") in {"true", "1"}]
    return next((reading.attribute(node, "id") for node in usual + options), "")


def _chosen(hardware: Element, configuration: str) -> Iterator[Element]:
    """The devices of that option: one that is for it replaces the one with the same number that is for all."""
    nodes = [node for tag in _ITEMS for node in reading.below(hardware, tag)]
    meant = [node for node in nodes if configuration in reading.attribute(node, "configuration").split()]
    replaced = {_number(node) for node in meant}
    for node in nodes:
        for_all = not reading.attribute(node, "configuration") and _number(node) not in replaced
        if for_all or node in meant:
            yield node


def _number(node: Element) -> str:
    return reading.text(node, "InstanceID") or reading.text(node, "InstanceId")


def _item(node: Element) -> _Item:
    def said(*names: str) -> str:
        return next((text for name in names if (text := reading.text(node, name))), "")

    return _Item(
        kind=said("ResourceType"),
        instance=said("InstanceID", "InstanceId"),
        parent=said("Parent"),
        address=said("Address"),
        on_parent=said("AddressOnParent"),
        resource=said("HostResource"),
        quantity=said("VirtualQuantity"),
        units=said("AllocationUnits"),
        connection=said("Connection"),
        subtype=said("ResourceSubType"),
        name=said("ElementName", "Caption", "Description"),
    )


def _memory(items: list[_Item], where: str) -> int:
    total = 0
    for item in items:
        if item.kind == MEMORY:
            amount = reading.number(item.quantity, model.MOST_MEMORY, where, "memory")
            total += amount * units(item.units or "MB", where)
    if total > model.MOST_MEMORY:
        raise ImageError(f"{where}: memory is {total} bytes, expected at most {model.MOST_MEMORY}")
    return total


def units(said: str, where: str) -> int:
    """Bytes of an allocation unit: ``byte * 2^20``, ``MegaBytes``, 512; DSP0004 annex C."""
    text = said.strip().lower()
    if text in _OLD_UNITS:
        return 1 << _OLD_UNITS[text]
    found = _UNIT.fullmatch(text)
    if not found:
        raise ImageError(f"{where}: unit is {said[:40]!r}, expected byte * 2^N")
    base, power, count = found.groups()
    if base:
        size: int = int(base) ** min(int(power), 62)
        return size
    return int(count) if count else 1


def _disks(root: Element, items: list[_Item], where: str) -> tuple[Disk, ...]:
    """In the order of their controllers and of their places there: the first is what the machine boots from."""
    known = {reading.attribute(node, "diskId"): node for node in reading.below(root, "DiskSection", "Disk")}
    files = {reading.attribute(node, "id"): node for node in reading.below(root, "References", "File")}
    buses = {item.instance: (_BUSES.get(item.kind, ""), index) for index, item in enumerate(items)}
    found: dict[str, tuple[tuple[int, int], Disk]] = {}  # by what is in the drive: some tools say it twice
    for item in items:
        if item.kind != DISK:
            continue
        bus, place = buses.get(item.parent, ("", 0))
        disk = _disk(item, known, files, where)._replace(bus=bus)
        on_parent = reading.number(item.on_parent, 1 << 16, where, "AddressOnParent")
        found.setdefault(item.resource, ((place, on_parent), disk))
    if len(found) > model.MOST_DISKS:
        raise ImageError(f"{where}: has {len(found)} disks, expected at most {model.MOST_DISKS}")
    return tuple(disk for _, disk in sorted(found.values(), key=lambda each: each[0]))


def _disk(item: _Item, known: dict[str, Element], files: dict[str, Element], where: str) -> Disk:
    """A drive stands for a disk, which is in a file; or for a file at once."""
    kind, _, name = item.resource.removeprefix("ovf:").strip("/").partition("/")
    node = known.get(name) if kind == "disk" else None
    file = files.get(reading.attribute(node, "fileRef") if node is not None else name if kind == "file" else "")
    if node is not None and reading.attribute(node, "parentRef"):
        raise ImageError(f"{where}: disk {name} stands on another one of the package, expected one that stands alone")
    if file is None and node is not None and not reading.attribute(node, "fileRef"):
        return Disk("", _capacity(node, where))
    if file is None:
        raise ImageError(
            f"{where}: drive {item.name or item.instance} is {item.resource[:80]!r}, which it does not have"
        )
    compression = reading.attribute(file, "compression")
    if compression not in {"", "identity", "gzip"}:
        raise ImageError(f"{where}: compression is {compression[:40]!r}, expected gzip or none")
    if reading.attribute(file, "chunkSize"):
        raise ImageError(f"{where}: {reading.attribute(file, 'href')[:80]} is in chunks, expected a file in one piece")
    size = _capacity(node, where) if node is not None else 0
    return Disk(reading.file_name(reading.attribute(file, "href"), where), size, compression == "gzip")


def _capacity(node: Element, where: str) -> int:
    amount = reading.number(reading.attribute(node, "capacity"), model.MOST_SIZE, where, "capacity")
    size = amount * units(reading.attribute(node, "capacityAllocationUnits") or "byte", where)
    if size > model.MOST_SIZE:
        raise ImageError(f"{where}: capacity is {size} bytes, expected at most {model.MOST_SIZE}")
    return size


def _cards(items: list[_Item], where: str) -> tuple[Card, ...]:
    found = [
        Card(each.connection, mac(each.address), each.subtype.partition(",")[0])
        for each in items
        if each.kind == ETHERNET
    ]
    if len(found) > model.MOST_CARDS:
        raise ImageError(f"{where}: has {len(found)} network cards, expected at most {model.MOST_CARDS}")
    return tuple(found)


def mac(said: str) -> str:
    """``080027AABBCC`` and ``08-00-27-aa-bb-cc`` as 08:00:27:aa:bb:cc; empty for what is no unicast address."""
    digits = re.sub(r"[:.-]", "", said.lower())
    if not re.fullmatch(r"[0-9a-f][02468ace][0-9a-f]{10}", digits):
        return ""
    return ":".join(digits[at : at + 2] for at in range(0, 12, 2))


def _operating_system(system: Element) -> tuple[str, bool]:
    for node in reading.below(system, "OperatingSystemSection"):
        said = reading.text(node, "Description") or reading.attribute(node, "osType")
        own = reading.text(node, "OSType")
        return said or own, any(_WINDOWS.search(each) for each in (said, own, reading.attribute(node, "osType")))
    return "", False


def is_windows(said: str) -> bool:
    return bool(_WINDOWS.search(said))


def _key(node: Element) -> str:
    return reading.attribute(node, "key")


def _firmware(system: Element, settings: dict[str, str]) -> Literal["bios", "efi", "secure"]:
    """VMware's and VirtualBox's own words: OVF has none."""
    boxes = [reading.attribute(node, "type") for node in reading.below(system, "Machine", "Hardware", "Firmware")]
    if settings.get("firmware", "").lower() == "efi":
        secure = settings.get("bootOptions.efiSecureBootEnabled") or settings.get("uefi.secureBoot.enabled", "")
        return "secure" if secure.lower() == "true" else "efi"
    return "efi" if any(each.upper().startswith("EFI") for each in boxes) else "bios"


def _left_out(items: list[_Item]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(_unknown(items)))


def _unknown(items: list[_Item]) -> Iterator[str]:
    carried = {CPU, MEMORY, ETHERNET, DISK, *_BUSES, *_UNHEARD}
    for item in items:
        if item.kind not in carried:
            yield _NAMES.get(item.kind, f"{item.name[:60] or 'device'} (resource type {item.kind[:8]})")
