"""Rules of nft(8) itself, as libnftables-json(5) has them; those that iptables keeps there are not among them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from virtkit.core.errors import CommandError, NotFoundError
from virtkit.net.firewall.rules import ACCEPT, DROP, RETURN, Filter, Rule, Way
from virtkit.net.model import IPV4, IPV6

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import TypeAlias

    from virtkit.core.plan import Json
    from virtkit.core.system import System

    Entry: TypeAlias = dict[str, Json]

NAME = "nft"
FAMILIES = {"ip": (IPV4,), "ip6": (IPV6,), "inet": (IPV4, IPV6)}
VERDICTS = {"accept": ACCEPT, "drop": DROP, "reject": DROP, "return": RETURN}
LINKS = {"iif", "iifname", "oif", "oifname"}
PASSIVE = {"counter", "log"}  # statements that every packet passes


class Nftables:
    def filters(self, system: System) -> list[Filter]:
        listed = _listed(system, "ruleset")
        chains = [chain for entry in listed if (chain := _record(entry.get("chain")))]
        return [_filter(chain, listed) for chain in chains if chain.get("hook") == "forward" and _is_ours(chain)]

    def count(self, system: System, place: str, bridge: str) -> int | None:
        listed = _listed(system, "chain", *place.split())
        return len(list(_own(listed, bridge))) if listed else None

    def put(self, system: System, place: str, bridge: str) -> None:
        """nft(8) puts its arguments together to one text, and takes that apart."""
        rule = ["iifname", f'"{bridge}"', "oifname", f'"{bridge}"', "accept", "comment", '"virtkit"']
        system.run([NAME, "insert", "rule", *place.split(), *rule])

    def take(self, system: System, place: str, bridge: str) -> None:
        handle = next(_own(_listed(system, "chain", *place.split()), bridge))
        system.run([NAME, "delete", "rule", *place.split(), "handle", handle])


def _listed(system: System, *what: str) -> list[Entry]:
    try:
        text = system.run([NAME, "-j", "list", *what], timeout=10).stdout
    except (NotFoundError, CommandError):  # not installed, not in this kernel, not ours to see, no such chain
        return []
    return [_record(entry) for entry in _list(json.loads(text)["nftables"])]


def _is_ours(chain: Entry) -> bool:
    """Of a family that can drop IP, and none of iptables'."""
    return chain["family"] in FAMILIES and not (
        chain["family"] != "inet" and (chain["table"], chain["name"]) == ("filter", "FORWARD")
    )


def _filter(start: Entry, listed: Sequence[Entry]) -> Filter:
    family, table, chain = (str(start[key]) for key in ("family", "table", "name"))
    chains: dict[str, list[Rule]] = {}
    for entry in listed:
        rule = _record(entry.get("rule"))
        if (rule.get("family"), rule.get("table")) == (family, table):
            chains.setdefault(str(rule["chain"]), []).append(_rule(rule["expr"]))
    name = f"{family} {table} {chain}"
    policy = VERDICTS[str(start.get("policy", "accept"))]
    maker = "firewalld" if table == "firewalld" else ""
    return Filter(NAME, name, FAMILIES[family], chains, chain, policy, name, maker)


def _rule(expressions: Json) -> Rule:
    ways: list[Way] = []
    others = False
    for expression in _list(expressions):
        ((kind, said),) = _record(expression).items()
        if kind in VERDICTS:
            return Rule(tuple(ways), others, VERDICTS[kind])
        if kind in {"jump", "goto"}:
            return Rule(tuple(ways), others, "", str(_record(said)["target"]), final=kind == "goto")
        if way := _way(_record(said)) if kind == "match" else None:
            ways.append(way)
        else:
            others = others or kind not in PASSIVE
    return Rule(tuple(ways), others, "")


def _way(match: Entry) -> Way | None:
    """None: a condition on something else, or on a set that stands elsewhere."""
    if _record(_record(match["left"]).get("meta")).get("key") not in LINKS:
        return None
    right = match["right"]
    names = [str(name) for name in _list(_record(right).get("set") or [right])]
    return None if any(name.startswith("@") for name in names) else Way(tuple(names), match["op"] == "!=")


def _own(listed: Sequence[Entry], bridge: str) -> Iterator[str]:
    """The handles of virtkit's rules for the bridge."""
    both = Rule((Way((bridge,)), Way((bridge,))), others=False, verdict=ACCEPT)
    for entry in listed:
        rule = _record(entry.get("rule"))
        if rule.get("comment") == "virtkit" and _rule(rule["expr"]) == both:
            yield str(rule["handle"])


def _record(value: Json) -> Entry:
    return value if isinstance(value, dict) else {}


def _list(value: Json) -> list[Json]:
    return value if isinstance(value, list) else []
