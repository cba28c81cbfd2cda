"""New images: what qemu-img says they are, and what is refused."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from support.images import run
from virtkit import disk
from virtkit.core.errors import NotFoundError, UsageError
from virtkit.disk.format import Reference

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.qemu


def told(path: Path) -> dict[str, object]:
    answer: dict[str, object] = json.loads(run("qemu-img", "info", "--output", "json", path))
    return answer


@pytest.mark.parametrize("size", [0, 1, 512, 1000, 10 << 40])
def test_makes_what_qemu_img_knows_in_whole_sectors(size: int, tmp_path: Path) -> None:
    path = tmp_path / "new.qcow2"
    made = disk.create(str(path), size, options={"cluster_size": "32k"})
    shown = told(path)
    assert (shown["format"], shown["virtual-size"]) == ("qcow2", -(-size // 512) * 512)
    assert (made.size, made.allocated) == (shown["virtual-size"], shown["actual-size"])
    assert shown["cluster-size"] == 32768


def test_a_size_among_the_options_counts_as_for_qemu_img(tmp_path: Path) -> None:
    assert disk.create(str(tmp_path / "new.raw"), options={"size": "3M"}).size == 3 << 20


@pytest.fixture
def base(tmp_path: Path) -> Path:
    (tmp_path / "images").mkdir()
    path = tmp_path / "images" / "base.qcow2"
    run("qemu-img", "create", "-q", "-f", "qcow2", path, "5M")
    return path


def test_an_overlay_is_as_long_as_its_backing_image_and_knows_its_format(base: Path) -> None:
    path = base.with_name("top.qcow2")
    made = disk.create(str(path), backing=base.name)
    assert (made.size, made.backing) == (5 << 20, Reference(base.name, "qcow2"))
    shown = told(path)
    assert (shown["backing-filename"], shown["backing-filename-format"]) == ("base.qcow2", "qcow2")
    assert shown["virtual-size"] == 5 << 20


def test_a_backing_image_is_looked_for_from_the_new_image(base: Path, tmp_path: Path) -> None:
    with pytest.raises(NotFoundError):
        disk.create(str(tmp_path / "top.qcow2"), backing=base.name)
    disk.create(str(tmp_path / "top.qcow2"), options={"backing_file": "images/base.qcow2", "backing_fmt": "qcow2"})
    assert told(tmp_path / "top.qcow2")["virtual-size"] == 5 << 20


def test_a_backing_image_need_not_be_there_where_nobody_looks(tmp_path: Path) -> None:
    path = str(tmp_path / "top.qcow2")
    with pytest.raises(UsageError, match="size is not said"):
        disk.create(path, backing="gone", backing_format="raw", unchecked=True)
    with pytest.raises(UsageError, match="format of the backing file is not said"):
        disk.create(path, 1 << 20, backing="gone", unchecked=True)
    assert disk.create(path, 1 << 20, backing="gone", backing_format="raw", unchecked=True).size == 1 << 20
    assert disk.info(path).backing == Reference("gone", "raw")


def test_a_raw_backing_image_has_to_be_called_raw(tmp_path: Path) -> None:
    (tmp_path / "base").write_bytes(bytes(1024))
    with pytest.raises(UsageError, match="carries no known signature") as caught:
        disk.create(str(tmp_path / "top.qcow2"), backing="base")
    assert caught.value.hint == "-F raw"
    assert disk.create(str(tmp_path / "top.qcow2"), backing="base", backing_format="raw").size == 1024


def test_what_exists_is_kept_unless_asked(base: Path) -> None:
    before = base.read_bytes()
    with pytest.raises(UsageError, match=r"exists already \(qcow2 image\), and would be lost"):
        disk.create(str(base), 1 << 20)
    with pytest.raises(UsageError, match="cannot be its own backing file"):
        disk.create(str(base), 1 << 20, backing=base.name, overwrite=True)
    assert base.read_bytes() == before
    assert disk.create(str(base), 1 << 20, overwrite=True).size == 1 << 20
    assert told(base)["virtual-size"] == 1 << 20


@pytest.mark.parametrize(
    ("options", "size", "said"),
    [({"nonsense": "1"}, 512, "nonsense"), ({"cluster_size": "3k"}, 512, "cluster_size"), ({}, -1, "expected 0 to")],
)
def test_what_is_refused_leaves_nothing(options: dict[str, str], size: int, said: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=said):
        disk.create(str(tmp_path / "new.qcow2"), size, options=options)
    assert not list(tmp_path.iterdir())


def test_a_dry_run_answers_and_makes_nothing(tmp_path: Path) -> None:
    made = disk.create(str(tmp_path / "new.qcow2"), 1 << 30, dry_run=True)
    assert (made.size, made.allocated) == (1 << 30, None)
    assert not list(tmp_path.iterdir())
