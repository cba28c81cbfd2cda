"""The verbs of ``virtkit disk`` that make and change images, as a person or a script runs them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from support.images import run
from support.typed import virtkit

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.qemu


def size_of(path: Path, format_: str) -> int:
    size: int = json.loads(run("qemu-img", "info", "-f", format_, "--output", "json", path))["virtual-size"]
    return size


def test_create_says_in_one_line_what_it_made(tmp_path: Path) -> None:
    said = virtkit(tmp_path, "create", "new.raw", "1M")
    assert (said.status, said.out, said.err) == (0, "+ new.raw: raw, 1 MiB virtual, 0 B on disk\n", "")
    said = virtkit(tmp_path, "create", "-f", "qcow2", "-q", "-o", "cluster_size=4k,compat=1.1", "new", "1M")
    assert (said.status, said.out, said.err) == (0, "", "")
    made = json.loads(virtkit(tmp_path, "create", "x.qcow2", "-b", "new", "-F", "qcow2", "2M", "--output", "json").out)
    assert (made["virtual-size"], made["backing-filename"], made["format"]) == (2 << 20, "new", "qcow2")
    assert size_of(tmp_path / "x.qcow2", "qcow2") == 2 << 20


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("create",), "--help"),
        (("create", "new", "1M"), "-f qcow2"),
        (("create", "new.qcow2"), "virtkit disk create new.qcow2 10G"),
        (("create", "old.raw", "1M"), "--overwrite"),
        (("create", "new.qcow2", "-b", "old.raw"), "-F raw"),
        (("create", "new.qcow2", "1M", "-F", "raw"), "-b FILE"),
        (("resize", "-f", "raw", "old.raw", "-1K"), "--shrink"),
        (("resize", "old.raw", "+1K"), "-f raw"),
        (("resize", "-f", "raw", "old.raw", "-1K", "--shrink"), "-y to go ahead"),
    ],
    ids=lambda words: " ".join(words) if isinstance(words, tuple) else words,
)
def test_a_refusal_says_what_to_type_next(words: tuple[str, ...], said: str, tmp_path: Path) -> None:
    (tmp_path / "old.raw").write_bytes(bytes([1]) * 4096)
    done = virtkit(tmp_path, *words)
    assert done.status in {1, 2}
    assert said in done.err.splitlines()[-1]
    assert [path.name for path in tmp_path.iterdir()] == ["old.raw"]
    assert (tmp_path / "old.raw").read_bytes() == bytes([1]) * 4096


def test_create_lists_the_options_of_a_format(tmp_path: Path) -> None:
    assert "cluster_size" in virtkit(tmp_path, "create", "-f", "qcow2", "-o", "help").out
    known = json.loads(virtkit(tmp_path, "create", "-o", "?", "new.qcow2", "--output", "json").out)
    assert "cluster_size" in [option["name"] for option in known]


def test_plans_end_with_3_and_change_nothing(tmp_path: Path) -> None:
    said = virtkit(tmp_path, "create", "new.qcow2", "1M", "--plan")
    assert (said.status, said.out.splitlines()[1]) == (3, "  + new.qcow2: qcow2, 1 MiB virtual")
    assert not list(tmp_path.iterdir())
    (tmp_path / "old.raw").write_bytes(bytes(4096))
    said = virtkit(tmp_path, "resize", "-f", "raw", "old.raw", "--dry-run", "+4K", "--output", "json")
    assert said.status == 3
    assert [step["sign"] for step in json.loads(said.out)["actions"]] == ["~"]
    assert (tmp_path / "old.raw").stat().st_size == 4096
    assert virtkit(tmp_path, "resize", "-f", "raw", "old.raw", "--plan", "4K").status == 0


def test_resize_grows_shrinks_and_says_so(tmp_path: Path) -> None:
    path = tmp_path / "old.raw"
    path.write_bytes(bytes([1]) * 4096)
    said = virtkit(tmp_path, "resize", "-f", "raw", "old.raw", "+4K")
    assert (said.status, said.out) == (0, "✓ old.raw: 4 KiB -> 8 KiB (8192 bytes)\n")
    said = virtkit(tmp_path, "resize", "-f", "raw", "--shrink", "-y", "old.raw", "-6K", "--output", "json")
    assert (json.loads(said.out)["virtual-size"], path.stat().st_size) == (2048, 2048)


def test_inspect_ends_with_0_for_safe_and_1_for_not(tmp_path: Path) -> None:
    run("qemu-img", "create", "-q", "-f", "qcow2", tmp_path / "base.qcow2", "1M")
    run("qemu-img", "create", "-q", "-f", "qcow2", "-b", "base.qcow2", "-F", "qcow2", tmp_path / "top.qcow2")
    said = virtkit(tmp_path, "inspect", "top.qcow2")
    assert (said.status, said.out.splitlines()[0]) == (0, "✓ top.qcow2: qcow2, 1 MiB: safe by the policy default")
    said = virtkit(tmp_path, "inspect", "--policy", "untrusted", "top.qcow2")
    assert (said.status, said.out.splitlines()[-1]) == (
        1,
        "  danger  top.qcow2: backing file is base.qcow2, expected none",
    )
    found = json.loads(virtkit(tmp_path, "inspect", "--max-size", "1K", "base.qcow2", "--output", "json").out)
    assert (found["safe"], [finding["about"] for finding in found["findings"]]) == (False, ["size"])


def test_commit_asks_and_says_what_it_wrote(tmp_path: Path) -> None:
    (tmp_path / "base").write_bytes(bytes(1 << 20))
    run("qemu-img", "create", "-q", "-f", "qcow2", "-b", "base", "-F", "raw", tmp_path / "top")
    run("qemu-io", "-f", "qcow2", "-c", "write -P 5 64k 64k", tmp_path / "top")
    said = virtkit(tmp_path, "commit", "-d", "top")
    assert (said.status, "-y to go ahead" in said.err) == (2, True)
    assert virtkit(tmp_path, "commit", "-d", "top", "--plan").status == 3
    assert (tmp_path / "base").read_bytes() == bytes(1 << 20)
    said = virtkit(tmp_path, "commit", "-d", "-y", "-q", "top")
    assert (said.status, said.out) == (0, "")
    assert (tmp_path / "base").read_bytes()[64 << 10 : 128 << 10] == bytes([5]) * (64 << 10)


def test_rebase_compresses_what_it_takes_over(tmp_path: Path) -> None:
    (tmp_path / "base").write_bytes(b"what a guest wrote\n" * 60000)
    run("qemu-img", "create", "-q", "-f", "qcow2", "-b", "base", "-F", "raw", tmp_path / "top")
    assert virtkit(tmp_path, "rebase", "-c", "-b", "", "top").status == 0
    checked = json.loads(run("qemu-img", "check", "--output", "json", tmp_path / "top"))
    assert (checked["compressed-clusters"], checked["allocated-clusters"]) == (18, 18)
    run("qemu-img", "compare", "-f", "raw", "-F", "qcow2", tmp_path / "base", tmp_path / "top")
    run("qemu-img", "create", "-q", "-f", "vdi", tmp_path / "a.vdi", "1M")
    said = virtkit(tmp_path, "rebase", "-c", "-b", "", "a.vdi")
    assert (said.status, "not compressed in place" in said.err) == (1, True)


@pytest.mark.parametrize("words", [(), ("create", "x"), ("x", "y"), ("-c", "name"), ("-l", "-d", "x", "y")])
def test_snapshot_tells_how_it_is_used(words: tuple[str, ...], tmp_path: Path) -> None:
    said = virtkit(tmp_path, "snapshot", *words)
    assert said.status == 2
    assert "virtkit disk snapshot" in said.err


def test_snapshots_of_a_format_without_them_are_refused(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(bytes(512))
    said = virtkit(tmp_path, "snapshot", "-f", "raw", "-l", "x")
    assert (said.status, said.err) == (1, "virtkit: x: format raw has no internal snapshots\n")


def test_snapshots_are_kept_listed_gone_back_to_and_forgotten(tmp_path: Path) -> None:
    image = tmp_path / "x.qcow2"
    run("qemu-img", "create", "-q", "-f", "qcow2", image, "1M")
    run("qemu-io", "-f", "qcow2", "-c", "write -P 1 0 64k", image)
    assert virtkit(tmp_path, "snapshot", "x.qcow2").out == "x.qcow2: no snapshots\n"
    assert virtkit(tmp_path, "snapshot", "-c", "first", "--plan", "x.qcow2").status == 3
    assert virtkit(tmp_path, "snapshot", "-c", "first", "x.qcow2").out == "+ x.qcow2: snapshot first (id 1)\n"
    run("qemu-io", "-f", "qcow2", "-c", "write -P 2 0 64k", image)
    assert virtkit(tmp_path, "snapshot", "list", "x.qcow2").out.splitlines()[1].startswith("1    first")
    said = virtkit(tmp_path, "snapshot", "extract", "x.qcow2", "first", "y.raw", "-q")
    assert (said.status, (tmp_path / "y.raw").read_bytes()[: 64 << 10]) == (0, bytes([1]) * (64 << 10))
    said = virtkit(tmp_path, "snapshot", "delete", "x.qcow2", "first", "--plan")
    assert (said.status, "64 KiB of the file become free" in said.out) == (3, True)
    assert virtkit(tmp_path, "snapshot", "-a", "first", "x.qcow2").status == 2
    assert virtkit(tmp_path, "snapshot", "-a", "first", "-y", "x.qcow2").status == 0
    assert "failed" not in run("qemu-io", "-f", "qcow2", "-c", "read -P 1 0 64k", image)
    told = json.loads(virtkit(tmp_path, "snapshot", "-d", "1", "-y", "x.qcow2", "--output", "json").out)
    assert (told["verb"], told["name"]) == ("delete", "first")
    assert json.loads(virtkit(tmp_path, "snapshot", "-l", "x.qcow2", "--output", "json").out) == []


def test_compact_says_what_the_file_took_before_and_after(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"a" * 4096 + bytes(1 << 20))
    said = virtkit(tmp_path, "compact", "-f", "raw", "x", "--plan")
    assert (said.status, "1 MiB of zeros" in said.out) == (3, True)
    told = json.loads(virtkit(tmp_path, "compact", "-f", "raw", "x", "--output", "json").out.splitlines()[-1])
    assert (told["before"], told["after"], told["zeros"]) == ((1 << 20) + 4096, 4096, 1 << 20)
    said = virtkit(tmp_path, "compact", "-f", "raw", "x")
    assert "✓ x: 4 KiB -> 4 KiB on disk" in said.out
