"""All rules on one host, and what came of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from virtkit.core import plugins
from virtkit.host.advice import rules
from virtkit.host.advice.case import Case
from virtkit.host.advice.finding import Need, Recommendation, Weighed
from virtkit.host.hugepages import room
from virtkit.host.kernel import Kernel
from virtkit.host.listing import rows

if TYPE_CHECKING:
    from virtkit.core.plan import Json
    from virtkit.core.system import System
    from virtkit.host.advice.finding import Rule
    from virtkit.host.picture import HostFacts


@dataclass(frozen=True)
class Advice:
    case: Case
    recommendations: tuple[Recommendation, ...]  # by family, as the knobs are listed
    weighed: tuple[Weighed, ...]

    def needing(self, *needs: Need) -> list[Recommendation]:
        return [each for each in self.recommendations if each.needs in needs]

    @property
    def tuned(self) -> bool:
        """Whether nothing is left but what a person decides."""
        return all(each.needs is Need.PERSON for each in self.recommendations)

    def data(self) -> dict[str, Json]:
        return {
            "profiles": [profile.value for profile in self.case.profiles] if self.case.chosen else [],
            "untrusted": self.case.untrusted,
            "knobs": len(self.case.rows),
            "recommendations": [each.data() for each in self.recommendations],
            "weighed": [each.data() for each in self.weighed],
        }


def all_rules() -> list[Rule]:
    return [rule for members in plugins.collect(rules, tuple, "RULES").values() for rule in members]


def look(system: System, facts: HostFacts) -> Case:
    """The host, with nobody asking anything of it yet."""
    kernel = Kernel(system)
    nodes = (node.number for node in facts.topology.nodes)
    spare = {node: bytes_ for node in nodes if (bytes_ := room(kernel, node)) is not None}
    return Case(facts, {row.setting.name: row for row in rows(system)}, room=spare)


def advise(case: Case) -> Advice:
    findings = [finding for rule in all_rules() for finding in rule(case)]
    order = {name: number for number, name in enumerate(case.rows)}
    recommendations = [finding for finding in findings if isinstance(finding, Recommendation)]
    return Advice(
        case,
        tuple(sorted(recommendations, key=lambda each: order[each.name])),
        tuple(finding for finding in findings if isinstance(finding, Weighed)),
    )
