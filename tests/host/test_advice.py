from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING

import pytest

from host.server import MEMORY, MM, case, machine, stand
from support.steps import TESTS
from virtkit import host
from virtkit.core.cpuset import parse_list
from virtkit.core.system import System
from virtkit.core.units import GIB, MIB
from virtkit.host.advice.advising import Advice, advise, all_rules, look
from virtkit.host.advice.case import Guest, Profile
from virtkit.host.advice.finding import Confidence, Need, Recommendation
from virtkit.host.kernel import Kernel
from virtkit.host.knob import Risk
from virtkit.host.record import load, replayed

if TYPE_CHECKING:
    from pathlib import Path

    from virtkit.host.advice.case import Case

REALTIME, DATABASE, DESKTOP, WEB, BUILD = Profile
EVERY = [chosen for number in range(3) for chosen in combinations(Profile, number)]
TWINS = (machine("m1", memory=MEMORY - GIB), machine("m2", memory=MEMORY - GIB))
THREADS = {9: ("qemu-system-x86", "2"), 10: ("CPU 0/KVM", "0-15"), 11: ("CPU 1/KVM", "0-15"), 12: ("IO", "0-15")}
TASKSET = {"/proc/9/comm": "qemu-system-x86", "/proc/9/cmdline": "qemu-system-x86_64\0-name\0guest=m1\0"} | {
    f"/proc/9/task/{tid}/status": f"Name:\t{name}\nCpus_allowed_list:\t{cpus}\n"
    for tid, (name, cpus) in THREADS.items()
}
ISOLATED = {"/sys/devices/system/cpu/isolated": "4-7"}
TUNERS = ISOLATED | {f"/proc/{20 + at}/comm": name for at, name in enumerate(("ksmtuned", "irqbalance", "numad"))}
RECORDS = TESTS / "data/hosts"
MERGING = {f"{MM}/ksm/run": "1", f"{MM}/ksm/pages_sharing": "9", f"{MM}/ksm/pages_shared": "3"}


def wants(advice: Advice) -> dict[str, str]:
    return {each.name: each.want for each in advice.recommendations}


def settled(advice: Advice, between: str) -> str:
    return next(each.settled for each in advice.weighed if each.between == between)


def illegal(asked: Case, system: System) -> list[str]:
    """What a rule wants and the knob does not take, or has already."""
    kernel = Kernel(system)
    found = [each for rule in all_rules() for each in rule(asked) if isinstance(each, Recommendation)]
    return [
        f"{each.name}: {each.row.now} -> {each.want}"
        for each in found
        if each.row.setting.accept(kernel, each.want) != each.want or each.want == each.row.now
    ]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> System:
    return stand(tmp_path_factory.mktemp("server"))


@pytest.fixture(scope="module")
def here() -> Case:
    return look(System(), host.facts(System()))


@pytest.mark.parametrize("profiles", EVERY, ids="-".join)
def test_no_rule_names_a_value_that_the_knob_does_not_take(
    server: System, here: Case, profiles: tuple[Profile, ...]
) -> None:
    guests = (*TWINS, machine("m3", profile=REALTIME, page_size=GIB, shared=True, pins=parse_list("4,12")))
    for untrusted in (False, True):
        for changed in ({}, MERGING, {f"{MM}/transparent_hugepage/enabled": "[always] madvise never"}):
            assert illegal(case(*profiles, guests=guests, untrusted=untrusted, changed=changed), server) == []
        assert illegal(here.asked(guests, profiles, untrusted=untrusted), System()) == []


@pytest.mark.parametrize("record", sorted(RECORDS.glob("*.json")), ids=lambda path: path.stem)
def test_nor_on_hosts_that_were_recorded(record: Path) -> None:
    with replayed(load(str(record))) as system:
        seen = look(system, host.facts(system))
        assert len(seen.rows) > 40
        for profiles in EVERY:
            assert (
                illegal(seen.asked((*TWINS, machine("m3", page_size=2 * MIB)), profiles, untrusted=True), system) == []
            )


