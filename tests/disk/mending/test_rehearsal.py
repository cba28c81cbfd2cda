"""A file that only pretends to be written reads as if it had been, and stays as it is; changes can be taken back."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from support.depth import deep
from virtkit.core.errors import ConflictError, UsageError
from virtkit.disk.file import File
from virtkit.disk.mending.rehearsal import Change, Rehearsal
from virtkit.disk.mending.undofile import Head, Recorded, take_back

KIB = 1 << 10
LONGEST = 200 * KIB
MANY = settings(max_examples=deep(20), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


class Step(NamedTuple):
    verb: str
    at: int
    length: int
    byte: int

    def on(self, file: File) -> None:
        if self.verb == "write":
            file.write(self.at, bytes([self.byte]) * self.length)
        elif self.verb == "zero":
            file.zero(self.at, self.length)
        elif self.verb == "resize":
            file.resize(self.at)
        else:
            file.sync_data()


def steps() -> st.SearchStrategy[list[Step]]:
    """Of any alignment, within the file and behind its end."""
    one = st.builds(
        Step,
        st.sampled_from(["write", "write", "zero", "resize", "sync"]),
        st.integers(0, LONGEST),
        st.integers(1, 20 * KIB),
        st.integers(1, 255),
    )
    return st.lists(one, max_size=12)


def beginnings() -> st.SearchStrategy[bytes]:
    return st.tuples(st.integers(0, LONGEST), st.integers(0, 1 << 30)).map(
        lambda pair: random.Random(pair[1]).randbytes(pair[0])
    )


def recorded(path: Path) -> Recorded:
    undo = path.with_suffix(".undo")
    undo.write_bytes(b"")
    opened = File.open(path, writable=True)
    return Recorded(opened.fd, opened.name, File.open(undo, writable=True))


def put_back(path: Path, *, force: bool = False) -> int:
    file, log = File.open(path, writable=True), File.open(path.with_suffix(".undo"), writable=True)
    try:
        return take_back(file, log, force=force)
    finally:
        file.close()
        log.close()


@MANY
@given(old=beginnings(), script=steps())
def test_a_rehearsal_reads_as_if_it_had_been_written(old: bytes, script: list[Step], tmp_path: Path) -> None:
    path, twin = tmp_path / "a", tmp_path / "b"
    path.write_bytes(old)
    twin.write_bytes(old)
    pretended, real = File.open(path), File.open(twin, writable=True)
    rehearsal = Rehearsal(pretended.fd, pretended.name)
    for step in script:
        step.on(rehearsal)
        step.on(real)
        assert rehearsal.size == real.size
        assert rehearsal.read(0, LONGEST * 2) == real.read(0, LONGEST * 2)
        room = memoryview(bytearray(5000))
        assert bytes(room[: rehearsal.read_into(step.at, room)]) == real.read(step.at, 5000)
    assert path.read_bytes() == old
    before, now = old.ljust(2 * LONGEST, b"\0"), real.read(0, 2 * LONGEST).ljust(2 * LONGEST, b"\0")
    told = bytearray(before)
    for change in rehearsal.stretches():
        told[change.at : change.end] = now[change.at : change.end]
    assert told == now
    rehearsal.close()
    real.close()


def test_stretches_are_in_order_and_apart(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(bytes(100))
    opened = File.open(path)
    rehearsal = Rehearsal(opened.fd, opened.name)
    for at in (50, 10, 14, 55):
        rehearsal.write(at, b"12345")
    rehearsal.write(70, b"")
    assert rehearsal.stretches() == [Change(10, 9), Change(50, 10)]
    rehearsal.close()


@MANY
@given(old=beginnings(), script=steps(), sealed=st.booleans())
def test_what_was_recorded_is_taken_back(old: bytes, script: list[Step], sealed: bool, tmp_path: Path) -> None:  # noqa: FBT001  drawn
    path = tmp_path / "a"
    path.write_bytes(old)
    file = recorded(path)
    for step in script:
        step.on(file)
    if sealed:
        file.seal()
    file.close()
    put_back(path)
    assert path.read_bytes() == old
    put_back(path)
    assert path.read_bytes() == old


@MANY
@given(old=beginnings(), script=steps(), kept=st.floats(0, 1))
def test_an_undo_file_that_was_cut_takes_back_what_it_has(
    old: bytes, script: list[Step], kept: float, tmp_path: Path
) -> None:
    """As a power cut leaves it: nothing was overwritten whose old bytes are not whole in the undo file."""
    path, undo = tmp_path / "a", tmp_path / "a.undo"
    path.write_bytes(old)
    states = [(0, old)]
    file = recorded(path)
    for step in script:
        step.on(file)
        states.append((undo.stat().st_size, path.read_bytes()))
    file.close()
    length = int(kept * undo.stat().st_size)
    if length < Head.SIZE:
        return
    os.truncate(undo, length)
    path.write_bytes([state for size, state in states if size <= length][-1])
    put_back(path)
    assert path.read_bytes() == old


def test_holes_are_holes_again(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.touch()
    os.truncate(path, 64 << 20)
    file = recorded(path)
    file.write(32 << 20, b"x" * (8 << 20))
    file.sync()
    file.close()
    assert path.with_suffix(".undo").stat().st_size < 4 * KIB
    put_back(path)
    assert path.stat().st_blocks == 0
    assert path.stat().st_size == 64 << 20


def test_a_file_that_was_changed_since_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"old" * 100)
    file = recorded(path)
    file.write(30, b"new")
    file.seal()
    file.close()
    with path.open("r+b") as other:
        other.seek(31)
        other.write(b"!")
    with pytest.raises(ConflictError, match="was changed after") as caught:
        put_back(path)
    assert "--force" in caught.value.hint
    assert b"n!w" in path.read_bytes()
    assert put_back(path, force=True) == 1
    assert path.read_bytes() == b"old" * 100


def test_a_file_that_was_changed_after_it_was_taken_back_is_left_alone_too(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"old" * 100)
    file = recorded(path)
    file.write(30, b"new")
    file.close()
    put_back(path)
    path.write_bytes(b"guest" * 60)
    with pytest.raises(ConflictError):
        put_back(path)
    assert path.read_bytes() == b"guest" * 60


def test_what_lies_elsewhere_may_change_in_between(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"old" * 100)
    file = recorded(path)
    file.write(30, b"new")
    file.seal()
    file.close()
    with path.open("r+b") as other:
        other.write(b"guest")
    put_back(path)
    assert path.read_bytes() == b"guest" + (b"old" * 100)[5:]


@pytest.mark.parametrize("content", [b"", b"QFI\xfb" + bytes(100), b"virtkit undo 1\n\0"])
def test_any_other_file_is_no_undo_file(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"mine")
    path.with_suffix(".undo").write_bytes(content)
    with pytest.raises(UsageError, match="is no undo file"):
        put_back(path)
    assert path.read_bytes() == b"mine"


KILLED = """
import os, sys
from pathlib import Path
from virtkit.disk.file import File
sys.path.insert(0, sys.argv[4])
from disk.mending.test_rehearsal import recorded, put_back

