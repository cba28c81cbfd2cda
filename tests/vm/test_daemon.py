"""Each test has a /run, a /var/log and a process table of its own: the host's own libvirt is never met."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [
    pytest.mark.guest,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root"),
    pytest.mark.skipif(not Path("/usr/sbin/libvirtd").exists(), reason="needs libvirtd"),
]

FRESH = """\
set -eu
mkdir "$0/libvirt"
cp /etc/libvirt/*.conf "$0/libvirt"
mount --bind "$0/libvirt" /etc/libvirt
if [ -e /dev/kvm ]; then
    mknod "$0/kvm" c 10 232
    chown root:kvm "$0/kvm"
    chmod 660 "$0/kvm"
    mount --bind "$0/kvm" /dev/kvm
fi
for place in /run /var/log /var/lib/libvirt /var/cache/libvirt; do mount -t tmpfs fresh $place; done
"$@"
exit # not exec: somebody has to be there for the children of those who end
"""

CALLS = """\
import os
from virtkit.core.errors import VirtkitError
from virtkit.core.system import System
from virtkit.vm.daemon import ensure_running

def call():
    try:
        said = ensure_running(System())
    except VirtkitError as error:
        said = f"{type(error).__name__}: {error}"
    os.write(1, f"{said}\\n".encode())  # in one piece, for others write too
"""

COUNT = """\
from pathlib import Path

def daemons():
    names = (Path(entry, "comm") for entry in Path("/proc").glob("[0-9]*"))
    return sorted(name.read_text().strip() for name in names if name.exists() and "virt" in name.read_text())
"""


def on_a_fresh_host(place: Path, script: str) -> list[str]:
    """The lines that ``script`` prints where no libvirt runs; all that it starts ends with it."""
    command = ["unshare", "--mount", "--pid", "--net", "--ipc", "--fork", "--kill-child", "--mount-proc"]
    program = [sys.executable, "-c", CALLS + COUNT + script]
    done = subprocess.run(
        [*command, "sh", "-c", FRESH, str(place), *program], capture_output=True, text=True, check=False, timeout=30
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_starts_libvirt_once_and_then_finds_it_running(tmp_path: Path) -> None:
    said = on_a_fresh_host(tmp_path, "call(); print(daemons(), flush=True); call(); print(daemons())")
    assert said == ["started virtlogd and libvirtd", "['libvirtd', 'virtlogd']", "None", "['libvirtd', 'virtlogd']"]


def test_what_it_started_answers_to_libvirts_own_client(tmp_path: Path) -> None:
    asks = "call(); os.execvp('virsh', ['virsh', '-c', 'qemu:///system', 'uri'])"
    assert on_a_fresh_host(tmp_path, asks)[:2] == ["started virtlogd and libvirtd", "qemu:///system"]


def test_of_many_processes_that_ask_at_once_one_starts_it(tmp_path: Path) -> None:
    crowd = """
import multiprocessing
crowd = [multiprocessing.Process(target=call) for _ in range(6)]
for each in crowd: each.start()
for each in crowd: each.join()
print(daemons())
"""
    said = on_a_fresh_host(tmp_path, crowd)
    assert sorted(said[:-1]) == ["None"] * 5 + ["started virtlogd and libvirtd"]
    assert said[-1] == "['libvirtd', 'virtlogd']"


def test_is_not_fooled_by_the_socket_that_a_killed_daemon_left(tmp_path: Path) -> None:
    again = """
import signal, time
call()
os.kill(int(Path("/run/libvirtd.pid").read_text()), signal.SIGKILL)
while "libvirtd" in daemons(): time.sleep(0.01)
print(Path("/run/libvirt/libvirt-sock").exists(), flush=True)
call()
"""
    assert on_a_fresh_host(tmp_path, again) == ["started virtlogd and libvirtd", "True", "started libvirtd"]


def test_says_why_a_daemon_does_not_start(tmp_path: Path) -> None:
    said = on_a_fresh_host(tmp_path, 'Path("/etc/libvirt/libvirtd.conf").write_text("log_level = \\n"); call()')
    assert len(said) == 1
    assert said[0].startswith("MachineError: libvirtd does not start: ")
    assert "/etc/libvirt/libvirtd.conf:1" in said[0]


def test_says_what_the_log_says_when_it_fails_in_the_background(tmp_path: Path) -> None:
    held = """
import fcntl
pidfile = open("/run/libvirtd.pid", "w")
fcntl.lockf(pidfile, fcntl.LOCK_EX)
call()
"""
    said = on_a_fresh_host(tmp_path, held)
    assert len(said) == 1
    assert "Failed to acquire pid file '/run/libvirtd.pid'" in said[0]


@pytest.mark.skipif(not Path("/dev/kvm").exists(), reason="this kernel has no /dev/kvm")
@pytest.mark.parametrize(("mode", "owner"), [(0o600, 0), (0o660, 993)])
def test_gives_kvm_to_its_group_where_no_udev_did(tmp_path: Path, mode: int, owner: int) -> None:
    look = f"""
import grp
os.chown("/dev/kvm", 0, {owner})
os.chmod("/dev/kvm", {mode})
call()
status = os.stat("/dev/kvm")
print(oct(status.st_mode & 0o777), grp.getgrgid(status.st_gid).gr_name)
"""
    said = on_a_fresh_host(tmp_path, look)
    assert said == ["started virtlogd and libvirtd; gave /dev/kvm to group kvm, as udev does", "0o660 kvm"]


@pytest.mark.skipif(not Path("/dev/kvm").exists(), reason="this kernel has no /dev/kvm")
def test_leaves_kvm_alone_where_everybody_may_open_it(tmp_path: Path) -> None:
    look = 'os.chmod("/dev/kvm", 0o666); call(); print(oct(os.stat("/dev/kvm").st_mode & 0o777))'
    assert on_a_fresh_host(tmp_path, look) == ["started virtlogd and libvirtd", "0o666"]


def test_makes_the_directory_where_consoles_are_locked(tmp_path: Path) -> None:
    look = 'call(); print(oct(os.stat("/run/lock").st_mode & 0o7777))'
    assert on_a_fresh_host(tmp_path, look)[-1] == "0o1777"
