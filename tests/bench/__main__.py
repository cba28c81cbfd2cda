"""Side by side with qemu-img, cell by cell: docs/en/benchmarks.md says how to read it."""

from __future__ import annotations

import argparse
import json
import os
import platform
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
    if args.list:
        for cell in CELLS:
            _say(f"{cell.name:34} {cell.goal or ''}")
        return 0
    corpus.build(args.corpus, lambda name: _say(f"making {name}"))
    chosen = [cell for cell in CELLS if any(fnmatch(cell.name, pattern) for pattern in args.cells or ["*"])]
    with _programs(args.chroot, args.corpus) as programs:
        _heading(programs)
        rows = [_raced(cell, args, programs) for cell in chosen]
    for line in report.summary(rows) if rows else ["no such cell: --list tells them"]:
        _say(line)
    if args.unmount:
        unmount(args.corpus, corpus.SHARING)
    return 0


def _arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="tests/bench/run", description=__doc__)
    parser.add_argument("cells", nargs="*", metavar="CELL", help="names or patterns of cells; all by default")
    parser.add_argument("--list", action="store_true", help="name all cells")
    parser.add_argument("-n", "--pairs", type=int, default=5, help="of runs per cell (%(default)s)")
    parser.add_argument("--corpus", type=Path, default=Path("/tmp/bench"), help="where disks are kept (%(default)s)")
    parser.add_argument("--chroot", type=Path, help="a system with another qemu-img, which races too")
    parser.add_argument("--json", type=Path, help="also append each cell's figures to this file, a line each")
    parser.add_argument("--unmount", action="store_true", help="unmount the corpus' file systems at the end")
    return parser


@contextmanager
def _programs(chroot: Path | None, folder: Path) -> Iterator[dict[str, tuple[str, ...]]]:
    """Every qemu-img that races; the corpus is visible to all of them under the same name."""
    programs: dict[str, tuple[str, ...]] = {_version(("qemu-img",)): ("qemu-img",)}
    if chroot is None:
        yield programs
        return
    inside = chroot / folder.absolute().relative_to("/")
    inside.mkdir(parents=True, exist_ok=True)
    subprocess.run(["mount", "--rbind", folder, inside], check=True)
    try:
        other = ("chroot", os.fspath(chroot), "qemu-img")
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
    try:
        best, result = race(made, args.pairs)
        PROOFS[cell.proof](made, best)
    except BenchError as error:
        sys.exit(f"{cell.name}: {error}")
    sizes = (_room(made.ours), _room(best))
    for side in (made.ours, best):
        for path in side.output.parent.glob(f"{side.output.stem}.*"):
            path.unlink()
    source = Path(cell.source.format(c=args.corpus))
    limit = limits.measured(cell.limit, source, made.ours.output)
    row = report.row(cell.name, best.label, cell.goal, result, limit, sizes)
    _say(report.line(row))
    if args.json:
        with args.json.open("a", encoding="ascii") as file:
            file.write(json.dumps(row._asdict()) + "\n")
    return row


def _room(side: Side) -> int:
    return side.output.stat().st_blocks * 512 if side.output.exists() else 0


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
