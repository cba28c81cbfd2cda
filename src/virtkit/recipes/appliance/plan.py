"""A machine of another hypervisor as a machine of this host, as one plan; and what of it will not be the same."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal
from uuid import uuid4

from virtkit import host
from virtkit.core.errors import UsageError
from virtkit.core.plan import Plan
from virtkit.recipes.appliance import fitting, manifest, reading
from virtkit.recipes.appliance.actions import CheckManifest
from virtkit.recipes.appliance.differences import USUAL_CPUS, USUAL_MEMORY, differences
from virtkit.recipes.appliance.disks import Disks
from virtkit.recipes.appliance.package import open_package
from virtkit.recipes.making import cards, places, variables
from virtkit.recipes.workload import disk_policy
from virtkit.vm import connection, offer
from virtkit.vm.access import explain
from virtkit.vm.actions import Define, Start
from virtkit.vm.blueprint import Blueprint, Disk, Nic, check, derived_mac, machine_xml
from virtkit.vm.domain import Domain

if TYPE_CHECKING:
    from collections.abc import Mapping

    from virtkit.core.plan import Action
    from virtkit.core.system import System
    from virtkit.recipes.appliance.model import Appliance, Card
    from virtkit.recipes.workload import Workload
    from virtkit.vm.blueprint import Bus


@dataclass(frozen=True)
class Ask:
    """What a person decides about it. Paths are absolute."""

    path: str
    name: str = ""  # empty: what the description calls it
    system: str = ""  # which machine of several in one OVF
    networks: Mapping[str, Nic | None] = field(default_factory=dict)  # theirs -> ours; None: no card
    everywhere: Nic | None = None  # for every network that is not in ``networks``
    directory: str = ""  # of the new disks; empty: libvirt's own for images
    format: Literal["qcow2", "raw"] = "qcow2"
    bus: Literal["", "virtio", "sata"] = ""  # empty: virtio, and SATA for Windows
    keep_macs: bool = False
    ignore_manifest: bool = False
    workload: Workload = "web"
    accelerator: Literal["auto", "kvm", "tcg"] = "auto"
    drivers: Literal["auto", "none"] = "auto"  # auto: put into a Linux guest on virtio, where that is possible
    start: bool = False


def networks(path: str, system: str = "") -> list[str]:
    """The networks that its cards are on, as they are called over there."""
    found = open_package(path).appliance(system)
    return list(dict.fromkeys(card.network for card in found.cards))


def plan_import(ask: Ask, system: System) -> Plan:
    """Everything is read and looked at; what is wrong with the package, or taken here, is refused now."""
    package = open_package(ask.path)
    found = package.appliance(ask.system)
    name = ask.name or reading.plain_name(found.name)
    with connection.open() as libvirt:
        places.require_local(libvirt)
        places.require_name(libvirt, name)
        blueprint = _machine(name, found, ask, system)
        check(blueprint)
        cards.require(name, blueprint.nics, libvirt, system)
        offer.require(blueprint, offer.read(libvirt, blueprint.chipset, kvm=blueprint.kvm))
        directory = ask.directory or str(places.directory(libvirt))
        steps = Disks(package, found, directory, name, ask.format).steps(libvirt, system)
        policy = disk_policy(ask.workload, Path(directory))
        disks = [Disk(step.target, ask.format, policy.cache, policy.io, _bus(found, ask)) for step in steps]
        xml = machine_xml(replace(blueprint, disks=tuple(disks)))
        left = variables.fresh(Domain.parse(xml), libvirt, system)
        if ask.start:
            explain.require(libvirt, Domain.parse(xml), system)
        barred = explain.notes(libvirt, explain.files(Domain.parse(xml)), system)
    proven = [CheckManifest(ask.path)] if manifest.find(package) and not ask.ignore_manifest else []
    virtio = _bus(found, ask) == "virtio"
    fitted = _fitted(name, xml, ask, system, kvm=blueprint.kvm) if virtio and fitting.is_linux(found) else []
    last = [Define(name, xml), *([Start(name)] if ask.start else [])]
    actions: tuple[Action, ...] = (*proven, *steps, *fitted, *left, *last)
    told = differences(package, found, virtio=virtio, fitted=bool(fitted), proven=bool(proven))
    return Plan(f"import machine {name}", actions, (*(f"{name}: {note}" for note in told), *barred))


def _machine(name: str, found: Appliance, ask: Ask, system: System) -> Blueprint:
    """All but its disks."""
    accelerator = host.kvm(system).accelerator if ask.accelerator == "auto" else ask.accelerator
    model = "virtio" if _bus(found, ask) == "virtio" else "e1000e"
    chosen = [(card, _place(name, card, ask)) for card in found.cards]
    return Blueprint(
        name,
        memory=found.memory or USUAL_MEMORY,
        cpus=found.cpus or USUAL_CPUS,
        nics=tuple(
            Nic(nic.bridge, nic.network, nic.user, _mac(name, index, card, ask), model)
            for index, (card, nic) in enumerate(chosen)
            if nic
        ),
        kvm=accelerator == "kvm",
        uuid=str(uuid4()),
        firmware=found.firmware,
        tpm=found.tpm,
        screen=True,
    )


def _fitted(name: str, xml: str, ask: Ask, system: System, *, kvm: bool) -> list[fitting.FitGuest]:
    program = fitting.installed(system)
    return [fitting.FitGuest(program, name, xml, kvm)] if program and ask.drivers == "auto" else []


def _mac(name: str, index: int, card: Card, ask: Ask) -> str:
    return card.mac if ask.keep_macs and card.mac else derived_mac(name, index)


def _place(name: str, card: Card, ask: Ask) -> Nic | None:
    if card.network in ask.networks:
        return ask.networks[card.network]
    if ask.everywhere is None:
        found = f"{name}: has a network card on {card.network!r} over there, and nobody said what that is here"
        raise UsageError(found, hint=f"--map {card.network!r}=bridge:br0, or --bridge br0 for all, or --no-network")
    return ask.everywhere


def _bus(found: Appliance, ask: Ask) -> Bus:
    return ask.bus or ("sata" if found.windows else "virtio")
