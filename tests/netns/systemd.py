"""systemd as the first process of the lab's host, in namespaces of its own: services, cgroups, and a boot."""

from __future__ import annotations

import subprocess
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from support.guarded import until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from netns.lab import Lab

# $1 is the root, $2 what is started. Devices of its own: systemd owns what it finds in /dev.
BOOT = """
set -e
umount -l "$1/dev"
mount -t tmpfs tmpfs "$1/dev"
mknod -m 666 "$1/dev/null" c 1 3
mknod -m 666 "$1/dev/zero" c 1 5
mknod -m 666 "$1/dev/random" c 1 8
mknod -m 666 "$1/dev/urandom" c 1 9
mount -t proc proc "$1/proc"
mount -t sysfs -o ro sysfs "$1/sys"
mount -t cgroup2 none "$1/sys/fs/cgroup"
mount -t tmpfs tmpfs "$1/run"
exec chroot "$1" env -i container=virtkit PATH=/usr/sbin:/usr/bin:/sbin:/bin \
    /lib/systemd/systemd --unit="$2" --log-target=null --show-status=no
"""


@contextmanager
def booted(lab: Lab) -> Iterator[list[str]]:
    """Yields what to put in front of a command so that it runs there; the end is a power cut.

    As much of a boot as virtkit's own units need: the whole would start this machine's services.
    """
    target = lab.root / "etc/systemd/system/virtkit-lab.target"
    wanted = lab.root / "etc/systemd/system/sysinit.target.wants"
    wants = " ".join(path.name for path in wanted.glob("virtkit-*")) if wanted.is_dir() else ""
    target.write_text(f"[Unit]\nDefaultDependencies=no\nWants=network-pre.target {wants}\n")
    isolated = ["unshare", "-m", "-p", "-u", "-i", "-C", "--fork", "--kill-child", "sh", "-c", BOOT, "boot"]
    command = ["ip", "netns", "exec", lab.host, *isolated, str(lab.root), target.name]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as starter:
        try:
            until(lambda: _first(starter.pid))
            first = _first(starter.pid)
            inside = ["nsenter", "-t", str(first), "-m", "-p", "-u", "-i", "-C", "-n", "-r", "-w"]
            inside += ["env", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", f"VIRTKIT_STATE_DIR={lab.state}"]
            until(lambda: _runs(inside))
            yield inside
        finally:
            starter.kill()


def child(pid: int) -> int:
    """Of a process that enters a namespace and forks there, seen from outside; 0: there is none yet."""
    with suppress(FileNotFoundError):
        for found in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
            return int(found)
    return 0


def _first(starter: int) -> int:
    """systemd; 0: it does not run yet."""
    with suppress(FileNotFoundError):
        found = child(starter)
        return found if found and Path(f"/proc/{found}/comm").read_text() == "systemd\n" else 0
    return 0


def _runs(inside: list[str]) -> bool:
    done = subprocess.run([*inside, "systemctl", "is-system-running"], capture_output=True, text=True, check=False)
    return done.stdout.strip() in {"running", "degraded"}
