"""``disk convert`` as a person types it: words, plan, results, errors."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import pytest

from support.images import run
from support.typed import qemu_img, virtkit
from virtkit.cli.main import main

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.qemu
MIB = 1 << 20


def test_converts_by_suffix_and_says_what_it_made(image: Path) -> None:
    said = virtkit(image.parent, "convert", image.name, "new.raw")
    assert (said.status, said.out) == (0, "+ new.raw: raw, 8 MiB virtual, 4 MiB on disk\n")
    assert virtkit(image.parent, "compare", "-F", "raw", image.name, "new.raw").out == "Images are identical.\n"


def test_compression_takes_a_level_and_a_type(image: Path) -> None:
    options = ("-c", "--level", "fast", "-o", "compression_type=zstd,cluster_size=32K")
    assert virtkit(image.parent, "convert", *options, image.name, "new.qcow2").status == 0
    info = json.loads(run("qemu-img", "info", "--output", "json", image.parent / "new.qcow2"))
    assert info["cluster-size"] == 32768
    assert info["format-specific"]["data"]["compression-type"] == "zstd"


def test_files_stand_where_qemu_img_takes_them(image: Path) -> None:
    assert (
        virtkit(image.parent, "convert", "-p", image.name, "-O", "raw", image.name, "-W", "new", "-t", "none").status
        == 0
    )
    assert (image.parent / "new").stat().st_size == 16 * MIB


def test_options_of_the_format_are_listed(image: Path) -> None:
    table = virtkit(image.parent, "convert", "-O", "qcow2", "-o", "help").out
    assert "cluster_size" in table
    rows = json.loads(virtkit(image.parent, "convert", "-o", "help", "--output", "json", "a.raw", "b.qcow2").out)
    theirs = run("qemu-img", "convert", "-O", "qcow2", "-o", "help")
    assert {row["name"] for row in rows} <= {line.split("=")[0].strip() for line in theirs.splitlines()}
    assert virtkit(image.parent, "convert", "-o", "help").status == 2


def test_a_plan_is_one_line_and_changes_nothing(image: Path) -> None:
    said = virtkit(image.parent, "convert", "--plan", image.name, "new.raw")
    assert said.status == 3
    assert [line for line in said.out.splitlines() if line.startswith("  + ")] == said.out.splitlines()[1:]
    assert os.listdir(image.parent) == [image.name]
    assert virtkit(image.parent, "convert", "--plan", image.name, image.name).status == 2


def test_a_plan_for_an_image_that_exists_says_what_is_lost(image: Path) -> None:
    (image.parent / "old.raw").write_bytes(b"x" * 8 * MIB)
    for words in (("-n", "-O", "raw"), ("--overwrite",)):
        said = virtkit(image.parent, "convert", "--plan", "--output", "json", *words, image.name, "old.raw")
        assert (said.status, json.loads(said.out)["actions"][0]["sign"]) == (3, "~")
    assert (image.parent / "old.raw").read_bytes() == b"x" * 8 * MIB


def test_json_has_the_sizes_and_what_was_lost(image: Path) -> None:
    said = virtkit(image.parent, "convert", "--output", "json", "--salvage", image.name, "new.raw")
    told = json.loads(said.out.splitlines()[-1])
    assert told == {
        "filename": "new.raw",
        "format": "raw",
        "virtual-size": 8 * MIB,
        "actual-size": (image.parent / "new.raw").stat().st_blocks * 512,
        "lost": [],
    }


def test_salvage_warns_with_status_0(image: Path) -> None:
    run("qemu-img", "convert", "-c", "-O", "qcow2", image, image.parent / "broken.qcow2")
    where = json.loads(virtkit(image.parent, "map", "-f", "qcow2", "--output", "json", "broken.qcow2").out)[1]["start"]
    with (image.parent / "broken.qcow2").open("r+b") as file:  # the first compressed cluster lies in the sixth
        file.seek(0x50000)
        file.write(b"\xff" * 16)
    assert qemu_img(image.parent, "convert", "-O", "raw", "broken.qcow2", "theirs.raw").status == 1
    assert virtkit(image.parent, "convert", "broken.qcow2", "ours.raw").status == 1
    said = virtkit(image.parent, "convert", "--salvage", "broken.qcow2", "ours.raw")
    assert said.status == 0
    assert f"warning: bytes {where:#x} to {where + 65536:#x} could not be read" in said.err
    run(
        "qemu-img",
        "convert",
        "--salvage",
        "-q",
        "-O",
        "raw",
        image.parent / "broken.qcow2",
        image.parent / "theirs.raw",
    )
    assert (image.parent / "ours.raw").read_bytes() == (image.parent / "theirs.raw").read_bytes()


def test_an_unknown_suffix_is_told_before_anything_is_read(image: Path) -> None:
    done = virtkit(image.parent, "convert", image.name, "a.xyz")
    assert (done.status, "a.xyz: format is not said, expected one of " in done.err) == (2, True)
    assert not (image.parent / "a.xyz").exists()


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (("disk.qcow2",), 2, "files are missing"),
        (("disk.qcow2", "new.qcow2", "-S", "100"), 2, "sparse size is 100"),
        (("disk.qcow2", "new.qcow2", "-S", "1G"), 2, "sparse size is"),
        (("disk.qcow2", "new.qcow2", "-m", "17"), 2, "number of threads is 17"),
        (("disk.qcow2", "new.qcow2", "-m", "0"), 2, "number of threads is 0"),
        (("disk.qcow2", "new.qcow2", "-r", "fast"), 2, "'fast'"),
        (("disk.qcow2", "new.qcow2", "--target-is-zero"), 2, "-n"),
        (("disk.qcow2", "new.qcow2", "-F", "raw"), 2, "-B FILE"),
        (("disk.qcow2", "new.qcow2", "-B", "base.raw"), 2, "-F qcow2"),
        (("disk.qcow2", "disk.qcow2", "new.qcow2", "-B", "base.raw", "-F", "raw"), 2, "in common"),
        (("disk.qcow2", "disk.qcow2", "new.qcow2", "-l", "one"), 2, "in a row"),
        (("disk.qcow2", "new.qcow2", "-c", "-o", "preallocation=full"), 1, "not both"),
        (("disk.qcow2", "new.qcow2", "--encrypt", "luks"), 2, "--new-key-file FILE"),
        (("disk.qcow2", "old.raw", "-n", "-O", "raw", "-o", "x=y"), 2, "virtkit disk amend"),
        (("disk.qcow2", "old.raw", "-n", "-O", "raw", "-c"), 1, "in place"),
        (("disk.qcow2", "old.raw", "-n", "-O", "raw"), 2, "virtkit disk resize old.raw 8388608"),
        (("disk.qcow2", "absent.raw", "-n", "-O", "raw"), 1, "absent.raw: no such file"),
        (("disk.qcow2", "old.raw", "-n"), 1, "say so: -O raw"),
        (("disk.qcow2", "new.qcow2", "--snapshots", "-l", "one"), 2, "one of both"),
        (("disk.qcow2", "new.qcow2", "--encrypt", "luks", "--new-key-file", "-"), 2, "no terminal to ask"),
        (("--object", "secret,id=s", "disk.qcow2", "new.qcow2"), 2, "--key-file FILE"),
        (("--image-opts", "driver=raw", "new.qcow2"), 2, "-f FORMAT FILE"),
    ],
    ids=str,
)
def test_what_makes_no_sense_is_said(words: tuple[str, ...], status: int, said: str, image: Path) -> None:
    (image.parent / "old.raw").write_bytes(bytes(MIB))
    done = virtkit(image.parent, "convert", *words)
    assert (done.status, said in done.err) == (status, True), done.err
    assert not (image.parent / "new.qcow2").exists()


@pytest.mark.parametrize(
    ("typed", "status", "said"), [("one\ntwo\n", 2, "differ"), ("\n\n", 2, "empty"), ("one\none\n", 0, "")]
)
def test_a_new_passphrase_is_typed_twice(typed: str, status: int, said: str, image: Path) -> None:
    words = ("--encrypt", "luks", "-o", "encrypt.iter-time=10", "--new-key-file", "-")
    done = virtkit(image.parent, "convert", image.name, "new.qcow2", *words, typed=typed)
    assert (done.status, said in done.err) == (status, True), done.err
    assert (image.parent / "new.qcow2").exists() == (status == 0)
    if status == 0:
        (image.parent / "key").write_text("one")
        assert virtkit(image.parent, "compare", "--key-file", "key", image.name, "new.qcow2").status == 0


@pytest.mark.parametrize(("long", "times"), [(0.0, 1), (1e9, 0)])
def test_who_waited_long_is_told_of_resume(
    long: float, times: int, image: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(*_words: object, **_named: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("virtkit.disk.conversion.convert.convert", interrupted)
    monkeypatch.setattr("virtkit.cli.disk.convert.LONG", long)
    monkeypatch.setattr("signal.signal", lambda *_: None)  # this process has handlers of its own
    assert main(["disk", "convert", str(image), str(image.with_name("new.raw"))]) == 130
    assert capsys.readouterr().err.count("with --resume it could go on") == times
