"""Clients that break the protocol: the server drops them, serves the others, and its memory stays bounded."""

from __future__ import annotations

import os
import random
import re
import socket
import struct
import subprocess
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from support.depth import deep
from support.serving import READ, WRITE, Client, Served, serve, virtkit
from virtkit import disk
from virtkit.core.progress import Event, Note
from virtkit.disk.export import Export
from virtkit.disk.nbd.address import UnixAddress
from virtkit.disk.nbd.handshake import Offer
from virtkit.disk.nbd.server import MOST_CLIENTS, Server

if TYPE_CHECKING:
    from collections.abc import Iterator

MIB = 1 << 20
SIZE = 64 * MIB
CONTENT = b"some text\n" * 400
SEVERAL = settings(max_examples=deep(25), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture
def image(tmp_path: Path) -> Path:
    path = tmp_path / "disk.raw"
    path.write_bytes(CONTENT)
    os.truncate(path, SIZE)
    return path


@pytest.fixture
def served(image: Path) -> Iterator[Served]:
    """Has no patience: half a second within a message."""
    with serve(image, "raw", write=True, stalled=0.5) as serving:
        yield serving


@pytest.fixture
def patient(image: Path) -> Iterator[Served]:
    """Waits a minute: who is dropped sooner was refused."""
    with serve(image, "raw", write=True) as serving:
        yield serving


def connected(path: Path) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX)
    connection.settimeout(20)
    connection.connect(str(path))
    return connection


def hung_up(connection: socket.socket) -> bool:
    """Reads what the server still says; False where it neither says anything nor hangs up for some seconds."""
    connection.settimeout(5)
    try:
        while connection.recv(1 << 16):
            pass
    except ConnectionError:
        return True
    except TimeoutError:
        return False
    return True


def still_serves(path: Path) -> bool:
    with Client(path) as client:
        return client.ask(READ, 0, len(CONTENT)).data == CONTENT


FLAGS = struct.pack(">I", 3)


def option(number: int, length: int, data: bytes = b"") -> bytes:
    return FLAGS + b"IHAVEOPT" + struct.pack(">II", number, length) + data


@pytest.mark.parametrize(
    "said",
    [
        b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"\xff" * 4,
        FLAGS + b"IHAVEOPS" + bytes(8),
        option(7, 0xFFFFFFFF),
        option(8, 20_000, bytes(20_000)),
        option(1, 5, b"other"),
        option(2, 0),
    ],
    ids=["http", "unknown flags", "no option", "4 GiB of option", "20 KB of option", "no such export", "goodbye"],
)
def test_a_handshake_that_cannot_go_on_ends(said: bytes, patient: Served) -> None:
    with connected(patient.socket) as connection:
        connection.sendall(said)
        assert hung_up(connection)
    assert still_serves(patient.socket)


@pytest.mark.parametrize(
    "data",
    [
        struct.pack(">IH", 0, 5),
        struct.pack(">I", 5000) + bytes(5000),
        struct.pack(">I", 0xFFFFFFFF),
        struct.pack(">IH", 0, 0) + b"more",
        b"",
    ],
    ids=["five types in no bytes", "a long name", "4 GiB of name", "too much", "nothing"],
)
def test_a_malformed_option_is_refused_and_the_next_is_taken(data: bytes, served: Served) -> None:
    with Client.__new__(Client) as client:
        client.connection = connected(served.socket)
        client.take(18)
        client.connection.sendall(FLAGS)
        assert client.option(7, data)[-1][0] >> 31
        assert client.option(10, struct.pack(">IIII", 0, 1, 0, 0))[-1][0] >> 31  # before structured replies
        assert client.option(55, b"x")[-1][0] == 0x80000001
        assert client.option(7, struct.pack(">IH", 0, 0))[-1] == (1, b"")


@pytest.mark.parametrize(
    "said",
    [
        struct.pack(">IHHQQI", 0x25609514, 0, 0, 0, 0, 512),
        struct.pack(">IHHQQI", 0x25609513, 0, WRITE, 0, 0, 0xFFFFFFFF),
        struct.pack(">IHHQQI", 0x25609513, 0, WRITE, 0, 0, 4096) + b"half of it",
        struct.pack(">IHHQQI", 0x25609513, 0, READ, 0, 0, 512)[:9],
    ],
    ids=["no request", "a write of 4 GiB", "half a payload", "half a request"],
)
def test_a_request_that_cannot_be_read_ends_the_connection(said: bytes, served: Served) -> None:
    with Client(served.socket) as client:
        client.connection.sendall(said)
        assert hung_up(client.connection)
    assert still_serves(served.socket)


