from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from virtkit import host
from virtkit.core.system import System
from virtkit.core.units import GIB, MIB
from virtkit.host.hugepages import HugePages
from virtkit.host.memory import Memory, Swap
from virtkit.recipes.overcommit import Demand, Overcommit, measure

if TYPE_CHECKING:
    from virtkit.host.picture import HostFacts

DEMANDS = st.lists(
    st.builds(Demand, st.text(), st.booleans(), st.integers(1, 64), st.integers(1, GIB), st.integers(GIB, 64 * GIB))
)


def _facts(memory: int = 4 * GIB, cpus: int = 4, swap: int = 0, pools: tuple[HugePages, ...] = ()) -> HostFacts:
    """This host, with another size."""
    facts = host.facts(System())
    swaps = (Swap("/dev/vdz", "partition", swap, 0),) if swap else ()
    topology = replace(facts.topology, cpus=frozenset(range(cpus)))
    return replace(facts, topology=topology, memory=Memory(memory, None, None, swaps), hugepages=pools)


FACTS = _facts()


def _machine(memory: int, vcpus: int = 1, *, active: bool = True) -> Demand:
    return Demand(f"m{memory}", active, vcpus, memory // 2, memory)


def _measured(facts: HostFacts, *demands: Demand) -> Overcommit:
    overcommit = measure(facts, demands)
    assert overcommit is not None
    return overcommit


@given(DEMANDS)
def test_sums_running_and_defined_machines(demands: list[Demand]) -> None:
    overcommit = _measured(FACTS, *demands)
    running = [demand for demand in demands if demand.active]
    assert (overcommit.running, overcommit.defined) == (len(running), len(demands))
    assert overcommit.vcpus == (4, sum(d.vcpus for d in running), sum(d.vcpus for d in demands))
    assert overcommit.memory == (4 * GIB, sum(d.max_memory for d in running), sum(d.max_memory for d in demands))
    assert overcommit.memory_now == sum(d.memory for d in running)
    assert ("more than the host has" in overcommit.judgement[0]) is (overcommit.memory.running > 4 * GIB)


@pytest.mark.parametrize(
    ("facts", "machines", "judgement"),
    [
        (FACTS, [], "memory: no machine counts on it"),
        (FACTS, [_machine(GIB)], "memory 0.25x: all machines fit"),
        (FACTS, [_machine(GIB), _machine(5 * GIB, active=False)],
         "memory 0.25x: running machines fit; all that are defined together would be 1.50x"),
        (FACTS, [_machine(4 * GIB)], "memory 1.00x: running machines leave the host less than a tenth of its memory"),
        (FACTS, [_machine(6 * GIB)],
         "memory 1.50x: running machines can ask for more than the host has; it has no swap and will kill a process"),
        (_facts(swap=GIB), [_machine(6 * GIB)],
         "memory 1.50x: running machines can ask for more than the host has; it has 1 GiB of free swap"),
    ],
)  # fmt: skip
def test_memory_is_judged_in_plain_words(facts: HostFacts, machines: list[Demand], judgement: str) -> None:
    assert _measured(facts, *machines).judgement == (judgement,)


def test_shared_cpus_and_machines_wider_than_the_host_are_told() -> None:
    judgement = _measured(FACTS, _machine(MIB, 6), _machine(MIB, 2)).judgement
    assert judgement[1] == "vCPUs 2.00x: running machines share the CPUs; when all are busy each gets 50 % of a CPU"
    assert judgement[2].endswith("has 6 vCPUs on 4 CPUs: they wait for each other, give it at most 4")
    assert len(judgement) == 3


def test_huge_pages_are_told_because_other_machines_cannot_have_them() -> None:
    facts = _facts(pools=(HugePages(2 * MIB, 512, 512, 0), HugePages(GIB, 0, 0, 0)))
    assert _measured(facts, _machine(GIB)).judgement[1].startswith("1 GiB of the memory are huge pages")


def test_a_host_that_does_not_tell_its_size_is_not_measured() -> None:
    assert measure(replace(FACTS, memory=Memory(None, None, None, ())), []) is None
    assert measure(_facts(cpus=0), []) is None
