"""Several images in one call of ``virtkit disk``: every one has its turn, and qemu-img says the same of each."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from support.images import run
from support.typed import Said, qemu_img, virtkit

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.qemu

GOOD = ("a.qcow2", "b.qcow2", "c.qcow2")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Images that differ, and one that is none."""
    for name, size in zip(GOOD, (1, 2, 3), strict=True):
        run("qemu-img", "create", "-q", "-f", "qcow2", tmp_path / name, f"{size}M")
        run("qemu-io", "-f", "qcow2", "-c", f"write -P {size} 64k 128k", tmp_path / name)
    (tmp_path / "bad").write_bytes(b"no image")
    return tmp_path


def array(said: Said) -> list[object]:
    found = json.loads(said.out)
    assert isinstance(found, list)
    return found


def wrong(name: str) -> dict[str, object]:
    what = f"{name}: no known disk format (first bytes 6e 6f 20 69 6d 61 67 65)"
    return {"error": what, "hint": "if it is a raw disk, say so: -f raw", "status": 1}


def _today(told: object) -> object:
    """QEMU 8 tells of the nodes below an image, and of each stretch whether it is compressed."""
    if isinstance(told, list):
        return [{"compressed": False, **stretch} for stretch in told]
    assert isinstance(told, dict)
    return {key: value for key, value in told.items() if key != "children"}


@pytest.mark.parametrize("verb", ["info", "map", "check"])
def test_several_answer_in_an_array_as_qemu_img_answers_for_each(verb: str, folder: Path) -> None:
    said = virtkit(folder, verb, "--output", "json", *GOOD)
    theirs = [_today(json.loads(qemu_img(folder, verb, "--output", "json", name).out)) for name in GOOD]
    assert (said.status, array(said)) == (0, theirs)


@pytest.mark.parametrize("verb", ["info", "map", "check"])
def test_a_broken_one_is_told_in_its_place_and_the_others_go_on(verb: str, folder: Path) -> None:
    words = (GOOD[0], "bad", GOOD[2])
    said = virtkit(folder, verb, "--output", "json", *words)
    found = array(said)
    assert (said.status, said.err, len(found), found[1]) == (1, "", 3, wrong("bad"))
    assert found[0::2] == array(virtkit(folder, verb, "--output", "json", *words[0::2]))
    told = virtkit(folder, verb, *words)
    assert told.status == 1
    assert told.err.splitlines() == [f"virtkit: {wrong('bad')['error']}", f"  try: {wrong('bad')['hint']}"]
    assert all(name in told.out for name in words[0::2])


@pytest.mark.parametrize("verb", ["info", "map"])
def test_people_see_what_each_alone_shows_with_an_empty_line_between(verb: str, folder: Path) -> None:
    heading = "" if verb == "info" else "{}:\n"
    each = [heading.format(name) + virtkit(folder, verb, name).out for name in GOOD]
    assert virtkit(folder, verb, *GOOD).out == "\n".join(each)


def test_options_stand_anywhere(folder: Path) -> None:
    wanted = virtkit(folder, "map", "-s", "64k", "-l", "64k", *GOOD).out
    assert wanted.count("0x10000         0x10000") == 3
    assert virtkit(folder, "map", GOOD[0], "-s", "64k", GOOD[1], "-l", "64k", "--", GOOD[2]).out == wanted


def test_check_takes_a_line_for_each_and_ends_with_the_worst(folder: Path) -> None:
    with (folder / GOOD[0]).open("r+b") as image:  # a cluster that nothing uses is counted: a leak
        image.seek((2 << 16) + 2 * 20)
        image.write(b"\0\1")
        image.truncate(21 << 16)
    (folder / "raw").write_bytes(bytes(1 << 20))
    assert qemu_img(folder, "check", GOOD[0]).status == 3
    said = virtkit(folder, "check", GOOD[0], GOOD[2])
    assert (said.status, said.out.splitlines()[0]) == (3, f"✗ {GOOD[0]}: 0 errors, 1 leaked clusters")
    assert said.out.splitlines()[-1] == f"✓ {GOOD[2]}: no errors"
    assert virtkit(folder, "check", GOOD[0], "bad").status == 1
    assert virtkit(folder, "check", GOOD[2], GOOD[2]).out == f"✓ {GOOD[2]}: no errors\n" * 2
    assert virtkit(folder, "check", "-f", "raw", "raw", "raw").status == 63
    assert virtkit(folder, "check", "-r", "leaks", GOOD[0], GOOD[2]).status == 0
    assert qemu_img(folder, "check", GOOD[0]).status == 0


def test_snapshots_of_several_are_made_listed_and_forgotten(folder: Path) -> None:
    ours = (GOOD[0], GOOD[2])
    made = "".join(f"+ {name}: snapshot now (id 1)\n" for name in ours)
    assert virtkit(folder, "snapshot", "-c", "now", *ours).out == made
    assert all("now" in qemu_img(folder, "snapshot", "-l", name).out for name in ours)
    said = virtkit(folder, "snapshot", "-l", *ours)
    assert [line for line in said.out.splitlines() if line.endswith(":")] == [f"{name}:" for name in ours]
    assert said.out == virtkit(folder, "snapshot", "list", *ours).out
    listed = array(virtkit(folder, "snapshot", "-l", "--output", "json", GOOD[0], "bad", GOOD[2]))
    assert listed[1] == wrong("bad")
    assert [virtkit(folder, "snapshot", "-l", "--output", "json", name).status for name in ours] == [0, 0]
    assert listed[0] == json.loads(virtkit(folder, "snapshot", "-l", "--output", "json", GOOD[0]).out)
    again = virtkit(folder, "snapshot", "-c", "now", *ours)
    assert (again.status, again.err.count("which is taken")) == (2, 2)
    assert virtkit(folder, "snapshot", "-y", "-d", "now", *ours).status == 0
    assert all("now" not in qemu_img(folder, "snapshot", "-l", name).out for name in ours)


def test_several_without_a_flag_are_no_list(folder: Path) -> None:
    said = virtkit(folder, "snapshot", *GOOD)
    assert (said.status, "expected one of" in said.err) == (2, True)


def test_a_map_that_breaks_off_stays_json(folder: Path) -> None:
    broken = folder / "d.qcow2"
    run("qemu-img", "create", "-q", "-f", "qcow2", "-o", "cluster_size=512", broken, "1M")
    run("qemu-io", "-f", "qcow2", "-c", "write 0 512", "-c", "write 4k 512", "-c", "write 512k 512", broken)
    with broken.open("r+b") as image:  # the L2 table of the second half lies outside of the file
        image.seek(40)
        table = int.from_bytes(image.read(8), "big")
        image.seek(table + 16 * 8)
        image.write((1 << 40).to_bytes(8, "big"))
    said = virtkit(folder, "map", "--output", "json", broken)
    *entries, last = array(said)
    assert (said.status, len(entries) > 0) == (1, True)
    assert isinstance(last, dict)
    assert "L2 table" in last["error"]
    both = virtkit(folder, "map", "--output", "json", broken, GOOD[0])
    assert (both.status, array(both)[0]) == (1, [*entries, last])
