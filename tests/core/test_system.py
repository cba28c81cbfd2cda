from __future__ import annotations

import os
import threading
import time
from typing import TYPE_CHECKING

import pytest

from virtkit.core.errors import CommandError, NotFoundError, SystemCallError
from virtkit.core.system import System

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def system(tmp_path: Path) -> System:
    return System(tmp_path)


def test_paths_stay_below_the_root(system: System, tmp_path: Path) -> None:
    system.write("/a", "text\n")
    assert (tmp_path / "a").read_text() == "text\n"
    assert system.read("/a") == "text"
    assert system.exists("/a")
    assert not system.exists("/b")


def test_what_is_not_there_is_not_found(system: System) -> None:
    with pytest.raises(NotFoundError, match="/a: no such file"):
        system.read("/a")
    assert system.read_or("/a", "default") == "default"
    assert system.names("/a") == []


def test_refusals_of_the_kernel_say_what_was_being_done(system: System, tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    with pytest.raises(SystemCallError, match="read /d: is a directory"):
        system.read("/d")
    with pytest.raises(SystemCallError, match="write /d: is a directory"):
        system.write("/d", "")
    with pytest.raises(SystemCallError, match="write /x/y: no such file or directory"):
        system.replace("/x/y", b"")


def test_a_replaced_file_is_whole_at_every_moment(system: System, tmp_path: Path) -> None:
    texts = {bytes([n]) * 100_000 for n in range(20)}
    system.replace("/a", min(texts))
    seen: set[bytes] = set()
    stop = threading.Event()

    def look() -> None:
        while not stop.is_set():
            seen.add((tmp_path / "a").read_bytes())

    watcher = threading.Thread(target=look)
    watcher.start()
    for text in texts:
        system.replace("/a", text, 0o600)
    stop.set()
    watcher.join()
    assert seen <= texts
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o600
    assert os.listdir(tmp_path) == ["a"]


def test_a_program_that_fails_is_named_with_its_last_words(system: System) -> None:
    with pytest.raises(CommandError, match="sh -c .*: exit status 3: last words"):
        system.run(["sh", "-c", "echo first >&2; echo last words >&2; exit 3"])
    assert system.run(["sh", "-c", "echo out; exit 3"], check=False) == (3, "out\n", "")


def test_a_program_gets_text_and_no_terminal(system: System) -> None:
    assert system.run(["cat"], text="in").stdout == "in"
    assert system.run(["cat"]).stdout == ""


def test_a_program_that_hangs_is_ended(system: System) -> None:
    with pytest.raises(CommandError, match=r"not done after 0\.1 s"):
        system.run(["sleep", "60"], timeout=0.1)


def test_a_program_that_is_missing_is_not_found(system: System) -> None:
    with pytest.raises(NotFoundError, match="no-such-program: not installed"):
        system.run(["no-such-program"])


def test_what_is_spawned_is_nobodys_child_and_has_nothing_of_ours(system: System, tmp_path: Path) -> None:
    told, script = tmp_path / "told", tmp_path / "script"
    script.write_text(
        f"""{{
        readlink /proc/self/fd/0 /proc/self/cwd
        ls -l /proc/self/fd | grep -c {tmp_path}/open
        cut -d ' ' -f 6 /proc/self/stat
        }} >{told}.new
        mv {told}.new {told}"""
    )
    with (tmp_path / "open").open("w") as ours:
        os.set_inheritable(ours.fileno(), True)  # noqa: FBT003  it takes no keyword
        system.spawn(["sh", str(script)])
    while not told.exists():
        time.sleep(0.01)
    stdin, directory, opened, session = told.read_text().split()
    assert (stdin, directory, opened) == ("/dev/null", "/", "0")
    assert int(session) != os.getsid(0)
