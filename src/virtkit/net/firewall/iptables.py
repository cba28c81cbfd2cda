"""Rules of iptables(8) and ip6tables(8). Both of its back ends answer ``-S`` in the same words."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING

from virtkit.core.errors import CommandError, NotFoundError
from virtkit.net.firewall.rules import ACCEPT, DROP, RETURN, Filter, Rule, Way
from virtkit.net.model import IPV4, IPV6

if TYPE_CHECKING:
    from collections.abc import Sequence

    from virtkit.core.system import System

PROGRAMS = ("iptables", "ip6tables", "iptables-legacy", "ip6tables-legacy")
PATIENT = ("-w", "5")  # seconds, for another one's lock
DOCKERS = "DOCKER-USER"  # Docker's chain for the administrator's rules, passed before its own
VERDICTS = {"ACCEPT": ACCEPT, "DROP": DROP, "REJECT": DROP, "RETURN": RETURN}
SAY_NOTHING = {"--physdev-is-bridged"}  # true of all that is bridged


@dataclass(frozen=True)
class Iptables:
    name: str

    def filters(self, system: System) -> list[Filter]:
        if self._of_another_back_end(system):
            return []
        try:
            listed = system.run([self.name, *PATIENT, "-S"], timeout=10).stdout.splitlines()
        except (NotFoundError, CommandError):  # not installed, no such back end in this kernel, or not ours to see
            return []
        chains, policy = parse(listed)
        docker = Rule((), others=False, verdict="", chain=DOCKERS) in chains["FORWARD"]
        return [
            Filter(
                self.name,
                "FORWARD",
                (IPV6 if self.name.startswith("ip6") else IPV4,),
                chains,
                "FORWARD",
                policy,
                place=DOCKERS if docker else "FORWARD",
                maker="Docker" if any(name.startswith("DOCKER") for name in chains) else "",
            )
        ]

    def _of_another_back_end(self, system: System) -> bool:
        """A ``-legacy`` twin is asked where it has rules and is another one: asking makes its tables."""
        plain = self.name.removesuffix("-legacy")
        if plain == self.name:
            return False
        tables = system.read_or(f"/proc/net/{plain.removesuffix('tables')}_tables_names", "").split()
        try:
            return "filter" not in tables or "legacy" in system.run([plain, "-V"]).stdout
        except NotFoundError:
            return False

    def count(self, system: System, place: str, bridge: str) -> int | None:
        done = system.run([self.name, *PATIENT, "-S", place], check=False)
        wanted = shlex.join(["-A", place, *_accepting(bridge)])
        return None if done.status else done.stdout.splitlines().count(wanted)

    def put(self, system: System, place: str, bridge: str) -> None:
        system.run([self.name, *PATIENT, "-I", place, "1", *_accepting(bridge)])

    def take(self, system: System, place: str, bridge: str) -> None:
        system.run([self.name, *PATIENT, "-D", place, *_accepting(bridge)])


def parse(listed: Sequence[str]) -> tuple[dict[str, list[Rule]], str]:
    """The chains' rules, and FORWARD's policy."""
    chains: dict[str, list[Rule]] = {"FORWARD": []}
    policy = ACCEPT
    for line in listed:
        kind, chain, *words = shlex.split(line)
        chains.setdefault(chain, [])
        if kind == "-A":
            chains[chain].append(_rule(words))
        elif kind == "-P" and chain == "FORWARD":
            policy = VERDICTS[words[0]]
    return chains, policy


def _rule(words: list[str]) -> Rule:
    """``-i br0 ! -o br0 -m comment --comment text -j ACCEPT``; what follows a target are its own options."""
    ways: list[Way] = []
    others, negated = False, False
    rest = iter(words)
    for word in rest:
        if word in {"-j", "-g"}:
            target = next(rest)
            chain = "" if target in VERDICTS else target
            return Rule(tuple(ways), others, VERDICTS.get(target, ""), chain, final=word == "-g")
        if word in {"-i", "-o"}:
            name = next(rest)
            ways.append(Way((name[:-1] + "*" if name.endswith("+") else name,), negated))
        elif word in {"-m", "--comment"}:
            next(rest)
        elif word != "!":
            others = others or negated or word not in SAY_NOTHING
        negated = word == "!"
    return Rule(tuple(ways), others, "")


def _accepting(bridge: str) -> list[str]:
    return ["-i", bridge, "-o", bridge, "-m", "comment", "--comment", "virtkit", "-j", "ACCEPT"]
