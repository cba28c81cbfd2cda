"""What libvirt logs of a machine's QEMU."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from vmhost.hosts import Host

pytestmark = pytest.mark.netns


def test_the_log_of_a_machine_marks_its_last_start(kvm: Host, idle: str) -> None:
    assert "never started here" in kvm.virtkit("vm", "log", idle, check=False).stderr
    for _ in range(2):
        kvm.virsh("start", idle)
        kvm.virsh("destroy", idle)
    whole, last = kvm.json("vm", "log", idle), kvm.json("vm", "log", idle, "--last")
    assert "starting up libvirt version" in whole["lines"][whole["last_start"]]
    assert last["last_start"] == 0
    assert last["lines"] == whole["lines"][whole["last_start"] :]
    assert whole["last_start"] > 0
    said = kvm.virtkit("vm", "log", idle).stdout
    before, _, after = said.partition("---- last start ----\n")
    assert before.count("starting up libvirt version") == after.count("starting up libvirt version") == 1
