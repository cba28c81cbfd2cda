"""``convert --snapshots`` and ``-l``: every state that an image keeps is in the new one, as QEMU reads both."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from differential.histories import Kind, make, overlay, scripts, write
from golden.test_golden import unpack
from support.depth import deep
from support.images import read_by_qemu, run
from virtkit import disk
from virtkit.core.errors import NotFoundError, NotSupportedError, UsageError

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.qemu
SEVERAL = settings(max_examples=deep(2), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
QCOW2 = Kind("qcow2")
OPTIONS = ("", "cluster_size=512", "cluster_size=2M", "extended_l2=on", "refcount_bits=64")


def by_qemu(image: Path, snapshot: str) -> bytes:
    """The guest's bytes then."""
    back = image.with_name("then.raw")
    run("qemu-img", "convert", "-f", "qcow2", "-l", f"snapshot.name={snapshot}", "-O", "raw", image, back)
    return back.read_bytes()


def listed(image: Path) -> str:
    return run("qemu-img", "snapshot", "-l", image)


def remembering(image: Path, script: list[str]) -> list[str]:
    """A snapshot after every third write; the names."""
    names = []
    for at in range(0, len(script), 3):
        write(image, "qcow2", script[at : at + 3])
        names.append(f"after {at}")
        run("qemu-img", "snapshot", "-c", names[-1], image)
    return names


@pytest.mark.parametrize("options", OPTIONS)
@SEVERAL
@given(data=st.data())
def test_all_states_are_kept(options: str, data: st.DataObject, tmp_path: Path) -> None:
    base = make(tmp_path, QCOW2, data.draw(scripts(QCOW2)))
    image = overlay(tmp_path, "top.qcow2", base, 4 << 20)
    names = remembering(image, data.draw(scripts(QCOW2)))
    write(image, "qcow2", data.draw(scripts(QCOW2))[:3])
    ours = tmp_path / "ours.qcow2"
    chosen = dict(pair.partition("=")[::2] for pair in options.split(",") if pair)
    disk.convert(str(image), str(ours), options=chosen, snapshots=True, verify=True, overwrite=True)
    assert listed(ours) == listed(image)
    assert "No errors were found" in run("qemu-img", "check", ours)
    assert read_by_qemu(ours, "qcow2") == read_by_qemu(image, "qcow2")
    for name in names:
        assert by_qemu(ours, name) == by_qemu(image, name)


def test_states_of_other_sizes_are_kept(tmp_path: Path) -> None:
    image = make(tmp_path, QCOW2, ["write -P 1 0 1M"])
    for size in ("5M", "2M", "7M"):
        run("qemu-img", "snapshot", "-c", f"before {size}", image)
        run("qemu-img", "resize", "-q", "--shrink", image, size)
        run("qemu-io", "-f", "qcow2", "-c", "write -P 5 1900k 100k", image)
    ours = tmp_path / "ours.qcow2"
    disk.convert(str(image), str(ours), snapshots=True, verify=True)
    assert "No errors were found" in run("qemu-img", "check", ours)
    assert read_by_qemu(ours, "qcow2") == read_by_qemu(image, "qcow2")
    for size in ("5M", "2M", "7M"):
        assert by_qemu(ours, f"before {size}") == by_qemu(image, f"before {size}")


