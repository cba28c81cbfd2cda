from __future__ import annotations

import json
from typing import TYPE_CHECKING, NamedTuple

import pytest

from host.server import stand
from host.trees import plant
from virtkit import host
from virtkit.cli.main import main
from virtkit.core.system import System

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.fixture(scope="module")
def record(tmp_path_factory: pytest.TempPathFactory) -> str:
    place = tmp_path_factory.mktemp("record")
    host.save_record(stand(place / "root"), str(place / "server.json"))
    return str(place / "server.json")


class Done(NamedTuple):
    returncode: int
    stdout: str
    stderr: str


@pytest.fixture
def doctor(capsys: pytest.CaptureFixture[str]) -> Callable[..., Done]:
    def run(*arguments: str) -> Done:
        return Done(main(["host", "doctor", *arguments]), *capsys.readouterr())

    return run


def test_the_table_of_a_recorded_host_reads_well_in_80_columns(doctor: Callable[..., Done], record: str) -> None:
    done = doctor("--profile", "database", "--from", record, "-v")
    assert done.returncode == 1
    lines = done.stdout.splitlines()
    assert lines[0].startswith("✗ for database machines: advice on ")
    assert [line for line in lines if len(line) > 80 and "virtkit host set" not in line] == []
    row = next(line for line in lines if "cpufreq.governor@0-15" in line)
    assert row.split() == ["~", "cpufreq.governor@0-15", "powersave", "performance", "document"]
    assert "runs at full speed at once" in lines[lines.index(row) + 1]


def test_what_needs_a_reboot_or_a_person_stands_apart_with_what_to_type(
    doctor: Callable[..., Done], record: str
) -> None:
    told = doctor("--profile", "realtime", "--untrusted", "--from", record).stdout
    reboot, person = told.index("counts after a reboot"), told.index("for you to decide")
    assert (
        told.index("~ vm.stat_interval") < reboot < told.index("! cpu.isolated") < person < told.index("? smt.control")
    )
    assert "type: virtkit host set --persistent cpu.isolated=1-3,5-7,9-11,13-15" in told
    assert "type: virtkit host set smt.control=off" in told


def test_json_has_the_same_and_the_status_too(doctor: Callable[..., Done], record: str) -> None:
    done = doctor("--profile", "web", "--from", record, "--output", "json")
    data = json.loads(done.stdout)
    assert (done.returncode, data["tuned"], data["profiles"]) == (1, False, ["web"])
    swappiness = next(each for each in data["recommendations"] if each["knob"] == "vm.swappiness")
    assert {key: swappiness[key] for key in ("now", "want", "needs", "confidence")} == {
        "now": "60",
        "want": "10",
        "needs": "nothing",
        "confidence": "figures",
    }


def test_why_tells_all_about_one_knob(doctor: Callable[..., Done], record: str) -> None:
    told = doctor("--profile", "desktop", "--from", record, "--why", "block.scheduler@sda").stdout
    for part in ("block.scheduler@sda: none -> bfq", "why: ", "evidence: ", "type: virtkit host set"):
        assert part in told
    quiet = doctor("--profile", "desktop", "--from", record, "--why", "block.scheduler@nvme0n1")
    assert "nothing speaks against it as it is" in quiet.stdout


def test_a_host_that_nothing_is_left_to_do_for_ends_with_0(doctor: Callable[..., Done], tmp_path: Path) -> None:
    host.save_record(plant(tmp_path, {"/proc/sys/vm/swappiness": "10"}), str(tmp_path / "tuned.json"))
    done = doctor("--profile", "web", "--from", str(tmp_path / "tuned.json"))
    assert (done.returncode, done.stdout.splitlines()[0]) == (0, "✓ this host suits web machines (1 setting looked at)")


def test_a_record_without_knobs_is_not_called_tuned(doctor: Callable[..., Done], tmp_path: Path) -> None:
    host.save_record(System(tmp_path), str(tmp_path / "empty.json"))
    done = doctor("--profile", "web", "--from", str(tmp_path / "empty.json"))
    assert (done.returncode, "shows no knob" in done.stderr) == (2, True)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--machine", "nobody=web"), "--machine nobody: no such machine"),
        (("--machine", "web"), "expected NAME=PROFILE"),
        (("--profile", "gaming"), "invalid choice: 'gaming'"),
    ],
)
def test_wrong_usage_ends_with_2(
    doctor: Callable[..., Done], record: str, arguments: tuple[str, ...], said: str
) -> None:
    done = doctor(*arguments, "--from", record)
    assert (done.returncode, said in done.stderr, "Traceback" in done.stderr) == (2, True, False)


def test_an_unknown_knob_says_where_to_look(doctor: Callable[..., Done], record: str) -> None:
    done = doctor("--from", record, "--why", "vm.swapiness")
    assert (done.returncode, "virtkit host knobs" in done.stderr) == (1, True)
