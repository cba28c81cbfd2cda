"""The demo's guest: read back by other programs, booted, and asked."""

from __future__ import annotations

import gzip
import hashlib
import lzma
import os
import stat
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.qemu import Machine
from virtkit.core.errors import NotSupportedError, UsageError
from virtkit.core.system import System
from virtkit.core.units import GIB, MIB
from virtkit.recipes import guest
from virtkit.recipes.guest import cpio, disk, initramfs, modules, packages, store

if TYPE_CHECKING:
    from collections.abc import Callable

BEGIN = MIB  # bytes; of the partition
AGENT_SECONDS = 20  # of an otherwise idle machine, under TCG

PATHS = st.lists(st.text("abcdefghij.-_", min_size=1, max_size=12), min_size=1, max_size=4).map("/".join)
CONTENTS = st.binary(max_size=9000)
FILES = st.dictionaries(PATHS.filter(lambda path: not {".", ".."} & set(path.split("/"))), CONTENTS, max_size=6)


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A disk that the tests only read."""
    target = tmp_path_factory.mktemp("guest") / "guest.raw"
    try:
        guest.build(target)
    except NotSupportedError as error:
        pytest.skip(error.message)
    return target


@pytest.fixture
def copy(built: Path, tmp_path: Path) -> Path:
    """A disk that a guest may write to."""
    target = tmp_path / "guest.raw"
    guest.build(target)
    return target


def members_of(files: dict[str, bytes]) -> list[cpio.Member]:
    """A name that is a directory of another one cannot be a file as well."""
    folders = {path[:at] for path in files for at, sign in enumerate(path) if sign == "/"}
    return [cpio.file(path, content) for path, content in files.items() if path not in folders]


@pytest.mark.parametrize("reader", [["cpio"], ["busybox", "cpio"]], ids=["cpio", "busybox"])
@settings(max_examples=25, deadline=None)
@given(files=FILES)
def test_other_programs_unpack_what_was_packed(reader: list[str], files: dict[str, bytes]) -> None:
    members = members_of(files)
    with TemporaryDirectory() as place:
        packed = cpio.archive([*members, cpio.link("a link", "its target"), cpio.directory("empty")])
        subprocess.run([*reader, "-idm"], input=packed, cwd=place, check=True, capture_output=True)
        for member in members:
            assert Path(place, member.path).read_bytes() == member.content
        assert Path(place, "a link").readlink() == Path("its target")
        assert Path(place, "empty").is_dir()


@given(files=FILES)
def test_the_order_of_packing_does_not_matter(files: dict[str, bytes]) -> None:
    members = members_of(files)
    other = sorted(members, key=lambda member: hashlib.sha256(member.path.encode()).digest())
    assert cpio.archive(members) == cpio.archive(other) == cpio.archive(reversed(members))


def test_programs_in_the_initramfs_are_executable(built: Path, tmp_path: Path) -> None:
    unpacked = unpack_initramfs(tmp_path)
    for program in ("bin/busybox", "sbin/qemu-ga", "sbin/shutdown", "lib/virtkit/start"):
        assert (unpacked / program).stat().st_mode & stat.S_IXUSR, program


def test_every_module_stands_after_those_that_modinfo_says_it_needs(built: Path, tmp_path: Path) -> None:
    unpacked = unpack_initramfs(tmp_path)
    order = (unpacked / "lib/modules/order").read_text().split()
    for position, name in enumerate(order):
        path = unpacked / f"lib/modules/{name}.ko"
        asked = subprocess.run(["modinfo", "-F", "depends", path], capture_output=True, text=True, check=True)
        needed = [other.replace("-", "_") for other in asked.stdout.strip().split(",") if other]
        assert sorted(needed) == sorted(modules.needs(path.read_bytes())), name
        assert set(needed) <= set(order[:position]), name
    assert "virtio_net" in order


@pytest.mark.parametrize(
    ("place", "suffix", "pack"),
    [("lib/modules", ".ko", bytes), ("usr/lib/modules", ".ko.xz", lzma.compress)],
    ids=["Debian 12", "Debian 13"],
)
def test_modules_are_found_where_the_release_has_them(
    built: Path, tmp_path: Path, place: str, suffix: str, pack: Callable[[bytes], bytes]
) -> None:
    unpacked = unpack_initramfs(tmp_path) / "lib/modules"
    expected = {f"lib/modules/{path.name}": path.read_bytes() for path in unpacked.iterdir()}
    folder = tmp_path / place / "6.0"
    (folder / "kernel").mkdir(parents=True)
    for path in unpacked.glob("*.ko"):
        (folder / "kernel" / f"{path.stem}{suffix}").write_bytes(pack(path.read_bytes()))
    built_in = [name for name in initramfs.MODULES if f"lib/modules/{name}.ko" not in expected]
    (folder / "modules.builtin").write_text("".join(f"kernel/{name}.ko\n" for name in built_in))
    assert {member.path: member.content for member in initramfs._modules(tmp_path, "6.0")} == expected


def test_the_disk_is_large_and_takes_little(built: Path) -> None:
    status = built.stat()
    assert status.st_size == GIB
    assert 20 * MIB < status.st_blocks * 512 < 64 * MIB


def test_mtools_read_the_partition(built: Path, tmp_path: Path) -> None:
    where = ["-i", f"{built}@@{BEGIN}"]
    listed = subprocess.run(
        ["mdir", "-a", "-b", *where, "::/"], capture_output=True, text=True, check=True
    ).stdout.split()
    assert {"::/vmlinuz", "::/initrd.gz", "::/ldlinux.sys", "::/payload.bin"} <= set(listed)
    subprocess.run(["mcopy", *where, "::/payload.bin", "::/SHA256SUMS", tmp_path], check=True)
    subprocess.run(["sha256sum", "-c", "SHA256SUMS"], cwd=tmp_path, check=True, capture_output=True)
    assert (tmp_path / "payload.bin").stat().st_size == disk.PAYLOAD_SIZE


def test_the_second_build_comes_from_the_cache(built: Path, tmp_path: Path) -> None:
    started = time.monotonic()
    guest.build(tmp_path / "again.raw")
    assert time.monotonic() - started < 1
    assert beginning(tmp_path / "again.raw") == beginning(built)


def test_another_cache_gets_the_same_guest(built: Path, tmp_path: Path) -> None:
    """Made again from the packages, with nothing else of the first build at hand."""
    archives = tmp_path / "guest" / "packages.d"
    archives.mkdir(parents=True)
    for archive in (store.cache(System()) / "guest" / "packages.d").iterdir():
        (archives / archive.name).symlink_to(archive)
    program = f"from pathlib import Path; from virtkit.recipes import guest; guest.build(Path({str(tmp_path / 'b')!r}))"
    environment = {**os.environ, "VIRTKIT_CACHE_DIR": str(tmp_path)}
    subprocess.run([sys.executable, "-c", program], env=environment, check=True)
    assert beginning(tmp_path / "b") == beginning(built)


def test_no_file_is_overwritten(built: Path) -> None:
    with pytest.raises(UsageError, match="exists, expected a new file"):
        guest.build(built)
    with pytest.raises(UsageError, match="exists, expected a new file"):
        guest.foreign(built, built)


def test_a_host_without_apt_is_told_what_is_expected(tmp_path: Path) -> None:
    program = (
        "from virtkit.recipes import guest\n"
        "from virtkit.core.errors import NotSupportedError\n"
        "try: guest.kernel_and_initramfs()\n"
        "except NotSupportedError as error: print(error.message, error.hint)\n"
    )
    environment = {"PATH": str(tmp_path), "VIRTKIT_CACHE_DIR": str(tmp_path), "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True)
    assert "no apt" in done.stdout
    assert "virtkit up" in done.stdout


def test_a_cache_that_cannot_be_written_is_an_error_with_a_way_out(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    program = (
        "from virtkit.recipes import guest\n"
        "from virtkit.core.errors import SystemCallError\n"
        "try: guest.kernel_and_initramfs()\n"
        "except SystemCallError as error: print(error.message, error.hint)\n"
    )
    environment = {**os.environ, "VIRTKIT_CACHE_DIR": str(tmp_path / "file"), "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True)
    assert "not a directory" in done.stdout
    assert "VIRTKIT_CACHE_DIR=DIRECTORY virtkit demo" in done.stdout


def test_a_changed_package_list_is_noticed(tmp_path: Path) -> None:
    lists = tmp_path / "var/lib/apt/lists"
    lists.mkdir(parents=True)
    (lists / "mirror_Packages").write_text("one")
    first = packages.known(System(tmp_path))
    assert packages.known(System(tmp_path)) == first
    (lists / "mirror_Packages").write_text("other")
    assert packages.known(System(tmp_path)) != first


@pytest.mark.qemu
def test_qemu_finds_nothing_lost_in_the_foreign_disk(built: Path, tmp_path: Path) -> None:
    foreign = tmp_path / "foreign.vmdk"
    guest.foreign(built, foreign)
    compared = subprocess.run(["qemu-img", "compare", "-f", "raw", built, foreign], capture_output=True, check=False)
    assert compared.returncode == 0
    told = subprocess.run(["qemu-img", "info", foreign], capture_output=True, text=True, check=True).stdout
    assert "streamOptimized" in told
    assert foreign.stat().st_size < 40 * MIB


@pytest.mark.guest
@pytest.mark.parametrize("bus", ["ide", "scsi"])  # the demo boots from virtio
def test_the_disk_boots_to_an_agent_that_writes_to_it(copy: Path, tmp_path: Path, bus: str) -> None:
    drive = f"file={copy},format=raw,id=disk,if={'none' if bus == 'scsi' else bus}"
    extra = ["-device", "virtio-scsi-pci", "-device", "scsi-hd,drive=disk"] if bus == "scsi" else []
    started = time.monotonic()
    with Machine(tmp_path, ["-drive", drive, *extra]) as machine:
        agent = machine.agent()
        assert time.monotonic() - started < AGENT_SECONDS * 3, "three times what an idle machine may take"
        system = agent.ask("guest-get-osinfo")
        assert isinstance(system, dict)
        assert str(system["pretty-name"]).startswith("virtkit demo guest (Debian")
        wait_for_disk = "until grep -q ' /disk ' /proc/mounts; do sleep 0.2; done; cd /disk && sha256sum -c SHA256SUMS"
        assert agent.shell(wait_for_disk) == "payload.bin: OK\n"
        agent.shell("mount -o remount,rw /disk && echo it was here >/disk/guest.txt")
        agent.order("guest-shutdown")
        assert machine.wait_for_end(30) == 0
    read = subprocess.run(["mtype", "-i", f"{copy}@@{BEGIN}", "::/guest.txt"], capture_output=True, check=True)
    assert read.stdout == b"it was here\n"


def beginning(path: Path) -> bytes:
    """All that is used: files lie at the start of a new file system."""
    assert path.stat().st_blocks * 512 < 64 * MIB
    with path.open("rb") as file:
        return file.read(128 * MIB)


def unpack_initramfs(place: Path) -> Path:
    _, initramfs = guest.kernel_and_initramfs()
    unpacked = place / "initramfs"
    unpacked.mkdir()
    packed = gzip.decompress(initramfs.read_bytes())
    subprocess.run(["cpio", "-idm", "--quiet"], input=packed, cwd=unpacked, check=True)
    return unpacked
