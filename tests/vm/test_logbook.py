from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from virtkit.core.errors import NotFoundError, NotSupportedError
from virtkit.core.system import System
from virtkit.vm import logbook
from virtkit.vm.connection import SESSION, SYSTEM

if TYPE_CHECKING:
    from pathlib import Path

STARTED = "2026-11-25 21:14:03.125+0000: starting up libvirt version: 9.0.0, package: 9.0.0-4, qemu version: 7.2.22"


@pytest.mark.parametrize(
    ("lines", "start"),
    [
        ([], None),
        (["qemu-system-x86_64: terminating on signal 15"], None),
        ([STARTED, "LC_ALL=C \\"], 0),
        ([STARTED, "shutting down", STARTED, f"a guest that says: {STARTED}"], 2),
    ],
)
def test_the_last_start_is_where_libvirt_wrote_it(lines: list[str], start: int | None) -> None:
    assert logbook.last_start(lines) == start


def test_a_log_is_where_the_libvirt_that_is_asked_keeps_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "/home/a/.cache")
    assert logbook.place(SYSTEM, "web") == "/var/log/libvirt/qemu/web.log"
    assert logbook.place(SESSION, "web") == "/home/a/.cache/libvirt/qemu/log/web.log"
    with pytest.raises(NotSupportedError, match="its log is at qemu\\+ssh://far/system"):
        logbook.place("qemu+ssh://far/system", "web")


def test_a_machine_that_never_ran_has_none(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="never started here"):
        logbook.read(System(tmp_path), SYSTEM, "web")


def test_what_is_added_is_heard_also_from_the_file_that_takes_its_place(tmp_path: Path) -> None:
    log = tmp_path / "web.log"
    log.write_bytes(b"old\n")
    heard = logbook.follow(log, len(b"old\n"))
    assert next(heard) == ""
    with log.open("ab") as more:
        more.write(b"a \xff\n")
    log.rename(tmp_path / "web.log.0")
    assert next(heard) == "a \ufffd\n"
    assert next(heard) == ""
    log.write_bytes(b"a new one\n")
    assert next(heard) == "a new one\n"
    log.write_bytes(b"cut\n")
    assert next(heard) == "cut\n"
