"""The bench itself: it races, proves and counts; a wrong result stops it."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING

import pytest

from bench import limits, report
from bench.cells import CELLS, Cell
from bench.proofs import PROOFS
from bench.race import BenchError, Entry, Result, Spent, entry, race

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.qemu
PROGRAMS: dict[str, tuple[str, ...]] = {"installed": ("qemu-img",)}
CONVERT = Cell(
    "raw -> qcow2",
    0.9,
    ("virtkit disk convert -q -f raw -O qcow2 {c}/disk.raw {c}/{o}",),
    (
        ("qemu-img convert -f raw -O qcow2 {c}/disk.raw {c}/{o}",),
        ("qemu-img convert -W -f raw -O qcow2 {c}/disk.raw {c}/{o}",),
    ),
    "disk",
    "copy",
    "{c}/disk.raw",
    suffix="qcow2",
)


@pytest.fixture
def made(tmp_path: Path) -> Entry:
    (tmp_path / "disk.raw").write_bytes(bytes(range(256)) * 4096)
    return entry(CONVERT, tmp_path, PROGRAMS)


def test_both_sides_run_as_often_and_ours_is_proved(made: Entry) -> None:
    best, result = race(made, 2)
    PROOFS["disk"](made, best)
    assert best.label in {"installed", "installed -W"}
    assert len(result.ours) == len(result.theirs) == 2
    assert all(one.wall > 0 and one.peak > 1 << 20 for one in result.ours + result.theirs)


def test_a_result_that_is_another_disk_is_no_result(made: Entry) -> None:
    best, _ = race(made, 1)
    subprocess.run(["qemu-io", "-f", "qcow2", "-c", "write -P 77 0 512", made.ours.output], check=True)
    with pytest.raises(BenchError, match="Content mismatch"):
        PROOFS["disk"](made, best)


def test_a_side_that_fails_is_named(made: Entry) -> None:
    (made.corpus / "disk.raw").unlink()
    with pytest.raises(BenchError, match="exit status 1 from: .*virtkit disk convert"):
        race(made, 1)


@pytest.mark.parametrize("name", ["copy", "compare"])
def test_a_limit_is_measured_on_the_same_bytes(name: str, made: Entry) -> None:
    target = made.corpus / "limit"
    assert limits.measured(name, made.corpus / "disk.raw", target) > 0
    assert not target.exists()


def test_ratios_are_medians_of_pairs_and_goals_are_held_against_them() -> None:
    ours, theirs = ([Spent(wall, wall, 1 << 26) for wall in walls] for walls in ((1, 9, 3), (2, 3, 4)))
    row = report.row(CONVERT._replace(goal=0.7, room=1.1), "default", Result(ours, theirs), 0.1, (12, 10))
    assert (row.wall, row.met) == (0.75, False)
    assert report.summary([row])[1:] == [
        "over its goal: raw -> qcow2: 0.750, goal 0.7",
        "larger than promised: raw -> qcow2: 12 bytes, theirs 10",
    ]
    again = report.read(f"{json.dumps(row._asdict())}\n" * 2)
    assert [report.line(one) for one in again] == [report.line(row)]


def test_answers_about_several_images_are_held_against_theirs(made: Entry) -> None:
    paths = [made.corpus / name for name in ("a.qcow2", "b.qcow2")]
    for path in paths:
        subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", path, "1M"], check=True)
    words = " ".join(f"{{c}}/{path.name}" for path in paths)
    asked = tuple(f"qemu-img map --output json {{c}}/{path.name}" for path in paths)
    cell = Cell("map", None, (f"virtkit disk map --output json {words}",), (asked,), "answers", "start")
    both = entry(cell, made.corpus, PROGRAMS)
    best, _ = race(both, 1)
    PROOFS["answers"](both, best)
    subprocess.run(["qemu-io", "-f", "qcow2", "-c", "write 0 64k", paths[1]], check=True)
    both.prepare(best)
    best.run()
    with pytest.raises(BenchError, match="answer is"):
        PROOFS["answers"](both, best)


def test_names_are_unique_and_every_cell_can_be_proved() -> None:
    assert len({cell.name for cell in CELLS}) == len(CELLS)
    assert {cell.proof for cell in CELLS} <= PROOFS.keys()
