from __future__ import annotations

import json
import os
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from host.trees import devices, machine, plant, trees
from support.depth import deep
from virtkit import host
from virtkit.core.errors import UsageError
from virtkit.core.system import System
from virtkit.host.kernel import Kernel
from virtkit.host.picture import read_facts
from virtkit.host.record import FORMAT, Witness, load, replayed, taken

if TYPE_CHECKING:
    from virtkit.core.plan import Json
    from virtkit.host.picture import HostFacts

HOSTS = Path(__file__).parents[1] / "data/hosts"
FEW = ("16amd64-8n2c", "32amd64-4s2n4c-cgroup2", "nvidia-dgx-gb10", "offline-cpu0-node0")
MACHINES = FEW if deep(1) == 1 else tuple(sorted(trees()))  # all take 20 s
DRIFTING = {"memory", "topology", "vms", "ksm"}


def _recorded(root: Path) -> tuple[HostFacts, dict[str, Json]]:
    witness = Witness(root)
    facts = read_facts(witness)
    return facts, json.loads(json.dumps(taken(witness)))


def _again(record: Json) -> tuple[HostFacts, dict[str, Json]]:
    with replayed(record) as system:
        return _recorded(system.root)


@pytest.mark.parametrize("name", MACHINES)
def test_a_recorded_machine_has_the_facts_of_the_real_one(name: str) -> None:
    with machine(name) as system:
        facts, record = _recorded(system.root)
    replay, second = _again(record)
    assert replay == facts
    assert second["tree"] == record["tree"]


def test_devices_and_the_links_through_them_are_recorded() -> None:
    with devices("fakepcilocalities") as system:
        facts, record = _recorded(system.root)
    assert facts.pci
    assert _again(record)[0] == facts


def test_this_host_is_recorded_whole_and_small() -> None:
    facts, record = _recorded(Path("/"))
    replay, second = _again(record)
    assert second["tree"] == record["tree"]
    left, right = replay.data(), facts.data()
    assert {key: left[key] for key in left.keys() - DRIFTING} == {key: right[key] for key in right.keys() - DRIFTING}
    assert len(json.dumps(record)) < 1 << 20


def test_the_knobs_of_the_recorded_host_are_set_as_there_and_as_writable_as_there(tmp_path: Path) -> None:
    file = str(tmp_path / "host.json")
    assert host.save_record(System(), file) == (tmp_path / "host.json").stat().st_size
    here = {row.setting.name: row for row in host.list_knobs(System())}
    with replayed(load(file)) as system:
        there = {row.setting.name: row for row in host.list_knobs(system)}
    assert here.keys() == there.keys()
    assert {name: row.writable for name, row in here.items()} == {name: row.writable for name, row in there.items()}
    assert sum(here[name] != there[name] for name in here) < 6  # of 100: another test may set some meanwhile


def test_the_kvm_of_the_recorded_host_answers_as_it_did(tmp_path: Path) -> None:
    cpu = {"/proc/cpuinfo": "vendor_id : A\nflags : vmx\n"}
    for answer, usable in (("12", True), ("13", False)):
        facts, record = _recorded(plant(tmp_path / answer, {**cpu, "/dev/kvm": answer}).root)
        assert (facts.kvm.usable, _again(record)[0]) == (usable, facts)


def test_a_file_that_was_not_shown_is_there_and_is_still_not_shown(tmp_path: Path) -> None:
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc/swaps").symlink_to("swaps")  # ELOOP, for root as well
    witness = Witness(tmp_path)
    assert (witness.exists("/proc/swaps"), Kernel(witness).text("/proc/swaps")) == (True, None)
    with replayed(taken(witness)) as system:
        assert (system.exists("/proc/swaps"), Kernel(system).text("/proc/swaps")) == (True, None)


def test_absolute_links_stay_inside_the_record(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc/cmdline").write_text("from the host")
    (tmp_path / "etc/link").symlink_to("/proc/cmdline")
    witness = Witness(tmp_path)
    assert witness.exists("/etc/link")
    with replayed(taken(witness)) as system:
        assert system.read("/etc/link") == "from the host"


NAMES = st.text(st.sampled_from("ab./\0\udcff"), max_size=3)
TREES = st.recursive(
    st.one_of(st.text(max_size=5), st.none(), st.lists(st.text(st.sampled_from("ab./"), max_size=9), max_size=2)),
    lambda inner: st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=200, deadline=None)
@given(TREES)
def test_a_record_of_a_stranger_is_refused_or_stays_in_its_directory(tree: Json) -> None:
    with suppress(UsageError), replayed({"format": FORMAT, "tree": tree}) as system:
        for folder, names, files in os.walk(system.root):
            for name in [*names, *files]:
                with suppress(RuntimeError):  # a loop of links leads nowhere
                    assert Path(folder, name).resolve().is_relative_to(system.root.resolve())


@pytest.mark.parametrize(
    "tree",
    [
        {"a": ["../x"]},
        {"a": ["/etc"]},
        {"a": {"b": ["../../x"]}},
        {"a": ["b/../../x"]},
        {"..": "x"},
        {"a": ["x", "y"]},
        {"a": 5},
        7,
    ],
)
def test_what_leads_out_of_the_record_is_refused(tree: Json) -> None:
    with pytest.raises(UsageError), replayed({"format": FORMAT, "tree": tree}):
        pass


def test_a_record_that_is_too_deep_or_of_another_kind_is_refused() -> None:
    deep: Json = {}
    for _ in range(100):
        deep = {"a": deep}
    records: list[Json] = [{"format": FORMAT, "tree": deep}, {"format": "virtkit host record 9", "tree": {}}, []]
    for record in records:
        with pytest.raises(UsageError), replayed(record):
            pass


def test_a_reader_that_climbs_over_a_link_is_a_mistake_of_ours(tmp_path: Path) -> None:
    witness = Witness(tmp_path)
    witness.exists("/sys/block/vda/device/../numa_node")
    with pytest.raises(ValueError, match="depends on links"):
        taken(witness)


def test_nothing_is_left_behind_when_the_reader_fails() -> None:
    with TemporaryDirectory() as place:
        _, record = _recorded(plant(Path(place), {"/proc/cmdline": "x"}).root)
    with pytest.raises(KeyError), replayed(record) as system:
        raise KeyError(system.root)
    assert not system.root.exists()
    assert isinstance(system, System)


@pytest.mark.parametrize(
    ("name", "knob", "value"),
    [
        ("two-nodes-smt", "smt.control", "on"),
        ("kvm-amd", "kvm_amd.nested", "1"),
        ("debian-systemd", "slice.system.cpus", ""),
    ],
)
def test_a_host_that_was_recorded_elsewhere_has_its_knobs(name: str, knob: str, value: str) -> None:
    """Made by bench/host/record.py and bench/host/reboot.py, in guests of a stock kernel."""
    with replayed(load(str(HOSTS / f"{name}.json"))) as system:
        rows = {row.setting.name: row.now for row in host.list_knobs(system)}
        facts = read_facts(system)
    assert rows[knob] == value
    assert facts.kvm.usable is (name != "two-nodes-smt")
    assert (len(facts.topology.nodes), facts.topology.threads_per_core) == ((2, 2) if "smt" in name else (1, 1))
