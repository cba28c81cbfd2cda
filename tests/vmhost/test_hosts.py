"""The hosts that other tests stand on: of their own, whole, and gone in the end."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from virtkit import vm
from virtkit.vm.blueprint import machine_xml
from vmhost import hosts

if TYPE_CHECKING:
    from vmhost.hosts import Host, Lan

pytestmark = pytest.mark.netns

DYING = """
import os, signal
from vmhost.hosts import Lan
host = Lan().host(1)
print(host.pid, host.folder, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_hosts_are_strangers_that_see_each_other(kvms: tuple[Host, Host]) -> None:
    one, other = kvms
    identities = {re.findall("<uuid>.*</uuid>", host.virsh("capabilities"))[0] for host in kvms}
    assert len(identities) == 2
    assert one.run("virsh", "-c", other.tcp, "hostname").stdout.strip() == "kvm2"


def test_a_guest_answers_on_the_host_and_in_this_process(speaking: Host, guest: str) -> None:
    assert speaking.virsh("domstate", guest) == "running"
    assert vm.execute(guest, ["/bin/sh", "-c", "nproc"]).stdout == speaking.shell(guest, "nproc") == "2\n"
    assert guest in {machine["name"] for machine in speaking.json("vm", "list")}


def test_a_host_that_lost_its_power_comes_back_empty(lan: Lan) -> None:
    lost = lan.host(3)
    lost.define(machine_xml(hosts.idle("gone")))
    lan.lose(lost)
    assert lan.host(3).machines() == []
    assert lan.host(1).run("virsh", "-c", lan.host(3).tcp, "hostname").stdout.strip() == "kvm3"
    lan.lose(lan.host(3))


def test_nothing_outlives_who_made_it() -> None:
    paths = os.pathsep.join(path for path in sys.path if path)
    command = [sys.executable, "-c", DYING]
    said = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, "PYTHONPATH": paths})
    process, folder = said.stdout.split()
    try:
        end = time.monotonic() + 10
        while Path(f"/proc/{process}").exists():
            assert time.monotonic() < end
            time.sleep(0.05)
    finally:
        shutil.rmtree(Path(folder).parent)
