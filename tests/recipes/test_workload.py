from __future__ import annotations

from pathlib import Path

import pytest

from virtkit.recipes.workload import Workload, disk_policy, takes_direct_io


@pytest.mark.parametrize(("workload", "cache"), [("web", "writeback"), ("database", "none"), ("build", "writeback")])
def test_the_workload_decides_the_cache_mode(workload: Workload, cache: str, tmp_path: Path) -> None:
    policy = disk_policy(workload, tmp_path)
    assert policy.cache == cache
    assert (policy.io == "native") == (cache == "none")  # QEMU refuses aio=native without O_DIRECT


@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="needs a file system without files that can be made")
def test_a_place_without_direct_io_gets_no_cache_none() -> None:
    assert not takes_direct_io(Path("/proc/self"))
    policy = disk_policy("database", Path("/proc/self/no-such-directory"))
    assert (policy.cache, policy.io) == ("writeback", "threads")
    assert "no O_DIRECT" in policy.why
