"""What the host's packet filter does to frames that a bridge forwards, as iptables(8) and ip6tables(8) tell.

With br_netfilter loaded and bridge-nf-call-iptables set, what is bridged passes the FORWARD chain as if it were routed.
Both back ends of iptables answer ``-S`` in the same words; rules of nftables alone are not among them.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from virtkit.core.errors import CommandError, NotFoundError

if TYPE_CHECKING:
    from virtkit.core.system import System

PROGRAMS = ("iptables", "ip6tables", "iptables-legacy", "ip6tables-legacy")
OWN_CHAIN = "DOCKER-USER"  # Docker's chain for the administrator's rules, passed before its own


class Forwarding(NamedTuple):
    program: str  # that lists and changes these rules
    policy: str  # DROP or REJECT, of the chain FORWARD
    chain: str  # where a rule is to be put
    docker: bool
    rules: tuple[str, ...]  # of FORWARD and ``chain``, as iptables -S writes them

    def accepts(self, bridge: str) -> bool:
        """Whether a rule lets through what comes in and goes out by ``bridge``, or all that is bridged."""
        return any(_lets_through(rule, bridge) for rule in self.rules)


def forwarding(system: System) -> list[Forwarding]:
    """Every filter that drops in FORWARD what no rule accepts; none where no such program is installed."""
    found = (_read(system, program) for program in PROGRAMS)
    return [filtering for filtering in found if filtering]


def accept(program: str, chain: str, bridge: str, *, remove: bool = False) -> list[str]:
    """The command that puts the rule first into ``chain``, or takes it out."""
    where = ["-D", chain] if remove else ["-I", chain, "1"]
    return [program, "-w", "5", *where, *_rule(bridge)]


def listed(chain: str, bridge: str) -> str:
    """The same rule as ``-S`` shows it."""
    return " ".join(["-A", chain, *_rule(bridge)])


def _rule(bridge: str) -> list[str]:
    return ["-i", bridge, "-o", bridge, "-m", "comment", "--comment", "virtkit", "-j", "ACCEPT"]


def _read(system: System, program: str) -> Forwarding | None:
    try:
        listed = system.run([program, "-w", "5", "-S"], timeout=10).stdout.splitlines()
    except (NotFoundError, CommandError):  # not installed, no such back end in this kernel, or not ours to see
        return None
    policy = next((line.split()[2] for line in listed if line.startswith("-P FORWARD ")), "ACCEPT")
    docker = f"-N {OWN_CHAIN}" in listed and any(re.match(rf"-A FORWARD .*-j {OWN_CHAIN}$", line) for line in listed)
    chain = OWN_CHAIN if docker else "FORWARD"
    rules = tuple(line for line in listed if line.startswith(("-A FORWARD ", f"-A {chain} ")))
    stopped = policy if policy != "ACCEPT" else _last_word(rules)
    return Forwarding(program, stopped, chain, docker, rules) if stopped else None


def _last_word(rules: tuple[str, ...]) -> str:
    """As firewalld and RHEL have it: the policy accepts, and a last rule for everything rejects."""
    final = re.fullmatch(r"-A FORWARD -j (DROP|REJECT)( .*)?", rules[-1]) if rules else None
    return final[1] if final else ""


def _lets_through(rule: str, bridge: str) -> bool:
    if not rule.endswith("-j ACCEPT"):
        return False
    matches = re.sub(r"^-A \S+ | -j ACCEPT$|-m comment --comment \S+", "", rule).split()
    everything = {"-m", "physdev", "--physdev-is-bridged"}
    return set(matches) <= {"-i", "-o", bridge, *everything} and (
        bridge in matches or "--physdev-is-bridged" in matches
    )