def test_the_state_of_a_machine_is_kept_and_a_machine_goes_on_from_it(tmp_path: Path) -> None:
    image = unpack("qemu7-qcow2-vmstate", tmp_path)
    ours = tmp_path / "ours.qcow2"
    disk.convert(str(image), str(ours), snapshots=True, verify=True)
    assert listed(ours) == listed(image)
    assert "No errors were found" in run("qemu-img", "check", ours)
    machine = ["qemu-system-x86_64", "-accel", "tcg", "-M", "isapc", "-m", "2", "-nodefaults", "-display", "none", "-S"]
    drive = ["-drive", f"if=none,id=d,file={ours},format=qcow2", "-loadvm", "running", "-monitor", "stdio"]
    done = subprocess.run(
        [*machine, *drive], input="info status\nquit\n", capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert "VM status: paused" in done.stdout


def test_the_oldest_state_alone_is_compressed(tmp_path: Path) -> None:
    image = make(tmp_path, QCOW2, ["write -P 1 0 3M"])
    run("qemu-img", "snapshot", "-c", "one", image)
    write(image, "qcow2", ["write -P 2 1M 64k"])
    ours = tmp_path / "ours.qcow2"
    disk.convert(str(image), str(ours), snapshots=True, compress=True, verify=True)
    assert "No errors were found" in run("qemu-img", "check", ours)
    assert ours.stat().st_size < 1 << 20
    assert by_qemu(ours, "one") == by_qemu(image, "one")


def test_an_image_without_snapshots_is_converted_as_ever(tmp_path: Path) -> None:
    image = make(tmp_path, QCOW2, ["write -P 1 0 3M"])
    disk.convert(str(image), str(tmp_path / "with.qcow2"), snapshots=True)
    disk.convert(str(image), str(tmp_path / "without.qcow2"))
    assert (tmp_path / "with.qcow2").read_bytes() == (tmp_path / "without.qcow2").read_bytes()


def test_what_keeps_no_snapshots_is_refused(tmp_path: Path) -> None:
    image = make(tmp_path, QCOW2, [])
    raw = make(tmp_path, Kind("raw"), [])
    with pytest.raises(NotSupportedError, match="keep no snapshots"):
        disk.convert(str(image), str(tmp_path / "new.raw"), snapshots=True)
    with pytest.raises(NotSupportedError, match="no internal snapshots"):
        disk.convert(str(raw), str(tmp_path / "new.qcow2"), source_format="raw", snapshots=True)
    with pytest.raises(UsageError, match="only one source"):
        disk.convert([str(image), str(image)], str(tmp_path / "new.qcow2"), snapshots=True)
    assert {path.name for path in tmp_path.iterdir()} == {"image.qcow2", "image.raw"}


@pytest.fixture
def two(tmp_path: Path) -> Path:
    """An image whose snapshot 1 is called 2, and 2 is called one."""
    image = make(tmp_path, QCOW2, ["write -P 1 0 1M"])
    run("qemu-img", "snapshot", "-c", "2", image)
    write(image, "qcow2", ["write -P 2 0 1M"])
    run("qemu-img", "snapshot", "-c", "one", image)
    write(image, "qcow2", ["write -P 3 0 1M"])
    return image


@pytest.mark.parametrize(
    "wanted", ["1", "2", "one", "snapshot.name=2", "snapshot.id=2", "snapshot.id=2,snapshot.name=one"]
)
def test_one_state_is_converted(wanted: str, two: Path, tmp_path: Path) -> None:
    run("qemu-img", "convert", "-l", wanted, "-O", "raw", two, tmp_path / "theirs.raw")
    disk.convert(str(two), str(tmp_path / "ours.raw"), snapshot=wanted)
    assert (tmp_path / "ours.raw").read_bytes() == (tmp_path / "theirs.raw").read_bytes()


@pytest.mark.parametrize(
    ("wanted", "error"),
    [
        ("three", NotFoundError),
        ("snapshot.id=1,snapshot.name=one", NotFoundError),
        ("snapshot.name=1", NotFoundError),
        ("snapshot.name=one,colour=red", UsageError),
    ],
)
def test_a_state_that_is_not_there_is_an_error(wanted: str, error: type[Exception], two: Path, tmp_path: Path) -> None:
    with pytest.raises(error):
        disk.convert(str(two), str(tmp_path / "ours.raw"), snapshot=wanted)


def test_a_state_is_measured(two: Path) -> None:
    run("qemu-io", "-f", "qcow2", "-c", "write -P 3 0 3M", two)
    then = disk.measure(str(two), snapshot="one", target_format="qcow2")
    assert then.required < disk.measure(str(two), target_format="qcow2").required
