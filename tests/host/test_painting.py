"""Which machine runs on which CPU, by what the kernel says of its threads."""

from __future__ import annotations

from virtkit.host.painting import FLOATING, MANY, SEVERAL, Tenant, paint, tenants
from virtkit.host.vms import Vm, VmMemory, VmThread

CPUS = frozenset(range(8))
NOTHING = VmMemory(None, None, None, None, None, None, None)


def _tenant(name: str, *vcpus: set[int], pinned: int = 3) -> Tenant:
    return Tenant(name, tuple(map(frozenset, vcpus)), pinned, 8)


def test_each_machine_with_cpus_of_its_own_has_a_letter() -> None:
    painting = paint([_tenant("web", {2}, {6}), _tenant("db", {3})], CPUS)
    assert painting.marks == {2: "a", 6: "a", 3: "b"}
    assert painting.legend[0] == "a  web: 2 vCPUs on CPU 2,6; 3 of 8 threads pinned"


def test_floating_machines_are_painted_where_they_float_unless_it_is_everywhere() -> None:
    painting = paint([_tenant("web", {2}), _tenant("ci", {2, 3}, {2, 3}), _tenant("any", set(CPUS), pinned=0)], CPUS)
    assert painting.marks == {2: "a", 3: FLOATING}
    assert painting.legend[1] == "~  ci: 2 vCPUs float on CPU 2-3; 3 of 8 threads pinned"
    assert painting.legend[2] == "   any: 1 vCPU may run on every CPU"


def test_a_cpu_that_two_vcpus_are_tied_to_is_told_apart() -> None:
    assert paint([_tenant("web", {2}), _tenant("db", {2})], CPUS).marks == {2: SEVERAL}


def test_letters_are_enough_for_52_machines_and_the_rest_have_one_together() -> None:
    marks = paint([_tenant(f"vm{number}", {number}) for number in range(54)], frozenset(range(64))).marks
    assert (marks[25], marks[26], marks[51], marks[52], marks[53]) == ("z", "A", "Z", MANY, MANY)


def test_taskset_on_the_process_is_seen_as_one_thread_of_all() -> None:
    names = ["qemu-system-x86", "CPU 0/KVM", "CPU 1/KVM", "IO iothread1", "worker"]
    threads = tuple(VmThread(100 + at, name, CPUS if at else frozenset({0})) for at, name in enumerate(names))
    (tenant,) = tenants([Vm(100, "web", threads, NOTHING)], CPUS)
    assert (tenant.pinned, tenant.threads, tenant.tied) == (1, 5, False)
    said = "   web: 2 vCPUs may run on every CPU; 1 of 5 threads pinned, as taskset -p does: no vCPU is"
    assert paint([tenant], CPUS).legend == (said,)
