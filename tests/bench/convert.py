"""Side by side with qemu-img: ``python tests/bench/convert.py DISK.raw [ROUNDS]``.

Runs both programs in turns on the given raw image, so that other load meets both, and prints the medians of their
ratios: below 1 virtkit is faster. The page cache is warm, nothing is synced (qemu-img does not sync either). Both
results are compared and checked before a number is printed. The work is done beside the image.
"""

from __future__ import annotations

import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from typing import NamedTuple

VIRTKIT = [sys.executable, "-m", "virtkit", "disk", "convert", "-q", "--overwrite"]
ENVIRONMENT = {  # as installed: modules are compiled once
    name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"
}
QEMU = ["qemu-img", "convert", "-m", "16", "-W"]


class Spent(NamedTuple):
    wall: float  # seconds
    cpu: float  # seconds, user and system


def spend(command: list[str]) -> Spent:
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run(command, check=True, env=ENVIRONMENT)
    wall, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    return Spent(wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)


def verify(source: str, target: str) -> None:
    formats = {".raw": "raw", ".qcow2": "qcow2"}
    kinds = [formats[os.path.splitext(path)[1]] for path in (source, target)]
    subprocess.run(["qemu-img", "compare", "-q", "-f", kinds[0], "-F", kinds[1], source, target], check=True)
    if kinds[1] == "qcow2":
        subprocess.run(["qemu-img", "check", "-q", target], check=True)


def race(name: str, source: str, target: str, flags: list[str], rounds: int) -> None:
    kind = os.path.splitext(source)[1][1:]
    ours_to, theirs_to = target.replace("new.", "ours."), target.replace("new.", "theirs.")
    output = os.path.splitext(target)[1][1:]
    pairs = []
    for _ in range(rounds):
        for path in (ours_to, theirs_to):  # neither pays for deleting the last result
            if os.path.exists(path):
                os.unlink(path)
        theirs = spend([*QEMU, *flags, "-f", kind, "-O", output, source, theirs_to])
        ours = spend([*VIRTKIT, *flags, "-f", kind, source, ours_to])
        pairs.append((ours, theirs))
    verify(source, ours_to)
    wall = statistics.median(ours.wall / theirs.wall for ours, theirs in pairs)
    cpu = statistics.median(ours.cpu / theirs.cpu for ours, theirs in pairs)
    seconds = [statistics.median(spent.wall for spent in side) for side in zip(*pairs, strict=True)]
    room = [os.stat(path).st_blocks * 512 >> 20 for path in (ours_to, theirs_to)]
    sys.stdout.write(
        f"{name:24} wall x{wall:.2f}  cpu x{cpu:.2f}  "
        f"({seconds[0] * 1000:.0f} against {seconds[1] * 1000:.0f} ms, {room[0]} against {room[1]} MiB)\n"
    )
    sys.stdout.flush()


def main() -> None:
    source, rounds = os.path.abspath(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 7
    with tempfile.TemporaryDirectory(dir=os.path.dirname(source)) as folder:
        plain, compressed = f"{folder}/plain.qcow2", f"{folder}/compressed.qcow2"
        race("raw to qcow2", source, f"{folder}/new.qcow2", [], rounds)
        os.rename(f"{folder}/theirs.qcow2", plain)
        race("qcow2 to raw", plain, f"{folder}/new.raw", [], rounds)
        race("raw to qcow2, zlib", source, f"{folder}/new.qcow2", ["-c"], rounds)
        os.rename(f"{folder}/theirs.qcow2", compressed)
        race("zlib qcow2 to raw", compressed, f"{folder}/new.raw", [], rounds)
        race("raw to qcow2, zstd", source, f"{folder}/new.qcow2", ["-c", "-o", "compression_type=zstd"], rounds)


if __name__ == "__main__":
    main()
