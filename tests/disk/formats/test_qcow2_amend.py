"""Options changed in place: QEMU finds the image sound, of the wanted kind, and reads what it read before."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from support.damage import counted_by_qemu
from support.depth import deep
from support.images import read_by_qemu, run
from virtkit import disk
from virtkit.core.errors import ImageError, NotSupportedError, UsageError, VirtkitError
from virtkit.disk.access import Access
from virtkit.disk.file import File
from virtkit.disk.formats.qcow2.head import read_head
from virtkit.disk.formats.qcow2.layout import Header

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.qemu


def create(folder: Path, options: str = "compat=1.1", *, snapshots: bool = True, backing: bool = False) -> Path:
    """Data, zeros with and without room, discarded clusters; shared with snapshots, or not."""
    path = folder / "a.qcow2"
    below = []
    if backing:
        (folder / "base.raw").write_bytes(random.Random(1).randbytes(8 << 20))
        below = ["-b", "base.raw", "-F", "raw"]
    run("qemu-img", "create", "-q", "-f", "qcow2", "-o", options, *below, path, "8M")
    zero = "write" if "0.10" in options else "write -z"
    for number in range(3):
        commands = [f"write -P {number + 1} {number}M 300k", f"{zero} 2M 200k", f"{zero} 512k 100k", "write 5M 1M"]
        commands.append(f"{zero} {4 + number}M 64k")
        run("qemu-io", "-f", "qcow2", *(word for command in commands for word in ("-c", command)), path)
        if snapshots and number < 2:
            run("qemu-img", "snapshot", "-c", f"s{number}", path)
    return path


def kept(path: Path) -> list[bytes]:
    """The disk now and as its snapshots have it."""
    names = [one["name"] for one in json.loads(run("qemu-img", "info", "--output", "json", path)).get("snapshots", [])]
    found = [read_by_qemu(path, "qcow2")]
    for name in names:
        back = path.with_name("back.raw")
        run("qemu-img", "convert", "-f", "qcow2", "-l", f"snapshot.name={name}", "-O", "raw", path, back)
        found.append(back.read_bytes())
    return found


def specific(path: Path) -> dict[str, object]:
    told: dict[str, object] = json.loads(run("qemu-img", "info", "--output", "json", path))["format-specific"]["data"]
    return told


def assert_sound(path: Path) -> None:
    counts = counted_by_qemu(path)
    assert (counts.corruptions, counts.leaks) == (0, 0)


@pytest.mark.parametrize(
    ("before", "change", "shown"),
    [
        ("compat=0.10", {"compat": "1.1"}, {"compat": "1.1", "lazy-refcounts": False}),
        ("compat=0.10", {"compat": "v3", "lazy_refcounts": "on", "refcount_bits": "8"}, {"refcount-bits": 8}),
        ("compat=1.1", {"compat": "0.10"}, {"compat": "0.10"}),
        ("compat=1.1,cluster_size=4k", {"compat": "0.10"}, {"compat": "0.10"}),
        ("lazy_refcounts=on,refcount_bits=8", {"compat": "0.10", "refcount_bits": "16"}, {"compat": "0.10"}),
        ("compat=1.1", {"lazy_refcounts": "on"}, {"lazy-refcounts": True}),
        ("lazy_refcounts=on", {"lazy_refcounts": "off"}, {"lazy-refcounts": False}),
        *(("cluster_size=4k", {"refcount_bits": str(bits)}, {"refcount-bits": bits}) for bits in (2, 4, 8, 32, 64)),
        ("cluster_size=512,refcount_bits=64", {"refcount_bits": "2"}, {"refcount-bits": 2}),
        ("extended_l2=on", {"refcount_bits": "32", "lazy_refcounts": "on"}, {"refcount-bits": 32}),
    ],
)
@pytest.mark.parametrize("backing", [False, True])
def test_the_image_is_what_is_wanted_and_reads_as_before(
    before: str,
    change: dict[str, str],
    shown: dict[str, object],
    tmp_path: Path,
    *,
    backing: bool,
) -> None:
    path = create(tmp_path, before, backing=backing)
    content = kept(path)
    planned = disk.amend(str(path), change, dry_run=True)
    assert kept(path) == content
    done = disk.amend(str(path), change)
    assert done == planned
    assert done.changes
    assert_sound(path)
    assert specific(path) | shown == specific(path)
    assert kept(path) == content
    assert disk.amend(str(path), change).changes == ()
    run("qemu-io", "-f", "qcow2", "-c", "write -P 9 3M 1M", path)
    assert_sound(path)


def test_an_image_without_snapshots_can_have_refcounts_of_one_bit(tmp_path: Path) -> None:
    path = create(tmp_path, snapshots=False)
    content = kept(path)
    disk.amend(str(path), {"refcount_bits": "1"})
    assert_sound(path)
    assert kept(path) == content


def test_refcounts_that_cannot_say_what_is_true_are_refused(tmp_path: Path) -> None:
    path = create(tmp_path)
    before = path.read_bytes()
    with pytest.raises(UsageError, match="is used .* times"):
        disk.amend(str(path), {"refcount_bits": "1"})
    assert read_by_qemu(path, "qcow2")
    assert_sound(path)
    assert path.read_bytes()[: len(before)][:512] == before[:512]


def test_a_damaged_image_is_repaired_first(tmp_path: Path) -> None:
    path = create(tmp_path)
    with path.open("r+b") as file:
        file.seek(0x20000 + 2 * 6)
        file.write(b"\0\0")
    with pytest.raises(VirtkitError) as caught:
        disk.amend(str(path), {"refcount_bits": "8"})
    assert "virtkit disk" in caught.value.hint


@pytest.mark.parametrize("extra", [0, 8])
def test_snapshots_of_version_2_get_the_size_of_their_disk(extra: int, tmp_path: Path) -> None:
    path = create(tmp_path, "compat=0.10")
    content = kept(path)
    file = File.open(path)
    at = read_head(file).header.snapshots_offset
    file.close()
    with path.open("r+b") as patched:  # as QEMU before version 1.1 wrote them
        patched.seek(at)
        first, second = (patched.read(72) for _ in range(2))
        patched.seek(at)
        for entry in (first, second):
            record = entry[:36] + extra.to_bytes(4, "big") + entry[40 : 40 + extra] + entry[64:67]
            patched.write(record.ljust(-(-len(record) // 8) * 8, b"\0"))
        patched.write(bytes(144))
    assert kept(path) == content
    disk.amend(str(path), {"compat": "1.1"})
    assert_sound(path)
    assert kept(path) == content


@pytest.mark.parametrize(
    ("before", "change", "said"),
    [
        ("extended_l2=on", {"compat": "0.10"}, "extended L2 entries"),
        ("compression_type=zstd", {"compat": "0.10"}, "zstd"),
        ("refcount_bits=8", {"compat": "0.10"}, "16 bits"),
        ("compat=1.1", {"compat": "0.10", "lazy_refcounts": "on"}, "lazy_refcounts need version 3"),
        ("compat=0.10", {"refcount_bits": "8"}, "16 bits"),
        ("compat=1.1", {"compat": "2"}, "0.10 or 1.1"),
        ("compat=1.1", {"refcount_bits": "3"}, "1, 2, 4"),
        ("compat=1.1", {"cluster_size": "4K"}, "cluster_size of an existing image cannot be changed"),
        ("compat=1.1", {"preallocation": "full"}, "cannot be changed"),
        ("compat=1.1", {"encrypt.format": "luks"}, "cannot be changed"),
        ("compat=1.1", {"flavour": "sweet"}, "flavour is not known"),
        ("compat=1.1", {"data_file": "x"}, "no external data file"),
        ("compat=1.1", {"backing_fmt": "raw"}, "there is no backing file"),
        ("compat=1.1", {"backing_file": "x"}, "format of the backing file is not said"),
        ("compat=1.1", {"encrypt.state": "active"}, "not encrypted with LUKS"),
    ],
)
def test_what_cannot_be_changed_is_refused_and_nothing_is(
    before: str, change: dict[str, str], said: str, tmp_path: Path
) -> None:
    path = tmp_path / "a.qcow2"
    run("qemu-img", "create", "-q", "-f", "qcow2", "-o", before, path, "8M")
    bytes_before = path.read_bytes()
    with pytest.raises(VirtkitError, match=said):
        disk.amend(str(path), change)
    assert path.read_bytes() == bytes_before


def test_size_is_for_resize(tmp_path: Path) -> None:
    path = create(tmp_path)
    with pytest.raises(UsageError, match="size is not amended") as caught:
        disk.amend(str(path), {"size": "9M"})
    assert caught.value.hint == f"virtkit disk resize {path} 9M"


def test_bitmaps_hinder_the_older_version(tmp_path: Path) -> None:
    path = create(tmp_path)
    run("qemu-img", "bitmap", "--add", path, "daily")
    with pytest.raises(NotSupportedError, match="dirty bitmaps"):
        disk.amend(str(path), {"compat": "0.10"})


def test_names_of_other_files_are_changed(tmp_path: Path) -> None:
    path = create(tmp_path, backing=True, snapshots=False)
    content = kept(path)
    (tmp_path / "base.raw").rename(tmp_path / "below.raw")
    disk.amend(str(path), {"backing_file": "below.raw"})
    assert kept(path) == content
    disk.amend(str(path), {"backing_file": ""})
    assert "backing" not in run("qemu-img", "info", path)
    assert_sound(path)


def test_the_name_of_the_data_file_is_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    path = create(tmp_path, "data_file=a.data,data_file_raw=on", snapshots=False)
    content = kept(path)
    (tmp_path / "a.data").rename(tmp_path / "b.data")
    done = disk.amend(str(path), {"data_file": "b.data", "data_file_raw": "off"})
    assert done.changes == ("data_file: b.data", "data_file_raw: off")
    assert kept(path) == content
    assert specific(path)["data-file"] == "b.data"
    with pytest.raises(UsageError, match="cannot become one"):
        disk.amend(str(path), {"data_file_raw": "on"})


def test_passphrases_come_and_go(tmp_path: Path) -> None:
    path = tmp_path / "a.qcow2"
    options = "encrypt.format=luks,encrypt.key-secret=k,encrypt.iter-time=10"
    run("qemu-img", "create", "-q", "-f", "qcow2", "--object", "secret,id=k,data=old", "-o", options, path, "1M")

    def opens(secret: str) -> bool:
        key = ["--object", f"secret,id=k,data={secret}"]
        image = ["--image-opts", f"driver=qcow2,file.filename={path},encrypt.key-secret=k"]
        return (
            subprocess.run(["qemu-img", "check", "-q", *key, *image], capture_output=True, check=False).returncode == 0
        )

    added = {"encrypt.state": "active", "encrypt.keyslot": "3", "encrypt.iter-time": "10"}
    access = Access(secret=b"old")
    assert disk.amend(str(path), added, new_secret=b"new", access=access).changes == ("key slot 3: filled",)
    assert (opens("old"), opens("new"), opens("none")) == (True, True, False)
    with pytest.raises(ImageError, match="passphrase is wrong"):
        disk.amend(str(path), {"encrypt.state": "inactive"}, old_secret=b"none")
    disk.amend(str(path), {"encrypt.state": "inactive"}, old_secret=b"old")
    assert (opens("old"), opens("new")) == (False, True)
    with pytest.raises(UsageError, match="no key would be left"):
        disk.amend(str(path), {"encrypt.state": "inactive", "encrypt.keyslot": "3"})
    assert opens("new")


KILLED = """
import os, sys
from virtkit import disk
countdown, real = int(sys.argv[3]), os.pwrite
def counted(fd, data, at):
    global countdown
    countdown -= 1
    if countdown < 0:
        os.kill(os.getpid(), 9)
    return real(fd, data, at)
os.pwrite = counted
disk.amend(sys.argv[1], dict(pair.split("=") for pair in sys.argv[2].split(",")))
"""


@pytest.mark.parametrize("change", ["compat=0.10", "refcount_bits=32"])
def test_killed_at_any_write_the_image_is_sound_or_leaks(change: str, tmp_path: Path) -> None:
    path = create(tmp_path, "cluster_size=4k")
    whole, content = path.read_bytes(), kept(path)
    chance = random.Random(7)
    for writes in sorted(chance.sample(range(60), 6 * deep(1))):
        path.write_bytes(whole)
        done = subprocess.run([sys.executable, "-c", KILLED, path, change, str(writes)], check=False, timeout=60)
        assert done.returncode in {0, -signal.SIGKILL}
        assert counted_by_qemu(path).corruptions == 0
        assert kept(path) == content
        assert Header.parse(path.read_bytes()).version == (2 if change == "compat=0.10" and not done.returncode else 3)
