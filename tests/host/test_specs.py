"""Guests whose kernels were recorded, against what QEMU was told; ``tests/guest/test_specs.py`` makes the records."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from host.specs import Spec
from virtkit.host.kernel import Kernel
from virtkit.host.record import load, replayed
from virtkit.host.topology import read_topology

if TYPE_CHECKING:
    from virtkit.host.topology import Topology

RECORDS = Path(__file__).parents[1] / "data" / "specs"
SPECS = [
    Spec(2, 1, 2, 2, 2, 21, (24, 8)),
    Spec(1, 4, 2, 2, 1, 10),
    Spec(2, 2, 1, 2, 4, 17),
    Spec(3, 1, 3, 1, 3, 30),
]


def agrees(found: Topology, spec: Spec) -> None:
    assert found.cpus == frozenset(range(spec.cpus))
    assert list(found.packages) == spec.packages
    assert list(found.cores) == spec.runs(spec.threads)
    assert list(found.dies) == (spec.die_sets if spec.dies > 1 and spec.cores > 1 else [])
    assert [cache.cpus for cache in found.last_level_caches] == spec.die_sets
    assert [node.cpus for node in found.nodes] == spec.node_sets
    for node in found.nodes:
        far = {other: spec.distance for other in range(spec.nodes) if other != node.number}
        assert node.distances == {**far, node.number: 10}
        assert not spec.pages or (node.hugepages[0].size, node.hugepages[0].total) == (2 << 20, spec.pages[node.number])


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.name)
def test_a_guests_kernel_is_read_as_qemu_was_told(spec: Spec) -> None:
    with replayed(load(str(RECORDS / f"{spec.name}.json"))) as system:
        agrees(read_topology(Kernel(system)), spec)
