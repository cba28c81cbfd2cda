"""sVirt: which security drivers of libvirt guard a machine, and with which label: https://libvirt.org/drvqemu.html."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from virtkit.core.errors import VirtkitError
from virtkit.vm.xml import parse

if TYPE_CHECKING:
    from virtkit.vm.connection import Connection
    from virtkit.vm.domain import Domain
    from virtkit.vm.machine import Machine


class Label(NamedTuple):
    driver: str  # selinux, apparmor, dac: modes and owners; none
    label: str  # of the running QEMU; of one that is off only what was chosen for it
    enforced: bool | None  # SELinux, AppArmor: false where it only complains; None: off, or dac, which is the kernel's


def read(machine: Machine, libvirt: Connection) -> tuple[Label, ...]:
    """In the order of libvirt's drivers; nothing where libvirt has none (its test driver)."""
    host = parse(libvirt.host.ask(str, "getCapabilities"))
    models = [model.findtext("model") or "" for model in host.findall("host/secmodel")]
    if not models:
        return ()
    if not machine.active:
        chosen = _chosen(machine.next_start())
        return tuple(Label(model, chosen.get(model, ""), None) for model in models)
    try:
        told = machine.ask(list, "securityLabelList")
    except VirtkitError:  # it went off meanwhile
        return ()
    found = zip(models, told, strict=False)
    return tuple(
        Label(model, str(label), bool(enforced) if model in ("selinux", "apparmor") else None)
        for model, (label, enforced) in found
    )


def _chosen(domain: Domain) -> dict[str, str]:
    """By driver, where the definition has a label of its own, or none on purpose."""
    labels = domain.node.findall("seclabel")
    return {
        label.get("model", ""): "not confined" if label.get("type") == "none" else label.findtext("label") or ""
        for label in labels
    }
