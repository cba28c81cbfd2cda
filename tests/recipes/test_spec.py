"""A declarative file is read once, strictly, and all of its faults come at once with their places."""

from __future__ import annotations

import re
import resource
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from virtkit.core.errors import NotFoundError, SpecError
from virtkit.recipes.spec import load

if TYPE_CHECKING:
    from pathlib import Path

GOOD = """\
version: 1
networks:
  br0: {bridge: {port: eth0}}
machines:
  centos7:
    image: {source: CentOS-7.vmdk, format: qcow2, size: 20G}
    cpus: 2
    memory: 2G
    nics: [{network: br0, mac: 52:54:00:12:34:56}]
    workload: database
    pin: {0: 2, 1: 3}
    autostart: true
"""
BAD = """\
version: 2
networks:
  br0: {bridge: {port: eth0, stp: true}}
machines:
  web1:
    image: {format: vhd}
    cpus: 0
    memory: lots
    nics: [{network: br9, mac: 52:54:00:12:34:56}, {network: br0, mac: 01:00:00:00:00:01}]
    pin: {0: a}
    colour: blue
  bad name: {image: {source: a.vmdk}, pin: maybe, autostart: on}
"""
MAC = "expected a unicast MAC address such as 52:54:00:12:34:56"
MACHINE = "image, cpus, memory, nics, workload, pin, accelerator, autostart, serial_log"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "file.yaml"


def faults(file: Path, text: str) -> list[str]:
    file.write_text(text)
    with pytest.raises(SpecError) as caught:
        load(file)
    return [fault.removeprefix(f"{file}:") for fault in caught.value.faults]


def test_a_good_file_is_read_as_it_says(file: Path) -> None:
    file.write_text(GOOD)
    spec = load(file).spec
    machine = spec.machines["centos7"]
    assert spec.networks["br0"].bridge.port == "eth0"
    assert (machine.cpus, machine.memory, machine.image.size) == (2, 2 << 30, 20 << 30)
    assert machine.pin == {0: 2, 1: 3}
    assert machine.nics[0].mac == "52:54:00:12:34:56"


def test_the_host_is_left_as_it_is_unless_the_file_says_what_it_is_for(file: Path) -> None:
    file.write_text(GOOD)
    assert load(file).spec.host is None
    file.write_text(GOOD + "host: {profile: realtime}\n")
    host = load(file).spec.host
    assert host is not None
    assert host.profile == "realtime"
    (fault,) = faults(file, GOOD + "host: {profile: gaming}\n")
    assert fault.startswith("13:17: host.profile: is 'gaming', expected 'web', 'database'")


def test_every_fault_comes_at_once_with_its_line_and_column(file: Path) -> None:
    assert faults(file, BAD) == [
        "1:10: version: is 2, expected 1",
        "3:35: networks.br0.bridge.stp: is not a field of this file; its fields are port",
        "6:12: machines.web1.image.source: is missing",
        "6:21: machines.web1.image.format: is 'vhd', expected 'qcow2' or 'raw'",
        "7:11: machines.web1.cpus: is 0, expected greater than or equal to 1",
        "8:13: machines.web1.memory: is 'lots', expected a number and K, M, G, T, P or E, as in 10G",
        f"9:72: machines.web1.nics.1.mac: is '01:00:00:00:00:01', {MAC}",
        "10:14: machines.web1.pin.0: is 'a', expected a whole number",
        f"11:13: machines.web1.colour: is not a field of this file; its fields are {MACHINE}",
        "12:3: machines.bad name: is 'bad name', expected a name of at most 63 letters, digits and _ . + -",
        "12:44: machines.bad name.pin: is 'maybe', expected 'auto' or 'none' or a mapping",
        "12:62: machines.bad name.autostart: is 'on', expected true or false",
    ]


def test_a_network_that_the_file_does_not_have_is_a_fault(file: Path) -> None:
    assert faults(file, GOOD.replace("network: br0", "network: br9")) == [
        "9:22: machines.centos7.nics.0.network: is br9, expected one of the file's networks (br0)"
    ]


def test_a_pin_beyond_the_vcpus_is_a_fault(file: Path) -> None:
    assert faults(file, GOOD.replace("1: 3}", "2: 3}")) == [
        "6:5: machines.centos7: is pins vCPU 2, expected vCPUs below cpus: 2"
    ]


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "1:1: file: is empty"),
        ("[1]", "1:1: file: is a list, expected a mapping"),
        ("a: [", "1:5: file: is not YAML"),
        ("a: 1\na: 2", "2:1: a: is there twice"),
        ("? [a]\n: b", "1:3: ['a']: is not a plain key"),
        ("\0", "1:1: file: is not YAML: unacceptable character"),
        ("[" * 5000, "1:1: file: is not YAML: maximum recursion depth"),
        ("a: &a [*a]", "1:4: file: is too large, expected at most 20000 values, 20 deep"),
        ("a: !!python/name:os.system x", "1:4: file: is not YAML: could not determine a constructor"),
        ("#" * 1_100_000, "1:1: file: is 1100000 bytes long"),
    ],
)
def test_what_is_no_such_file_is_one_clear_fault(file: Path, text: str, fault: str) -> None:
    assert faults(file, text)[0].startswith(fault)


def test_aliases_that_would_mean_gigabytes_are_refused_in_little_memory(file: Path) -> None:
    bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n"
    bomb += "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 12))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert "is too large" in faults(file, bomb)[0]
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50_000  # KiB


def test_a_missing_file_is_not_found(file: Path) -> None:
    with pytest.raises(NotFoundError, match="no such file"):
        load(file)


@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_a_damaged_file_is_read_or_its_faults_have_places(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    file = tmp_path_factory.getbasetemp() / "damaged.yaml"
    at = data.draw(st.integers(0, len(GOOD)))
    cut = data.draw(st.integers(0, 20))
    file.write_text(GOOD[:at] + data.draw(st.text(max_size=8).filter(lambda t: t.isprintable())) + GOOD[at + cut :])
    try:
        found = tuple(load(file).spec.machines) or ("none",)
    except SpecError as error:
        found = error.faults
        assert_places(found, file)
    assert found


def assert_places(faults: tuple[str, ...], file: Path) -> None:
    assert all(re.match(rf"{re.escape(str(file))}:\d+:\d+: ", fault) for fault in faults)
