"""What one round of ``vm top`` costs with many machines: tiny paused ones, on a host of the tests' own.

PYTHONPATH=src:tests python tests/bench/vm_top.py 1 10 50
"""

from __future__ import annotations

import os
import statistics
import sys
import time
from dataclasses import replace

from virtkit import vm
from virtkit.core.system import System
from virtkit.core.units import MIB
from virtkit.vm import counters
from virtkit.vm.blueprint import machine_xml
from vmhost import hosts

ROUNDS = 20


def main(numbers: list[int]) -> None:
    lan = hosts.Lan()
    try:
        host = lan.host(1)
        os.environ["LIBVIRT_DEFAULT_URI"] = host.uri
        made = 0
        for number in sorted(numbers):
            for index in range(made, number):
                name = f"tiny{index}"
                host.define(machine_xml(replace(hosts.idle(name, host.disk(f"{name}.qcow2")), memory=16 * MIB)))
                host.virsh("start", "--paused", name)
            made = number
            _measure(number, host.pid)
    finally:
        lan.close()


def _measure(number: int, pid: int) -> None:
    """The call to libvirt from here; /proc by the host's own eyes, its pid files and processes."""
    with vm.watch() as watched:
        calls = [_timed(lambda: counters.look(watched._libvirt)) for _ in range(ROUNDS)]
    command = [sys.executable, __file__, "--inside"]
    inside = ["nsenter", "-t", str(pid), "-m", "-u", "-i", "-n", "-p", "env", "-u", "LIBVIRT_DEFAULT_URI", *command]
    whole = System().run(inside, env={"PYTHONPATH": os.pathsep.join(sys.path)}).stdout.strip()
    sys.stdout.write(f"{number} machines: one call {1000 * statistics.median(calls):.1f} ms; whole round {whole}\n")


def _inside() -> None:
    with vm.watch() as watched:
        rounds = [_timed(watched.look) for _ in range(ROUNDS)]
        before = time.process_time()
        watched.look()
        used = time.process_time() - before
    sys.stdout.write(f"{1000 * statistics.median(rounds):.1f} ms, of which {1000 * used:.1f} ms CPU of ours\n")


def _timed(work: object) -> float:
    assert callable(work)
    before = time.perf_counter()
    work()
    return time.perf_counter() - before


if __name__ == "__main__":
    if sys.argv[1:] == ["--inside"]:
        _inside()
    else:
        main([int(word) for word in sys.argv[1:]] or [1, 10, 50])
