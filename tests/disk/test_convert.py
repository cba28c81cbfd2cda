"""When things go wrong: the target is whole or absent, the source untouched, the message clear."""

from __future__ import annotations

import errno
import json
import os
import random
import resource
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from support.images import run
from virtkit import disk
from virtkit.core.errors import CorruptImageError, NotFoundError, NotSupportedError, SystemCallError, UsageError
from virtkit.core.progress import Advanced, Event, Finished, Started

if TYPE_CHECKING:
    from pathlib import Path

MIB = 1 << 20


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """32 MiB of noise."""
    path = tmp_path / "source.raw"
    path.write_bytes(random.Random(1).randbytes(32 * MIB))
    return path


def others(source: Path) -> list[str]:
    return sorted(set(os.listdir(source.parent)) - {source.name})


def test_an_existing_target_is_refused_and_kept(source: Path, tmp_path: Path) -> None:
    (tmp_path / "old.qcow2").write_text("mine")
    with pytest.raises(UsageError, match="exists already"):
        disk.convert(str(source), str(tmp_path / "old.qcow2"), source_format="raw")
    assert (tmp_path / "old.qcow2").read_text() == "mine"


def test_the_format_of_the_target_is_not_guessed(source: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        disk.convert(str(source), str(tmp_path / "target.bin"), source_format="raw")
    assert "-O" in caught.value.hint
    assert others(source) == []


def test_the_source_is_never_the_target(source: Path, tmp_path: Path) -> None:
    (tmp_path / "link.raw").hardlink_to(source)
    with pytest.raises(UsageError, match="source"):
        disk.convert(str(source), str(tmp_path / "link.raw"), source_format="raw", overwrite=True)


@pytest.mark.qemu
def test_neither_a_backing_image_nor_an_extent_takes_the_place_of_what_is_read(source: Path, tmp_path: Path) -> None:
    run("qemu-img", "create", "-q", "-f", "qcow2", "-b", source, "-F", "raw", tmp_path / "top.qcow2")
    flat = source.rename(tmp_path / "new-flat.vmdk")
    run("qemu-img", "rebase", "-u", "-b", flat.name, "-F", "raw", tmp_path / "top.qcow2")
    before = flat.read_bytes()
    for name, how in (("new.vmdk", {"subformat": "monolithicFlat"}), ("new-flat.vmdk", {})):
        with pytest.raises(UsageError, match="is the source, or an image that it stands on"):
            disk.convert(
                str(tmp_path / "top.qcow2"), str(tmp_path / name), target_format="vmdk", options=how, overwrite=True
            )
    (tmp_path / "alone.qcow2").write_bytes((tmp_path / "top.qcow2").read_bytes())
    run("qemu-img", "rebase", "-u", "-b", "", tmp_path / "alone.qcow2")
    with pytest.raises(UsageError, match="is the source, or an image that it stands on"):
        disk.convert(
            str(tmp_path / "alone.qcow2"),
            str(flat),
            target_format="qcow2",
            backing=flat.name,
            backing_format="raw",
            overwrite=True,
        )
    assert flat.read_bytes() == before


@pytest.mark.parametrize(
    ("format_", "options"),
    [("raw", {"cluster_size": "4K"}), ("qcow2", {"cluster_size": "3K"}), ("qcow2", {"flavour": "sweet"})],
)
def test_options_that_the_format_does_not_have_are_refused(
    format_: str, options: dict[str, str], source: Path, tmp_path: Path
) -> None:
    with pytest.raises(UsageError):
        disk.convert(str(source), str(tmp_path / "new"), source_format="raw", target_format=format_, options=options)
    assert others(source) == []


def test_what_cannot_be_compressed_says_so(source: Path, tmp_path: Path) -> None:
    for target in ("new.raw", "new.vmdk"):
        with pytest.raises(NotSupportedError, match="cannot be compressed"):
            disk.convert(str(source), str(tmp_path / target), source_format="raw", compress=True)
    assert others(source) == []


@pytest.mark.qemu
def test_a_source_that_was_cut_short_gives_no_target(source: Path, tmp_path: Path) -> None:
    whole = tmp_path / "whole.qcow2"
    run("qemu-img", "convert", "-f", "raw", "-O", "qcow2", source, whole)
    with whole.open("r+b") as file:
        file.truncate(20 * MIB)
    with pytest.raises(CorruptImageError, match=r"whole\.qcow2"):
        disk.convert(str(whole), str(tmp_path / "new.raw"))
    assert others(source) == ["whole.qcow2"]


@pytest.mark.qemu
def test_a_missing_backing_file_gives_no_target(tmp_path: Path) -> None:
    run("qemu-img", "create", "-q", "-f", "qcow2", "-u", "-b", "gone", "-F", "raw", tmp_path / "top.qcow2", "1M")
    with pytest.raises(NotFoundError, match="gone"):
        disk.convert(str(tmp_path / "top.qcow2"), str(tmp_path / "new.raw"))
    assert os.listdir(tmp_path) == ["top.qcow2"]


@pytest.mark.parametrize("target", ["new.raw", "new.qcow2"])
def test_a_full_disk_is_a_clear_error_and_leaves_nothing(target: str, source: Path, tmp_path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (8 * MIB, hard))
    try:
        with pytest.raises(SystemCallError) as caught:
            disk.convert(str(source), str(tmp_path / target), source_format="raw")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, handler)
    assert caught.value.errno == errno.EFBIG
    assert target in caught.value.message
    assert "df -h" in caught.value.hint
    assert others(source) == []


