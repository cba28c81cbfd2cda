"""What a deadline and a process are told by."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path

from virtkit.core.boot import boot_id, boottime, born, this_process


def test_the_time_since_the_start_is_the_kernels() -> None:
    uptime = float(Path("/proc/uptime").read_text().split()[0])
    assert 0 <= boottime() - uptime < 5
    assert len(boot_id()) == 36


def test_a_process_is_told_from_the_next_with_its_number() -> None:
    assert this_process() == (os.getpid(), born(os.getpid()))
    with subprocess.Popen(["sleep", "60"]) as process:
        assert born(process.pid) >= born(os.getpid())
        process.kill()
    assert born(process.pid) == 0


def test_a_name_with_brackets_and_blanks_is_no_obstacle(tmp_path: Path) -> None:
    odd = tmp_path / "a) S 1 (b"
    odd.symlink_to("/bin/sleep")
    with subprocess.Popen([odd, "60"]) as process:
        try:
            while Path(f"/proc/{process.pid}/comm").read_text() != "a) S 1 (b\n":
                time.sleep(0.01)  # between fork and exec
            age = boottime() - born(process.pid) / os.sysconf("SC_CLK_TCK")
            assert 0 <= age < 10
        finally:
            process.kill()
