"""Programs that tune by themselves, against what is advised here: two hands on one knob."""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtkit.core.cpuset import format_list
from virtkit.host.advice.case import Profile
from virtkit.host.advice.finding import Weighed
from virtkit.host.knob import Evidence

if TYPE_CHECKING:
    from collections.abc import Iterator

    from virtkit.host.advice.case import Case
    from virtkit.host.advice.finding import Finding, Rule

_BLIND = Evidence(
    "measured",
    "its search, pgrep -f '^qemu-system.*-enable-kvm', finds 0 machines where libvirt runs 1",
    "ksmtuned 4.20150326, Debian 12",
)
_NUMAD = Evidence("Debian, NEWS of numad", "starting or stopping it while a large machine runs may be dangerous")


def ksmtuned(case: Case) -> Iterator[Finding]:
    if _runs(case, "ksmtuned"):
        better = "the kernel's own advisor (ksm.advisor_mode) does it better" if case.at("ksm.advisor_mode") else ""
        settled = "it does not see libvirt's machines and sets ksm.run by what it does not see"
        yield Weighed(
            "ksmtuned against KSM as it is set here",
            f"{settled}; {better or 'set KSM by hand'}: systemctl disable --now ksmtuned",
            (_BLIND,),
        )


def irqbalance(case: Case) -> Iterator[Finding]:
    """It spreads interrupts over all CPUs, those of real-time machines, too."""
    isolated = case.facts.command_line.isolated
    if _runs(case, "irqbalance") and case.suits(Profile.REALTIME) and isolated:
        cpus = format_list(isolated)
        settled = f"tell it to keep off: IRQBALANCE_BANNED_CPULIST={cpus} in /etc/default/irqbalance, and restart it"
        yield Weighed("irqbalance against isolated CPUs", settled)


def numad(case: Case) -> Iterator[Finding]:
    if _runs(case, "numad") and case.bound:
        names = ", ".join(guest.name for guest in case.bound)
        settled = f"it moves processes between nodes, and {names} are bound to CPUs: keep one of the two"
        yield Weighed("numad against pins", f"{settled}; stop numad only while these machines are off", (_NUMAD,))


def _runs(case: Case, name: str) -> bool:
    return any(tuner.name == name for tuner in case.facts.tuners)


RULES: tuple[Rule, ...] = (ksmtuned, irqbalance, numad)
