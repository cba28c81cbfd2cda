"""What this host's libvirt and QEMU offer to new machines: https://libvirt.org/formatdomaincaps.html."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from virtkit.core.errors import NotSupportedError
from virtkit.vm.xml import parse

if TYPE_CHECKING:
    from virtkit.vm.blueprint import Blueprint
    from virtkit.vm.connection import Connection
    from virtkit.vm.xml import Element


class Offer(NamedTuple):
    efi: bool
    secure: bool  # Secure Boot: a firmware that keeps its variables in system management mode
    tpm: bool  # emulated by swtpm


def read(libvirt: Connection, chipset: str, *, kvm: bool) -> Offer:
    kind = "kvm" if kvm else "qemu"
    found = parse(libvirt.host.ask(str, "getDomainCapabilities", None, "x86_64", chipset, kind))
    efi = "efi" in _values(found, "os/enum", "firmware")
    secure = "yes" in _values(found, "os/loader/enum", "secure")
    return Offer(efi, efi and secure, "emulator" in _values(found, "devices/tpm/enum", "backendModel"))


def require(plan: Blueprint, offer: Offer) -> None:
    """NotSupportedError for what this host would refuse when the machine is defined, or only when it starts."""
    if plan.firmware != "bios" and not offer.efi:
        _refuse(plan.name, "UEFI", "has no firmware for it", "apt install ovmf   (Fedora, RHEL: dnf install edk2-ovmf)")
    if plan.firmware == "secure" and not offer.secure:
        hint = "ls /usr/share/qemu/firmware   (one with secure-boot and enrolled-keys), or: --uefi"
        _refuse(plan.name, "Secure Boot", "has no firmware for it", hint)
    if plan.tpm and not offer.tpm:
        _refuse(plan.name, "a TPM", "has no swtpm", "apt install swtpm swtpm-tools   (dnf install swtpm-tools)")


def _refuse(name: str, what: str, why: str, hint: str) -> None:
    raise NotSupportedError(f"{name}: {what} is asked for, and this host {why}", hint=hint)


def _values(root: Element, path: str, name: str) -> set[str]:
    return {
        (value.text or "").strip()
        for each in root.findall(path)
        if each.get("name") == name
        for value in each.findall("value")
    }
