from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from virtkit.core.units import MIB

if TYPE_CHECKING:
    from pathlib import Path

NO_LIBVIRT = "qemu+unix:///system?socket=/nonexistent"


def _virtkit(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    inherited = {name: value for name, value in os.environ.items() if name != "VIRTKIT_ACCEL"}
    path = os.pathsep.join(filter(None, sys.path))
    return subprocess.run(
        [sys.executable, "-m", "virtkit", *arguments],
        capture_output=True,
        text=True,
        check=False,
        env=inherited | {"PYTHONPATH": path, "LIBVIRT_DEFAULT_URI": NO_LIBVIRT} | environment,
    )


def _host(*path: str, **environment: str) -> object:
    """The value that a program finds in the picture below these keys."""
    done = _virtkit("host", "show", "--output", "json", **environment)
    assert done.returncode == 0
    value: object = json.loads(done.stdout)
    for key in path:
        assert isinstance(value, dict)
        value = value[key]
    return value


def test_the_first_line_says_what_machines_run_under() -> None:
    done = _virtkit("host", "show")
    assert done.returncode == 0
    first = done.stdout.splitlines()[0]
    why = _host("kvm", "why")
    assert first.startswith("✓ KVM: can be used;" if _host("kvm", "usable") else f"✗ KVM: cannot be used: {why};")
    assert f"machines run under {str(_host('kvm', 'accelerator')).upper()}" in first


def test_without_the_cpu_flag_machines_run_under_tcg() -> None:
    with open("/proc/cpuinfo", encoding="utf-8") as cpuinfo:
        flags = set(cpuinfo.read().split())
    if flags & {"vmx", "svm"} or "Features" in flags:
        pytest.skip("the CPU of this host has the flag, or needs none")
    assert _host("kvm", "accelerator") == "tcg"


@pytest.mark.parametrize("wanted", ["kvm", "tcg"])
def test_the_environment_overrides_the_accelerator(wanted: str) -> None:
    assert _host("kvm", "accelerator", VIRTKIT_ACCEL=wanted) == wanted


def test_a_wrong_override_is_wrong_usage() -> None:
    done = _virtkit("host", "show", VIRTKIT_ACCEL="xen")
    assert done.returncode == 2
    assert "VIRTKIT_ACCEL is 'xen', expected kvm or tcg" in done.stderr


def test_shows_every_group_in_order() -> None:
    shown = _virtkit("host", "show").stdout.splitlines()
    titles = [line for line in shown[1:] if line and not line.startswith(" ")]
    assert titles == ["host", "CPU", "memory", "disks", "devices", "machines"]


def test_a_libvirt_that_does_not_answer_is_one_line_and_no_error() -> None:
    shown = _virtkit("host", "show").stdout.splitlines()
    assert len([line for line in shown if "not reachable" in line]) == 1
    assert _host("overcommit") is None
    assert str(_host("libvirt")).startswith("not reachable: ")


NODE = """<node>
  <domain type='test'><name>on</name><memory unit='MiB'>96</memory><currentMemory unit='MiB'>64</currentMemory>
    <vcpu current='2'>3</vcpu><os><type>hvm</type></os></domain>
  <domain type='test' xmlns:test='http://libvirt.org/schemas/domain/test/1.0'><name>off</name>
    <memory unit='MiB'>32</memory><vcpu>1</vcpu><os><type>hvm</type></os><test:runstate>5</test:runstate></domain>
</node>"""


@pytest.mark.skipif(not shutil.which("virsh"), reason="libvirt is not installed")
def test_machines_are_summed_as_libvirt_knows_them(tmp_path: Path) -> None:
    """libvirt's own test driver: machines without QEMU, in its real API."""
    (tmp_path / "node.xml").write_text(NODE)
    environment = {"LIBVIRT_DEFAULT_URI": f"test://{tmp_path}/node.xml"}
    assert _host("overcommit", "machines", **environment) == {"running": 1, "defined": 2}
    for what, expected in (
        (("vcpus", "running"), 2),
        (("vcpus", "defined"), 3),
        (("memory", "running"), 96 * MIB),
        (("memory", "running_now"), 64 * MIB),
        (("memory", "defined"), 128 * MIB),
    ):
        assert _host("overcommit", *what, **environment) == expected
    assert "1 running of 2" in _virtkit("host", "show", **environment).stdout


def test_the_topology_alone_is_the_same_as_in_the_whole() -> None:
    alone = json.loads(_virtkit("host", "topology", "--output", "json").stdout)
    whole = _host("topology")
    assert isinstance(whole, dict)
    for node in (*alone["nodes"], *whole["nodes"]):
        del node["free"], node["memory"]  # drift: memory may be plugged in meanwhile
    assert {name: alone[name] for name in whole} == whole
    assert alone.keys() - whole.keys() == {"devices", "machines"}


def test_the_topology_is_drawn_below_its_counts() -> None:
    lines = _virtkit("host", "topology").stdout.splitlines()
    assert lines[0].startswith(f"{os.cpu_count()} online, ")
    assert len(re.findall(r"\[|\bcores?, CPUs", "\n".join(lines[1:]))) > 0


@pytest.mark.parametrize("arguments", [("host",), ("host", "shwo"), ("host", "show", "--output", "xml")])
def test_wrong_usage_names_the_help(arguments: tuple[str, ...]) -> None:
    done = _virtkit(*arguments)
    assert done.returncode == 2
    assert "--help" in done.stderr


def test_a_host_is_recorded_and_asked_again_from_the_file(tmp_path: Path) -> None:
    saved = _virtkit("host", "facts", "--save", os.path.relpath(tmp_path / "host.json"))
    file = str(tmp_path / "host.json")
    assert (saved.returncode, "is recorded in" in saved.stdout) == (0, True)
    here, there = (
        json.loads(_virtkit("host", "topology", "--output", "json", *at).stdout) for at in ((), ("--from", file))
    )
    for topology in (here, there):
        del topology["machines"]  # they come and go
        for node in topology["nodes"]:
            del node["free"]
    assert here == there
    shown = _virtkit("host", "show", "--from", file)
    assert "not asked: this is a record" in shown.stdout
    assert shown.stdout.splitlines()[0] == _virtkit("host", "show").stdout.splitlines()[0]
    assert _virtkit("host", "knobs", "hugetlb", "--from", file).stdout == _virtkit("host", "knobs", "hugetlb").stdout
    again = json.loads(_virtkit("host", "facts", "--from", file, "--output", "json").stdout)
    assert again["pci"] == _host("pci")
    assert again["knobs"]["thp.enabled"] == _host("thp", "enabled", "value")


@pytest.mark.parametrize(("content", "said"), [("{", "is no JSON"), ("[]", "format is not"), (None, "no such file")])
def test_what_is_no_record_is_said_with_how_to_make_one(tmp_path: Path, content: str | None, said: str) -> None:
    file = tmp_path / "host.json"
    if content is not None:
        file.write_text(content)
    done = _virtkit("host", "show", "--from", str(file))
    assert (done.returncode, said in done.stderr) == (1 if content is None else 2, True)
    assert "Traceback" not in done.stderr


def test_knobs_are_listed_by_family_and_explained() -> None:
    done = _virtkit("host", "knobs", "-v", "vm.swappiness")
    assert done.returncode == 0
    head, row, *story = done.stdout.splitlines()
    assert head.split() == ["KNOB", "NOW", "LEGAL", "PERSISTENT", "RISK"]
    with open("/proc/sys/vm/swappiness", encoding="utf-8") as file:
        assert row.split()[:5] == ["vm.swappiness", file.read().strip(), "0", "to", "200"]
    assert any("evidence" in line for line in story)
    found = json.loads(_virtkit("host", "knobs", "reclaim", "--output", "json").stdout)
    assert {knob["family"] for knob in found} == {"reclaim"}
    assert all(knob["explanation"]["zh"] for knob in found)


def test_a_plan_for_a_knob_that_is_so_already_is_empty_and_another_has_changes(tmp_path: Path) -> None:
    with open("/proc/sys/vm/swappiness", encoding="utf-8") as file:
        now = int(file.read())
    same = _virtkit("host", "set", f"vm.swappiness={now}", "--runtime", "--plan")
    assert (same.returncode, same.stdout) == (0, "set vm.swappiness: nothing to change\n")
    other = _virtkit("host", "set", f"vm.swappiness={now - 1}", "--runtime", "--plan", "--output", "json")
    assert other.returncode == 3
    assert [step["kind"] for step in json.loads(other.stdout)["actions"]] == ["host.set_knob"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["vm.swappiness"], "expected KNOB=VALUE"),
        (["vm.swappiness=1", "vm.swappiness=2"], "is to be 1 and 2"),
        (["vm.swappiness=201"], "value is '201', expected 0 to 200"),
        (["vm.swapiness=1"], "knows no such knob"),
        (["vm.dirty_bytes=65536", "vm.dirty_ratio=10"], "expected one of the two"),
    ],
)
def test_a_faulty_wish_is_refused_with_what_to_type(words: list[str], said: str) -> None:
    done = _virtkit("host", "set", *words)
    assert done.returncode in {1, 2}
    assert said in done.stderr
    assert "try: virtkit host" in done.stderr


def test_verify_of_a_host_that_nobody_tuned_is_clean(tmp_path: Path) -> None:
    done = _virtkit("host", "verify", VIRTKIT_STATE_DIR=str(tmp_path))
    assert (done.returncode, done.stdout) == (0, "✓ no knob is set by virtkit\n")