def test_every_rule_has_something_to_say_about_some_host() -> None:
    """A rule that is never heard is not tested."""
    odd = {
        "/sys/module/kvm_intel/parameters/ept": "N",
        "/proc/sys/vm/zone_reclaim_mode": "1",
        f"{MM}/transparent_hugepage/enabled": "[always] madvise never",
    }
    bound = machine("m1", profile=REALTIME, pins=parse_list("4,12"), shared=True)
    crowd = machine("m2", profile=DATABASE, vcpus=99, memory=80 * GIB, page_size=2 * MIB)
    asked = [
        case(WEB, guests=TWINS),
        case(REALTIME, guests=[bound, crowd], untrusted=True, changed=odd),
        case(DESKTOP),
        case(REALTIME, guests=[bound], changed=TUNERS),
        case(REALTIME, changed={"/sys/devices/system/node/node1/cpumap": "0", **one_core(), **TASKSET}),
    ]
    silent = [rule for rule in all_rules() if not any(list(rule(each)) for each in asked)]
    assert silent == []


def one_core() -> dict[str, str]:
    return {f"/sys/devices/system/cpu/cpu{cpu}/online": "0" for cpu in range(1, 16)}


@pytest.mark.parametrize("profile", Profile)
def test_a_host_that_was_set_as_advised_needs_no_advice(tmp_path: Path, profile: Profile) -> None:
    system = stand(tmp_path)
    advice = host.advise(system, (), [profile])
    for each in advice.needing(Need.NOTHING):
        shown = each.row.setting.knob.legal.spell(each.want)
        words = each.row.legal.split(" | ")
        bracketed = " ".join(f"[{word}]" if word == each.want else word for word in words)
        ours = "[" in system.read(each.row.setting.file)
        system.write(each.row.setting.file, bracketed if ours else shown)
        if each.row.setting.knob.rival:
            system.write(each.row.setting.file.replace("bytes", "ratio"), "0")
    again = host.advise(system, (), [profile])
    assert [each.name for each in again.needing(Need.NOTHING)] == []


def test_without_a_profile_only_what_suits_everybody_is_advised() -> None:
    found = wants(advise(case()))
    assert found["vm.swappiness"] == "10"
    assert found["block.scheduler@sda"] == "mq-deadline"
    assert not {"thp.enabled", "thp.defrag", "cpufreq.governor@0", "kvm.halt_poll_ns", "ksm.run"} & found.keys()


def test_mixed_machines_get_what_all_of_them_can_live_with_and_it_is_said() -> None:
    advice = advise(case(WEB, guests=[machine(profile=REALTIME)]))
    assert "thp.enabled" not in wants(advice)  # madvise already
    assert "realtime wants never, web wants madvise: madvise" in settled(advice, "thp.enabled")
    alone = advise(case(REALTIME))
    assert wants(alone)["thp.enabled"] == "never"


def test_ksm_is_for_like_machines_that_are_short_of_memory() -> None:
    dense = advise(case(WEB, guests=TWINS))
    assert wants(dense)["ksm.run"] == "1"
    assert wants(dense)["ksm.advisor_mode"] == "scan-time"
    assert wants(dense)["khugepaged.max_ptes_none"] == "0"
    assert "loses its huge pages" in settled(dense, "KSM against huge pages")
    roomy = advise(case(WEB, guests=[machine("m1"), machine("m2")]))
    assert "ksm.run" not in wants(roomy)


@pytest.mark.parametrize(("profile", "untrusted"), [(DATABASE, False), (REALTIME, False), (WEB, True)])
def test_ksm_is_taken_apart_for_speed_and_for_tenants(profile: Profile, *, untrusted: bool) -> None:
    advice = advise(case(profile, guests=TWINS, untrusted=untrusted, changed=MERGING))
    assert wants(advice)["ksm.run"] == "2"  # 0 would leave merged what is merged
    assert "KSM is off" in settled(advice, "KSM against huge pages")
    stopped = advise(case(profile, untrusted=untrusted, changed=MERGING | {f"{MM}/ksm/run": "0"}))
    assert wants(stopped)["ksm.run"] == "2"


