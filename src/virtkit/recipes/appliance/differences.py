"""What will not be as it was over there: said before anything is made."""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtkit.core.units import GIB, format_size
from virtkit.recipes.appliance import manifest
from virtkit.recipes.appliance.fitting import PROGRAM

if TYPE_CHECKING:
    from collections.abc import Iterator

    from virtkit.recipes.appliance.model import Appliance
    from virtkit.recipes.appliance.package import Package

USUAL_MEMORY, USUAL_CPUS = 2 * GIB, 2  # where the description says nothing


def differences(package: Package, found: Appliance, *, virtio: bool, fitted: bool, proven: bool) -> list[str]:
    """A line for each, the gravest first."""
    return [
        *_drivers(found, virtio=virtio, fitted=fitted),
        *_firmware(found),
        *_proof(package, found, proven=proven),
        *_sizes(found),
        *_cards(found),
        *([f"its deployment option is {found.configuration}, the default"] if found.configuration else []),
        *([f"not carried over: {', '.join(found.left_out)}"] if found.left_out else []),
    ]


def _drivers(found: Appliance, *, virtio: bool, fitted: bool) -> Iterator[str]:
    if not found.disks:
        yield "has no disk: it will boot nothing"
    if found.windows and not virtio:
        yield "Windows: its disks are on SATA and its cards are e1000e; both are faster with the drivers of virtio-win"
    elif found.windows:
        yield "Windows on virtio boots only if the drivers of virtio-win are in it; else: --bus sata"
    elif fitted:
        yield f"{PROGRAM} fits the guest to its new devices (drivers, initramfs, boot loader): --drivers none does not"
    elif virtio:
        mend = "in the guest: dracut -f --add-drivers 'virtio_blk virtio_pci', or update-initramfs -u -k all"
        yield f"boots from virtio: if it does not find its disk, its initramfs has no driver: --bus sata, then {mend}"
        yield f"no driver is put into the guest: {PROGRAM} does that for Linux where it is installed (package virt-v2v)"


def _firmware(found: Appliance) -> Iterator[str]:
    if found.firmware != "bios":
        yield "UEFI: its boot entries are not in the package; the firmware looks for EFI/BOOT/BOOTX64.EFI"
    if found.tpm:
        yield "its TPM is new and empty: what the old one sealed (BitLocker, LUKS) asks for its recovery key"


def _proof(package: Package, found: Appliance, *, proven: bool) -> Iterator[str]:
    name = manifest.find(package)
    if proven:
        listed = {entry.file for entry in manifest.entries(package)}
        if missing := sorted({package.description, *(disk.file for disk in found.disks if disk.file)} - listed):
            yield f"the manifest does not speak of {', '.join(missing)[:200]}"
    elif package.description.lower().endswith(".ovf"):
        yield "the manifest is not looked at" if name else "has no manifest: nothing proves that it arrived whole"
    if any(each.endswith(".cert") for each in package.names if package.members):
        yield "its signature (.cert) is not checked: that needs the maker's certificate"


def _sizes(found: Appliance) -> Iterator[str]:
    if not found.memory:
        yield f"its memory is not said: {format_size(USUAL_MEMORY)}"
    if not found.cpus:
        yield f"its CPUs are not said: {USUAL_CPUS}"
    for disk in found.disks:
        if disk.packed:
            yield f"{disk.file} is unpacked first, into a file without a name beside the new disks"


def _cards(found: Appliance) -> Iterator[str]:
    if found.cards:
        yield "the guest calls its network cards otherwise here (enp1s0 ...): settings for ens192 or eth0 do not match"
