"""The protocol itself, spoken by a client of our own: every command and flag, in any order and size."""

from __future__ import annotations

import os
import random
import subprocess
import threading
from typing import TYPE_CHECKING, NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from support.depth import deep
from support.images import run
from support.mounts import small_file_system
from support.serving import (
    BLOCK_STATUS,
    CACHE,
    DF,
    EINVAL,
    EIO,
    ENOSPC,
    ENOTSUP,
    EPERM,
    FAST_ZERO,
    FLUSH,
    FUA,
    NO_HOLE,
    READ,
    REQ_ONE,
    TRIM,
    WRITE,
    WRITE_ZEROES,
    Client,
    Served,
    serve,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MIB = 1 << 20
SIZE = 5 * MIB + 512
SEVERAL = settings(max_examples=deep(15), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture
def content() -> bytes:
    """Random bytes; a hole of 2 MiB from the second MiB on."""
    data = bytearray(random.Random(1).randbytes(SIZE))
    data[MIB : 3 * MIB] = bytes(2 * MIB)
    return bytes(data)


@pytest.fixture
def image(tmp_path: Path, content: bytes) -> Path:
    path = tmp_path / "disk.raw"
    with path.open("wb") as file:
        file.write(content[:MIB])
        file.seek(3 * MIB)
        file.write(content[3 * MIB :])
    return path


@pytest.fixture
def served(image: Path) -> Iterator[Served]:
    with serve(image, "raw", write=True) as serving:
        yield serving


@pytest.fixture(params=[True, False], ids=["structured", "simple"])
def client(request: pytest.FixtureRequest, served: Served) -> Iterator[Client]:
    with Client(served.socket, structured=request.param) as connected:
        yield connected


def test_reads_of_any_size_come_whole(client: Client, content: bytes) -> None:
    for at, length in ((0, 1), (511, 2), (0, SIZE), (MIB - 1, 2 * MIB + 2), (SIZE - 3, 3), (7, 0)):
        assert client.ask(READ, at, length).data == content[at : at + length]


def test_holes_are_not_sent(served: Served, content: bytes) -> None:
    with Client(served.socket) as client:
        client.send(READ, MIB, 2 * MIB)
        assert len(client.take(20 + 12)) == 32
        assert client.ask(READ, 0, 4 * MIB).chunks > 1
        whole = client.ask(READ, 0, 4 * MIB, flags=DF)
        assert (whole.chunks, whole.data) == (1, content[: 4 * MIB])


def test_status_tells_holes_and_one_extent_where_one_is_asked_for(served: Served) -> None:
    with Client(served.socket) as client:
        assert client.ask(BLOCK_STATUS, 0, SIZE).status == ((MIB, 0), (2 * MIB, 3), (2 * MIB + 512, 0))
        assert client.ask(BLOCK_STATUS, 5, 3 * MIB, flags=REQ_ONE).status == ((MIB - 5, 0),)
        assert client.ask(BLOCK_STATUS, 2 * MIB, 1).status == ((1, 3),)


def test_status_is_refused_to_who_did_not_choose_it(served: Served) -> None:
    with Client(served.socket, structured=False) as client:
        assert client.ask(BLOCK_STATUS, 0, 512).error == EINVAL


def test_what_cannot_be_is_refused_and_the_next_request_is_served(client: Client, content: bytes) -> None:
    refused = [
        client.ask(READ, SIZE, 1).error,
        client.ask(READ, 0, 33 * MIB).error,
        client.ask(READ, 0, 512, flags=NO_HOLE).error,
        client.ask(99).error,
        client.ask(WRITE, SIZE - 1, 2, payload=b"xx").error,
        client.ask(WRITE, 2**64 - 1, 512, payload=bytes(512)).error,
        client.ask(WRITE, 0, 4, flags=REQ_ONE, payload=b"xxxx").error,
        client.ask(TRIM, 1, SIZE).error,
        client.ask(WRITE_ZEROES, 0, 4096, flags=FAST_ZERO | NO_HOLE).error,
    ]
    assert refused == [EINVAL, EINVAL, EINVAL, EINVAL, ENOSPC, ENOSPC, EINVAL, ENOSPC, ENOTSUP]
    assert client.ask(READ, 0, SIZE).data == content


def test_zeros_that_shall_take_room_do(client: Client, image: Path) -> None:
    before = image.stat().st_blocks
    assert client.ask(WRITE_ZEROES, MIB, 2 * MIB).error == 0
    assert image.stat().st_blocks == before
    assert client.ask(WRITE_ZEROES, MIB, 2 * MIB, flags=NO_HOLE | FUA).error == 0
    assert image.stat().st_blocks >= before + 2 * MIB // 512


def test_trim_gives_room_back(client: Client, image: Path) -> None:
    before = image.stat().st_blocks
    assert client.ask(TRIM, 0, MIB).error == 0
    assert image.stat().st_blocks <= before - MIB // 512


def test_reading_ahead_changes_nothing(client: Client, content: bytes) -> None:
    assert client.ask(CACHE, 0, SIZE).error == 0
    assert client.ask(READ, 0, SIZE).data == content


def test_a_reader_may_not_write(image: Path, content: bytes) -> None:
    with serve(image, "raw") as serving, Client(serving.socket) as client:
        for command in (WRITE, TRIM, WRITE_ZEROES):
            assert client.ask(command, 0, 4, payload=b"xxxx" if command == WRITE else b"").error == EPERM
        assert client.ask(FLUSH).error == 0
    assert image.read_bytes() == content


class Step(NamedTuple):
    command: int
    at: int
    length: int
    flags: int


@st.composite
def steps(draw: st.DrawFn) -> Step:
    command = draw(st.sampled_from((READ, WRITE, WRITE, WRITE_ZEROES, TRIM, FLUSH)))
    at = draw(st.integers(0, SIZE))
    length = draw(st.one_of(st.integers(0, 5000), st.integers(0, SIZE)))
    flags = draw(st.sampled_from({READ: (0, DF), WRITE_ZEROES: (0, FUA, NO_HOLE)}.get(command, (0, FUA))))
    return Step(command, at, min(length, SIZE - at), flags)


@pytest.fixture(params=["raw", "qcow2", "vmdk", "vdi"])
def live(request: pytest.FixtureRequest, image: Path) -> Iterator[Served]:
    """The same disk in a format that can be written in place; sound in the end, QEMU says."""
    kind = str(request.param)
    path = image.with_name(f"live.{kind}")
    run("qemu-img", "convert", "-f", "raw", "-O", kind, image, path)
    with serve(path, kind, write=True) as serving:
        yield serving
    if kind != "raw":
        assert "No errors" in run("qemu-img", "check", "-f", kind, path)


@pytest.mark.qemu
@SEVERAL
@given(script=st.lists(steps(), max_size=12), structured=st.booleans())
def test_any_requests_leave_what_an_array_would_hold(live: Served, script: list[Step], *, structured: bool) -> None:
    """A trimmed stretch holds what it held, or zeros."""
    with Client(live.socket, structured=structured) as client:
        model = bytearray(client.ask(READ, 0, SIZE).data)
        for number, (command, at, length, flags) in enumerate(script):
            payload = bytes([number + 1]) * length if command == WRITE else b""
            reply = client.ask(command, at, length, flags=flags, payload=payload)
            assert reply.error == 0
            stretch = slice(at, at + length)
            if command == READ:
                assert reply.data == model[stretch]
            elif command == WRITE:
                model[stretch] = payload
            elif command == WRITE_ZEROES:
                model[stretch] = bytes(length)
            elif command == TRIM:
                kept = client.ask(READ, at, length).data
                assert all(now in {0, before} for now, before in zip(kept, model[stretch], strict=True))
                model[stretch] = kept
        assert client.ask(READ, 0, SIZE).data == model


def test_requests_may_be_sent_before_the_last_one_is_answered(client: Client, content: bytes) -> None:
    for at in range(0, MIB, 1 << 16):
        client.send(READ, at, 4096)
    assert all(client.reply(4096).data == content[at : at + 4096] for at in range(0, MIB, 1 << 16))


def test_a_full_disk_is_told_and_the_server_goes_on(tmp_path: Path) -> None:
    with small_file_system(tmp_path / "small", size=MIB) as folder:
        image = folder / "disk.raw"
        image.touch()
        os.truncate(image, 4 * MIB)
        with serve(image, "raw", write=True) as serving, Client(serving.socket) as client:
            assert client.ask(WRITE, 0, 3 * MIB, payload=b"x" * 3 * MIB).error == ENOSPC
            assert client.ask(WRITE, 0, 512, payload=b"y" * 512).error == 0
            assert client.ask(READ, 0, 512).data == b"y" * 512


@pytest.mark.qemu
def test_a_damaged_image_is_told_and_what_is_whole_is_read(tmp_path: Path) -> None:
    plain, image = tmp_path / "plain.raw", tmp_path / "disk.qcow2"
    plain.write_bytes((b"some text " * 7000)[:65536] * 2)
    run("qemu-img", "convert", "-c", "-f", "raw", "-O", "qcow2", plain, image)
    entry = subprocess.run(["qemu-img", "map", "--output", "json", str(image)], capture_output=True, check=True)
    assert b'"compressed": true' in entry.stdout or b'"data": true' in entry.stdout
    data = bytearray(image.read_bytes())
    l1 = int.from_bytes(data[40:48], "big")
    l2 = int.from_bytes(data[l1 : l1 + 8], "big") & 0x00FFFFFFFFFFFE00
    where = int.from_bytes(data[l2 : l2 + 8], "big") & ((1 << 54) - 1)
    data[where : where + 8] = b"\xff" * 8
    image.write_bytes(data)
    for structured in (True, False):
        with serve(image, "qcow2") as serving, Client(serving.socket, structured=structured) as client:
            assert client.ask(READ, 0, 512).error == EIO
            assert client.ask(READ, 65536, 65536).data == plain.read_bytes()[65536:]


def test_many_clients_at_once_read_the_same(served: Served, content: bytes) -> None:
    wrong: list[int] = []

    def read(seed: int) -> None:
        chance = random.Random(seed)
        with Client(served.socket, structured=bool(seed % 2)) as one:
            for _ in range(50):
                at = chance.randrange(SIZE)
                length = min(chance.randrange(1, 200_000), SIZE - at)
                wrong.extend([at] if one.ask(READ, at, length).data != content[at : at + length] else [])

    threads = [threading.Thread(target=read, args=(seed,)) for seed in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