def test_pools_have_what_definitions_ask_for_and_nothing_for_a_machine_that_would_not_start() -> None:
    modest = advise(case(DATABASE, guests=[machine(memory=4 * GIB, page_size=2 * MIB)]))
    assert wants(modest)["hugepages.2M@0"] == "2048"
    assert "hugepages.2M@1" not in wants(modest)
    both = [machine("m1", memory=30 * GIB, page_size=2 * MIB), machine("m2", memory=60 * GIB, page_size=2 * MIB)]
    large = advise(case(DATABASE, guests=both))
    given = [int(wants(large)[f"hugepages.2M@{node}"]) for node in (0, 1)]
    assert sum(given) == 15 * 1024  # m1 alone; on one node as far as that goes
    room = large.case.room
    assert room is not None
    assert max(given) == max(room.values()) // (2 * MIB)
    said = settled(large, "huge pages against what the host needs")
    assert said.startswith("m2: 30720 pages of 2 MiB are asked for (60 GiB), and the nodes can spare 44.8 GiB")


def test_pages_that_nobody_asks_for_are_given_back_by_a_person() -> None:
    pool = "/sys/devices/system/node/node1/hugepages/hugepages-2048kB"
    changed = {f"{pool}/nr_hugepages": "100", f"{pool}/free_hugepages": "60"}
    advice = advise(case(WEB, guests=[machine()], changed=changed))
    (each,) = [one for one in advice.recommendations if one.row.setting.knob.name == "hugepages.2M"]
    assert (each.name, each.want, each.needs) == ("hugepages.2M@1", "40", Need.PERSON)


def test_huge_pages_and_overcommit_are_weighed() -> None:
    guests = [machine("m1", memory=16 * GIB, page_size=2 * MIB), machine("m2", memory=60 * GIB)]
    assert "share 48 GiB for 60 GiB" in settled(advise(case(guests=guests)), "huge pages against overcommit")


def test_a_crowded_host_does_not_poll() -> None:
    crowded = advise(case(DATABASE, guests=[machine(vcpus=17)]))
    assert wants(crowded)["kvm.halt_poll_ns"] == "0"
    assert "move machines away" in settled(crowded, "halt polling against overcommit")
    assert wants(advise(case(DATABASE, guests=[machine(vcpus=16)])))["kvm.halt_poll_ns"] == "200000"


def test_numa_balancing_is_off_where_nobody_may_move() -> None:
    bound = machine("m1", pins=parse_list("4-5"))
    assert wants(advise(case(WEB, guests=[bound])))["kernel.numa_balancing"] == "0"
    mixed = advise(case(WEB, guests=[bound, machine("m2")]))
    assert "kernel.numa_balancing" not in wants(mixed)
    assert "1 machines are bound to CPUs, 1 are not: on" in settled(mixed, "NUMA balancing against pins")


def test_pins_without_isolation_promise_nothing() -> None:
    bound = machine("m1", profile=REALTIME, pins=parse_list("4,12"))
    exposed = advise(case(guests=[bound]))
    assert "promises nothing" in settled(exposed, "pins against everybody else")
    assert wants(exposed)["cpu.isolated"] == "4,12"
    apart = advise(case(guests=[bound], changed={"/sys/devices/system/cpu/isolated": "4,12"}))
    assert "pins against everybody else" not in {each.between for each in apart.weighed}
    assert wants(advise(case(REALTIME)))["cpu.isolated"] == "1-3,5-7,9-11,13-15"


def test_taskset_is_seen_to_have_bound_one_thread_of_many() -> None:
    said = settled(advise(case(changed=TASKSET)), "taskset against vcpupin")
    assert "m1: 1 of 4 threads is bound to CPU 2" in said
    bound = TASKSET | {f"/proc/9/task/{tid}/status": "Name:\tx\nCpus_allowed_list:\t2\n" for tid in (10, 11, 12)}
    assert "taskset against vcpupin" not in {each.between for each in advise(case(changed=bound)).weighed}


