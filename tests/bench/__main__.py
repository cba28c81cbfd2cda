"""Side by side with qemu-img, cell by cell: docs/en/benchmarks.md says how to read it."""

from __future__ import annotations

import argparse
import fcntl
import json
import os
import platform
import shutil
import signal
import subprocess
import sys
from contextlib import contextmanager
from fnmatch import fnmatch
from pathlib import Path
from typing import TYPE_CHECKING

from bench import corpus, limits, report
from bench.cells import CELLS
from bench.mounts import unmount
from bench.proofs import PROOFS
from bench.race import BenchError, Side, entry, race

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bench.cells import Cell
    from bench.report import Row


def main() -> int:
    args = _arguments().parse_args()
    chosen = [cell for cell in CELLS if any(fnmatch(cell.name, pattern) for pattern in args.cells or ["*"])]
    if args.list:
        for cell in chosen:
            _say(f"{cell.name:34} {cell.goal or ''}")
        return 0
    if args.show:
        rows = report.read(args.show.read_text(encoding="ascii"))
        for line in (report.HEADING, *map(report.line, rows), *report.summary(rows)):
            _say(line)
        return 0
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # what was mounted is let go of
    corpus.build(args.corpus, lambda name: _say(f"making {name}"))
    with _alone(args.corpus):
        rows, failures = _all_raced(chosen, args)
    for line in report.summary(rows):
        _say(line)
    if args.unmount:
        unmount(args.corpus, corpus.SHARING)
    return 1 if failures else 0


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Two at once would measure each other, and write the same files."""
    lock = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError:
        sys.exit(f"{folder}: another bench runs there")
    finally:
        os.close(lock)


def _all_raced(cells: list[Cell], args: argparse.Namespace) -> tuple[list[Row], int]:
    """The figures, and how many cells have none: a side failed, or our result is wrong."""
    rows, failures = [], 0
    with _programs(args) as programs:
        _heading(programs)
        for cell in cells:
            try:
                rows.append(_raced(cell, args, programs))
            except BenchError as error:
                failures += 1
                _say(f"{cell.name:34} FAILED: {error}")
    return rows, failures


def _arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="tests/bench/run", description=__doc__)
    parser.add_argument("cells", nargs="*", metavar="CELL", help="names or patterns of cells; all by default")
    parser.add_argument("--list", action="store_true", help="name all cells")
    parser.add_argument("-n", "--pairs", type=int, default=5, help="of runs per cell (%(default)s)")
    parser.add_argument("--corpus", type=Path, default=Path("/tmp/bench"), help="where disks are kept (%(default)s)")
    parser.add_argument(
        "--qemu-img", action="append", metavar="PATH", help="one that races, in place of the installed; again and again"
    )
    parser.add_argument("--chroot", type=Path, help="a system with another qemu-img, which races too")
    parser.add_argument("--json", type=Path, help="also append each cell's figures to this file, a line each")
    parser.add_argument("--show", type=Path, metavar="FILE", help="print the table of such a file; nothing runs")
    parser.add_argument("--unmount", action="store_true", help="unmount the corpus' file systems at the end")
    return parser


@contextmanager
def _programs(args: argparse.Namespace) -> Iterator[dict[str, tuple[str, ...]]]:
    """Every qemu-img that races; the corpus is visible to all of them under the same name."""
    programs: dict[str, tuple[str, ...]] = {_version((path,)): (path,) for path in args.qemu_img or ["qemu-img"]}
    if args.chroot is None:
        yield programs
        return
    folder = args.corpus
    inside = args.chroot / folder.absolute().relative_to("/")
    inside.mkdir(parents=True, exist_ok=True)
    subprocess.run(["mount", "--rbind", folder, inside], check=True)
    try:
        other = ("chroot", os.fspath(args.chroot), "qemu-img")
        yield {**programs, _version(other): other}
    finally:
        subprocess.run(["umount", "--recursive", inside], check=True)


def _version(program: tuple[str, ...]) -> str:
    words = subprocess.run([*program, "--version"], check=True, capture_output=True, text=True).stdout.split()
    return words[2].strip("(")


def _heading(programs: dict[str, tuple[str, ...]]) -> None:
    load = os.getloadavg()[0]
    _say(f"{_processor()}, {os.cpu_count()} CPUs, Linux {platform.release()}, Python {platform.python_version()}")
    _say(f"qemu-img {', '.join(programs)}; load {load:.2f}{'' if load <= report.QUIET else ': not quiet'}")
    _say(report.HEADING)


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text(encoding="ascii").splitlines()
    return next((line.partition(": ")[2] for line in lines if line.startswith("model name")), platform.machine())


def _raced(cell: Cell, args: argparse.Namespace, programs: dict[str, tuple[str, ...]]) -> Row:
    made = entry(cell, args.corpus, programs)
    best, result = race(made, args.pairs)
    PROOFS[cell.proof](made, best)
    sizes = (_room(made.ours), _room(best))
    for side in (made.ours, best):
        for path in side.output.parent.glob(f"{side.output.stem}.*"):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    source = Path(cell.source.format(c=args.corpus))
    limit = limits.measured(cell.limit, source, made.ours.output)
    row = report.row(cell, best.label, result, limit, sizes)
    _say(report.line(row))
    if args.json:
        with args.json.open("a", encoding="ascii") as file:
            file.write(json.dumps(row._asdict()) + "\n")
    return row


def _room(side: Side) -> int:
    return side.output.stat().st_blocks * 512 if side.output.is_file() else 0


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
