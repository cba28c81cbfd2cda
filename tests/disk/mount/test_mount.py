"""Images mounted as files, as every program that reads files sees them."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from support.depth import deep
from support.images import SIZE, SPECIMENS, Specimen, disk, read_by_qemu, run
from virtkit import disk as library
from virtkit.core.errors import (
    BusyError,
    NotFoundError,
    NotSupportedError,
    SystemCallError,
    UnknownFormatError,
    UsageError,
)
from virtkit.disk.mount.files import DAEMON
from virtkit.disk.mount.mounting import mount, mounted, unmount

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [
    pytest.mark.qemu,
    pytest.mark.skipif(not os.access("/dev/fuse", os.W_OK), reason="this machine mounts nothing"),
]
KIB, MIB = 1 << 10, 1 << 20
PUNCH_HOLE, KEEP_SIZE = 2, 1
SEVERAL = settings(max_examples=deep(15), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture(autouse=True)
def _nothing_stays_mounted(tmp_path: Path) -> Iterator[None]:
    yield
    for directory in mounted():
        if directory.startswith(str(tmp_path)):
            run("umount", "--lazy", directory)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """Where the tests mount."""
    folder = tmp_path / "place"
    folder.mkdir()
    return folder


@pytest.fixture
def image(tmp_path: Path) -> Path:
    path = tmp_path / "disk.raw"
    path.write_bytes(disk())
    return path


@pytest.fixture(params=["raw", "qcow2", "vmdk", "vdi", "qcow"])
def live(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Path, str]:
    """An empty image that can be written in place."""
    kind = str(request.param)
    path = tmp_path / f"live.{kind}"
    run("qemu-img", "create", "-q", "-f", kind, path, "64M")
    try:
        library.open(str(path), "r+", kind).close()
    except (NotSupportedError, UsageError) as error:
        pytest.skip(error.message)
    return path, kind


@contextmanager
def shown(path: Path, place: Path, format_: str = "raw", *, write: bool = False) -> Iterator[Path]:
    """The file of the whole disk."""
    files = mount(str(path), str(place), format_, write=write)
    try:
        yield place / os.path.basename(files[-1])
    finally:
        unmount(str(place))


def runs(pid: int) -> bool:
    """What nobody has waited for yet does not run any more."""
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text(encoding="ascii", errors="replace")
    except FileNotFoundError:
        return False


def daemon_of(place: Path) -> int:
    return int(os.getxattr(place, DAEMON))


@pytest.mark.parametrize("specimen", SPECIMENS, ids=str)
def test_a_file_of_the_directory_is_the_disk(specimen: Specimen, tmp_path: Path, place: Path) -> None:
    path, content = specimen.make(tmp_path)
    chance = random.Random(1)
    with shown(path, place, specimen.format) as file:
        assert os.listdir(place) == ["image.raw"]
        assert file.stat().st_size == len(content)
        with file.open("rb", buffering=0) as reader:
            for _ in range(50):
                at, length = chance.randrange(len(content)), chance.randrange(200_000)
                assert os.pread(reader.fileno(), length, at) == content[at : at + length]
        assert file.read_bytes() == content
    assert os.listdir(place) == []


def test_what_is_not_mounted_for_writing_is_read_only(image: Path, place: Path) -> None:
    with shown(image, place) as file:
        with pytest.raises(OSError, match="Read-only file system"):
            file.open("r+b")
        with pytest.raises(OSError, match="Read-only file system"):
            (place / "new").touch()
    assert image.read_bytes() == disk()


class TestWritten:
    def test_what_is_written_is_in_the_image(self, live: tuple[Path, str], place: Path) -> None:
        path, kind = live
        with shown(path, place, kind, write=True) as file, file.open("r+b") as writer:
            writer.seek(3 * MIB + 5)
            writer.write(disk())
        assert read_by_qemu(path, kind) == (bytes(3 * MIB + 5) + disk()).ljust(64 * MIB, b"\0")

    @SEVERAL
    @given(data=st.data())
    def test_any_writes_leave_what_a_plain_file_would_hold(
        self, data: st.DataObject, live: tuple[Path, str], place: Path
    ) -> None:
        path, kind = live
        size = 64 * MIB
        with shown(path, place, kind, write=True) as file:
            fd = os.open(file, os.O_RDWR)
            model = {}
            try:
                for number in range(data.draw(st.integers(1, 8))):
                    at = data.draw(st.integers(0, size - 1))
                    length = min(data.draw(st.one_of(st.integers(1, 5000), st.integers(1, MIB))), size - at)
                    assert os.pwrite(fd, bytes([number + 1]) * length, at) == length
                    model[number] = (at, length)
                for at, length in model.values():
                    wanted = bytearray(length)
                    for number, (other, extent) in model.items():
                        first, last = max(other, at), min(other + extent, at + length)
                        if first < last:
                            wanted[first - at : last - at] = bytes([number + 1]) * (last - first)
                    assert os.pread(fd, length, at) == wanted
                for at, length in model.values():
                    _punch(fd, at, length)
                assert not any(any(os.pread(fd, length, at)) for at, length in model.values())
            finally:
                os.close(fd)

    def test_a_file_system_is_made_and_mounted_on_it(self, live: tuple[Path, str], place: Path) -> None:
        """By the kernel, through a loop device."""
        path, kind = live
        inside = place.with_name("inside")
        inside.mkdir()
        with shown(path, place, kind, write=True) as file:
            run("mkfs.ext4", "-q", file)
            if os.geteuid() != 0:
                pytest.skip("needs root to mount")
            run("mount", "-o", "loop", file, inside)
            try:
                (inside / "file").write_bytes(disk())
                (inside / "gone").write_bytes(disk())
                (inside / "gone").unlink()
                assert (inside / "file").read_bytes() == disk()
            finally:
                run("umount", inside)
                while run("losetup", "-j", file):  # the kernel lets go of the loop device a moment later
                    time.sleep(0.05)
        plain = path.with_name("plain.raw")
        plain.write_bytes(read_by_qemu(path, kind))
        run("e2fsck", "-fn", plain)
        run("debugfs", "-R", f"dump /file {inside}.dump", plain)
        assert inside.with_name("inside.dump").read_bytes() == disk()

    def test_a_disk_keeps_its_size(self, image: Path, place: Path) -> None:
        with shown(image, place, write=True) as file:
            fd = os.open(file, os.O_RDWR | os.O_TRUNC)
            try:
                with pytest.raises(OSError, match="not permitted"):
                    os.ftruncate(fd, 512)
                assert os.pwrite(fd, b"xxxx", SIZE - 2) == 2
                with pytest.raises(OSError, match="No space left"):
                    os.pwrite(fd, b"x", SIZE)
            finally:
                os.close(fd)
        assert image.read_bytes() == disk()[:-2] + b"xx"

    def test_a_partition_and_the_disk_are_one(self, tmp_path: Path, place: Path) -> None:
        path = partitioned(tmp_path)
        with shown(path, place, write=True) as whole:
            part = place / "parts.p1"
            assert part.stat().st_size == 2 * MIB
            assert whole.read_bytes()[MIB : MIB + 4] == bytes(4)
            with part.open("r+b") as writer:
                writer.write(b"told")
            with whole.open("rb") as reader:
                reader.seek(MIB)
                assert reader.read(4) == b"told"
        assert path.read_bytes()[MIB : MIB + 4] == b"told"


def partitioned(folder: Path) -> Path:
    """Two partitions: 2 MiB at 1 MiB, and the rest."""
    path = folder / "parts.raw"
    path.touch()
    os.truncate(path, 8 * MIB)
    script = "label: dos\nstart=2048, size=4096, type=83\nstart=6144, type=83\n"
    subprocess.run(["sfdisk", "-q", path], input=script, text=True, check=True)
    return path


def _punch(fd: int, at: int, length: int) -> None:
    run("fallocate", "-p", "-o", str(at), "-l", str(length), f"/proc/{os.getpid()}/fd/{fd}")


def test_partitions_are_files_too(tmp_path: Path, place: Path) -> None:
    path = partitioned(tmp_path)
    with path.open("r+b") as writer:
        writer.seek(3 * MIB)
        writer.write(b"second")
    with shown(path, place):
        sizes = {name: (place / name).stat().st_size for name in os.listdir(place)}
        assert sizes == {"parts.raw": 8 * MIB, "parts.p1": 2 * MIB, "parts.p2": 5 * MIB}
        assert (place / "parts.p2").read_bytes() == b"second".ljust(5 * MIB, b"\0")


class TestRefused:
    """By the caller's own call, though the work is another process's."""

    def test_directories_that_cannot_be(self, image: Path, place: Path) -> None:
        (place / "mine").touch()
        with pytest.raises(UsageError, match="holds mine, expected an empty directory"):
            mount(str(image), str(place), "raw")
        with pytest.raises(NotFoundError, match="no such directory"):
            mount(str(image), str(place / "absent"), "raw")
        with pytest.raises(UsageError, match="is no directory"):
            mount(str(image), str(place / "mine"), "raw")

    def test_images_that_do_not_open(self, image: Path, place: Path) -> None:
        with pytest.raises(NotFoundError, match="absent: no such file"):
            mount("absent", str(place), "raw")
        with pytest.raises(UnknownFormatError) as unknown:
            mount(str(image), str(place))
        assert unknown.value.hint == "if it is a raw disk, say so: -f raw"
        assert str(place) not in mounted()

    def test_a_directory_that_shows_an_image(self, image: Path, place: Path) -> None:
        with shown(image, place), pytest.raises(BusyError) as busy:
            mount(str(image), str(place), "raw")
        assert busy.value.hint == f"virtkit disk umount {place}"

    def test_a_directory_that_shows_none(self, place: Path) -> None:
        with pytest.raises(NotFoundError, match="no image is mounted there"):
            unmount(str(place))

    def test_an_image_that_another_writes_to(self, image: Path, place: Path) -> None:
        other = place.with_name("other")
        other.mkdir()
        with shown(image, place, write=True) as file, pytest.raises(BusyError) as busy:
            mount(str(image), str(other), "raw")
        assert f"{image}: is in use by the mount at {file.parent} (PID " in busy.value.message
        assert busy.value.hint == f"virtkit disk umount {place}; or -U to read it all the same"

    def test_a_machine_without_fuse(self, image: Path, place: Path) -> None:
        if os.geteuid() != 0:
            pytest.skip("needs root to hide /dev")
        hidden = 'mount -t tmpfs none /dev && mknod /dev/null c 1 3 && mknod /dev/urandom c 1 9 && exec "$@"'
        command = [sys.executable, "-m", "virtkit", "disk", "mount", "-f", "raw", str(image), str(place)]
        words = ["unshare", "-m", "sh", "-c", hidden, "sh", *command]
        done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=30)
        assert done.returncode == 1
        assert "/dev/fuse is not there, images cannot be mounted\n  try: sudo modprobe fuse" in done.stderr


def test_the_process_has_nothing_of_the_callers_open(image: Path, place: Path) -> None:
    read_end, write_end = os.pipe()
    os.set_inheritable(write_end, True)  # noqa: FBT003  its only argument
    with shown(image, place):
        links = [path.readlink() for path in Path(f"/proc/{daemon_of(place)}/fd").iterdir()]
        assert {str(link) for link in links} == {"/dev/null", "/dev/fuse", str(image)}
    os.close(read_end)
    os.close(write_end)


def test_who_may_not_read_the_image_may_not_read_the_file(image: Path, place: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root to be somebody else")
    image.chmod(0o640)
    os.chown(image, 1234, 1235)
    for folder in (place, *place.parents):
        if not folder.stat().st_mode & 0o005:
            folder.chmod(0o755)
    with shown(image, place) as file:
        status = file.stat()
        assert (status.st_mode & 0o777, status.st_uid, status.st_gid) == (0o440, 1234, 1235)
        for user, group, allowed in ((1234, 9, True), (9, 1235, True), (9, 9, False)):
            words = ["setpriv", f"--reuid={user}", f"--regid={group}", "--clear-groups", "head", "-c1", str(file)]
            assert (subprocess.run(words, capture_output=True, check=False).returncode == 0) == allowed


@pytest.mark.parametrize("name", ["a b.raw", "a,ro=x\\,y.raw", "ü\udcff.raw"], ids=["blank", "commas", "no UTF-8"])
def test_names_may_hold_anything(name: str, image: Path, tmp_path: Path) -> None:
    image.rename(tmp_path / name)
    place = tmp_path / f"{name} at"
    place.mkdir()
    with shown(tmp_path / name, place) as file:
        assert file.name == name
        assert file.read_bytes() == disk()


class TestEnd:
    def test_files_in_use_keep_it_mounted(self, image: Path, place: Path) -> None:
        with shown(image, place, write=True) as file:
            with file.open("r+b", buffering=0) as writer:
                with pytest.raises(BusyError) as busy:
                    unmount(str(place))
                assert busy.value.hint == f"fuser -vm {place}"
                writer.write(b"told")
            assert file.read_bytes()[:4] == b"told"
        assert image.read_bytes()[:4] == b"told"

    def test_the_process_has_ended_when_unmount_returns(self, image: Path, place: Path) -> None:
        mount(str(image), str(place), "raw", write=True)
        pid = daemon_of(place)
        assert unmount(str(place))
        assert not runs(pid)
        library.open(str(image), "r+", "raw").close()

    def test_what_a_killed_process_leaves_is_cleaned(self, image: Path, place: Path) -> None:
        (file,) = mount(str(image), str(place), "raw", write=True)
        with open(file, "r+b") as writer:
            writer.write(b"told")
            writer.flush()
            os.fsync(writer.fileno())
        pid = daemon_of(place)
        os.kill(pid, signal.SIGKILL)
        until = time.monotonic() + 10
        while os.path.exists(file):
            assert time.monotonic() < until
        with pytest.raises(SystemCallError) as stale:
            mount(str(image), str(place), "raw")
        assert stale.value.hint == f"virtkit disk umount {place}"
        assert not unmount(str(place))
        assert os.listdir(place) == []
        assert image.read_bytes()[:4] == b"told"

    @pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
    def test_a_signal_unmounts(self, number: signal.Signals, image: Path, place: Path) -> None:
        command = [sys.executable, "-m", "virtkit", "disk", "mount", "--foreground", "--write", "-f", "raw"]
        process = subprocess.Popen([*command, str(image), str(place)], stderr=subprocess.PIPE, text=True)
        until = time.monotonic() + 20
        while str(place) not in mounted() or not os.listdir(place):
            assert time.monotonic() < until
            time.sleep(0.02)
        with (place / "disk.raw").open("r+b") as writer:
            writer.write(b"told")
        process.send_signal(number)
        _, said = process.communicate(timeout=20)
        assert (process.returncode, said) == (0, "")
        assert os.listdir(place) == []
        assert image.read_bytes()[:4] == b"told"


def test_the_command_tells_what_it_shows_and_returns(image: Path, place: Path) -> None:
    command = [sys.executable, "-m", "virtkit", "disk"]
    said = run(*command, "mount", "-f", "raw", image, place)
    assert said == f"+ {place}/disk.raw: 5 MiB, read-only\n"
    assert run(*command, "umount", place) == f"- {place}: unmounted, everything written is on the disk\n"
