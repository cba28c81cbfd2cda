"""Without power in the middle of a move a host starts as it was; after the confirmation it starts as moved."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from typing import TYPE_CHECKING, NamedTuple

import pytest

from guest import workshop
from support.qemu import Machine
from virtkit.core.errors import NotSupportedError

if TYPE_CHECKING:
    from pathlib import Path

    from support.qemu import Agent

pytestmark = [pytest.mark.netns, pytest.mark.timeout(400)]

INTERFACES = """\
# the loopback network interface
auto lo
iface lo inet loopback

auto eth0
iface eth0 inet static
    address 10.9.0.11/24
"""
# The host's own start: its disk, the link to the LAN (a namespace), what was left open, then ifupdown.
START = """
sh /lib/drivers
mkdir -p /state /run/network
mount -t ext4 /dev/vda /state
[ -e /state/network/if-up.d ] || cp -a /etc/network/if-* /state/network/
mount --bind /state/network /etc/network
unshare -n sh -c 'echo $$ >/run/lan.pid; exec sleep 100000' >/dev/null 2>&1 </dev/null &
until [ -s /run/lan.pid ]; do sleep 0.1; done
lan=$(cat /run/lan.pid)
/bin/ip link add eth0 type veth peer name lan0
/bin/ip link set lan0 netns "$lan"
nsenter -t "$lan" -n /bin/ip link set lan0 up
nsenter -t "$lan" -n /bin/ip addr add 10.9.0.1/24 dev lan0
python3 -m virtkit recover
/sbin/ifup -a
"""
PRELUDE = ". /lib/workshop; export VIRTKIT_STATE_DIR=/state/virtkit; cd /run\n"


class Host(NamedTuple):
    """What outlives a power cut."""

    kernel: Path
    initramfs: Path
    disk: Path
    place: Path

    def start(self) -> Machine:
        for name in ("agent", "monitor", "serial"):
            (self.place / name).unlink(missing_ok=True)
        boot = (
            "-kernel",
            str(self.kernel),
            "-initrd",
            str(self.initramfs),
            "-append",
            "console=ttyS0 quiet net.ifnames=0",
        )
        disk = f"if=virtio,format=raw,cache=none,file={self.disk}"
        return Machine(self.place, ["-m", "512", "-nic", "none", *boot, "-drive", disk])


@pytest.fixture
def host(tmp_path: Path) -> Host:
    if shutil.which("qemu-system-x86_64") is None:
        pytest.skip("needs qemu-system-x86_64")
    try:
        kernel, initramfs = workshop.build(tmp_path, workshop.IFUPDOWN)
    except NotSupportedError as error:
        pytest.skip(error.message)
    content, disk = tmp_path / "content", tmp_path / "disk.raw"
    (content / "network").mkdir(parents=True)
    (content / "virtkit").mkdir()
    (content / "network/interfaces").write_text(INTERFACES)
    with disk.open("wb") as file:
        file.truncate(64 << 20)
    subprocess.run(["mke2fs", "-q", "-t", "ext4", "-d", content, disk], check=True)
    return Host(kernel, initramfs, disk, tmp_path)


def booted(machine: Machine) -> Agent:
    agent = machine.agent()
    agent.shell(f"{PRELUDE}({START}) >/run/start.log 2>&1 || :")
    return agent


def shell(agent: Agent, script: str) -> str:
    return agent.shell(f"{PRELUDE}({script}) 2>&1 || echo status $?")


def held(agent: Agent) -> dict[str, list[str]]:
    found = json.loads(shell(agent, "/bin/ip -json -4 addr show scope global"))
    return {link["ifname"]: [entry["local"] for entry in link["addr_info"]] for link in found if link.get("addr_info")}


def test_a_move_is_gone_before_its_confirmation_and_stays_after_it(host: Host) -> None:
    with host.start() as machine:
        agent = booted(machine)
        assert held(agent) == {"eth0": ["10.9.0.11"]}, shell(agent, "cat /run/start.log")
        create = "python3 -m virtkit net bridge create br0 --port eth0 -y"
        shell(agent, f"{create} --confirm 300 >/run/create.log 2>&1 &")
        until = time.monotonic() + 60
        while held(agent) != {"br0": ["10.9.0.11"]}:
            assert time.monotonic() < until, shell(agent, "cat /run/create.log")
            time.sleep(0.5)
    with host.start() as machine:  # QEMU was killed: the power was cut inside the window
        agent = booted(machine)
        assert held(agent) == {"eth0": ["10.9.0.11"]}, shell(agent, "cat /run/start.log")
        assert shell(agent, "cat /etc/network/interfaces") == INTERFACES
        assert "rolled back" in shell(agent, "python3 -m virtkit history")
        said = shell(agent, f"{create} --auto-confirm")
        assert "done (change" in said, said
    with host.start() as machine:  # and again, right after the change was done
        agent = booted(machine)
        assert held(agent) == {"br0": ["10.9.0.11"]}, shell(agent, "cat /run/start.log; cat /etc/network/interfaces")
        assert " 3 received" in shell(agent, "/bin/ping -q -c 3 -w 10 10.9.0.1")
