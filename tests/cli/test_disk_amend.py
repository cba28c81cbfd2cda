"""``virtkit disk amend`` as a person or a script runs it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from support.images import run
from support.typed import virtkit

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.qemu


@pytest.fixture
def image(tmp_path: Path) -> Path:
    path = tmp_path / "disk.qcow2"
    run("qemu-img", "create", "-q", "-f", "qcow2", path, "8M")
    return path


def test_a_plan_says_what_would_change_and_changes_nothing(image: Path) -> None:
    before = image.read_bytes()
    words = ("amend", "-o", "compat=0.10,lazy_refcounts=off", image.name)
    said = virtkit(image.parent, *words, "--plan")
    assert (said.status, said.out) == (3, "amend disk.qcow2:\n  ~ compat: 1.1 -> 0.10\n")
    assert image.read_bytes() == before
    done = virtkit(image.parent, *words)
    assert (done.status, done.out) == (0, "✓ disk.qcow2: compat: 1.1 -> 0.10\n")
    assert virtkit(image.parent, *words, "--plan").status == 0
    assert virtkit(image.parent, *words).out == "✓ disk.qcow2: nothing to change\n"


def test_json_names_the_changes(image: Path) -> None:
    said = virtkit(image.parent, "amend", "--output", "json", "-o", "refcount_bits=8,lazy_refcounts=on", image.name)
    texts = [action["text"] for action in json.loads(said.out)["actions"]]
    assert texts == ["refcount_bits: 16 -> 8", "lazy_refcounts: on"]
    assert "No errors" in run("qemu-img", "check", image)


def test_key_files_hold_the_passphrases(tmp_path: Path) -> None:
    path = tmp_path / "disk.qcow2"
    for name in ("old", "new"):
        (tmp_path / name).write_text(name)
    key = ("--object", f"secret,id=k,file={tmp_path}/old")
    options = "encrypt.format=luks,encrypt.key-secret=k,encrypt.iter-time=10"
    run("qemu-img", "create", "-q", "-f", "qcow2", *key, "-o", options, path, "1M")
    words = ("-o", "encrypt.state=active,encrypt.iter-time=10", "--key-file", "old", "--new-key-file", "new")
    said = virtkit(tmp_path, "amend", *words, path.name)
    assert (said.status, said.out) == (0, "✓ disk.qcow2: key slot 1: filled\n")
    said = virtkit(tmp_path, "amend", "-o", "encrypt.state=inactive", "--old-key-file", "old", path.name)
    assert said.status == 0, said.err
    opened = f"driver=qcow2,file.filename={path},encrypt.key-secret=k"
    run("qemu-img", "check", "--object", f"secret,id=k,file={tmp_path}/new", "--image-opts", opened)


@pytest.mark.parametrize(
    ("options", "status", "hint"),
    [
        ("size=9M", 2, "virtkit disk resize disk.qcow2 9M"),
        ("cluster_size=4K", 1, "virtkit disk convert -o cluster_size=4K"),
        ("encrypt.state=active", 1, ""),
        ("compat=3", 2, ""),
    ],
)
def test_what_cannot_be_changed_says_what_to_type(options: str, status: int, hint: str, image: Path) -> None:
    said = virtkit(image.parent, "amend", "-o", options, image.name)
    assert said.status == status
    assert hint in said.err.splitlines()[-1]


def test_help_lists_what_can_be_changed(image: Path) -> None:
    assert "refcount_bits" in virtkit(image.parent, "amend", "-o", "help").out
    rows = json.loads(virtkit(image.parent, "amend", "--output", "json", "-o", "help").out)
    assert {"compat", "lazy_refcounts", "encrypt.state"} <= {row["name"] for row in rows}
    assert virtkit(image.parent, "amend", image.name).status == 2
    assert "no options" in virtkit(image.parent, "amend", "-f", "raw", "-o", "help").out