path, verb, countdown = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
real = os.pwrite

def counted(fd, data, at):
    global countdown
    countdown -= 1
    if countdown < 0:
        real(fd, data[: len(data) // 2], at)
        os.kill(os.getpid(), 9)
    return real(fd, data, at)

os.pwrite = counted
if verb == "change":
    file = recorded(path)
    for number in range(6):
        file.write(number * 7000, bytes([number + 1]) * 9000)
    file.resize(20000)
    file.write(19000, b"end" * 5000)
    file.seal()
else:
    put_back(path)
"""


def killed(path: Path, verb: str, writes: int) -> bool:
    """Whether the process was killed: in the middle of the write after so many."""
    tests = str(Path(__file__).parents[2])
    done = subprocess.run([sys.executable, "-c", KILLED, path, verb, str(writes), tests], check=False, timeout=60)
    assert done.returncode in {0, -9}
    return done.returncode == -9


@pytest.mark.parametrize("writes", range(0, 20 * deep(1), 3))
def test_killed_while_changing_and_killed_while_taking_back(writes: int, tmp_path: Path) -> None:
    path = tmp_path / "a"
    old = random.Random(3).randbytes(50000)
    path.write_bytes(old)
    was_killed = killed(path, "change", writes)
    if path.with_suffix(".undo").stat().st_size < Head.SIZE:
        assert path.read_bytes() == old
        return
    assert was_killed or path.read_bytes() != old
    for more in range(0, 9, 4):
        killed(path, "back", more)
    put_back(path)
    assert path.read_bytes() == old


@MANY
@given(script=steps(), hole=st.tuples(st.integers(0, LONGEST), st.integers(0, LONGEST)))
def test_what_is_no_data_reads_as_zeros(script: list[Step], hole: tuple[int, int], tmp_path: Path) -> None:
    path = tmp_path / "image"
    path.write_bytes(b"x" * LONGEST)
    with path.open("r+b") as opened:
        os.truncate(opened.fileno(), hole[0])
        os.truncate(opened.fileno(), sum(hole))
    file = Rehearsal(File.open(path).fd, str(path))
    try:
        for step in script:
            step.on(file)
        content = bytearray(file.read(0, file.size))
        at = -1
        for begin, stop in file.data(0, file.size):
            assert at < begin < stop <= file.size
            content[begin:stop] = bytes(stop - begin)
            at = stop
        assert not any(content)
        assert list(file.data(700, 700)) == []
    finally:
        file.close()
