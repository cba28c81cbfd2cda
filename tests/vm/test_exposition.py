"""Prometheus' text: its grammar, its names, and promtool's opinion where it is installed."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from virtkit.vm.counters import parse
from virtkit.vm.domain import Domain
from virtkit.vm.exposition import DOWN, Pool, Seen, exposition
from virtkit.vm.footprint import Footprint
from vm.test_counters import SAID

NAMES = (Path(__file__).parents[1] / "data/libvirt-exporter.names").read_text().split()
XML = """<domain type='qemu'><metadata><nova:instance xmlns:nova='n'><nova:flavor name='m1.small'/></nova:instance>
</metadata><devices><disk type='file'><driver type='qcow2' cache='none'/><target dev='vda' bus='virtio'/>
<iotune><total_iops_sec>500</total_iops_sec></iotune></disk>
<interface type='bridge'><source bridge='br0'/><target dev='vnet0'/></interface></devices></domain>"""
FAMILY = re.compile(r"# (HELP|TYPE) ([a-z_]+) (.+)")
SAMPLE = re.compile(r'([a-z_]+)(?:\{((?:[a-z_]+="(?:[^"\\\n]|\\[\\"n])*",?)*)\})? (-?[0-9.e+-]+)')
LABEL = re.compile(r'([a-z_]+)="((?:[^"\\\n]|\\[\\"n])*)"')


def whole(name: str = "guest", path: str = "/a.qcow2") -> str:
    counters = parse(name, "u", SAID | {"block.0.path": path, "vcpu.0.wait": 0, **dict.fromkeys(EVERY, 4)})
    footprint = Footprint(9, 0, 0, 0, None, (0,), (0,), {0: 1}, 0)
    gone = Seen(parse("gone", "v", {"state.state": 5}), None, None)
    return exposition(
        [Seen(counters, Domain.parse(XML), footprint), gone], [Pool("default", 3, 2, 1)], {"libvirt_library": "9.0.0"}
    )


EVERY = [f"block.0.{way}.{what}" for way in ("rd", "wr", "fl") for what in ("bytes", "reqs", "times")]
EVERY += [f"block.0.{what}" for what in ("allocation", "capacity", "physical")]
EVERY += [f"net.0.{way}.{what}" for way in ("rx", "tx") for what in ("bytes", "pkts", "errs", "drop")]
EVERY += [f"balloon.{what}" for what in ("disk_caches", "major_fault", "minor_fault")]


def samples(text: str) -> list[tuple[str, dict[str, str], float]]:
    """Strictly: each family is announced once, before its samples, which stand together."""
    announced: list[str] = []
    found = []
    assert text.endswith("\n")
    for line in text.splitlines():
        if about := FAMILY.fullmatch(line):
            assert about[1] == "TYPE" or about[2] not in announced
            announced += [about[2]] if about[1] == "HELP" else []
            assert about[2] == announced[-1]
            continue
        sample = SAMPLE.fullmatch(line)
        assert sample, line
        assert sample[1] == announced[-1]
        labels = {
            key: re.sub(r"\\(.)", lambda m: {"n": "\n"}.get(m[1], m[1]), said) for key, said in _labels(sample[2])
        }
        found.append((sample[1], labels, float(sample[3])))
    return found


def _labels(text: str | None) -> list[tuple[str, str]]:
    return LABEL.findall(text or "")


def test_every_name_is_the_exporters_and_none_of_its_names_is_missing() -> None:
    said = samples(whole())
    assert {name for name, _, _ in said} == set(NAMES)
    assert [value for name, _, value in said if name.endswith("limit_total_requests")] == [500]
    (disk,) = [labels for name, labels, _ in said if name == "libvirt_domain_block_meta"]
    assert (disk["source_file"], disk["cache"], disk["serial"]) == ("/a.qcow2", "none", "")
    (card,) = [labels for name, labels, _ in said if name == "libvirt_domain_interface_meta"]
    assert card["source_bridge"] == "br0"
    assert [labels["flavor"] for name, labels, _ in said if name == "libvirt_domain_info_meta"] == ["m1.small"]
    states = {labels["domain"]: value for name, labels, value in said if name.endswith("vstate")}
    assert states == {"guest": 1, "gone": 5}


def test_seconds_and_bytes_have_the_units_that_the_names_promise() -> None:
    values = {(name, labels.get("vcpu")): value for name, labels, value in samples(whole())}
    assert values["libvirt_domain_vcpu_delay_seconds_total", "0"] == pytest.approx(1.883285142)
    assert values["libvirt_domain_info_maximum_memory_bytes", None] == 131072 << 10
    assert values["libvirt_domain_memory_stats_used_percent", None] == pytest.approx(100 * (94540 - 60768) / 94540)


@given(st.text(), st.text())
def test_labels_hold_whatever_a_file_is_called(name: str, path: str) -> None:
    text = whole(name.translate(BREAKS), path.translate(BREAKS) or "/")
    labels = [each for family, each, _ in samples(text) if family == "libvirt_domain_block_meta"]
    assert labels[0]["source_file"] == (path.translate(BREAKS) or "/")
    assert labels[0]["domain"] == name.translate(BREAKS)


BREAKS = dict.fromkeys(map(ord, "\r\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029"), "_")  # lines for Python, none for Prometheus


@pytest.mark.parametrize("text", [DOWN, whole()])
def test_promtool_finds_nothing_to_complain_about(text: str) -> None:
    if shutil.which("promtool") is None:
        pytest.skip("needs promtool")
    done = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr + done.stdout) == (0, "")
