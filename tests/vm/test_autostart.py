"""What stands in the machine's XML about its start with the host, and the unit that keeps it."""

from __future__ import annotations

import os
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from virtkit.core.errors import UsageError
from virtkit.core.system import System
from virtkit.vm import schedule
from virtkit.vm.actions import AutostartUnit
from virtkit.vm.connection import SESSION, SYSTEM
from virtkit.vm.domain import Domain
from virtkit.vm.schedule import Schedule
from virtkit.vm.startup import unit

if TYPE_CHECKING:
    from pathlib import Path

XML = """<domain><name>a</name><metadata>
<virtkit:machine xmlns:virtkit="urn:virtkit:machine"/>{}</metadata></domain>"""
OURS = '<virtkit:autostart xmlns:virtkit="urn:virtkit:autostart" order="3" agent="60"/>'


def test_the_order_is_read_from_metadata_of_its_own_and_a_clone_has_none() -> None:
    assert schedule.of(Domain.parse(XML.format(""))) is None
    domain = Domain.parse(XML.format(OURS))
    assert schedule.of(domain) == Schedule(3, 0, 60)
    schedule.forget(domain)
    assert schedule.of(domain) is None
    assert "urn:virtkit:machine" in domain.text()


@pytest.mark.parametrize("asked", [Schedule(-1), Schedule(0, -1), Schedule(0, 3601), Schedule(0, 1, 1)])
def test_an_order_that_cannot_be_is_refused(asked: Schedule) -> None:
    with pytest.raises(UsageError, match="a: "):
        schedule.check("a", asked)


@pytest.mark.parametrize(("uri", "manager"), [(SYSTEM, "--system"), (SESSION, "--user")])
def test_systemd_understands_the_unit(tmp_path: Path, uri: str, manager: str) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("needs systemd-analyze")
    file = tmp_path / unit.NAME
    file.write_text(unit.place(uri).text)
    command = ["systemd-analyze", "verify", manager, "--man=no", str(file)]
    environment = {**os.environ, "XDG_RUNTIME_DIR": str(tmp_path)}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert (done.returncode, unit.NAME in done.stderr) == (0, False), done.stderr


def test_the_unit_comes_and_goes_and_a_unit_that_was_there_comes_back(tmp_path: Path) -> None:
    system, there = System(tmp_path), unit.place(SYSTEM)
    made, gone = AutostartUnit(there.path, there.link, there.text), AutostartUnit(there.path, there.link, "")
    before = made.capture(system)
    (tmp_path / "etc/systemd/system").mkdir(parents=True)
    made.apply(system, lambda _event: None)
    made.verify(system)
    assert unit.installed(SYSTEM, system)
    assert (tmp_path / there.link.lstrip("/")).is_symlink()
    present = made.capture(system)
    gone.apply(system, lambda _event: None)
    gone.verify(system)
    gone.undo(system, present)
    assert gone.capture(system) == present
    made.undo(system, before)
    assert made.capture(system) == before


def test_what_the_unit_runs_lists_machines_from_anywhere(tmp_path: Path) -> None:
    """The very command and environment, with --help in place of what it would do to this host."""
    lines = dict(line.split("=", 1) for line in unit.place(SYSTEM).text.splitlines() if "=" in line)
    environment = dict([lines["Environment"].strip('"').split("=", 1)])
    command = [word.strip('"') for word in lines["ExecStart"].split()]
    done = subprocess.run(
        [*command, "--help"], env=environment, cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert "--order" in done.stdout
