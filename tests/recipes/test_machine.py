"""A declarative file against this host: one plan in order, or all that the host cannot do at once.

libvirt's own test driver stands for the daemon: nothing is defined, only planned.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[2] / "src"
FILE = """\
version: 1
networks:
  vkplan0: {bridge: {}}
machines:
  web1:
    image: {source: base.vmdk, path: web1.qcow2, size: 64M}
    cpus: 1
    memory: 64M
    nics: [{network: vkplan0}]
    workload: database
    pin: {0: 0}
    autostart: true
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    run("qemu-img", "create", "-q", "-f", "vmdk", "-o", "subformat=monolithicSparse", str(tmp_path / "base.vmdk"), "8M")
    path = tmp_path / "web1.yaml"
    path.write_text(FILE)
    return path


def run(*command: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(SOURCE), "LIBVIRT_DEFAULT_URI": "test:///default"}
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60, env=environment)


def virtkit(*arguments: str) -> subprocess.CompletedProcess[str]:
    return run(sys.executable, "-m", "virtkit", *arguments)


def test_the_plan_goes_from_the_bridge_to_the_pinned_machine(file: Path) -> None:
    done = virtkit("plan", str(file), "--output", "json")
    assert done.returncode == 3, done.stderr
    plan = json.loads(done.stdout)
    assert [action["kind"] for action in plan["actions"]] == [
        "net.create_bridge",
        "disk.convert",
        "vm.define",
        "vm.autostart",
        "vm.start",
        "vm.pin",
    ]
    convert, define = plan["actions"][1]["fields"], plan["actions"][2]["fields"]
    assert convert["size"] == 64 << 20
    assert convert["target"] == str(file.parent / "web1.qcow2")
    assert 'cache="none"' in define["xml"]
    assert not Path(convert["target"]).exists()


def test_the_host_is_tuned_before_the_machines_are_made_and_its_status_is_told(file: Path) -> None:
    file.write_text(FILE + "host: {profile: database}\n")
    done = virtkit("plan", str(file), "--output", "json")
    kinds = [action["kind"] for action in json.loads(done.stdout)["actions"]]
    assert kinds[-6:][0] == "net.create_bridge"
    assert set(kinds[:-6]) <= {"host.set_knob", "host.persist_knobs"}
    rows = json.loads(virtkit("status", str(file), "--output", "json").stdout)
    told = [row for row in rows if row["what"].split()[0] == "host"]
    assert len(told) >= 1
    assert all(row["what"] == "host" or row["live"] != row["wanted"] for row in told)


def test_the_file_may_be_named_from_any_directory(file: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(SOURCE), "LIBVIRT_DEFAULT_URI": "test:///default"}
    command = [sys.executable, "-m", "virtkit", "plan", file.name]
    done = subprocess.run(command, cwd=file.parent, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 3, done.stderr
    assert str(file.parent / "web1.qcow2") in done.stdout


def test_a_disk_that_is_there_is_used_and_said_so(file: Path) -> None:
    run("qemu-img", "create", "-q", "-f", "qcow2", str(file.parent / "web1.qcow2"), "64M")
    done = virtkit("plan", str(file), "--output", "json")
    plan = json.loads(done.stdout)
    assert "disk.convert" not in [action["kind"] for action in plan["actions"]]
    assert any("uses the disk that is there" in note for note in plan["notes"])


def test_a_disk_that_is_there_and_too_small_is_a_fault(file: Path) -> None:
    run("qemu-img", "create", "-q", "-f", "qcow2", str(file.parent / "web1.qcow2"), "32M")
    done = virtkit("plan", str(file))
    assert done.returncode == 2
    assert f"{file}:6:12: machines.web1.image: {file.parent}/web1.qcow2 is 32 MiB, expected 64 MiB" in done.stderr


def test_all_that_this_host_cannot_do_comes_at_once_with_places(file: Path) -> None:
    text = FILE.replace("bridge: {}", "bridge: {port: vknosuch0}").replace("base.vmdk", "missing.vmdk")
    second = "  web2:\n    image: {source: base.vmdk, path: web2.qcow2}\n    pin: {0: 4095}\n"
    file.write_text(text + second)
    done = virtkit("plan", str(file))
    assert done.returncode == 2
    lines = done.stderr.strip().splitlines()
    assert len(lines) == 3, done.stderr
    assert f"{file}:3:12: networks.vkplan0: " in lines[0]
    assert "vknosuch0" in lines[0]
    assert lines[1].startswith(f"{file}:6:12: machines.web1.image: ")
    assert "missing.vmdk: no such file" in lines[1]
    assert lines[2].startswith(f"{file}:14:5: machines.web2: ")
    assert "CPU 4095 is not online" in lines[2]


def test_a_raw_source_is_never_guessed(file: Path) -> None:
    (file.parent / "base.vmdk").write_bytes(bytes(1 << 20))
    assert "no known disk format" in virtkit("plan", str(file)).stderr
    file.write_text(FILE.replace("source: base.vmdk", "source: base.vmdk, source_format: raw"))
    assert virtkit("plan", str(file)).returncode == 3


def test_without_a_terminal_up_asks_for_y_and_changes_nothing(file: Path) -> None:
    done = virtkit("up", str(file))
    assert done.returncode == 2
    assert "add -y to go ahead" in done.stderr
    assert not (file.parent / "web1.qcow2").exists()


def test_down_of_a_file_that_made_nothing_says_so(file: Path) -> None:
    done = virtkit("down", str(file))
    assert (done.returncode, "nothing to take down" in done.stdout) == (0, True)
