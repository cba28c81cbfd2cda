"""What CPUs a machine sees, and where its threads may run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtkit.core.cpuset import format_list
from virtkit.host.advice.case import Profile
from virtkit.host.knob import Evidence
from virtkit.recipes.advice.wish import Wish
from virtkit.vm.xml import element

if TYPE_CHECKING:
    from collections.abc import Iterator

    from virtkit.recipes.advice.wish import Rule, View
    from virtkit.vm.domain import Domain

_MODEL = Evidence("libvirt, formatdomain: without <cpu> the guest gets the hypervisor's default model, qemu64 or kvm64")
_EMULATOR = Evidence("libvirt knowledge base, KVM real time guest configuration", "emulatorpin on the host's own CPUs")
_PINNED_ONLY = Evidence(
    "measured",
    "stolen time: unpinned 46.7, 50.4, 51.8 %, pinned 46.9, 54.2, 51.5 %",
    "a spinning thread for 3 s beside a load of 10 on 2 CPUs, 3 rounds, kernel 6.18",
)


def model(view: View) -> Iterator[Wish]:
    """AES, AVX and much else that the host has, the default model has not."""
    if view.domain.type == "kvm" and not (view.domain.cpu_mode or view.domain.cpu_model):
        yield Wish(
            "CPU",
            "QEMU's default",
            "host-model",
            "the guest sees a CPU of 2006 and does without AES, AVX and the guards that new microcode brings",
            (_MODEL,),
            _host_model,
            f"virtkit vm edit {view.guest.name}",
            cost="it can move only to hosts whose CPU has the same; some guests ask to be activated anew",
            by_hand="the guest notices another CPU",
        )


def _host_model(domain: Domain) -> None:
    found = domain.node.find("cpu")
    if found is None:
        domain.node.append(found := element("cpu"))
    found.set("mode", "host-model")


def pins(view: View) -> Iterator[Wish]:
    """Real time asks for it; by itself it gives nothing."""
    if view.suits(Profile.REALTIME) and not view.guest.pins:
        isolated = view.case.facts.command_line.isolated
        by_hand = "" if isolated else "pins without isolated CPUs promise nothing: isolate first (cpu.isolated)"
        yield Wish(
            "vCPUs",
            "on any CPU",
            "a core each",
            "a vCPU that moves finds cold caches, and one that shares its core waits",
            (_PINNED_ONLY,),
            None,
            f"virtkit host place {view.guest.name}=isolate",
            cost="the cores are this machine's, busy or not",
            by_hand=by_hand,
        )


def emulator(view: View) -> Iterator[Wish]:
    """QEMU's other threads float over the CPUs of all vCPUs unless somebody says where."""
    if not view.guest.pins or view.domain.emulator_pin or not view.suits(Profile.REALTIME, Profile.DATABASE):
        return
    rest = view.case.facts.topology.cpus - view.guest.pins
    if rest:
        where = format_list(rest)
        yield Wish(
            "emulator",
            "on any CPU",
            f"CPU {where}",
            "QEMU's own threads run on the CPUs that its vCPUs were given",
            (_EMULATOR,),
            None,
            f"virtkit vm pin {view.guest.name} --emulator {where}",
        )


RULES: tuple[Rule, ...] = (model, pins, emulator)
