"""A conversion that is killed again and again, and goes on each time where it ended."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from crash.resuming import resumed
from support.depth import deep
from support.forked import forked
from support.images import VDI_DATA, require_same_data
from support.targets import TARGETS, Target, read
from support.typed import qemu_img, virtkit
from virtkit import disk
from virtkit.core.errors import BusyError, ConflictError, NotSupportedError, UsageError, VirtkitError
from virtkit.disk.conversion import record
from virtkit.disk.conversion.record import Record

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.qemu
MIB = 1 << 20
HEAD = 64 << 10  # bytes that are read to tell the source's format, at most
FEW = (Target("raw"), Target("qcow2"), Target("qcow2", compress=True))


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Noise, zeros and text, in pieces that no unit fits."""
    path = tmp_path / "source.raw"
    chance = random.Random(1)
    path.write_bytes(chance.randbytes(3 * MIB + 512) + bytes(2 * MIB) + b"text" * (MIB // 2) + chance.randbytes(MIB))
    return path


def convert(
    source: Path,
    image: Path,
    target: Target,
    *,
    kill_at: int = 0,
    threads: int | None = None,
    synced: str = "",
    boot: str = record._BOOT_ID,
) -> int | None:
    """Bytes of the source that were read; None: it was killed. With one thread it is known how far it came."""
    wanted: dict[str, object] = {
        "source_format": "raw",
        "target_format": target.format,
        "options": target.options,
        "compress": target.compress,
        "level": "fast",
        "threads": threads,
    }
    done = forked(lambda: resumed(kill_at, str(source), str(image), wanted, synced=synced, boot=boot))
    assert done.returncode in {0, -signal.SIGKILL}, done.stderr
    return None if done.returncode else int(done.stdout)


def assert_whole(image: Path, target: Target, source: Path) -> None:
    guest = source.read_bytes()
    assert read(image, target.format)[: len(guest)] == guest
    if target.format in {"qcow2", "vdi", "vmdk"} and "subformat" not in target.options:
        checked = qemu_img(image.parent, "check", "-f", target.format, image.name)
        assert checked.status in {0, 63}, checked.out + checked.err
    assert not [name for name in os.listdir(image.parent) if "virtkit" in name]


@pytest.mark.parametrize("target", TARGETS, ids=str)
def test_after_several_kills_the_image_is_whole_and_nothing_was_read_twice(
    target: Target, source: Path, tmp_path: Path
) -> None:
    image, chance, total = tmp_path / "image", random.Random(str(target)), source.stat().st_size
    taken, done = None, 0
    for number in range(deep(3) + 1):
        taken = convert(source, image, target, kill_at=chance.randint(2, 12) if number < deep(3) else 0)
        if taken is not None:
            break
        assert not image.exists()
        left = disk.unfinished(str(image))
        assert left is None or left.done >= done
        done = left.done if left else 0
    assert taken is not None
    assert total - done <= taken <= total - done + HEAD
    assert_whole(image, target, source)


@pytest.mark.parametrize("target", FEW, ids=str)
def test_after_a_power_cut_what_was_synced_is_enough(target: Target, source: Path, tmp_path: Path) -> None:
    """The kernel that comes up has another boot id; what nobody waited for is gone, though the record tells of it."""
    image, part = tmp_path / "image", tmp_path / ".image.virtkit-part"
    before, boot = tmp_path / "synced", tmp_path / "boot"
    assert convert(source, image, target, kill_at=9, threads=1, synced=str(before)) is None
    before.replace(part)
    boot.write_text("another boot")
    taken = convert(source, image, target, boot=str(boot))
    assert taken is not None
    assert taken < source.stat().st_size
    assert_whole(image, target, source)


def test_after_a_power_cut_without_a_sync_nothing_counts(source: Path, tmp_path: Path) -> None:
    image, boot = tmp_path / "image", tmp_path / "boot"
    assert convert(source, image, FEW[1], kill_at=8, threads=1) is None
    (tmp_path / ".image.virtkit-part").write_bytes(random.Random(3).randbytes(MIB))
    boot.write_text("another boot")
    taken = convert(source, image, FEW[1], boot=str(boot))
    assert taken is not None
    assert taken >= source.stat().st_size
    assert_whole(image, FEW[1], source)


@pytest.mark.parametrize("cut", [1, 8, 40, 100])
def test_a_torn_record_counts_up_to_its_last_whole_entry(cut: int, source: Path, tmp_path: Path) -> None:
    image, target = tmp_path / "image", FEW[1]
    assert convert(source, image, target, kill_at=8, threads=1) is None
    before = disk.unfinished(str(image))
    noted = tmp_path / ".image.virtkit-record"
    os.truncate(noted, noted.stat().st_size - cut)
    after = disk.unfinished(str(image))
    assert before
    assert after
    assert after.done < before.done
    assert convert(source, image, target) is not None
    assert_whole(image, target, source)


@pytest.mark.parametrize("target", FEW, ids=str)
def test_noise_in_the_record_is_never_believed(target: Target, source: Path, tmp_path: Path) -> None:
    image, chance = tmp_path / "image", random.Random(str(target))
    assert convert(source, image, target, kill_at=8, threads=1) is None
    noted = tmp_path / ".image.virtkit-record"
    data = bytearray(noted.read_bytes())
    data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
    noted.write_bytes(data)
    assert convert(source, image, target) is not None
    assert_whole(image, target, source)


def again(source: Path, image: Path, **wanted: object) -> None:
    words: dict[str, object] = {"source_format": "raw", "target_format": "qcow2", "resume": True, **wanted}
    disk.convert(str(source), str(image), **words)  # type: ignore[arg-type]  # each test says its own


@pytest.fixture
def begun(source: Path, tmp_path: Path) -> Path:
    """A target of which half is done."""
    image = tmp_path / "image"
    assert convert(source, image, FEW[1], kill_at=8, threads=1) is None
    return image


@pytest.mark.parametrize(
    ("wanted", "why"),
    [
        ({"options": {"cluster_size": "4K"}}, "-o is cluster_size=4K, and was not given"),
        ({"compress": True}, "--level is "),
        ({"size": 16 * MIB}, "the disk's size is "),
        ({"salvage": True}, "--salvage is given, and was not given"),
    ],
    ids=str,
)
def test_another_request_is_refused(wanted: dict[str, object], why: str, begun: Path, source: Path) -> None:
    before = sorted(os.listdir(begun.parent))
    with pytest.raises(UsageError, match=why) as refused:
        again(source, begun, **wanted)
    assert refused.value.hint.startswith("rm ")
    assert sorted(os.listdir(begun.parent)) == before


def test_a_source_that_changed_is_refused_and_removing_what_is_left_starts_anew(begun: Path, source: Path) -> None:
    os.utime(source)
    with pytest.raises(ConflictError, match=r"source\.raw: is another file or has changed") as refused:
        again(source, begun)
    subprocess.run(refused.value.hint.partition(";")[0], shell=True, check=True)
    again(source, begun)
    assert_whole(begun, FEW[1], source)


def test_one_works_on_it_at_a_time(begun: Path, source: Path) -> None:
    with Record(str(begun.with_name(".image.virtkit-record"))), pytest.raises(BusyError, match="another virtkit"):
        again(source, begun)


def test_a_disk_that_was_full_is_no_reason_to_start_anew(source: Path, tmp_path: Path) -> None:
    """A limit on the size of files stands for it; what is kept is told."""
    words = "disk convert --resume -f raw source.raw new.qcow2"
    command = f"ulimit -f 3000; trap '' XFSZ; exec {sys.executable} -m virtkit {words}"
    full = subprocess.run(["bash", "-c", command], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert full.returncode == 1
    percent, go_on, give_up, error = full.stderr.splitlines()[:4]
    assert " % are done (" in percent
    assert go_on.endswith(f"virtkit {words}")
    assert give_up.count(".new.qcow2.virtkit-") == 2
    assert "write at" in error
    again(source, tmp_path / "new.qcow2")
    assert_whole(tmp_path / "new.qcow2", FEW[1], source)


def test_what_was_begun_is_verified_as_a_whole(begun: Path, source: Path) -> None:
    """And where it is wrong, it is gone: going on would not mend it."""
    part = begun.with_name(".image.virtkit-part")
    with part.open("r+b") as file:
        file.seek(1 * MIB)
        file.write(b"not what the source has")
    with pytest.raises(VirtkitError, match="differs from its source"):
        again(source, begun, verify=True)
    assert os.listdir(begun.parent) == ["source.raw"]
    again(source, begun, verify=True)
    assert_whole(begun, FEW[1], source)


@pytest.mark.parametrize(
    "wanted",
    [
        {"existing": True},
        {"snapshots": True, "source_format": "qcow2"},
        {"options": {"encrypt.format": "luks"}, "secret": b"word"},
    ],
    ids=str,
)
def test_what_cannot_be_taken_up_is_refused_with_a_reason(
    wanted: dict[str, object], source: Path, tmp_path: Path
) -> None:
    there = tmp_path / "there.qcow2"
    disk.convert(str(source), str(there), source_format="raw")
    with pytest.raises(NotSupportedError, match="--resume: "):
        again(there if "snapshots" in wanted else source, there if "existing" in wanted else tmp_path / "new", **wanted)
    assert sorted(os.listdir(tmp_path)) == ["source.raw", "there.qcow2"]


@pytest.mark.parametrize("kill_at", [4, 9])
def test_a_large_unit_is_taken_up_in_its_midst(kill_at: int, source: Path, tmp_path: Path) -> None:
    image, target = tmp_path / "image", Target("vdi", {"block_size": "4M"})
    assert convert(source, image, target, kill_at=kill_at, threads=1) is None
    taken = convert(source, image, target, threads=1)
    assert taken is not None
    assert taken < source.stat().st_size - (kill_at - 2) * (512 << 10)
    require_same_data(source, image, VDI_DATA, source.stat().st_size)


def test_zeros_over_a_backing_image_and_lost_places_are_remembered(source: Path, tmp_path: Path) -> None:
    base, image = tmp_path / "base.qcow2", tmp_path / "image"
    disk.convert(str(source), str(base), source_format="raw")
    top = tmp_path / "top.qcow2"
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", "-b", base, "-F", "qcow2", top], check=True)
    subprocess.run(
        ["qemu-io", "-c", "write -z 0 1M", "-c", "write -P 9 3M 2M", "-c", "write -z 6M 1M", top], check=True
    )
    wanted: dict[str, object] = {
        "backing": str(base),
        "backing_format": "qcow2",
        "target_format": "qcow2",
        "salvage": True,
    }
    for _ in range(3):
        forked(lambda: resumed(3, str(top), str(image), wanted))
    again(top, image, source_format="qcow2", **wanted)
    said = virtkit(tmp_path, "compare", "-F", "qcow2", "--trust-format", "top.qcow2", "image")
    assert said.status == 0, said.out + said.err