def test_who_says_a_byte_at_a_time_is_not_waited_for(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("virtkit.disk.nbd.handshake.SECONDS", 1)
    with connected(served.socket) as connection:
        started = time.monotonic()
        with suppress(ConnectionError):
            for byte in option(8, 1000, bytes(1000)):
                connection.sendall(bytes([byte]))
                time.sleep(0.1)
        assert time.monotonic() - started < 5
    assert still_serves(served.socket)


def test_who_does_not_read_his_answers_is_not_waited_for(served: Served) -> None:
    with Client(served.socket) as client, suppress(ConnectionError, TimeoutError):
        client.connection.settimeout(3)
        for _ in range(100):
            client.send(READ, 0, 4096)
            client.send(READ, 0, 32 * MIB)
    assert still_serves(served.socket)


def test_an_idle_client_is_kept(served: Served) -> None:
    with Client(served.socket) as client:
        time.sleep(1.5)  # three times the patience
        assert client.ask(READ, 0, 10).data == CONTENT[:10]


def test_more_clients_than_there_is_room_for_are_turned_away(served: Served) -> None:
    clients = [Client(served.socket) for _ in range(MOST_CLIENTS)]
    with connected(served.socket) as one_more:
        assert hung_up(one_more)
    assert clients[0].ask(READ, 0, 10).data == CONTENT[:10]
    for client in clients:
        client.connection.close()
    until = time.monotonic() + 5
    while time.monotonic() < until:
        with suppress(ConnectionError):
            assert still_serves(served.socket)
            return
    pytest.fail("nobody is let in any more")


@SEVERAL
@given(said=st.binary(max_size=300), phase=st.integers(0, 2))
def test_any_bytes_are_survived(said: bytes, phase: int, served: Served) -> None:
    """From the greeting on, behind the flags, or where requests begin."""
    if phase == 2:
        with Client(served.socket) as client:
            client.connection.sendall(said)
    else:
        with connected(served.socket) as connection, suppress(ConnectionError):
            connection.sendall((FLAGS if phase else b"") + said)
    assert still_serves(served.socket)


def memory(process: int) -> int:
    """Most bytes that it ever had."""
    found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{process}/status").read_text(encoding="ascii"))
    assert found
    return int(found[1]) << 10


def test_memory_does_not_grow_with_what_clients_ask_for(image: Path) -> None:
    chance = random.Random(3)
    image.write_bytes(chance.randbytes(SIZE))
    path = image.with_name("nbd.sock")
    with virtkit(image.parent, "disk.raw", "-f", "raw", "--write", "--socket", str(path)) as (_, process):
        with Client(path) as client:
            client.ask(READ, 0, 4096)
        before = memory(process.pid)
        clients = [Client(path, structured=bool(number % 2)) for number in range(16)]
        for client in clients:
            client.send(READ, 0, 32 * MIB)
            client.connection.sendall(struct.pack(">IHHQQI", 0x25609513, 0, WRITE, 0, 0, 32 * MIB))
        time.sleep(1)
        grown = memory(process.pid) - before
        assert 0 < grown < 16 * 6 * MIB
        for client in clients:
            client.connection.close()
        assert client_of_nbdinfo(path)


def client_of_nbdinfo(path: Path) -> bool:
    done = subprocess.run(["nbdinfo", "--size", f"nbd+unix:///?socket={path}"], capture_output=True, check=False)
    return int(done.stdout) == SIZE


class Faulty(Export):
    """As if a format had a fault that shows in its first megabyte."""

    def read(self, at: int, length: int) -> bytes:
        if at < MIB:
            raise IndexError("list index out of range")
        return super().read(at, length)


def test_a_fault_of_ours_drops_one_client_and_is_told(image: Path) -> None:
    told: list[Event] = []
    address = UnixAddress(str(image.with_name("nbd.sock")))
    with disk.open(str(image), "r", "raw") as chain:
        server = Server(Offer(Faulty(chain)), address, told.append)
        thread = threading.Thread(target=server.run)
        thread.start()
        try:
            with Client(Path(address.path)) as other, Client(Path(address.path)) as client:
                client.send(READ, 0, 512)
                assert hung_up(client.connection)
                assert other.ask(READ, MIB, 512).data == bytes(512)
        finally:
            server.stop()
            thread.join()
    assert told == [Note("serve", "a client was dropped: IndexError: list index out of range")]
