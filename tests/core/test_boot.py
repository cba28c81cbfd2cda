"""What a deadline is told by."""

from __future__ import annotations

from pathlib import Path

from virtkit.core.boot import boot_id, boottime


def test_the_time_since_the_start_is_the_kernels() -> None:
    uptime = float(Path("/proc/uptime").read_text().split()[0])
    assert 0 <= boottime() - uptime < 5
    assert len(boot_id()) == 36
