"""info, map, compare and check answer as qemu-img does."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from differential.histories import KINDS, Kind, make, overlay, scripts, write
from support.images import SPECIMENS, Specimen, run
from virtkit import disk

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.qemu
SEVERAL = settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
MAPPED_ALIKE = [  # of an image with preallocated metadata QEMU also tells the holes of the file
    kind for kind in KINDS if kind.format in {"raw", "qcow2"} and "preallocation" not in kind.options
]
NOT_OURS = {"children"}  # QEMU's own view of its block graph, since 8.1


def qemu_map(image: Path, format_: str) -> list[dict[str, object]]:
    found: list[dict[str, object]] = json.loads(run("qemu-img", "map", "--output", "json", "-f", format_, image))
    return found


def our_map(image: Path, format_: str) -> list[dict[str, object]]:
    return [json.loads(entry.json()) for entry in disk.map(str(image), format_)]


def comparable(entries: list[dict[str, object]], *, like: list[dict[str, object]]) -> list[dict[str, object]]:
    """Without what not both tell; neighbours that then are alike merge.

    QEMU 7.2 does not tell ``compressed``. Of subclusters without data it tells where their cluster has room for them.
    """
    tells = bool(like) and "compressed" in like[0]
    merged: list[dict[str, object]] = []
    for entry in entries:
        dropped = {"offset"} if not entry["present"] else set()
        dropped |= set() if tells else {"compressed"}
        kept = {key: value for key, value in entry.items() if key not in dropped}
        if merged and _follows(kept, merged[-1]):
            merged[-1]["length"] = _number(merged[-1], "length") + _number(kept, "length")
        else:
            merged.append(kept)
    return merged


def _number(entry: dict[str, object], key: str) -> int:
    value = entry[key]
    assert isinstance(value, int)
    return value


def _follows(entry: dict[str, object], before: dict[str, object]) -> bool:
    same = {"start", "length", "offset"}
    if {k: v for k, v in entry.items() if k not in same} != {k: v for k, v in before.items() if k not in same}:
        return False
    if "offset" in entry and "offset" in before:
        return entry["offset"] == _number(before, "offset") + _number(before, "length")
    return "offset" not in entry and "offset" not in before


@pytest.mark.parametrize("specimen", SPECIMENS, ids=str)
def test_info_has_the_values_of_qemu_img_under_its_keys(specimen: Specimen, tmp_path: Path) -> None:
    image, _ = specimen.make(tmp_path)
    theirs = json.loads(run("qemu-img", "info", "--output", "json", "-f", specimen.format, image))
    ours = disk.info(str(image), specimen.format).data()
    for key in theirs.keys() - NOT_OURS:
        assert ours[key] == theirs[key], key


def test_info_of_an_overlay_with_snapshots_is_that_of_qemu_img(tmp_path: Path) -> None:
    make(tmp_path, Kind("qcow2"), ["write -P 1 0 1M"])
    top = overlay(tmp_path, "top.qcow2", tmp_path / "image.qcow2", 4 << 20)
    run("qemu-img", "snapshot", "-c", "before the upgrade", top)
    theirs = json.loads(run("qemu-img", "info", "--output", "json", top))
    assert disk.info(str(top)).data() == {key: value for key, value in theirs.items() if key not in NOT_OURS}


@pytest.mark.parametrize("kind", MAPPED_ALIKE, ids=str)
@SEVERAL
@given(data=st.data())
def test_map_is_that_of_qemu_img(kind: Kind, data: st.DataObject, tmp_path: Path) -> None:
    image = make(tmp_path, kind, data.draw(scripts(kind)))
    ours = our_map(
        image, kind.format
    )  # first: it reads the head, and unwritten extents of ext4 that are cached are data
    theirs = qemu_map(image, kind.format)
    assert comparable(ours, like=theirs) == comparable(theirs, like=theirs)


@SEVERAL
@given(data=st.data())
def test_map_of_a_chain_tells_the_depths_that_qemu_img_tells(data: st.DataObject, tmp_path: Path) -> None:
    layer = make(tmp_path, Kind("qcow2"), data.draw(scripts(Kind("qcow2"))))
    for number in range(2):
        layer = overlay(tmp_path, f"overlay{number}.qcow2", layer, (4 + number) << 20)
        write(layer, "qcow2", data.draw(scripts(Kind("qcow2"))))
    theirs = qemu_map(layer, "qcow2")
    assert comparable(our_map(layer, "qcow2"), like=theirs) == comparable(theirs, like=theirs)


@SEVERAL
@given(data=st.data())
def test_compare_finds_the_offset_that_qemu_img_finds(data: st.DataObject, tmp_path: Path) -> None:
    (tmp_path / "a").mkdir(exist_ok=True)
    (tmp_path / "b").mkdir(exist_ok=True)
    script = data.draw(scripts(Kind("raw")))
    one = make(tmp_path / "a", Kind("qcow2"), script)
    other = make(tmp_path / "b", Kind("raw"), script + data.draw(scripts(Kind("raw")))[:2])
    theirs = subprocess.run(
        ["qemu-img", "compare", "-f", "qcow2", "-F", "raw", one, other], capture_output=True, text=True, check=False
    )
    ours = disk.compare(str(one), str(other), right_format="raw")
    assert ours.same_content == (theirs.returncode == 0)
    if ours.offset is not None:
        assert f"Content mismatch at offset {ours.offset}!" in theirs.stdout
