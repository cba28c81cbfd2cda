from __future__ import annotations

import pytest

from virtkit.core.units import GIB, KIB, MIB
from virtkit.vm.backing import page_size
from virtkit.vm.domain import Domain


@pytest.mark.parametrize(
    ("backing", "size"),
    [
        ("", None),
        ("<memoryBacking><nosharepages/></memoryBacking>", None),
        ("<memoryBacking><hugepages/></memoryBacking>", 2 * MIB),
        ("<memoryBacking><hugepages><page size='1' unit='G'/></hugepages></memoryBacking>", GIB),
        ("<memoryBacking><hugepages><page size='1' unit='GiB' nodeset='0'/></hugepages></memoryBacking>", GIB),
        ("<memoryBacking><hugepages><page size='2048'/></hugepages></memoryBacking>", 2 * MIB),
        ("<memoryBacking><hugepages><page size='64' unit='KiB'/></hugepages></memoryBacking>", 64 * KIB),
    ],
)
def test_the_size_of_a_machines_huge_pages_is_what_its_xml_says(backing: str, size: int | None) -> None:
    assert page_size(Domain.parse(f"<domain><name>a</name>{backing}</domain>")) == size
