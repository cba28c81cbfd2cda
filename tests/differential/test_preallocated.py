"""``create -o preallocation=metadata``: the map is that of qemu-img's own image, but for where in the file it is.

QEMU puts each table between the clusters that it names, virtkit all tables in front: offsets differ, nothing else may.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from support.images import run
from virtkit import disk

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.qemu
MIB, GIB = 1 << 20, 1 << 30
VARIANTS = {
    "64 KiB clusters, three tables": ({"cluster_size": "64k"}, GIB + 512 * MIB),
    "2 MiB clusters": ({"cluster_size": "2M"}, GIB),
    "subclusters": ({"extended_l2": "on"}, 700 * MIB),
    "a size that is no whole cluster": ({"cluster_size": "64k"}, 600 * MIB + 3 * 512),
}


def told(image: Path) -> list[dict[str, object]]:
    """As this qemu-img maps it, without places in the file; neighbours that then are alike are one.

    Whether data are zeros is what the file system says of its holes, not what the image says.
    """
    merged: list[tuple[int, int, dict[str, object]]] = []
    for entry in json.loads(run("qemu-img", "map", "--output", "json", image)):
        start, length = int(entry["start"]), int(entry["length"])
        dropped = {"start", "length", "offset"} | ({"zero"} if entry["data"] else set())
        kept = {**{key: value for key, value in entry.items() if key not in dropped}, "placed": "offset" in entry}
        if merged and merged[-1][2] == kept:
            before = merged.pop()
            assert before[0] + before[1] == start
            start, length = before[0], before[1] + length
        merged.append((start, length, kept))
    return [{"start": start, "length": length, **kept} for start, length, kept in merged]


@pytest.mark.parametrize(("options", "size"), VARIANTS.values(), ids=VARIANTS)
def test_the_map_differs_from_qemus_own_in_places_alone(options: dict[str, str], size: int, tmp_path: Path) -> None:
    ours, theirs = tmp_path / "ours.qcow2", tmp_path / "theirs.qcow2"
    wanted = {**options, "preallocation": "metadata"}
    disk.create(str(ours), size, options=wanted)
    words = ",".join(f"{name}={value}" for name, value in wanted.items())
    run("qemu-img", "create", "-q", "-f", "qcow2", "-o", words, theirs, str(size))
    assert told(ours) == told(theirs)
    assert ours.stat().st_blocks <= theirs.stat().st_blocks
    run("qemu-img", "check", "-q", ours)
    run("qemu-img", "compare", ours, theirs)