def test_who_else_tunes_is_told_what_to_keep_off() -> None:
    bound = machine("m1", pins=parse_list("4-5"))
    advice = advise(case(REALTIME, guests=[bound], changed=TUNERS))
    assert "systemctl disable --now ksmtuned" in settled(advice, "ksmtuned against KSM as it is set here")
    assert "IRQBALANCE_BANNED_CPULIST=4-7" in settled(advice, "irqbalance against isolated CPUs")
    assert "m1 are bound" in settled(advice, "numad against pins")
    alone = {each.between for each in advise(case(WEB, guests=[bound], changed=ISOLATED)).weighed}
    assert not {one for one in alone if "ksmtuned" in one or "irqbalance" in one or "numad" in one}


def test_the_threads_of_a_core_are_never_taken_from_under_a_machine() -> None:
    bound = advise(case(guests=[machine("m1", pins=parse_list("12"))], untrusted=True))
    (each,) = [one for one in bound.recommendations if one.name == "smt.control"]
    assert (each.needs, each.reason) == (
        Need.PERSON,
        "machines are bound to CPUs that would go: m1 (CPU 12); move them first",
    )


def test_guards_are_raised_for_tenants_and_never_lowered() -> None:
    found = wants(advise(case(WEB, untrusted=True)))
    assert (found["cpu.mitigations"], found["kvm.nx_huge_pages"], found["kvm_intel.nested"]) == ("auto", "1", "0")
    amd = {"/proc/cpuinfo": "processor\t: 0\nvendor_id\t: AuthenticAMD\nflags\t\t: svm npt\n"}
    assert "kvm.nx_huge_pages" not in wants(advise(case(WEB, untrusted=True, changed=amd)))
    guarded = {"/proc/cmdline": "", "/sys/module/kvm/parameters/nx_huge_pages": "Y"}
    for profiles in EVERY:
        for untrusted in (False, True):
            advice = advise(case(*profiles, guests=TWINS, untrusted=untrusted, changed=guarded))
            assert not {"cpu.mitigations", "kvm.nx_huge_pages", "block.write_cache@sda"} & wants(advice).keys()


@pytest.mark.parametrize("profiles", EVERY, ids="-".join)
def test_nothing_risky_is_done_unasked(profiles: tuple[Profile, ...]) -> None:
    advice = advise(case(*profiles, guests=TWINS, untrusted=True, changed=MERGING))
    unasked = advice.needing(Need.NOTHING)
    assert {each.row.setting.knob.risk for each in unasked} == {Risk.SAFE}
    assert all(each.reason for each in advice.recommendations if each not in unasked)


def test_swap_in_compressed_memory_is_left_alone() -> None:
    swaps = "Filename Type Size Used Priority\n/dev/zram0 partition 8388604 0 100\n"
    assert "vm.swappiness" not in wants(advise(case(DATABASE, changed={"/proc/swaps": swaps})))


def test_writing_back_is_bounded_by_what_a_disk_writes_and_once() -> None:
    assert wants(advise(case(WEB)))["vm.dirty_bytes"] == str(256 * MIB)
    done = {"/proc/sys/vm/dirty_bytes": str(256 * MIB), "/proc/sys/vm/dirty_ratio": "0"}
    assert "vm.dirty_bytes" not in wants(advise(case(WEB, changed=done)))


def test_what_is_called_measured_has_a_figure_and_its_conditions() -> None:
    for profile in Profile:
        advice = advise(case(profile, guests=TWINS))
        for each in advice.recommendations:
            measured = [one for one in each.proof if one.source == "measured" and any(map(str.isdigit, one.figure))]
            assert (each.confidence is Confidence.MEASURED) is bool(measured)
            assert all(one.conditions for one in measured)


def test_advice_is_json() -> None:
    import json

    data = advise(case(DATABASE, guests=[Guest("m1", None, active=True, vcpus=99, memory=1)])).data()
    assert json.loads(json.dumps(data)) == data
    assert data["profiles"] == ["database"]
