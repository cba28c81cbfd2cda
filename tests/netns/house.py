"""A root directory of its own for the lab's host: this machine's programs, its own /etc, /run and /var, and daemons
that are not installed here (NetworkManager, netplan, ifupdown ...), unpacked from the distribution's packages.

Nothing that runs in it can touch this machine's files, but for the checkout. It is an overlay over ``/``.
"""

from __future__ import annotations

import fcntl
import hashlib
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from virtkit.core.system import System
from virtkit.recipes.guest import store

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

PACKAGES = (
    "bridge-utils",
    "dhcpcd-base",
    "firewalld",
    "ifupdown",
    "iputils-arping",
    "isc-dhcp-client",
    "netplan.io",
    "network-manager",
    "nftables",
    "radvd",
)
# What a machine of ours may have configured: the lab's host starts without.
EMPTY = (
    "etc/NetworkManager/system-connections",
    "etc/netplan",
    "etc/network",
    "etc/sysconfig/network-scripts",
    "etc/systemd/network",
)
VOLATILE = ("run", "tmp")
CHECKOUT = Path(__file__).resolve().parents[2]  # which may be below those, or on a file system of its own
RUNTIME = ("run/dbus", "run/lock", "run/network", "run/systemd/netif/leases", "run/systemd/netif/links")


def daemons() -> Path:
    """The unpacked packages, fetched once a machine; skips where there is no apt."""
    return _cached(_unpack, PACKAGES)


def package(name: str) -> Path:
    """One that conflicts with those, unpacked by itself, without what it depends on."""
    return _cached(_unpack_alone, [name])


def _cached(unpack: Callable[[Path, Path, Sequence[str]], None], packages: Sequence[str]) -> Path:
    if not shutil.which("apt-get"):
        pytest.skip("needs apt-get for the daemons' packages")
    lists = subprocess.run(["apt-cache", "policy", *packages], capture_output=True, check=True).stdout
    home = store.cache(System()) / "daemons"
    home.mkdir(parents=True, exist_ok=True)
    place = home / hashlib.sha256(lists).hexdigest()[:16]
    with (home / "lock").open("wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not place.exists():
            unpack(home, place, packages)
    return place


def _unpack_alone(home: Path, place: Path, packages: Sequence[str]) -> None:
    with tempfile.TemporaryDirectory(dir=home) as folder:
        subprocess.run(["apt-get", "-qq", "download", *packages], cwd=folder, check=True, stdout=subprocess.DEVNULL)
        beside = Path(folder) / "beside"
        for archive in Path(folder).glob("*.deb"):
            subprocess.run(["dpkg-deb", "-x", archive, beside], check=True)
        beside.rename(place)


def _unpack(home: Path, place: Path, packages: Sequence[str]) -> None:
    """Only what is not installed here is fetched, with what it depends on."""
    archives, beside = home / "archives", home / "beside"
    (archives / "partial").mkdir(parents=True, exist_ok=True)
    shutil.rmtree(beside, ignore_errors=True)
    option = f"Dir::Cache::archives={archives}"
    command = ["apt-get", "-qq", "-y", "--no-install-recommends", "--download-only", "-o", option, "install"]
    subprocess.run([*command, *packages], check=True, stdout=subprocess.DEVNULL)
    for archive in sorted(archives.glob("*.deb")):
        subprocess.run(["dpkg-deb", "-x", archive, beside], check=True)
    for name in ("bin", "lib", "sbin"):  # links to their twins in /usr here, which a directory would hide
        if (beside / name).is_dir():
            shutil.copytree(beside / name, beside / "usr" / name, symlinks=True, dirs_exist_ok=True)
            shutil.rmtree(beside / name)
    beside.rename(place)


def layer(folder: Path) -> Path:
    """The daemons in a file system of their own: an overlay takes no layer from within another one of its layers."""
    _mount_tmpfs(folder)
    extra = Path(shutil.copytree(daemons(), folder / "daemons", symlinks=True))
    root = _overlay(folder, extra)
    subprocess.run(["ldconfig", "-r", root], check=True)  # netplan looks for its library in the cache
    shutil.copy(root / "etc/ld.so.cache", extra / "etc")
    subprocess.run(["umount", root], check=True)
    return extra


def build(folder: Path, extra: Path, shared: Sequence[Path]) -> Path:
    """The root, mounted in ``folder``; ``shared`` are directories that it has in common with this machine."""
    _mount_tmpfs(folder)
    root = _overlay(folder, extra)
    for name in EMPTY:
        shutil.rmtree(root / name, ignore_errors=True)
        (root / name).mkdir(parents=True)
    (root / "etc/resolv.conf").unlink(missing_ok=True)  # its servers are out of reach here
    (root / "etc/resolv.conf").touch()
    for name in VOLATILE:
        subprocess.run(["mount", "-t", "tmpfs", "virtkit-lab", root / name], check=True)
    for name in RUNTIME:
        (root / name).mkdir(parents=True, exist_ok=True)
    shutil.chown(root / "run/systemd/netif", "systemd-network", "systemd-network")
    for child in ("leases", "links"):
        shutil.chown(root / "run/systemd/netif" / child, "systemd-network", "systemd-network")
    (root / "run/netns").mkdir()
    for place in (Path("/run/netns"), CHECKOUT, *shared):
        (root / place.relative_to("/")).mkdir(parents=True, exist_ok=True)
        subprocess.run(["mount", "--rbind", place, root / place.relative_to("/")], check=True)
        # Else what is unmounted here at the end is unmounted there too: the namespaces of every other lab.
        subprocess.run(["mount", "--make-rslave", root / place.relative_to("/")], check=True)
    for name in ("dev", "dev/pts"):  # without what other tests have mounted in /dev/shm: it would stay as long as we do
        subprocess.run(["mount", "--bind", f"/{name}", root / name], check=True)
    subprocess.run(["mount", "-t", "tmpfs", "virtkit-lab", root / "dev/shm"], check=True)
    subprocess.run(["mount", "-t", "proc", "proc", root / "proc"], check=True)
    return root


def _overlay(folder: Path, extra: Path) -> Path:
    """This machine's root with ``extra`` over it, and what is written over both."""
    above, work, root = folder / "above", folder / "work", folder / "root"
    for directory in (above, work, root):
        directory.mkdir()
    layers = f"lowerdir={extra}:/,upperdir={above},workdir={work}"
    subprocess.run(["mount", "-t", "overlay", "virtkit-lab", "-o", layers, root], check=True)
    return root


def _mount_tmpfs(folder: Path) -> None:
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "virtkit-lab", folder], check=True)


def remove(folder: Path) -> None:
    """Lazily: a daemon may have a file open still."""
    subprocess.run(["umount", "--recursive", "--lazy", folder], check=False, capture_output=True)
    if folder.is_dir():
        folder.rmdir()
