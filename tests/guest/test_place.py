"""Placement on this host, judged by taskset: every thread of the real QEMU process."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from guest import machines
from guest.test_pin import affinities, tune
from virtkit import vm
from virtkit.cli.main import main
from virtkit.core import engine
from virtkit.core.errors import NotSupportedError
from virtkit.core.system import System
from virtkit.recipes.placement.proposal import propose
from virtkit.vm.domain import Domain
from virtkit.vm.pinning import Pins

if TYPE_CHECKING:
    from virtkit.core.journal import Journal

pytestmark = [
    pytest.mark.guest,
    pytest.mark.skipif(len(os.sched_getaffinity(0)) != 2, reason="is about a host of two cores"),
]
NONE = frozenset[int]()


def test_a_machine_for_which_no_core_is_left_is_told_what_would_fit(guest: str) -> None:
    with pytest.raises(
        NotSupportedError, match="2 vCPUs of its own: 2 whole cores, free: 1, kept for the host: 1 CPU"
    ) as refused:
        propose({guest: "dedicated"}, System())
    assert refused.value.hint.startswith("1 vCPU and ")


def test_a_running_machine_is_placed_thread_by_thread_with_its_io_threads_and_undo_brings_all_back(
    guest: str, journal: Journal
) -> None:
    machines.virsh("iothreadadd", guest, "1", "--live", "--config")
    before, config = affinities(guest), tune(guest)
    proposal = propose({guest: "dedicated"}, System(), NONE)
    number = machines.carry_out(proposal.plan, journal)
    seen = affinities(guest)
    assert (seen["CPU 0/TCG"], seen["CPU 1/TCG"]) == ({"0"}, {"1"})
    assert seen["IO iothread1"] == {"0,1"}
    assert "iothreadpin iothread='1' cpuset='0-1'" in tune(guest)
    assert not propose({guest: None}, System(), NONE).plan
    engine.undo(journal, number, System())
    after = affinities(guest)
    assert {name: after[name] for name in before if name in after} == {n: before[n] for n in before if n in after}
    assert tune(guest) == config
    machines.virsh("iothreaddel", guest, "1", "--live", "--config")


def test_taskset_on_the_process_is_told_as_one_thread_of_all(guest: str, capsys: pytest.CaptureFixture[str]) -> None:
    pid = Path(f"/run/libvirt/qemu/{guest}.pid").read_text().strip()
    machines.run("taskset", "--cpu-list", "--pid", "0", pid)
    assert main(["host", "topology"]) == 0
    said = capsys.readouterr().out
    count = len(list(Path(f"/proc/{pid}/task").iterdir()))
    assert f"{guest}: 2 vCPUs may run on every CPU; 1 of {count} threads pinned, as taskset -p does: no vCPU is" in said
    assert main(["host", "doctor"]) in {0, 1}
    assert f"virtkit vm pin {guest} auto" in capsys.readouterr().out
    machines.run("taskset", "--cpu-list", "--pid", "0-1", pid)
    assert main(["host", "topology", "--output", "json"]) == 0
    (mine,) = [each for each in json.loads(capsys.readouterr().out)["machines"] if each["name"] == guest]
    assert (mine["pinned"], mine["vcpus"]) == (0, ["0-1", "0-1"])


def test_none_frees_every_thread_and_undo_pins_them_again(guest: str, journal: Journal) -> None:
    first = machines.carry_out(vm.pin(guest, "0=1,1=0", emulator="1"), journal)
    second = machines.carry_out(vm.unpin(guest), journal)
    assert set.union(*affinities(guest).values()) == {"0,1"}
    assert tune(guest) == ""
    assert not vm.unpin(guest)
    engine.undo(journal, second, System())
    assert affinities(guest)["CPU 0/TCG"] == {"1"}
    engine.undo(journal, first, System())


def test_the_nodes_of_its_memory_are_written_for_the_next_start_and_undo_takes_them_out(
    idle: str, journal: Journal
) -> None:
    before = Domain.parse(machines.virsh("dumpxml", "--inactive", idle)).digest
    pins = Pins({0: (1,), 1: (0,)}, (0,), nodes=(0,), mode="preferred")
    number = machines.carry_out(vm.pin_all({idle: pins}), journal)
    assert "<memory mode='preferred' nodeset='0'/>" in machines.virsh("dumpxml", "--inactive", idle)
    assert not vm.pin_all({idle: pins})
    engine.undo(journal, number, System())
    assert Domain.parse(machines.virsh("dumpxml", "--inactive", idle)).digest == before
