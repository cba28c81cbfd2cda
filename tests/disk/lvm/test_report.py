"""What LVM's programs say, as LVM 2.03.16 said it in a guest (tests/data/lvm)."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from virtkit.core.errors import NotSupportedError
from virtkit.disk.lvm.report import Group, Kind, Volume, parse_groups, parse_volumes

DATA = Path(__file__).parents[2] / "data" / "lvm"
MIB = 1 << 20


@pytest.fixture
def volumes() -> dict[str, Volume]:
    return {volume.name: volume for volume in parse_volumes((DATA / "lvs.json").read_text())}


def test_groups_have_room_in_whole_extents() -> None:
    assert parse_groups((DATA / "vgs.json").read_text()) == [Group("vg0", 2143289344, 1757413376, 4 * MIB)]


def test_volumes_come_by_name(volumes: dict[str, Volume]) -> None:
    assert list(volumes) == ["backup", "pool", "root", "snap", "thin", "two.parts", "with-hyphen"]
    assert {volume.full_name for volume in volumes.values()} == {f"vg0/{name}" for name in volumes}


def test_a_plain_volume(volumes: dict[str, Volume]) -> None:
    root = volumes["root"]
    assert (root.kind, root.size, root.path) == (Kind.PLAIN, 64 * MIB, "/dev/vg0/root")
    assert (root.origin, root.pool, root.data_percent, root.reserved) == (None, None, None, None)
    assert (root.active, root.open) == (True, False)


def test_a_snapshot_is_as_long_as_its_origin(volumes: dict[str, Volume]) -> None:
    snap = volumes["snap"]
    assert (snap.kind, snap.origin, snap.size, snap.reserved) == (Kind.SNAPSHOT, "root", 64 * MIB, 16 * MIB)
    assert snap.data_percent == 6.32


def test_thin_volumes_and_their_pool(volumes: dict[str, Volume]) -> None:
    pool, thin, backup = volumes["pool"], volumes["thin"], volumes["backup"]
    assert (pool.kind, pool.path, pool.data_percent, pool.metadata_percent) == (Kind.POOL, "", 3.91, 11.04)
    assert (thin.kind, thin.pool, thin.size, thin.data_percent) == (Kind.THIN, "pool", 1 << 30, 0.98)
    assert (backup.thin, backup.origin, backup.active, backup.data_percent) == (True, "thin", False, None)


def test_who_is_active_and_open(volumes: dict[str, Volume]) -> None:
    assert [name for name, volume in volumes.items() if not volume.active] == ["backup", "two.parts"]
    assert "with-hyphen" in [name for name, volume in volumes.items() if volume.open]


def test_a_host_without_volumes() -> None:
    assert parse_volumes('{"report": [{"lv": []}]}') == []
    assert parse_groups('{"report": [{"vg": []}]}') == []


JSON = st.recursive(
    st.none() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["report", "lv", "vg", "vg_name"]), inner)
    ),
    max_leaves=8,
)


@given(answer=JSON.map(json.dumps) | st.text(max_size=20))
def test_anything_else_is_refused_in_one_line(answer: str) -> None:
    try:
        assert parse_volumes(answer) == []
    except NotSupportedError as error:
        assert "LVM: its report is" in error.message  # noqa: PT017  either is right


@pytest.mark.parametrize("size", ["", "8.00m", "-", "<2.00g"])
def test_a_size_that_is_no_number_of_bytes_is_refused(size: str) -> None:
    text = (DATA / "vgs.json").read_text().replace("2143289344", size)
    with pytest.raises(NotSupportedError, match="vg_size is .*, expected a number of bytes"):
        parse_groups(text)
