"""``disk formats`` tells what can be done, from having tried it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from support.typed import virtkit
from virtkit import disk

if TYPE_CHECKING:
    from pathlib import Path


def test_formats_are_those_of_the_folder(tmp_path: Path) -> None:
    known = {entry["name"]: entry for entry in json.loads(virtkit(tmp_path, "formats", "--output", "json").out)}
    assert list(known) == list(disk.known_formats())
    assert (known["qcow2"]["create"], known["qcow2"]["compress"], known["qcow2"]["check"]) == (True, True, True)
    assert (known["raw"]["create"], known["raw"]["write"]) == (True, True)
    assert (known["raw"]["compress"], known["raw"]["check"], known["raw"]["snapshots"]) == (False, False, False)


def test_the_table_has_a_line_per_format(tmp_path: Path) -> None:
    lines = virtkit(tmp_path, "formats").out.splitlines()
    assert [line.split()[0] for line in lines[1:]] == list(disk.known_formats())


def test_options_are_listed_on_request(tmp_path: Path) -> None:
    said = virtkit(tmp_path, "formats", "-v").out
    assert "qcow2: options (-o)" in said
    assert "cluster_size" in said
