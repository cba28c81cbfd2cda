"""The launcher in a ready checkout: it must be there at once, and not be in the way."""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

CHECKOUT = Path(__file__).parents[2]
COST = 0.02  # seconds that the launcher may add
NOBODY = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"]

needs_set_up = pytest.mark.skipif(
    not (CHECKOUT / ".venv/.ready-virtkit").exists(), reason="this environment was not made by ./test"
)


@pytest.fixture
def checkout() -> Iterator[Path]:
    """The launcher in a directory with a space in its name, readable for all, with this checkout's environment."""
    with tempfile.TemporaryDirectory() as made:
        place = Path(made, "a b")
        place.mkdir()
        for name in ("virtkit", "uv.lock"):
            shutil.copy2(CHECKOUT / name, place)
        shutil.copytree(CHECKOUT / "install", place / "install")
        for name in ("src", ".venv"):
            (place / name).symlink_to(CHECKOUT / name)
        Path(made).chmod(0o755)
        yield place


def run(*command: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, capture_output=True, text=True, check=False, cwd="/", env={**os.environ, **environment}, timeout=60
    )


@needs_set_up
def test_runs_through_a_link_from_any_directory_and_says_nothing_of_its_own(checkout: Path, tmp_path: Path) -> None:
    link = tmp_path / "bin"
    link.symlink_to(checkout / "virtkit")
    done = run(link, "--version")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("virtkit ")


@needs_set_up
def test_passes_arguments_and_exit_status_through(checkout: Path) -> None:
    done = run(checkout / "virtkit", "no such noun")
    assert done.returncode == 2
    assert "'no such noun'" in done.stderr


@needs_set_up
def test_the_callers_python_settings_change_nothing(checkout: Path, tmp_path: Path) -> None:
    (tmp_path / "argparse.py").write_text("raise SystemExit(99)")
    done = run(checkout / "virtkit", "--help", PYTHONPATH=str(tmp_path), PYTHONHOME="/nowhere", PYTHONSTARTUP="/no")
    assert done.returncode == 0, done.stderr


@needs_set_up
def test_a_ready_checkout_is_known_without_starting_a_process(checkout: Path) -> None:
    assert run(checkout / "virtkit", "--version").returncode == 0
    done = run(checkout / "virtkit", "--version", PATH="/nowhere")
    assert (done.returncode, done.stderr) == (0, "")


@needs_set_up
def test_a_copy_with_other_times_is_ready_too(checkout: Path) -> None:
    for path in (checkout / "uv.lock", *(checkout / "install").iterdir()):
        os.utime(path, (1, 1))
    done = run(*NOBODY, "sh", checkout / "virtkit", "--version")
    assert (done.returncode, done.stderr) == (0, "")


@needs_set_up
def test_adds_little_time(checkout: Path) -> None:
    launched = cheapest(checkout / "virtkit", "--version")
    alone = cheapest(checkout / ".venv/bin/python", "-I", "-m", "virtkit", "--version")
    assert launched - alone < COST


def cheapest(*command: str | Path) -> float:
    """Seconds of processor time, its children's included."""
    return min(cost(*command) for _ in range(7))


def cost(*command: str | Path) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert run(*command).returncode == 0
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to become a user who may not write")
@pytest.mark.parametrize("changed", ["uv.lock", "install/packages.apt"])
def test_a_change_of_what_is_installed_asks_for_a_new_set_up(checkout: Path, changed: str) -> None:
    with (checkout / changed).open("a") as file:
        file.write("\n# changed\n")
    done = run(*NOBODY, "sh", checkout / "virtkit", "--version")
    assert done.returncode == 1
    assert f"{checkout}: owner is root, and nobody cannot write there" in done.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to become a user who may not write")
@pytest.mark.parametrize("years", [-10, 10])
def test_another_release_asks_for_a_new_set_up_however_old_its_files_are(checkout: Path, years: int) -> None:
    lock = checkout / "uv.lock"
    times = lock.stat().st_mtime + years * 365 * 86400
    lock.write_text("version = 2")
    os.utime(lock, (times, times))
    done = run(*NOBODY, "sh", checkout / "virtkit", "--version")
    assert done.returncode == 1
    assert "owner is root" in done.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to become a user who may not write")
@pytest.mark.parametrize("change", ["new", "gone"])
def test_a_list_of_packages_that_comes_or_goes_asks_for_a_new_set_up(checkout: Path, change: str) -> None:
    path = checkout / "install" / ("packages.pacman" if change == "new" else "packages-test.dnf")
    path.write_text("qemu") if change == "new" else path.unlink()
    done = run(*NOBODY, "sh", checkout / "virtkit", "--version")
    assert done.returncode == 1
    assert "owner is root" in done.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to become a user who may not write")
def test_an_environment_of_another_python_is_not_taken_for_ready(checkout: Path) -> None:
    (checkout / ".venv").unlink()
    (checkout / ".venv/bin").mkdir(parents=True)
    (checkout / ".venv/bin/python").symlink_to("/bin/true")
    inputs = [*sorted((checkout / "install").iterdir()), checkout / "uv.lock"]
    (checkout / ".venv/.ready-virtkit").write_bytes(b"".join(path.read_bytes() for path in inputs))
    done = run(*NOBODY, "sh", checkout / "virtkit", "--version")
    assert done.returncode == 1
    assert "owner is root" in done.stderr
