from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from host.server import MM, case
from virtkit import host
from virtkit.core.system import System
from virtkit.core.units import GIB, MIB
from virtkit.host.advice.case import Profile
from virtkit.recipes.advice import guests
from virtkit.recipes.advice.diagnosis import all_rules
from virtkit.recipes.advice.wish import MachineAdvice, View
from virtkit.vm.domain import Domain

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

REALTIME, DATABASE, DESKTOP, WEB, BUILD = Profile
MAC = "52:54:00:00:00:01"


def xml(driver: str = "", *, rest: str = "", nic: str = "virtio", bus: str = "virtio", memory: int = 2) -> str:
    return f"""<domain type='kvm'><name>m1</name><memory unit='GiB'>{memory}</memory><vcpu>4</vcpu>{rest}
      <cpu mode='host-model'/><devices><disk type='file' device='disk'><driver name='qemu' type='qcow2' {driver}/>
      <source file='/srv/m1.qcow2'/><target dev='vda' bus='{bus}'/></disk>
      <disk type='file' device='cdrom'><driver name='qemu' cache='unsafe'/><target dev='sda' bus='sata'/>
      <readonly/></disk>
      <interface type='bridge'><mac address='{MAC}'/><source bridge='br0'/><model type='{nic}'/></interface>
      </devices></domain>"""


def asked(
    document: str,
    profile: Profile | None,
    *,
    direct: bool = True,
    qemu: tuple[int, int] = (10, 0),
    changed: Mapping[str, str] | None = None,
) -> dict[tuple[str, str], MachineAdvice]:
    """What is wished, by what it is about and how it shall be."""
    domain = Domain.parse(document)
    guest = guests.guest(domain, active=True)._replace(profile=profile)
    view = View(guest, domain, {"vda": direct}, case(guests=[guest], changed=changed or {}), qemu)
    found = [MachineAdvice.of(view, wish) for rule in all_rules() for wish in rule(view)]
    return {(each.wish.what, each.wish.want): each for each in found}


def disk(document: str, profile: Profile | None, **given: object) -> str:
    """How the disk's cache and requests shall be; empty: as they are."""
    found = [want for what, want in asked(document, profile, **given) if what == "disk vda" and "," in want]  # type: ignore[arg-type]
    assert len(found) <= 1
    return found[0] if found else ""


def test_a_database_behind_writethrough_gets_none_and_native_with_the_reason_and_the_difference() -> None:
    each = asked(xml("cache='writethrough'"), DATABASE)["disk vda", "none, native"]
    assert each.fields == ("disk[vda]/driver@cache: writethrough -> none", "disk[vda]/driver@io: none -> native")
    assert any(line.startswith("+") and 'cache="none" io="native"' in line for line in each.xml)
    assert "writethrough adds a flush to every write" in each.wish.why
    assert each.wish.typed == "virtkit vm set m1 disk vda --cache none --io native"
    assert each.data()["needs"] == "VM restart"


@pytest.mark.parametrize(
    ("driver", "profile", "wanted"),
    [
        ("", DATABASE, "none, native"),
        ("cache='none' io='native'", DATABASE, ""),
        ("cache='none'", DATABASE, "none, native"),
        ("cache='directsync' io='native'", REALTIME, "none, native"),
        ("cache='writeback' io='native'", DATABASE, "none, native"),
        ("", WEB, ""),
        ("cache='none' io='native'", WEB, ""),
        ("cache='writethrough'", WEB, "writeback, threads"),
        ("cache='unsafe'", WEB, "writeback, threads"),
        ("cache='unsafe'", None, "writeback, threads"),
        ("cache='unsafe'", BUILD, ""),
        ("cache='writethrough'", None, ""),
    ],
)
def test_the_cache_is_where_the_work_wants_it(driver: str, profile: Profile | None, wanted: str) -> None:
    assert disk(xml(driver), profile) == wanted


def test_nothing_is_unsafe_beside_tenants() -> None:
    domain = Domain.parse(xml("cache='unsafe'"))
    guest = guests.guest(domain, active=True)._replace(profile=BUILD)
    view = View(guest, domain, {}, case(guests=[guest], untrusted=True), (10, 0))
    assert "writeback, threads" in {wish.want for rule in all_rules() for wish in rule(view)}


