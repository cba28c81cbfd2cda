"""``virtkit disk info`` of chains, encrypted images, snapshots, bitmaps, images in use."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from support.holding import machine
from support.images import run
from support.typed import virtkit

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.qemu

Told = dict[str, object]


@pytest.fixture
def chain(tmp_path: Path) -> Path:
    """top on middle on a raw base; the upper half of the disk is data of the base, a quarter is top's."""
    with (tmp_path / "base").open("wb") as base:
        base.seek(4 << 20)
        base.write(bytes([1]) * (4 << 20))
    run("qemu-img", "create", "-q", "-f", "qcow2", "-b", "base", "-F", "raw", tmp_path / "middle")
    run("qemu-img", "create", "-q", "-f", "qcow2", "-b", "middle", "-F", "qcow2", tmp_path / "top")
    run("qemu-io", "-f", "qcow2", "-c", "write -P 7 0 2M", tmp_path / "top")
    return tmp_path


def test_json_of_a_chain_is_qemu_imgs(chain: Path) -> None:
    ours: list[Told] = json.loads(virtkit(chain, "info", "--backing-chain", "--output", "json", "top").out)
    theirs: list[Told] = json.loads(run("qemu-img", "info", "--backing-chain", "--output", "json", chain / "top"))
    for one, other in zip(ours, theirs, strict=True):
        assert {**one, "filename": str(chain / str(one["filename"]))} | _full(one, chain) == other


def _full(one: Told, folder: Path) -> Told:
    """We were asked for ``top``, QEMU for its whole path."""
    return {key: str(folder / str(one[key])) for key in ("full-backing-filename",) if key in one}


def test_a_chain_is_drawn_layer_by_layer_and_as_a_guest_sees_it(chain: Path) -> None:
    lines = virtkit(chain, "info", "--backing-chain", "top", VIRTKIT_GLYPHS="ascii").out.splitlines()
    rows = [line.strip() for line in lines if line.startswith("    ")]
    own, nothing, base = ["#" * 32 + "." * 32, "." * 64], ["." * 64] * 2, ["." * 64, "#" * 64]
    assert rows[:4] == own + nothing
    assert rows[-2:] == [own[0], base[1]]
    assert "all 3 together, as a guest sees the disk:" in lines


def test_a_chain_in_a_circle_is_told(tmp_path: Path) -> None:
    for name, below in (("a", "b"), ("b", "a")):
        run("qemu-img", "create", "-q", "-f", "qcow2", "-u", "-b", below, "-F", "qcow2", tmp_path / name, "1M")
    said = virtkit(tmp_path, "info", "--backing-chain", "a")
    assert (said.status, "goes in a circle" in said.err) == (1, True)
    assert virtkit(tmp_path, "info", "a").status == 0


def test_snapshots_and_bitmaps_are_listed(tmp_path: Path) -> None:
    image = tmp_path / "image"
    run("qemu-img", "create", "-q", "-f", "qcow2", image, "1M")
    run("qemu-img", "snapshot", "-c", "before the update", image)
    run("qemu-img", "snapshot", "-c", "升级之前", image)
    run("qemu-img", "bitmap", "--add", "-g", "32k", image, "nightly")
    run("qemu-img", "bitmap", "--disable", image, "nightly")
    lines = virtkit(tmp_path, "info", "image").out.splitlines()
    assert any(line.startswith("    1    before the update") and line.endswith("00:00:00.000") for line in lines)
    wide = next(line for line in lines if line.startswith("    2    升级之前"))
    assert wide.index("-") + 4 == lines[lines.index(wide) - 1].index(" -") + 1, "aligned as a terminal shows it"
    assert "  bitmap        nightly, a bit for 32 KiB, disabled" in lines


@pytest.mark.parametrize(("kind", "more"), [("luks", ",encrypt.iter-time=10"), ("aes", "")])
def test_an_encrypted_image_is_described_without_its_passphrase(kind: str, more: str, tmp_path: Path) -> None:
    secret = ("--object", "secret,id=s,data=x")
    options = f"encrypt.format={kind},encrypt.key-secret=s{more}"
    run("qemu-img", "create", "-q", *secret, "-f", "qcow2", "-o", options, tmp_path / "image", "1M")
    said = virtkit(tmp_path, "info", "image")
    assert said.status == 0
    assert f"  encryption    {kind}" in said.out
    assert "--key-file" not in said.err


def test_who_uses_an_image_is_said(tmp_path: Path) -> None:
    image = tmp_path / "image"
    run("qemu-img", "create", "-q", "-f", "qcow2", image, "1M")
    assert "in use by" not in virtkit(tmp_path, "info", "image").out
    with machine(image, "qcow2", name="web1") as process:
        said = virtkit(tmp_path, "info", "image").out
        told = json.loads(virtkit(tmp_path, "info", "--output", "json", "image").out)
    assert "  in use by     machine web1 (qemu-system-x86_64, PID" in said
    assert str(process.pid) in told["in-use-by"][0]


def test_the_files_of_an_image_are_named_and_a_missing_one_is_no_end(tmp_path: Path) -> None:
    run("qemu-img", "create", "-q", "-f", "qcow2", "-o", f"data_file={tmp_path / 'data'}", tmp_path / "image", "1M")
    said = virtkit(tmp_path, "info", "image")
    assert f"  files         image, {tmp_path / 'data'}" in said.out
    (tmp_path / "data").unlink()
    said = virtkit(tmp_path, "info", "image")
    assert (said.status, "files         not all:" in said.out) == (0, True)
