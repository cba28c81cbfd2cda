"""Knobs that most hosts of tests do not have, under the distribution's kernel: SMT, nodes, cpusets of version 2, KVM's.

Two guests, about 40 s: only with VIRTKIT_DEPTH above 1.
"""

from __future__ import annotations

import os
import re
import shutil
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest

import bench.host.knobs
from bench.host.knobs import DONE
from guest import workshop
from support.depth import only_deep
from support.qemu import Machine
from virtkit.core.errors import NotSupportedError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.qemu import Agent

pytestmark = [
    pytest.mark.netns,
    pytest.mark.timeout(600),
    only_deep("takes a minute"),
]

TRIAL = Path(bench.host.knobs.__file__)
FILES = (
    ("opt/bench/__init__.py", b""),
    ("opt/bench/host/__init__.py", b""),
    ("opt/bench/host/knobs.py", TRIAL.read_bytes()),
)
NODES = (
    *("-object", "memory-backend-ram,id=a,size=512M", "-object", "memory-backend-ram,id=b,size=512M"),
    *("-numa", "node,cpus=0-3,memdev=a", "-numa", "node,cpus=4-7,memdev=b"),
)
SLICES = """\
mount -t cgroup2 none /sys/fs/cgroup 2>/dev/null || { mkdir -p /sys/fs/cgroup; mount -t cgroup2 none /sys/fs/cgroup; }
echo +cpuset >/sys/fs/cgroup/cgroup.subtree_control
for slice in machine system user; do mkdir -p /sys/fs/cgroup/$slice.slice; done
echo 4-7 >/sys/fs/cgroup/machine.slice/cpuset.cpus
echo 0-3 >/sys/fs/cgroup/system.slice/cpuset.cpus
echo 0-3 >/sys/fs/cgroup/user.slice/cpuset.cpus
"""


class Guest(NamedTuple):
    machine: tuple[str, ...]  # arguments of QEMU
    kit: workshop.Kit
    prepare: str  # in the guest
    expected: frozenset[str]  # knobs that must be changed there


INTEL = Guest(
    ("-cpu", "Icelake-Server", "-m", "1024", "-smp", "8,sockets=2,cores=2,threads=2", *NODES),
    workshop.Kit((), (), ("bridge", "br_netfilter"), ("net/llc/*", "net/802/*", "net/bridge/*"), FILES),
    SLICES,
    frozenset(
        (
            *(
                "smt.control",
                "cpu.online",
                "hugepages.2M",
                "slice.machine.cpus",
                "slice.machine.partition",
                "slice.system.cpus",
            ),
            *(
                "slice.user.cpus",
                "kernel.numa_balancing",
                "ksm.merge_across_nodes",
                "net.bridge.bridge-nf-call-iptables",
            ),
        )
    ),
)
AMD = Guest(
    ("-cpu", "EPYC,+svm,+npt", "-m", "3072", "-smp", "2"),
    workshop.Kit((), (), ("kvm", "kvm_amd"), ("arch/x86/kvm/*", "virt/*", "drivers/crypto/ccp/*"), FILES),
    "",
    frozenset(
        (
            "kvm.halt_poll_ns",
            "kvm.nx_huge_pages",
            "ksm.pages_to_scan",
            "thp.enabled",
            "cpuidle.governor",
            "hugepages.1G",
        )
    ),
)


def _trials(agent: Agent, script: str) -> str:
    return agent.shell(f". /lib/workshop; cd /run; sh /lib/drivers; {script}\npython3 -m bench.host.knobs 2>&1 || true")


@pytest.fixture
def place(tmp_path: Path) -> Path:
    if shutil.which("qemu-system-x86_64") is None:
        pytest.skip("needs qemu-system-x86_64")
    return tmp_path


@contextmanager
def running(place: Path, guest: Guest) -> Iterator[Agent]:
    try:
        kernel, initramfs = workshop.build(place, guest.kit)
    except NotSupportedError as error:
        pytest.skip(error.message)
    disk = place / "disk.raw"
    with disk.open("wb") as file:
        file.truncate(1 << 20)
    boot = ("-kernel", str(kernel), "-initrd", str(initramfs), "-append", "console=ttyS0 quiet")
    with Machine(place, [*guest.machine, *boot, "-drive", f"if=virtio,format=raw,file={disk}"]) as machine:
        yield machine.agent()


@pytest.mark.parametrize("guest", [INTEL, AMD], ids=["smt-and-nodes", "kvm"])
def test_each_knob_of_a_stock_kernel_is_changed_read_back_and_put_back(place: Path, guest: Guest) -> None:
    with running(place, guest) as agent:
        said = _trials(agent, guest.prepare)
        if shown := os.environ.get("VIRTKIT_SHOW"):
            Path(shown).write_text(said)
        done = set(re.findall(rf"^(\S+?)(?:@\S+)? .*{re.escape(DONE)}$", said, re.MULTILINE))
        assert "left as it was: yes" in said, said
        assert guest.expected - done == set(), said
