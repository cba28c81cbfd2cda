"""No command outlives the virtkit that ran it, whatever ends that; what a command left as a daemon does."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from support.guarded import until
from virtkit.core.errors import CommandError
from virtkit.core.offspring import end_left
from virtkit.core.processes import born, process
from virtkit.core.system import System

if TYPE_CHECKING:
    from pathlib import Path

RUN = "import sys; from virtkit.core.system import System; System().run(['sh', '-c', *sys.argv[1:]])"
# $0 is a directory. A daemon says itself that it has left; the child is of the shell's own group.
WORK = """
setsid sh -c 'echo $$ >"$0/daemon"; exec sleep 60' "$0" &
sleep 60 & echo $! >"$0/child"
while [ ! -s "$0/daemon" ]; do sleep 0.01; done
touch "$0/ready"
wait
"""


def alive(pid: int) -> bool:
    found = process(pid)
    return found is not None and not found.dead


def test_what_a_dead_process_left_is_ended_and_what_the_living_run_is_not(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", RUN, WORK, str(tmp_path)]) as running:
        until((tmp_path / "ready").exists)
        birth = born(running.pid)
        child, daemon = (int((tmp_path / name).read_text()) for name in ("child", "daemon"))
        assert end_left(running.pid, birth) == []
        assert end_left(running.pid, birth - 1) == []  # another process that had its number
        assert alive(child)
        running.kill()
        os.waitid(os.P_PID, running.pid, os.WEXITED | os.WNOWAIT)  # nobody has asked for its exit status
        try:
            assert end_left(running.pid, birth) == ["sh"]
            assert (alive(child), alive(daemon)) == (False, True)
            assert end_left(running.pid, birth) == []
        finally:
            os.kill(daemon, signal.SIGKILL)


def test_a_command_that_runs_out_of_time_goes_with_all_that_it_started(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="not done after 1 s"):
        System().run(["sh", "-c", WORK, str(tmp_path)], timeout=1)
    child, daemon = (int((tmp_path / name).read_text()) for name in ("child", "daemon"))
    try:
        until(lambda: not alive(child))
        assert alive(daemon)
    finally:
        os.kill(daemon, signal.SIGKILL)
