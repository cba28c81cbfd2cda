"""The first cluster of an image is packed to the very bytes that QEMU packs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from support.images import run
from virtkit.core.errors import UsageError
from virtkit.disk.file import File
from virtkit.disk.formats.qcow2.head import read_head
from virtkit.disk.formats.qcow2.layout import Header
from virtkit.disk.formats.qcow2.packing import pack
from virtkit.disk.reference import Reference

if TYPE_CHECKING:
    from pathlib import Path

    from virtkit.disk.formats.qcow2.head import Head

pytestmark = pytest.mark.qemu
KEY = ("--object", "secret,id=k,data=abc")


def head_of(path: Path) -> Head:
    file = File.open(path)
    try:
        return read_head(file)
    finally:
        file.close()


@pytest.mark.parametrize(
    "options",
    [
        ("-o", "compat=0.10"),
        ("-o", "compat=0.10", "-u", "-b", "below.qcow2", "-F", "qcow2"),
        ("-o", "compat=1.1"),
        ("-o", "cluster_size=512"),
        ("-o", "cluster_size=8k,lazy_refcounts=on,refcount_bits=1"),
        ("-o", "extended_l2=on,compression_type=zstd", "-u", "-b", "base.raw", "-F", "raw"),
        ("-o", "cluster_size=2M", "-u", "-b", "/a/第二.qcow2", "-F", "qcow2"),
        (*KEY, "-o", "encrypt.format=luks,encrypt.iter-time=10,encrypt.key-secret=k"),
        (*KEY, "-o", "encrypt.format=aes,encrypt.key-secret=k", "-u", "-b", "base.qcow2", "-F", "qcow2"),
        ("-o", "data_file={}/a.data"),
        ("-o", "data_file={}/a.data,data_file_raw=on"),
    ],
    ids=" ".join,
)
def test_what_was_read_is_packed_as_it_was(options: tuple[str, ...], tmp_path: Path) -> None:
    path = tmp_path / "a.qcow2"
    run("qemu-img", "create", "-q", "-f", "qcow2", *(word.format(tmp_path) for word in options), path, "1M")
    if options[0] == "-o" and "0.10" not in options[1]:
        run("qemu-img", "bitmap", "--add", "-f", "qcow2", path, "daily")
    head = head_of(path)
    assert pack(str(path), head) == path.read_bytes()[: head.cluster_size]


def test_what_nobody_knows_is_kept(tmp_path: Path) -> None:
    """Fields behind today's header, and an extension of a type that has no name."""
    path = tmp_path / "a.qcow2"
    run("qemu-img", "create", "-q", "-f", "qcow2", "-o", "cluster_size=4k", path, "1M")
    data = bytearray(path.read_bytes())
    unknown = b"\x12\x34\x56\x78\0\0\0\5abcde\0\0\0"
    data[100:104] = (128).to_bytes(4, "big")
    data[112:128], data[128:144] = b"of another time!", unknown
    path.write_bytes(data)
    assert pack(str(path), head_of(path)) == bytes(data[:4096])


def test_a_backing_name_that_does_not_fit_is_refused_with_what_would(tmp_path: Path) -> None:
    path = tmp_path / "a.qcow2"
    run("qemu-img", "create", "-q", "-f", "qcow2", "-o", "cluster_size=512", path, "1M")
    head = head_of(path)
    room = 512 - 112 - 8
    pack("a", head._replace(backing=Reference("b" * room, None)))
    with pytest.raises(UsageError, match=f"a: name of the backing file is {room + 1} bytes long, expected {room} at"):
        pack("a", head._replace(backing=Reference("b" * (room + 1), None)))
    with pytest.raises(UsageError, match="expected 1023 at most"):
        pack("a", head._replace(header=_wider(head), backing=Reference("b" * 1024, None)))


def _wider(head: Head) -> Header:
    return Header(**{**vars(head.header), "cluster_bits": 16})