def test_another_hosts_libvirt_is_not_asked_about_this_host(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIBVIRT_DEFAULT_URI", "qemu+ssh://node7/system")
    machines, why = guests.known(host.facts(System()), recorded=False)
    assert not machines.domains
    assert "libvirt of node7 is another host's" in why


@pytest.mark.parametrize("profile", [None, WEB, DESKTOP])
def test_native_without_o_direct_is_told_before_qemu_refuses_it(profile: Profile | None) -> None:
    assert disk(xml("io='native'"), profile) == "writeback, threads"
    (each,) = [one for (what, _), one in asked(xml("io='native'"), profile).items() if what == "disk vda"]
    assert "needs O_DIRECT" in each.wish.why


def test_images_in_memory_cannot_have_cache_none() -> None:
    assert disk(xml("cache='none' io='native'"), DATABASE, direct=False) == "writeback, threads"
    assert disk(xml(), DATABASE, direct=False) == ""


def test_io_uring_is_only_where_this_kernel_and_this_qemu_can() -> None:
    threaded = xml("cache='none' io='io_uring' iothread='1'", rest="<iothreads>1</iothreads>")
    assert disk(threaded, DATABASE) == ""
    assert disk(threaded, DATABASE, qemu=(7, 1)) == "none, native"
    assert disk(threaded, DATABASE, qemu=(7, 2)) == ""
    assert disk(xml("cache='none' io='io_uring'"), DATABASE, qemu=(7, 1)) == ""
    closed = {"/proc/sys/kernel/io_uring_disabled": "2"}
    assert disk(threaded, WEB, changed=closed) == "none, native"
    assert disk(xml("io='io_uring'"), WEB, changed=closed) == "writeback, threads"


def test_a_quick_disk_has_a_thread_of_its_own_that_no_other_disk_has() -> None:
    each = asked(xml("cache='none' io='native'"), DATABASE)["disk vda", "I/O thread 1"]
    assert "iothreads: none -> 1" in each.fields
    busy = xml("cache='none' io='native' iothread='1'", rest="<iothreads>1</iothreads>")
    assert not any("thread" in want for _, want in asked(busy, DATABASE))
    assert not any("I/O thread" in want for _, want in asked(xml(), WEB))


def test_huge_pages_are_told_with_the_three_steps_and_what_they_cost() -> None:
    each = asked(xml(), DATABASE)["memory", "2 MiB pages"]
    assert "+    <hugepages />" in [line.rstrip() for line in each.xml]
    assert each.wish.typed == "virtkit vm edit m1; virtkit host tune; virtkit vm restart m1"
    assert "fewer than 1024 free pages" in each.wish.by_hand
    assert "it has 100 GiB" in asked(xml(memory=100), DATABASE)["memory", "2 MiB pages"].wish.by_hand
    backed = xml(rest="<memoryBacking><hugepages/></memoryBacking>")
    assert ("memory", "2 MiB pages") not in asked(backed, DATABASE)


def test_a_quick_machine_is_not_merged_where_ksm_runs_for_others() -> None:
    merging = {f"{MM}/ksm/run": "1"}
    assert ("memory", "not merged") in asked(xml(), DATABASE, changed=merging)
    kept = xml(rest="<memoryBacking><nosharepages/></memoryBacking>")
    assert ("memory", "not merged") not in asked(kept, DATABASE, changed=merging)


def test_pins_wait_for_isolated_cpus_and_the_emulator_gets_out_of_the_way() -> None:
    assert "promise nothing" in asked(xml(), REALTIME)["vCPUs", "a core each"].wish.by_hand
    apart = {"/sys/devices/system/cpu/isolated": "4-7"}
    assert not asked(xml(), REALTIME, changed=apart)["vCPUs", "a core each"].wish.by_hand
    pins = "".join(f"<vcpupin vcpu='{cpu}' cpuset='{cpu + 4}'/>" for cpu in range(4))
    each = asked(xml(rest=f"<cputune>{pins}</cputune>"), DATABASE)["emulator", "CPU 0-3,8-15"]
    assert each.wish.typed == "virtkit vm pin m1 --emulator 0-3,8-15"


def test_imitated_chips_are_left_to_who_knows_the_guest() -> None:
    found = asked(xml(nic="e1000", bus="ide"), WEB)
    assert found[f"card {MAC}", "virtio"].wish.by_hand
    assert found["disk vda", "virtio"].wish.by_hand
    assert (f"card {MAC}", "4 queues") in asked(xml(), WEB)
    assert (f"card {MAC}", "4 queues") not in asked(xml(), DESKTOP)


def test_a_kvm_machine_without_a_cpu_is_told_of_host_model() -> None:
    bare = re.sub("<cpu mode='host-model'/>", "", xml())
    assert ("CPU", "host-model") in asked(bare, None)
    assert ("CPU", "host-model") not in asked(bare.replace("type='kvm'", "type='qemu'"), None)


def test_a_machine_that_nobody_named_and_that_is_well_is_left_alone() -> None:
    assert asked(xml(), None) == {}


def test_a_guest_is_read_from_its_definition() -> None:
    document = xml(
        rest="<memoryBacking><hugepages><page size='1' unit='GiB'/></hugepages><access mode='shared'/></memoryBacking>"
        "<cputune><vcpupin vcpu='0' cpuset='2'/><vcpupin vcpu='1' cpuset='3'/></cputune>"
    )
    guest = guests.guest(Domain.parse(document), active=False)
    assert (guest.vcpus, guest.memory, guest.page_size, guest.shared) == (4, 2 * GIB, GIB, True)
    assert not guest.pins  # two of four vCPUs may run anywhere
    assert guests.page_size(Domain.parse(xml(rest="<memoryBacking><hugepages/></memoryBacking>"))) == 2 * MIB


def test_machines_of_a_libvirt_are_in_the_doctors_table_and_their_definitions_in_the_plan(tmp_path: Path) -> None:
    """libvirt's own test driver: its real API, without QEMU."""
    domain = xml("cache='writethrough'").replace("type='kvm'", "type='test'")
    domain = domain.replace(
        "</vcpu>", "</vcpu><uuid>dce26eef-ecc4-4099-b7c3-1cd9a387eacf</uuid><os><type>hvm</type></os>"
    )
    (tmp_path / "node.xml").write_text(f"<node>{domain}</node>")

    def virtkit(*arguments: str) -> subprocess.CompletedProcess[str]:
        uri = {
            "LIBVIRT_DEFAULT_URI": f"test://{tmp_path}/node.xml",
            "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
        }
        command = [sys.executable, "-m", "virtkit", "host", *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ | uri)

    told = virtkit("doctor", "--machine", "m1=database", "-v")
    assert told.returncode == 1
    assert "! m1 disk vda" in told.stdout
    assert "  virtkit host tune --machine m1=database --definitions" in told.stdout
    assert '+      <driver name="qemu" type="qcow2" cache="none" io="native" />' in told.stdout
    plan = json.loads(virtkit("tune", "--machine", "m1=database", "--definitions", "--plan", "--output", "json").stdout)
    assert any("m1" in action["text"] for action in plan["actions"])
    without = json.loads(virtkit("tune", "--machine", "m1=database", "--plan", "--output", "json").stdout)
    assert not any("m1" in action["text"] for action in without["actions"])
    assert any("virtkit vm set m1 disk vda --cache none --io native" in note for note in without["notes"])


def test_a_machine_that_libvirt_does_not_know_is_a_machine_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    domain = xml().replace("type='kvm'", "type='test'").replace("</vcpu>", "</vcpu><os><type>hvm</type></os>")
    (tmp_path / "node.xml").write_text(f"<node>{domain}</node>")
    monkeypatch.setenv("LIBVIRT_DEFAULT_URI", f"test://{tmp_path}/node.xml")
    threads = {9: "qemu-system-x86", 10: "CPU 0/KVM"}
    running = {"/proc/9/comm": "qemu-system-x86", "/proc/9/cmdline": "qemu-system-x86_64\0-name\0guest=m2\0"}
    running |= {
        f"/proc/9/task/{tid}/status": f"Name:\t{name}\nCpus_allowed_list:\t2\n" for tid, name in threads.items()
    }
    machines, why = guests.known(case(changed=running).facts, recorded=False)
    assert [(each.name, each.vcpus) for each in machines.guests] == [("m1", 4), ("m2", 1)]
    assert len(machines.domains) == 1
    assert not why
