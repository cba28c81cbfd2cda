"""Settings as people name them, written into a definition. Each raises UsageError for what cannot be."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from virtkit.core.errors import NotFoundError, UsageError
from virtkit.core.units import KIB, MIB, format_size
from virtkit.vm import blueprint, booting, forwards, nics
from virtkit.vm.devices import BRIDGE, NETWORK, USER
from virtkit.vm.xml import Text, element, remove

if TYPE_CHECKING:
    from virtkit.vm.devices import Disk, Nic
    from virtkit.vm.domain import Domain
    from virtkit.vm.forwards import Forward

CACHES = ("none", "writeback", "writethrough", "directsync", "unsafe", "default")
IOS = ("native", "threads", "io_uring", "default")
MODELS = ("virtio", "e1000e", "e1000", "rtl8139", "vmxnet3")
LIMITS = {  # options and libvirt's names: operations and bytes a second
    "iops": "total_iops_sec", "read_iops": "read_iops_sec", "write_iops": "write_iops_sec",
    "bps": "total_bytes_sec", "read_bps": "read_bytes_sec", "write_bps": "write_bytes_sec",
}  # fmt: skip


class DiskSettings(NamedTuple):
    """What is None stays as it is; the word default takes the attribute away."""

    cache: str | None = None
    io: str | None = None
    discard: str | None = None  # unmap or ignore
    detect_zeroes: str | None = None  # off, on or unmap
    iothread: int | None = None  # from 1; 0: none
    boot: int | None = None  # place in the order, from 1; 0: not booted from
    medium: str | None = None  # of a drive, absolute; empty: ejected
    limits: dict[str, int] | None = None  # by ``LIMITS``' options; 0: none


class NicSettings(NamedTuple):
    bridge: str | None = None
    network: str | None = None
    user: bool | None = None  # QEMU's own NAT
    forwards: tuple[Forward, ...] | None = None  # of that; empty: none
    link: str | None = None  # up or down
    model: str | None = None
    queues: int | None = None  # of virtio, with vhost; 0: one
    boot: int | None = None


def set_cpus(domain: Domain, count: int, most: int | None = None) -> None:
    """``most``: how many can be plugged in while it runs; where ``count`` is more, it grows with it."""
    most = most or max(count, domain.vcpus)
    if not 1 <= count <= most:
        raise UsageError(f"{domain.name}: cpu is {count}, expected 1 to {most}")
    domain.vcpus = most
    Text("vcpu@current").write(domain, str(count) if count < most else "")


def set_memory(domain: Domain, size: int, most: int | None = None) -> None:
    """``most``: what the balloon can give back while it runs; where ``size`` is more, it grows with it."""
    most = most or max(size, domain.memory)
    if not MIB <= size <= most or size % KIB:
        raise UsageError(f"{domain.name}: memory is {size} bytes, expected 1 MiB to {format_size(most)}, a whole KiB")
    if most != domain.memory:
        _grow(domain, most - domain.memory)
        domain.memory = most
    domain.balloon = size


def set_room(domain: Domain, room: int, slots: int) -> None:
    """Room for memory that is plugged in: up to ``room`` bytes in all, in ``slots`` modules (1 to 256)."""
    if room <= domain.memory or not 1 <= slots <= 256:  # noqa: PLR2004  QEMU's ACPI_MAX_RAM_SLOTS
        found = f"{format_size(room)} in {slots} slots"
        raise UsageError(f"{domain.name}: room is {found}, expected more than {format_size(domain.memory)} in 1 to 256")
    domain.room = room
    Text("maxMemory@slots").write(domain, str(slots))
    if domain.node.find("cpu/numa") is None:  # libvirt plugs memory into a NUMA node
        cell = {"id": "0", "cpus": f"0-{domain.vcpus - 1}", "memory": str(domain.memory // KIB), "unit": "KiB"}
        cpu = domain.node.find("cpu")
        if cpu is None:
            domain.node.append(cpu := element("cpu"))
        cpu.append(element("numa", {}, element("cell", cell)))


def add_ports(domain: Domain, count: int) -> None:
    """PCI Express ports, each for one device that is plugged in while it runs (q35)."""
    if "q35" not in domain.machine or not 1 <= count <= 16:  # noqa: PLR2004  more than anybody plugs
        raise UsageError(f"{domain.name}: ports is {count} on {domain.machine}, expected 1 to 16 on q35")
    controllers = domain.node.findall("devices/controller[@type='pci']")
    highest = max((int(node.get("index", "0")) for node in controllers), default=0)
    for index in range(highest + 1, highest + 1 + count):
        port = element("controller", {"type": "pci", "index": str(index), "model": "pcie-root-port"})
        domain.devices.append(port)


def set_disk(domain: Domain, target: str, wanted: DiskSettings) -> None:
    disk = _disk(domain, target)
    for field in ("cache", "io", "discard", "detect_zeroes"):
        if (value := getattr(wanted, field)) is not None:
            Text(f"driver@{field}").write(disk, "" if value == "default" else value)
    if disk.io == "native" and disk.cache not in ("none", "directsync"):
        found = disk.cache or "not given"  # QEMU: aio=native was specified, but it requires cache.direct=on
        raise UsageError(
            f"{domain.name}: cache of {target} is {found}, expected none or directsync with io native",
            hint=f"virtkit vm set {domain.name} disk {target} --cache none, or ... --io threads",
        )
    if wanted.iothread is not None:
        _set_iothread(domain, disk, wanted.iothread)
    if wanted.boot is not None:
        booting.set_order(domain, disk.node, wanted.boot)
    if wanted.medium is not None:
        _set_medium(domain, disk, wanted.medium)
    for option, limit in (wanted.limits or {}).items():
        Text(f"iotune/{LIMITS[option]}").write(disk, str(limit) if limit else "")
    if (tune := disk.node.find("iotune")) is not None and not len(tune):
        remove(disk.node, tune)


def set_nic(domain: Domain, mac: str, wanted: NicSettings) -> None:
    nic = _nic(domain, mac)
    if wanted.bridge or wanted.network or wanted.user:
        kind = BRIDGE if wanted.bridge else NETWORK if wanted.network else USER
        source = wanted.bridge or wanted.network or ""
        if nics.place(nic) != (kind, source):
            nic.connect(kind, source)
    if wanted.forwards is not None:
        _forward(domain, nic, wanted.forwards)
    if wanted.link is not None and wanted.link != (nic.link or "up"):
        nic.link = wanted.link
    if wanted.model is not None:
        nic.model = wanted.model
    if wanted.queues is not None:
        Text("driver@queues").write(nic, str(wanted.queues) if wanted.queues else "")
    if wanted.boot is not None:
        booting.set_order(domain, nic.node, wanted.boot)


def set_serial_log(domain: Domain, path: str) -> None:
    """What the first serial console says is kept in ``path``; empty: it is not kept. UsageError, NotFoundError."""
    if path and not path.startswith("/"):
        raise UsageError(f"{domain.name}: serial log is {path!r}, expected an absolute path")
    serial = next(iter(domain.serials), None)
    if serial is None:
        raise NotFoundError(f"{domain.name}: has no serial console", hint=f"virtkit vm edit {domain.name}")
    for holder in (serial, *(console for console in domain.consoles[:1] if console.log)):  # libvirt shows it in both
        for old in holder.node.findall("log"):
            remove(holder.node, old)
        if path:
            holder.node.insert(0, element("log", {"file": path, "append": "on"}))


def add_screen(domain: Domain) -> None:
    """A video card and VNC on a socket file, what there is not yet. UsageError where there is all of it."""
    if domain.has_screen and domain.graphics:
        raise UsageError(f"{domain.name}: has a screen already", hint=f"virtkit vm view {domain.name}")
    present = {node.tag for node in domain.devices if node.tag != "input"}
    domain.devices.extend(each for each in blueprint.screen() if each.tag not in present)


def _forward(domain: Domain, nic: Nic, wanted: tuple[Forward, ...]) -> None:
    if nic.type != USER:
        found = f"{domain.name}: network card {nic.mac} is of type {nic.type}"
        raise UsageError(f"{found}, expected user for forwarded ports", hint="--user-net, or none: it has an address")
    if forwards.of(nic) != list(wanted):
        forwards.put(nic, wanted)


def _grow(domain: Domain, more: int) -> None:
    """NUMA nodes hold all of the memory: the only one grows with it."""
    cells = domain.node.findall("cpu/numa/cell")
    if len(cells) > 1:
        raise UsageError(
            f"{domain.name}: memory is split over {len(cells)} NUMA nodes", hint=f"virtkit vm edit {domain.name}"
        )
    for cell in cells:
        kib = int(cell.get("memory", "0")) if cell.get("unit", "KiB") == "KiB" else 0
        cell.set("memory", str(kib + more // KIB))


def _set_iothread(domain: Domain, disk: Disk, number: int) -> None:
    Text("driver@iothread").write(disk, str(number) if number else "")
    if number:
        domain.iothreads = max(number, domain.iothreads)


def _set_medium(domain: Domain, disk: Disk, path: str) -> None:
    if disk.device not in ("cdrom", "floppy"):
        found = disk.device or "disk"
        raise UsageError(f"{domain.name}: {disk.target} is a {found}, expected a cdrom or floppy to change its medium")
    if path and not path.startswith("/"):
        raise UsageError(f"{domain.name}: medium is {path!r}, expected an absolute path")
    for old in disk.node.findall("source"):
        remove(disk.node, old)
    if path:
        disk.node.insert(1, element("source", {"file": path}))


def _disk(domain: Domain, target: str) -> Disk:
    found = next((disk for disk in domain.disks if disk.target == target), None)
    if found is None:
        known = ", ".join(disk.target for disk in domain.disks) or "none"
        raise NotFoundError(f"{domain.name}: has no disk {target}, expected one of: {known}")
    return found


def _nic(domain: Domain, mac: str) -> Nic:
    found = domain.nic(mac)
    if found is None:
        known = ", ".join(nic.mac for nic in domain.nics) or "none"
        raise NotFoundError(f"{domain.name}: has no network card {mac}, expected one of: {known}")
    return found
