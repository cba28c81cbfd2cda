"""Virtual functions and drivers of PCI devices, as plans (Documentation/PCI/pci-iov-howto.rst)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtkit.core.errors import BusyError, NotSupportedError, UsageError
from virtkit.core.plan import Plan
from virtkit.host.actions import BindDriver, PersistKnobs, SetVirtualFunctions
from virtkit.host.kept import own_text, with_line
from virtkit.host.kernel import Kernel
from virtkit.host.passthrough import VFIO, find, require_free
from virtkit.host.pci import DEVICES, read_pci

if TYPE_CHECKING:
    from virtkit.core.plan import Action
    from virtkit.core.system import System
    from virtkit.host.pci import PciDevice

_FAMILY, _RULES = "sriov", "/etc/udev/rules.d/60-virtkit-sriov.rules"
_RULE = 'ACTION=="bind", SUBSYSTEM=="pci", KERNEL=="{address}", ATTR{{sriov_numvfs}}="{count}"'


def plan(system: System, device: str, count: int, *, persistent: bool) -> Plan:
    found = find(system, device)
    name = f"{found.address} ({found.names[0]})" if found.names else found.address
    if found.sriov is None:
        whose = f"is a virtual function of {found.physical_function}" if found.physical_function else "has no SR-IOV"
        raise NotSupportedError(f"{name}: {whose}, expected a device that can have virtual functions")
    if not 0 <= count <= found.sriov.total:
        raise UsageError(f"{name}: count is {count}, expected 0 to {found.sriov.total}")
    steps: list[Action] = []
    if found.sriov.number != count:
        _refuse_in_use(system, found)
        steps.append(SetVirtualFunctions(found.address, count))
    if persistent and (kept := _kept(system, found.address, count)):
        steps.append(kept)
    return Plan(
        f"{count} virtual functions of {name}", tuple(steps), tuple(_notes(found, count, persistent=persistent))
    )


def bind(system: System, device: str, driver: str) -> Plan:
    found = find(system, device) if not driver else require_free(system, device)
    title = f"driver of {found.address}: {driver or 'as the kernel chooses'}"
    override = Kernel(system).text(f"{DEVICES}/{found.address}/driver_override")
    if found.driver == driver or (not driver and override in {"", "(null)"} and found.driver):
        return Plan(title, ())
    notes = ["libvirt takes a managed device from its driver by itself when a machine starts, and gives it back after"]
    mates = [each.address for each in read_pci(Kernel(system)) if each.iommu_group == found.iommu_group is not None]
    if driver == VFIO and len(mates) > 1:
        notes.append(f"its IOMMU group {found.iommu_group} goes to one guest as a whole: {', '.join(mates)}")
    return Plan(title, (BindDriver(found.address, driver),), (*notes, "a restart of the host takes it away"))


def _refuse_in_use(system: System, device: PciDevice) -> None:
    """They all go before others come."""
    for each in read_pci(Kernel(system)):
        if each.physical_function == device.address and each.driver == VFIO:
            found = f"{device.address}: its virtual function {each.address} is held by {VFIO}, expected none in use"
            raise BusyError(found, hint=f"virtkit host pci bind {each.address}, once no machine has it")


def _kept(system: System, address: str, count: int) -> PersistKnobs | None:
    """None where our file says so already."""
    text, line = own_text(system, _RULES, _FAMILY), _RULE.format(address=address, count=count)
    number = next((at for at, said in enumerate(text.splitlines(), 1) if f'KERNEL=="{address}"' in said), None)
    new = with_line(text, number, line)
    if new == text and system.exists(_RULES):
        return None
    return PersistKnobs(
        _RULES,
        new,
        {f"virtual functions of {address}": str(count)},
        whole=False,  # udev alone knows it again
        was=text if system.exists(_RULES) else "",
    )


def _notes(device: PciDevice, count: int, *, persistent: bool) -> list[str]:
    notes = []
    if device.sriov and device.sriov.number and device.sriov.number != count:
        notes.append(f"its {device.sriov.number} virtual functions go first: whoever uses one loses it")
    if count and device.iommu_group is None:
        notes.append("no IOMMU translates for it: guests can have none of them before intel_iommu=on or amd_iommu=on")
    if not persistent:
        notes.append("a restart of the host takes it away: --persistent")
    return notes
