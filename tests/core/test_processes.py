"""What a process is told by."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path

from virtkit.core.boot import boottime
from virtkit.core.processes import born, process, this_process


def test_a_process_is_told_from_the_next_with_its_number() -> None:
    assert this_process() == (os.getpid(), born(os.getpid()))
    with subprocess.Popen(["sleep", "60"], process_group=0) as running:
        found = process(running.pid)
        assert found is not None
        assert (found.group, found.session, found.dead) == (running.pid, os.getsid(0), False)
        assert found.born >= born(os.getpid())
        running.kill()
        os.waitid(os.P_PID, running.pid, os.WEXITED | os.WNOWAIT)
        found = process(running.pid)
        assert found is not None
        assert found.dead
    assert process(running.pid) is None


def test_a_name_with_brackets_and_blanks_is_no_obstacle(tmp_path: Path) -> None:
    odd = tmp_path / "a) S 1 (b"
    odd.symlink_to("/bin/sleep")
    with subprocess.Popen([odd, "60"]) as running:
        try:
            while Path(f"/proc/{running.pid}/comm").read_text() != "a) S 1 (b\n":
                time.sleep(0.01)  # between fork and exec
            age = boottime() - born(running.pid) / os.sysconf("SC_CLK_TCK")
            assert 0 <= age < 10
        finally:
            running.kill()
