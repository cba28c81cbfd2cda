"""What ``vm top`` tells of a real guest, held against virsh, the guest itself and what it was made to do."""

from __future__ import annotations

import os
import sys
import time
from typing import TYPE_CHECKING

import pytest

from virtkit import vm
from virtkit.core.errors import MachineError
from virtkit.core.units import MIB
from virtkit.vm import patience

if TYPE_CHECKING:
    from pathlib import Path

    from virtkit.vm.verbs.watching import Busy
    from vmhost.hosts import Host

pytestmark = pytest.mark.netns

WORK = "dd if=/dev/vda of=/dev/null bs=1M iflag=direct 2>/dev/null; i=0; while [ $i -lt 60000 ]; do i=$((i + 1)); done"


def domstats(host: Host, name: str) -> dict[str, int]:
    """What libvirt's own program says."""
    pairs = (line.strip().split("=") for line in host.virsh("domstats", name).splitlines() if "=" in line)
    return {key: int(value) for key, value in pairs if value.isdecimal()}


def counts(busy: Busy) -> dict[str, int]:
    return {"cpu.time": busy.counters.cpu_time or 0, "block.0.rd.bytes": busy.counters.disks[0].read_bytes or 0}


def test_counters_are_virshs_and_rates_are_what_the_guest_did(speaking: Host, guest: str) -> None:
    with vm.watch([guest]) as watched:
        (before,) = watched.look()
        virsh = domstats(speaking, guest)
        speaking.shell(guest, WORK)
        (after,) = watched.look()
    assert before.load is None
    later = domstats(speaking, guest)
    for found, key in ((counts(before), virsh), (counts(after), later)):
        assert found["cpu.time"] <= key["cpu.time"]
        assert found["block.0.rd.bytes"] <= key["block.0.rd.bytes"]
    assert counts(after)["cpu.time"] > virsh["cpu.time"]
    assert counts(after)["block.0.rd.bytes"] >= virsh["block.0.rd.bytes"] + 16 * MIB
    assert after.load
    assert after.load.disks[0].read > after.load.disks[0].reads > 0
    assert (after.load.disks[0].read_seconds or 0) > 0
    assert 0.1 < after.load.cpu_of_vcpus < 1
    assert 0 <= (after.load.steal or 0) < 1
    assert after.load.cpu_of_host > after.load.cpu_of_vcpus * 2 / (2 * (os.cpu_count() or 1))
    total = int(speaking.shell(guest, "grep MemTotal /proc/meminfo").split()[1]) << 10
    assert after.counters.memory.available == total
    assert 0 < (after.counters.memory.used or 0) < total


def test_the_host_tells_what_qemu_takes_and_prometheus_gets_a_whole_file(kvm: Host, guest: str, idle: str) -> None:
    kvm.virsh("vcpupin", guest, "0", "0")
    kvm.virsh("vcpupin", guest, "1", "0")
    try:
        machines = {each["name"]: each for each in kvm.json("vm", "top", "--interval", "0.2", "--pss")}
    finally:
        for vcpu in ("0", "1"):
            kvm.virsh("vcpupin", guest, vcpu, f"0-{(os.cpu_count() or 1) - 1}")
    host = machines[guest]["host"]
    assert host["cpus"] == [0]
    assert 0 in host["nodes"]
    assert set(host["vcpu_cpus"].values()) == {0}
    assert 0 < host["pss"] <= host["rss"] + MIB
    assert abs(host["rss"] - machines[guest]["counters"]["memory"]["rss"]) < 16 * MIB
    assert (machines[idle]["state"], machines[idle]["load"], machines[idle]["host"]) == ("shut off", None, None)
    file = kvm.folder / "state/virtkit.prom"
    file.parent.mkdir(exist_ok=True)
    kvm.virtkit("vm", "top", "--prometheus", "--output-file", str(file))
    assert f'libvirt_domain_info_vstate{{domain="{idle}"}} 5\n' in file.read_text()
    assert file.read_text().startswith("# HELP libvirt_up")
    assert file.stat().st_mode & 0o777 == 0o644
    assert [path.name for path in file.parent.iterdir() if "prom" in path.name] == [file.name]


def test_a_guest_that_does_not_tell_its_memory_is_said_so(kvm: Host, idle: str) -> None:
    kvm.virsh("start", idle)
    done = kvm.virtkit("vm", "top", "--interval", "0.1", "--devices", idle)
    assert f"virsh dommemstat {idle} --period 5 --live" in done.stderr
    assert done.stdout.splitlines()[1].split()[:2] == [idle, "running"]
    assert "no such machine" in kvm.virtkit("vm", "top", "--once", "nobody", check=False).stderr


def test_a_libvirt_that_does_not_answer_is_down_for_prometheus(kvm: Host, tmp_path: Path) -> None:
    command = ("-m", "virtkit", "vm", "top", "--prometheus", "--output-file", f"{tmp_path}/a.prom")
    done = kvm.run("env", "LIBVIRT_DEFAULT_URI=qemu+tcp://localhost:1/system", sys.executable, *command, check=False)
    assert done.returncode == 1
    assert (tmp_path / "a.prom").read_text().splitlines()[-1] == "libvirt_up 0"


def test_a_libvirt_that_went_away_is_asked_again_over_a_new_connection(speaking: Host, guest: str) -> None:
    with vm.watch([guest]) as watched:
        watched.look()
        assert watched._stats._libvirt
        watched._stats._libvirt.close()
        with pytest.raises(MachineError):
            watched.look()
        assert [busy.counters.name for busy in watched.look()] == [guest]


def test_a_qemu_that_hangs_delays_one_look_and_is_shown_as_such(
    speaking: Host, guest: str, idle: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(patience, "SECONDS", 1.0)
    speaking.virsh("start", idle)
    pid = speaking.run("cat", f"/run/libvirt/qemu/{idle}.pid").stdout
    speaking.run("kill", "-STOP", pid)
    try:
        with vm.watch() as watched:
            for expected in (True, False):
                began = time.monotonic()
                mute = {busy.counters.name: busy.counters.mute for busy in watched.look()}
                assert (mute[guest], mute[idle]) == (False, True)
                assert (time.monotonic() - began > 1) == expected
    finally:
        speaking.run("kill", "-CONT", pid)
