"""The reading side against QEMU's server and our own, and against servers that lie."""

from __future__ import annotations

import random
import socket
import struct
import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from support.depth import deep
from support.images import run
from support.serving import serve
from virtkit.core.errors import ImageError, SystemCallError
from virtkit.disk.nbd.client import DIRTY, DIRTY_BITMAP, Remote
from virtkit.disk.nbd.protocol import ALLOCATION, Allocation

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MIB = 1 << 20
SIZE = 6 * MIB


@contextmanager
def qemu_nbd(image: Path, *words: str) -> Iterator[str]:
    """QEMU's own server, on the socket file that it names."""
    socket_, pid = image.with_suffix(".sock"), image.with_suffix(".pid")
    run("qemu-nbd", "--fork", "--pid-file", pid, "-t", "-r", "-k", socket_, *words, image)
    try:
        yield str(socket_)
    finally:
        run("kill", pid.read_text().strip())


@pytest.fixture
def content() -> bytes:
    """Random bytes with a hole from 1 to 3 MiB."""
    data = bytearray(random.Random(3).randbytes(SIZE))
    data[MIB : 3 * MIB] = bytes(2 * MIB)
    return bytes(data)


@pytest.fixture
def image(tmp_path: Path, content: bytes) -> Path:
    """qcow2, with a bitmap that knows of two writes."""
    raw, made = tmp_path / "a.raw", tmp_path / "a.qcow2"
    raw.write_bytes(content)
    run("qemu-img", "convert", "-f", "raw", "-O", "qcow2", raw, made)
    run("qemu-img", "bitmap", "--add", "-g", "65536", made, "since")
    run("qemu-io", "-c", "write -P 7 128k 64k", "-c", "write -z 4M 256k", made)
    return made


@pytest.fixture
def offered(image: Path) -> Iterator[str]:
    with qemu_nbd(image, "-f", "qcow2") as path:
        yield path


def written(content: bytes) -> bytes:
    data = bytearray(content)
    data[128 << 10 : 192 << 10] = b"\7" * (64 << 10)
    data[4 * MIB : 4 * MIB + (256 << 10)] = bytes(256 << 10)
    return bytes(data)


def test_qemus_bitmap_says_what_was_written_since(image: Path) -> None:
    context = f"{DIRTY_BITMAP}since"
    with (
        qemu_nbd(image, "-f", "qcow2", "-B", "since") as path,
        Remote(path, "", (ALLOCATION, context, "no:such")) as disk,
    ):
        assert disk.size == SIZE
        assert not disk.knows("no:such")
        dirty = [(one.start, one.end) for one in disk.status(context) if one.flags & DIRTY]
        assert dirty == [(128 << 10, 192 << 10), (4 * MIB, 4 * MIB + (256 << 10))]
        silent = [(one.start, one.end) for one in disk.status(ALLOCATION) if one.flags & Allocation.ZERO]
        assert silent == [(MIB, 3 * MIB), (4 * MIB, 4 * MIB + (256 << 10))]


@settings(max_examples=deep(20), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_whatever_is_read_is_what_qemu_has(offered: str, content: bytes, data: st.DataObject) -> None:
    pieces = data.draw(st.lists(st.tuples(st.integers(0, SIZE - 1), st.integers(1, MIB)), max_size=12))
    wanted = [(start, min(length, SIZE - start)) for start, length in pieces]
    now = written(content)
    with Remote(offered, "") as disk:
        got = sorted((piece.start, bytes(piece.data)) for piece in disk.read(wanted))
    assert got == sorted((start, now[start : start + length]) for start, length in wanted)


def test_our_own_server_is_read_the_same(image: Path, content: bytes) -> None:
    with serve(image, "qcow2", name="vda") as served, Remote(str(served.socket), "vda", (ALLOCATION,)) as disk:
        silent = [(one.start, one.end) for one in disk.status(ALLOCATION) if one.flags & Allocation.ZERO]
        assert silent == [(MIB, 3 * MIB), (4 * MIB, 4 * MIB + (256 << 10))]
        pieces = {piece.start: piece.data for piece in disk.read((at, MIB) for at in range(0, SIZE, MIB))}
    assert b"".join(pieces[at] for at in sorted(pieces)) == written(content)


def test_a_name_that_is_not_exported_is_refused_with_the_servers_words(image: Path) -> None:
    with serve(image, "qcow2", name="vda") as served, pytest.raises(ImageError, match="refuses GO"):
        Remote(str(served.socket), "vdb")


def test_nobody_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(SystemCallError, match="connect to"):
        Remote(str(tmp_path / "none"), "")


GREETING = b"NBDMAGICIHAVEOPT" + struct.pack(">H", 3)


def answer(option: int, kind: int, data: bytes = b"") -> bytes:
    return struct.pack(">QIII", 0x3E889045565A9, option, kind, len(data)) + data


SIZED = answer(8, 1) + answer(7, 3, struct.pack(">HQH", 0, SIZE, 3)) + answer(7, 1)


@contextmanager
def liar(tmp_path: Path, said: bytes) -> Iterator[str]:
    """A server that says ``said`` whatever it is asked, and goes."""
    path = str(tmp_path / "liar")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(path)
        server.listen()

        def talk() -> None:
            connection, _ = server.accept()
            with connection, suppress(ConnectionResetError):  # who finds it out hangs up
                connection.sendall(said)
                connection.shutdown(socket.SHUT_WR)
                while connection.recv(4096):
                    pass

        thread = threading.Thread(target=talk)
        thread.start()
        yield path
        thread.join()


def chunk(kind: int, data: bytes, cookie: int = 1, *, flags: int = 1) -> bytes:
    return struct.pack(">IHHQI", 0x668E33EF, flags, kind, cookie, len(data)) + data


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (b"HTTP/1.1 400 Bad Request", "no NBD server"),
        (GREETING[:5], "hung up"),
        (GREETING + answer(7, 1), "another option"),
        (GREETING + answer(8, 1) + answer(7, 1), "tells size None"),
        (GREETING + answer(8, 1) + answer(7, 3) * 100, "without an end"),
        (GREETING + struct.pack(">QIII", 0x3E889045565A9, 8, 3, 1 << 31), "with 2147483648 bytes"),
        (GREETING + SIZED + chunk(1, struct.pack(">Q", MIB) + b"x" * 10), "nobody asked for"),
        (GREETING + SIZED + chunk(1, struct.pack(">Q", 0) + b"x", 2), "waits for nothing"),
        (GREETING + SIZED + chunk(0x8001, struct.pack(">IH", 5, 4) + b"oops"), "error 5: oops"),
        (GREETING + SIZED + struct.pack(">IIQI", 0x67446698, 0, 1, 0), "expected a structured reply"),
        (GREETING + SIZED, "hung up"),
    ],
)
def test_a_server_that_lies_is_left(said: bytes, why: str, tmp_path: Path) -> None:
    def talk(path: str) -> None:
        with Remote(path, "") as disk:
            list(disk.read([(0, 4096)]))

    with liar(tmp_path, said) as path, pytest.raises(ImageError, match=why):
        talk(path)
