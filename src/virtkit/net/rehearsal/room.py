"""The room in which a start of the host is rehearsed, from within: ``unshare ... python -m`` this module.

The namespaces are made already. Whatever is started here sees the host's files and can change none of them, has a
``/run`` of its own (no socket leads to the host's daemons), and dies with this process, the first of its PID namespace.
"""

from __future__ import annotations

import ctypes
import os
import sys
import time
from importlib import import_module
from pathlib import Path

from virtkit.core.errors import VirtkitError
from virtkit.core.files import NEW_MODE
from virtkit.core.system import System
from virtkit.net import requests
from virtkit.net.kernel import Kernel
from virtkit.net.rehearsal import picture
from virtkit.net.rehearsal.far import FarEnd
from virtkit.net.rehearsal.scene import Outcome, Scene

MS_RDONLY, MS_REMOUNT, MS_BIND = 1, 32, 4096
KEPT_FLAGS = {"nosuid": 2, "nodev": 4, "noexec": 8, "noatime": 1024, "nodiratime": 2048, "relatime": 1 << 21}
COPIED = ("/etc", "/var/lib")  # what daemons and their scripts write, as a copy above the host's
LINKS = "/sys/devices/virtual/net"  # of the room alone; ifupdown2 sets an MTU there
RUNTIME = "/run"
ABOVE = "/run/.rehearsal"  # the copies
LOG = "/run/.rehearsal/log"
DETECTION = "/proc/sys/net/ipv6/conf/default/accept_dad"  # of duplicates: there is nobody else in the room
REMOTE = {"nfs", "nfs4", "cifs", "smb3", "ceph", "afs", "autofs", "9p"}  # a dead server would hold us up
POLL = 0.1  # seconds between two looks
STEADY, STILL = 0.5, 6.0  # seconds: as wanted for this long, or otherwise without a change
COMMAND_PATIENCE = 60.0  # seconds for each
ENVIRONMENT = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "SYSTEMD_LOG_TARGET": "console",
    "SYSTEMD_LOG_COLOR": "0",
}


def main() -> None:
    scene = Scene.load(sys.stdin.read())
    os.umask(0o022)
    carried = _carry(scene.carried)
    _enclose()
    for path, (mode, content) in carried.items():
        _lay(path, content, mode)
    for path, text in scene.files.items():
        _lay(path, None if text is None else text.encode("utf-8", "surrogateescape"), scene.modes.get(path, NEW_MODE))
    far = FarEnd(scene.twins, scene.lease)
    _connect(scene, far)
    log = _start(scene)
    found = _settled(scene)
    said = Path(LOG).read_text(errors="replace").splitlines() if os.path.exists(LOG) else []
    sys.stdout.write(Outcome(found, [*log, *said], far.clients).dump())
    sys.stdout.flush()
    os._exit(0)  # the far end listens for ever


def _carry(directories: list[str]) -> dict[str, tuple[int, bytes]]:
    """The files of the host's /run that are taken along, before that is out of sight."""
    found = (path for directory in directories for path in Path(directory).rglob("*"))
    return {str(path): (path.stat().st_mode & 0o7777, path.read_bytes()) for path in found if path.is_file()}


def _enclose() -> None:
    mounts = Path("/proc/self/mounts").read_text().splitlines()
    _mount("tmpfs", RUNTIME, "tmpfs", data="mode=755")
    for number, place in enumerate(COPIED):
        above, work = f"{ABOVE}/{number}", f"{ABOVE}/{number}.work"
        os.makedirs(above)
        os.makedirs(work)
        _mount("overlay", place, "overlay", data=f"lowerdir={place},upperdir={above},workdir={work}")
    for line in mounts:
        _, target, kind, options, *_ = line.encode().decode("unicode_escape").split(" ")
        if kind not in REMOTE and not target.startswith(("/proc", "/dev", "/sys")) and target != RUNTIME:
            _read_only(target, options)
    _mount("sysfs", "/sys", "sysfs")
    _mount(LINKS, LINKS, "", MS_BIND)
    _read_only("/sys", "")
    for name in os.listdir("/proc/sys"):
        if name != "net":
            _mount(f"/proc/sys/{name}", f"/proc/sys/{name}", "", MS_BIND)
            _read_only(f"/proc/sys/{name}", "")


def _read_only(target: str, options: str) -> None:
    """Mounts that are hidden below others cannot be reached, by us or by anybody else."""
    kept = sum(flag for name, flag in KEPT_FLAGS.items() if name in options.split(","))
    try:
        _mount("none", target, "", MS_REMOUNT | MS_BIND | MS_RDONLY | kept)
    except OSError:
        if os.path.ismount(target):
            raise


def _mount(source: str, target: str, kind: str, flags: int = 0, data: str = "") -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mount(os.fsencode(source), os.fsencode(target), kind.encode(), ctypes.c_ulong(flags), data.encode()):
        raise OSError(ctypes.get_errno(), f"mount {kind or 'again'} on {target}: {os.strerror(ctypes.get_errno())}")


def _lay(path: str, content: bytes | None, mode: int) -> None:
    """``mode`` is for a file that is not there yet."""
    place = Path(path)
    if content is None:
        place.unlink(missing_ok=True)
        return
    place.parent.mkdir(parents=True, exist_ok=True)
    new = not place.exists()
    place.write_bytes(content)
    if new:
        place.chmod(mode)


def _connect(scene: Scene, far: FarEnd) -> None:
    """As a host's links are before any daemon runs: there, and down."""
    for path, value in scene.settings.items():
        Path(path).write_text(value)
    if os.path.exists(DETECTION):
        Path(DETECTION).write_text("0")
    with Kernel() as kernel:
        kernel.transaction([requests.set_up("lo")])
        for number, twin in enumerate(scene.twins):
            kernel.transaction([requests.create_twin(twin.name, twin.mac, far.link(number), far.namespace)])
    far.begin()


def _start(scene: Scene) -> list[str]:
    """-> what failed."""
    os.environ.clear()
    os.environ.update(ENVIRONMENT)
    system, failed = System(), []
    for command in scene.commands:
        try:
            system.run(command, timeout=COMMAND_PATIENCE)
        except VirtkitError as error:
            failed.append(error.message)
    if scene.fitting:
        import_module(scene.fitting).fit(system, scene.twins)
    if scene.daemon:
        system.run(["sh", "-c", f'exec "$@" >>{LOG} 2>&1 &', "sh", *scene.daemon])
    return failed


def _settled(scene: Scene) -> picture.Picture:
    """Until the links have been as wanted for a while, nothing happens any more, or the patience is over."""
    now = since = time.monotonic()
    deadline, last = now + scene.patience + scene.silence, picture.Picture()
    with Kernel() as kernel:
        while True:
            found, now = picture.take(kernel.network(), scene.port, scene.bridge), time.monotonic()
            since, last = (since if found == last else now), found
            as_wanted = scene.wanted and not picture.compare(scene.wanted, found)
            read = scene.ready and os.path.exists(scene.ready)
            if read or now >= deadline or now - since >= (STEADY if as_wanted else STILL + scene.silence):
                return found
            time.sleep(POLL)


if __name__ == "__main__":
    main()
