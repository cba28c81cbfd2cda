from __future__ import annotations

import os
import random
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from virtkit.disk.copying import allowance

if TYPE_CHECKING:
    from pathlib import Path

MIB = 1 << 20
PROGRAM = """
import sys
from virtkit import disk
source, target, kind, options = sys.argv[1:]
options = dict(pair.split("=") for pair in options.split(",") if pair)
level = None if kind == "raw" else "fast"
disk.convert(source, target, target_format=kind, source_format="qcow2" if kind == "raw" else "raw", overwrite=True,
             compress=kind != "raw", level=level or "default", options=options, threads=16)
with open("/proc/self/status") as status:  # ru_maxrss would be the peak of the process that started us, too
    print(next(line.split()[1] for line in status if line.startswith("VmHWM")))
"""


@given(wanted=st.integers(1, 64), job=st.integers(512, 64 * MIB))
def test_there_is_one_thread_at_least_and_no_more_than_memory_and_processors_allow(wanted: int, job: int) -> None:
    given_, processors = allowance.threads(wanted, job), len(os.sched_getaffinity(0))
    assert 1 <= given_ <= min(wanted, processors)
    assert given_ == 1 or given_ * job < allowance.MOST
    assert allowance.threads(2, 2 * MIB) == min(2, processors)  # the largest clusters that there are


def test_processors_that_the_process_may_not_use_do_not_count() -> None:
    usable = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(usable)})
    try:
        assert allowance.threads(16, 512 << 10) == 1
    finally:
        os.sched_setaffinity(0, usable)


@pytest.mark.parametrize("options", ["", "cluster_size=2M", "compression_type=zstd,cluster_size=2M"])
def test_sixteen_threads_take_no_more_than_64_mib(tmp_path: Path, options: str) -> None:
    source, coded, plain = tmp_path / "source.raw", tmp_path / "coded.qcow2", tmp_path / "plain.raw"
    source.write_bytes(random.Random(1).randbytes(MIB).hex().encode() * 24)
    for arguments in (f"{source} {coded} qcow2 {options} ", f"{coded} {plain} raw "):
        work = subprocess.run(
            [sys.executable, "-c", PROGRAM, *arguments.split(" ")[:4]], capture_output=True, text=True, check=True
        )
        assert int(work.stdout) < 64 << 10
    assert plain.read_bytes() == source.read_bytes()
