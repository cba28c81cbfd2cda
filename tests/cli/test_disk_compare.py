"""``disk compare``: qemu-img's lines and exit statuses."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from support.images import run
from support.typed import qemu_img, virtkit

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.qemu
MIB = 1 << 20


@pytest.fixture
def other(image: Path) -> Path:
    path = image.parent / "other.qcow2"
    run("qemu-img", "convert", "-O", "qcow2", image, path)
    return path


def assert_alike(folder: Path, status: int, *words: str) -> None:
    theirs = qemu_img(folder, "compare", *words)
    ours = virtkit(folder, "compare", *words)
    assert (ours.status, ours.out) == (theirs.status, theirs.out)
    assert ours.status == status


@pytest.mark.parametrize("flags", [(), ("-s",)], ids=" ".join)
@pytest.mark.parametrize(
    ("script", "size", "statuses"),
    [
        ((), "8M", (0, 0)),
        (("write -P 8 5M 1k",), "8M", (1, 1)),
        (("write -P 7 1M 512",), "8M", (1, 1)),
        (("write -z 1M 1M",), "8M", (0, 1)),
        (("write -z 7M 1M", "write -P 5 1M 64k"), "8M", (1, 1)),
        (("write -z 1M 64k", "write -P 5 3M 64k"), "8M", (1, 1)),
        ((), "9M", (0, 1)),
        (("write -P 3 8300k 1k",), "9M", (1, 1)),
        (("write -P 3 4100k 1k",), "9M", (1, 1)),
    ],
    ids=str,
)
def test_says_what_qemu_img_says(
    flags: tuple[str, ...], script: tuple[str, ...], size: str, statuses: tuple[int, int], image: Path, other: Path
) -> None:
    run("qemu-img", "resize", "-q", other, size)
    for command in script:
        run("qemu-io", "-f", "qcow2", "-c", command, other)
    assert_alike(image.parent, statuses["-s" in flags], *flags, image.name, other.name)


@pytest.mark.parametrize("flags", [("-q",), ("-p", "-q", "-U"), ("-q", "-s")], ids=" ".join)
def test_quiet_means_the_status_alone(flags: tuple[str, ...], image: Path, other: Path) -> None:
    run("qemu-io", "-f", "qcow2", "-c", "write -P 8 5M 1k", other)
    assert_alike(image.parent, 1, *flags, image.name, other.name)
    assert virtkit(image.parent, "compare", *flags, image.name, other.name).out == ""


def test_formats_may_differ_and_chains_are_followed(image: Path, tmp_path: Path) -> None:
    run("qemu-img", "convert", "-O", "vmdk", image, tmp_path / "disk.vmdk")
    run("qemu-img", "create", "-q", "-f", "qcow2", "-b", "disk.vmdk", "-F", "vmdk", tmp_path / "top.qcow2")
    assert_alike(tmp_path, 0, "-f", "qcow2", "-F", "vmdk", "disk.qcow2", "disk.vmdk")
    assert_alike(tmp_path, 0, "disk.qcow2", "top.qcow2")
    run("qemu-io", "-f", "qcow2", "-c", "write -P 1 0 512", tmp_path / "top.qcow2")
    assert_alike(tmp_path, 1, "top.qcow2", "disk.qcow2")


def test_what_cannot_be_read_is_more_than_1(image: Path) -> None:
    assert virtkit(image.parent, "compare", image.name, "absent").status == 2
    assert qemu_img(image.parent, "compare", image.name, "absent").status == 2


def test_a_raw_disk_on_the_right_is_said_with_its_own_flag(image: Path) -> None:
    (image.parent / "b.raw").write_bytes(bytes(MIB))
    assert "-F raw" in virtkit(image.parent, "compare", image.name, "b.raw").err
    assert "-f raw" in virtkit(image.parent, "compare", "b.raw", image.name).err


def test_json_has_both_sizes_and_the_offset(image: Path, other: Path) -> None:
    run("qemu-io", "-f", "qcow2", "-c", "write -P 8 5M 1k", other)
    said = virtkit(image.parent, "compare", "--output", "json", image.name, other.name)
    assert json.loads(said.out.splitlines()[-1]) == {
        "identical": False,
        "left_size": 8 * MIB,
        "right_size": 8 * MIB,
        "offset": 5 * MIB,
        "status_offset": None,
    }
