"""What devices a machine sees: https://libvirt.org/formatdomain.html#devices."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from virtkit.host.advice.case import Profile
from virtkit.host.knob import Evidence
from virtkit.recipes.advice.wish import Wish
from virtkit.vm.edits import NicSettings, set_nic

if TYPE_CHECKING:
    from collections.abc import Iterator

    from virtkit.recipes.advice.wish import Rule, View

_QUEUES = 8  # more than flows need; each takes memory of vhost
_EMULATED = Evidence("Documentation/virt; QEMU's e1000 and rtl8139 trap each register access into QEMU")
_MULTIQUEUE = Evidence("OpenStack, virtio-net multiqueue: as many queues as vCPUs", "64 KiB of vhost memory per queue")
_DRIVER = "the guest needs the driver: Linux has it, Windows after virtio-win is installed"


def card(view: View) -> Iterator[Wish]:
    for nic in view.domain.nics:
        if nic.model and nic.model != "virtio" and view.guest.profile:
            yield Wish(
                f"card {nic.mac}",
                nic.model,
                "virtio",
                f"{nic.model} is a chip that QEMU imitates register by register; virtio hands over packets in batches",
                (_EMULATED,),
                partial(set_nic, mac=nic.mac, wanted=NicSettings(model="virtio")),
                f"virtkit vm set {view.guest.name} nic {nic.mac} --model virtio",
                by_hand=_DRIVER,
            )


def queues(view: View) -> Iterator[Wish]:
    """One queue is one vCPU's work and one vhost thread."""
    wanted = min(view.domain.vcpus, _QUEUES)
    for nic in view.domain.nics if view.suits(Profile.WEB, Profile.DATABASE) and wanted > 1 else ():
        driver = nic.node.find("driver")
        if nic.model == "virtio" and nic.type in {"bridge", "network"} and (driver is None or not driver.get("queues")):
            yield Wish(
                f"card {nic.mac}",
                "1 queue",
                f"{wanted} queues",
                "many connections share one queue, which one vCPU and one thread of the host serve",
                (_MULTIQUEUE,),
                partial(set_nic, mac=nic.mac, wanted=NicSettings(queues=wanted)),
                f"virtkit vm set {view.guest.name} nic {nic.mac} --queues {wanted}",
                cost="CPU time of the host; a single connection gains nothing",
            )


def bus(view: View) -> Iterator[Wish]:
    for disk in view.domain.disks:
        if (disk.device or "disk") == "disk" and disk.bus in {"ide", "sata"} and view.guest.profile:
            yield Wish(
                f"disk {disk.target}",
                disk.bus,
                "virtio",
                f"{disk.bus} has one queue, and QEMU imitates its controller register by register",
                (_EMULATED,),
                None,
                f"virtkit vm edit {view.guest.name}: <target dev='{disk.target}' bus='virtio'/>, without its <address>",
                by_hand=f"{_DRIVER}; its name becomes vda",
            )


RULES: tuple[Rule, ...] = (card, queues, bus)
