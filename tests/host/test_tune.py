from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

import pytest

from host.imitation import Imitation, imitation
from host.server import files, machine, stand
from host.trees import NODES
from virtkit import host
from virtkit.core import engine
from virtkit.core.journal import Journal
from virtkit.core.units import GIB, MIB
from virtkit.host.advice.case import Profile

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from virtkit.core.plan import Plan
    from virtkit.host.advice.case import Guest


def server(root: Path, changed: Mapping[str, str] = MappingProxyType({})) -> Imitation:
    return imitation(root, files() | dict(changed))


def tuned(system: Imitation, *profiles: Profile, guests: Iterable[Guest] = ()) -> Plan:
    return host.tune(system, host.advise(system, guests, profiles))


def tree(root: Path) -> dict[str, str]:
    return {str(path): path.read_text().strip() for path in root.rglob("*") if path.is_file()}


@pytest.mark.parametrize("profile", [Profile.REALTIME, Profile.WEB])
def test_a_host_is_tuned_once_and_put_back_to_the_byte(tmp_path: Path, profile: Profile) -> None:
    system, journal = server(tmp_path / "root"), Journal(tmp_path / "journal")
    before = tree(system.root)
    number = engine.run(tuned(system, profile), system, journal)
    now = tree(system.root)
    assert [name for name in before if now[name] != before[name]]
    assert not tuned(system, profile)
    engine.undo(journal, number, system)
    assert tree(system.root) == before


def test_what_takes_memory_comes_last_and_leaves_the_host_its_own(tmp_path: Path) -> None:
    guests = [machine("m1", memory=GIB, page_size=2 * MIB), machine("m2", memory=1 << 40, page_size=2 * MIB)]
    plan = tuned(server(tmp_path), Profile.DATABASE, guests=guests)
    names = [line.split()[1] for line in plan.lines() if " -> " in line]
    assert [name for name in names if name.startswith("hugepages")] == [names[-1]] == ["hugepages.2M@0:"]
    (said,) = [note for note in plan.notes if note.startswith("huge pages against what the host needs")]
    assert "m2: 524288 pages of 2 MiB are asked for (1 TiB), and the nodes can spare 44.8 GiB" in said
    short = {
        f"{NODES}/node{node}/meminfo": f"Node {node} MemTotal: 100 kB\nNode {node} MemFree: 9 kB\n" for node in (0, 1)
    }
    poor = tuned(server(tmp_path / "poor", short), Profile.DATABASE, guests=guests)
    assert not any("hugepages" in line for line in poor.lines())


def test_what_another_file_would_overwrite_is_left_with_its_name_and_the_rest_is_done(tmp_path: Path) -> None:
    theirs = {"/etc/sysctl.d/99-ours.conf": "vm.max_map_count = 65530\n"}
    plan = tuned(server(tmp_path, theirs), Profile.WEB)
    assert any(line.startswith("~ vm.dirty_bytes") for line in plan.lines())
    assert not any("vm.max_map_count" in line for line in plan.lines())
    (left,) = [note for note in plan.notes if note.startswith("left as it is: vm.max_map_count")]
    assert "/etc/sysctl.d/99-ours.conf:1" in left


def test_what_needs_a_boot_or_a_person_is_told_with_what_to_type(tmp_path: Path) -> None:
    system = stand(tmp_path)
    advice = host.advise(system, (), [Profile.REALTIME], untrusted=True)
    plan = host.tune(system, advice)
    notes = "\n".join(plan.notes)
    assert "for a reboot: cpu.isolated: none -> 1-3,5-7,9-11,13-15" in notes
    assert "virtkit host set --persistent cpu.isolated=1-3,5-7,9-11,13-15" in notes
    assert "yours to decide: cpu.mitigations: off -> auto" in notes
    assert not any("cpu." in line or "smt" in line for line in plan.lines() if "cpu.energy" not in line)
