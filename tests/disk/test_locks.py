"""Who may open an image that somebody has open already: QEMU's programs decide, and are held to the same by us."""

from __future__ import annotations

import subprocess
import sys
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from support import holding
from support.images import run
from support.mounts import plain_file_system
from virtkit import disk
from virtkit.core.errors import BusyError
from virtkit.disk import locks
from virtkit.disk.file import File
from virtkit.disk.newfile import NewFile

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.qemu

LOCK_ALL = """
import fcntl, sys, time
file = open(sys.argv[1], "r+b")
fcntl.lockf(file, fcntl.LOCK_EX)
print(flush=True)
time.sleep(60)
"""
SHARED = disk.Access(shared=True)


@pytest.fixture(params=["qcow2", "raw"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def image(kind: str, tmp_path: Path) -> Path:
    path = tmp_path / f"disk.{kind}"
    run("qemu-img", "create", "-q", "-f", kind, path, "8M")
    return path


def refused(*command: str | Path) -> str:
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode != 0, command
    return done.stderr


@pytest.mark.parametrize(("writable", "options"), [(False, ["-r"]), (True, [])])
def test_the_same_bytes_are_locked_as_qemu_locks(*, writable: bool, options: list[str], tmp_path: Path) -> None:
    path = tmp_path / "disk.qcow2"
    run("qemu-img", "create", "-q", "-f", "qcow2", path, "8M")
    with holding.qemu_io(path, "qcow2", *options):
        theirs = holding.locked_bytes(path)
    with holding.virtkit(path, writable=writable):
        assert holding.locked_bytes(path) == theirs != set()
    assert holding.locked_bytes(path) == set()


def test_what_a_machine_writes_to_is_not_opened(image: Path, kind: str) -> None:
    with holding.machine(image, kind, name="web1") as machine:
        who = f"{image}: is in use by machine web1 (qemu-system-x86_64, PID {machine.pid})"
        with pytest.raises(BusyError) as reading:
            disk.open(str(image), "r", kind)
        with pytest.raises(BusyError) as writing:
            disk.open(str(image), "r+", kind, SHARED)
    assert reading.value.message == f'{who}: failed to get shared "write" lock'
    assert reading.value.hint == "virtkit vm stop web1; or -U to read it all the same"
    assert writing.value.message == f'{who}: failed to get "write" lock'
    assert writing.value.hint == "virtkit vm stop web1"


def test_what_a_machine_writes_to_is_read_on_request(image: Path, kind: str) -> None:
    with holding.machine(image, kind, name="web1"), disk.open(str(image), "r", kind, SHARED) as chain:
        assert chain.read(0, 512) == bytes(512)


def test_info_is_never_refused(image: Path, kind: str) -> None:
    with holding.machine(image, kind, name="web1"):
        assert disk.info(str(image), kind).virtual_size == 8 << 20


def test_a_machine_on_an_overlay_keeps_its_base_from_being_written(tmp_path: Path) -> None:
    base, overlay = tmp_path / "base.raw", tmp_path / "overlay.qcow2"
    run("qemu-img", "create", "-q", "-f", "raw", base, "8M")
    run("qemu-img", "create", "-q", "-f", "qcow2", "-b", base, "-F", "raw", overlay)
    with holding.machine(overlay, "qcow2", name="web1") as machine:
        with pytest.raises(BusyError, match="machine web1"):
            disk.open(str(base), "r+", "raw")
        with disk.open(str(base), "r", "raw") as chain:
            assert chain.size == 8 << 20
        assert locks.holders(str(base)) == [(machine.pid, "qemu-system-x86_64", False, "web1", None)]


def test_what_another_reads_is_read_but_not_written(image: Path, kind: str) -> None:
    with holding.virtkit(image, writable=False) as other:
        disk.open(str(image), "r", kind).close()
        with pytest.raises(BusyError) as writing:
            disk.open(str(image), "r+", kind)
    assert f"PID {other.pid}: failed to get" in writing.value.message
    assert writing.value.hint == f"ps -f -p {other.pid}"


def test_what_another_of_us_writes_is_neither_read_nor_written(image: Path, kind: str) -> None:
    with holding.virtkit(image, writable=True):
        for writable in (False, True):
            with pytest.raises(BusyError, match="is in use by python"):
                File.open(image, writable=writable)


def test_qemu_img_is_refused_while_we_write(image: Path, kind: str) -> None:
    with closing(File.open(image, writable=True)):
        assert 'Failed to get "write" lock' in refused("qemu-io", "-f", kind, "-c", "length", image)
        assert 'Failed to get shared "write" lock' in refused("qemu-img", "convert", "-f", kind, image, "x")
        assert "virtual-size" in run("qemu-img", "info", "-U", "-f", kind, "--output", "json", image)
    run("qemu-io", "-f", kind, "-c", "length", image)


def test_qemu_reads_what_we_read_and_does_not_write_it(image: Path, kind: str) -> None:
    with disk.open(str(image), "r", kind):
        run("qemu-img", "convert", "-f", kind, image, image.with_name("copy"))
        assert 'Failed to get "write" lock' in refused("qemu-io", "-f", kind, "-c", "length", image)
    run("qemu-io", "-f", kind, "-c", "length", image)


def test_a_shared_reader_lets_qemu_write(image: Path, kind: str) -> None:
    with disk.open(str(image), "r", kind, SHARED):
        run("qemu-io", "-f", kind, "-c", "write -P 7 0 512", image)


@pytest.mark.parametrize("options", [[], ["-r"]], ids=["writes", "reads"])
def test_a_file_in_use_is_not_replaced(options: list[str], tmp_path: Path) -> None:
    path = tmp_path / "disk.qcow2"
    run("qemu-img", "create", "-q", "-f", "qcow2", path, "8M")
    before = path.stat().st_ino
    with holding.qemu_io(path, "qcow2", *options), pytest.raises(BusyError, match="qemu-io"):
        NewFile(str(path), overwrite=True)
    assert path.stat().st_ino == before


def test_no_machine_starts_on_a_file_that_is_being_replaced(image: Path, kind: str) -> None:
    with NewFile(str(image), overwrite=True):
        assert "lock" in refused("qemu-io", "-f", kind, "-c", "length", image)
    run("qemu-io", "-f", kind, "-c", "length", image)


def test_a_file_that_came_and_is_used_meanwhile_is_not_replaced(image: Path, kind: str) -> None:
    target = image.with_name("target")
    with NewFile(str(target), overwrite=True) as new:
        image.rename(target)
        with holding.machine(target, kind, name="web1"), pytest.raises(BusyError, match="machine web1"):
            new.publish()
    assert target.stat().st_size > 0


def test_holders_are_those_that_keep_others_out(image: Path, kind: str) -> None:
    assert locks.holders(str(image)) == []
    with holding.virtkit(image, writable=False) as reader:
        assert [(found.pid, found.writes) for found in locks.holders(str(image))] == [(reader.pid, False)]
    with holding.machine(image, kind, name="a,,b") as machine:
        assert locks.holders(str(image)) == [(machine.pid, "qemu-system-x86_64", True, "a,b", None)]
    assert locks.holders(str(image.with_name("absent"))) == []


def test_a_lock_on_the_whole_file_keeps_all_but_shared_readers_out(tmp_path: Path) -> None:
    """Of a program that is not QEMU."""
    path = tmp_path / "disk.raw"
    path.write_bytes(bytes(512))
    other = subprocess.Popen([sys.executable, "-c", LOCK_ALL, str(path)], stdout=subprocess.PIPE)
    assert other.stdout
    other.stdout.readline()
    with pytest.raises(BusyError, match="disk.raw: is in use by .*: failed to lock it"):
        File.open(path)
    File.open(path, shared=True).close()
    other.kill()
    other.communicate()
    File.open(path, writable=True).close()


def test_a_file_system_that_knows_no_locks_is_no_obstacle(tmp_path: Path) -> None:
    with plain_file_system(tmp_path / "plain") as folder:
        path = folder / "disk.raw"
        path.write_bytes(bytes(512))
        with closing(File.open(path, writable=True)), closing(File.open(path, writable=True)):
            assert locks.holders(str(path)) == []
        with NewFile(str(path), overwrite=True) as new:
            new.file.write(0, b"new")
            new.publish()
        assert path.read_bytes() == b"new"
