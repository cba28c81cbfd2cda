"""Which backing files are opened, and which are refused."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from support.images import run
from virtkit import disk
from virtkit.core.errors import CorruptImageError, ForbiddenReferenceError, ImageError, NotFoundError
from virtkit.disk.format import Reference
from virtkit.disk.gate import resolve

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.qemu


def qcow2(path: Path, backing: str = "", format_: str = "") -> Path:
    """An image of 1 MiB that names ``backing``, which need not exist."""
    over = ("-u", "-b", backing) if backing else ()
    run("qemu-img", "create", "-q", "-f", "qcow2", *over, *(("-F", format_) if format_ else ()), path, "1M")
    return path


def name_backing(path: Path, backing: str) -> None:
    """As ``qemu-img create`` does where it would refuse: without a format."""
    data = bytearray(path.read_bytes())
    data[8:20] = (512).to_bytes(8, "big") + len(backing).to_bytes(4, "big")
    data[512 : 512 + len(backing)] = backing.encode()
    path.write_bytes(data)


def test_opens_a_backing_file_beside_or_below_the_image(tmp_path: Path) -> None:
    (tmp_path / "below").mkdir()
    qcow2(tmp_path / "below" / "base.qcow2")
    qcow2(tmp_path / "middle.qcow2", "below/base.qcow2", "qcow2")
    qcow2(tmp_path / "top.qcow2", "middle.qcow2", "qcow2")
    with disk.open(str(tmp_path / "top.qcow2")) as chain:
        assert [layer.format for layer in chain.layers] == ["qcow2"] * 3


@pytest.mark.parametrize("name", ["../secret", "/etc/passwd", "link"])
def test_refuses_files_elsewhere_unless_asked(name: str, tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(bytes(512))
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "link").symlink_to(tmp_path / "secret")
    image = str(qcow2(tmp_path / "images" / "top.qcow2", name, "raw"))
    with pytest.raises(ForbiddenReferenceError) as caught:
        disk.open(image)
    assert "--allow-backing" in caught.value.hint
    disk.open(image, access=disk.Access(allow_backing=True)).close()
    assert disk.info(image).backing == Reference(name, "raw")


@pytest.mark.parametrize("name", ["json:{}", "nbd://host/x", "http://host/x", "file:x", "ssh:x", "", "a\0b"])
def test_refuses_names_of_drivers_always(name: str, tmp_path: Path) -> None:
    with pytest.raises(ForbiddenReferenceError):
        resolve(str(tmp_path / "top"), Reference(name, "raw"), allow_backing=True)


@pytest.mark.parametrize("name", ["pipe", "folder", "/dev/zero"])
def test_what_holds_no_disk_is_not_even_opened(name: str, tmp_path: Path) -> None:
    """To open a pipe waits for whoever writes to it, and /dev/zero has no end."""
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    with pytest.raises(ForbiddenReferenceError, match="is no regular file and no block device"):
        resolve(str(tmp_path / "top"), Reference(name, "raw"), allow_backing=True)


def test_a_missing_backing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match=r"gone\.qcow2"):
        disk.open(str(qcow2(tmp_path / "top.qcow2", "gone.qcow2", "qcow2")))


@pytest.mark.parametrize("others", [0, 1, 3])
def test_a_chain_that_goes_in_a_circle_is_refused(others: int, tmp_path: Path) -> None:
    names = [f"{number}.qcow2" for number in range(others + 1)]
    for name, below in zip(names, names[1:] + names[:1], strict=True):
        qcow2(tmp_path / name, below, "qcow2")
    with pytest.raises(ImageError, match="circle"):
        disk.open(str(tmp_path / names[0]))


def test_raw_is_not_guessed_for_a_backing_file_either(tmp_path: Path) -> None:
    (tmp_path / "base").write_bytes(bytes(1024))
    name_backing(qcow2(tmp_path / "top.qcow2"), "base")
    with pytest.raises(ImageError) as caught:
        disk.open(str(tmp_path / "top.qcow2"))
    assert "rebase" in caught.value.hint


def test_a_raw_backing_file_stays_raw_though_a_guest_wrote_a_signature(tmp_path: Path) -> None:
    base = qcow2(tmp_path / "base")
    qcow2(tmp_path / "top.qcow2", "base", "raw")
    with disk.open(str(tmp_path / "top.qcow2")) as chain:
        assert chain.read(0, 4096) == base.read_bytes()[:4096]


def test_data_that_the_file_no_longer_holds_is_not_read_as_zeros(tmp_path: Path) -> None:
    image = qcow2(tmp_path / "cut.qcow2")
    run("qemu-io", "-f", "qcow2", "-c", "write -P 1 0 1M", image)
    with image.open("r+b") as file:
        file.truncate(image.stat().st_size - (256 << 10))
    with disk.open(str(image)) as chain, pytest.raises(CorruptImageError, match="clusters within"):
        chain.read(0, chain.size)