@pytest.mark.parametrize("compress", [False, True])
def test_an_exception_from_the_sink_cancels_and_leaves_nothing(*, compress: bool, source: Path, tmp_path: Path) -> None:
    def cancel(event: Event) -> None:
        if isinstance(event, Advanced):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        disk.convert(str(source), str(tmp_path / "new.qcow2"), source_format="raw", compress=compress, report=cancel)
    assert others(source) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_killed_conversion_leaves_nothing(number: signal.Signals, tmp_path: Path) -> None:
    """Of gigabytes of noise, one file many times over: it is far from done however late the signal comes."""
    source = tmp_path / "source.raw"
    source.write_bytes(random.Random(1).randbytes(4 * MIB) * 32)
    how = ["-f", "raw", "-c", "--level", "best", "--output", "json"]
    command = ["disk", "convert", *how, *[str(source)] * 64, str(tmp_path / "new.qcow2")]
    with subprocess.Popen([sys.executable, "-m", "virtkit", *command], stdout=subprocess.PIPE) as work:
        assert work.stdout
        advanced = (event["done"] for event in map(json.loads, work.stdout) if event["event"] == "advanced")
        assert next(filter(None, advanced)) < 64 * 128 * MIB  # the conversion is at it
        work.send_signal(number)
        work.communicate(timeout=30)
    assert work.returncode == (-signal.SIGKILL if number == signal.SIGKILL else 130)
    assert others(source) == []


def test_progress_reaches_its_total(source: Path, tmp_path: Path) -> None:
    events: list[Event] = []
    disk.convert(str(source), str(tmp_path / "new.qcow2"), source_format="raw", report=events.append)
    started, *advanced, finished = events
    assert isinstance(started, Started)
    assert isinstance(finished, Finished)
    steps = [event.done for event in advanced if isinstance(event, Advanced)]
    assert steps == sorted(steps)
    assert steps[-1] == started.total == 32 * MIB


def test_memory_does_not_grow_with_the_disk(tmp_path: Path) -> None:
    peaks = []
    for size in (16 * MIB, 160 * MIB):
        source = tmp_path / "source.raw"
        source.write_bytes(bytes(range(1, 256)) * (size // 255))
        program = (
            "import sys; from virtkit import disk;"
            "disk.convert(sys.argv[1], sys.argv[2], source_format='raw', overwrite=True);"
            "print(next(line.split()[1] for line in open('/proc/self/status') if line.startswith('VmHWM')))"
        )
        command = [sys.executable, "-c", program, str(source), str(tmp_path / "new.qcow2")]
        peaks.append(int(subprocess.run(command, capture_output=True, text=True, check=True).stdout))
    assert peaks[1] < peaks[0] + 4096


def test_blocks_are_shared_where_the_file_system_can(tmp_path: Path) -> None:
    """On a file system of its own in a file, as root; the copy takes no room."""
    if os.geteuid() != 0:
        pytest.skip("needs root to mount")
    store, mount = tmp_path / "store", tmp_path / "mount"
    mount.mkdir()
    with store.open("wb") as file:
        file.truncate(400 * MIB)
    run("mkfs.xfs", "-q", store)
    try:
        run("mount", "-o", "loop", store, mount)
    except AssertionError:
        pytest.skip("this machine mounts nothing")
    try:
        source, target = mount / "source.raw", mount / "new.qcow2"
        source.write_bytes(random.Random(1).randbytes(32 * MIB + 512 * 3))
        before = os.statvfs(mount).f_bfree
        disk.convert(str(source), str(target), source_format="raw")
        taken = (before - os.statvfs(mount).f_bfree) * os.statvfs(mount).f_bsize
        assert disk.compare(str(source), str(target), left_format="raw").same_content
        assert "No errors" in run("qemu-img", "check", target)
        assert taken < 4 * MIB
    finally:
        run("umount", mount)


def test_a_block_device_is_written_in_place(tmp_path: Path, source: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root for a loop device")
    store = tmp_path / "store"
    store.write_bytes(b"x" * (40 * MIB))
    device = run("losetup", "--find", "--show", store).strip()
    try:
        with pytest.raises(UsageError, match="exists already"):
            disk.convert(str(source), device, source_format="raw", target_format="raw")
        disk.convert(str(source), device, source_format="raw", target_format="raw", overwrite=True, durable=True)
    finally:
        run("losetup", "--detach", device)
    assert store.read_bytes() == source.read_bytes() + b"x" * (8 * MIB)
