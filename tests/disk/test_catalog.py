from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from support.images import run
from virtkit import disk
from virtkit.core.errors import ImageError, NotFoundError, NotSupportedError, UnknownFormatError, UsageError
from virtkit.core.units import round_up

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.qemu


@pytest.mark.parametrize("name", ["qcow2", "vmdk", "vdi"])
def test_a_signature_tells_the_format_whatever_the_name(name: str, tmp_path: Path) -> None:
    run("qemu-img", "create", "-q", "-f", name, tmp_path / "disk.img", "1M")
    assert disk.info(str(tmp_path / "disk.img")).format == name


def test_raw_is_never_guessed(tmp_path: Path) -> None:
    (tmp_path / "disk.raw").write_bytes(bytes(512))
    with pytest.raises(UnknownFormatError) as caught:
        disk.info(str(tmp_path / "disk.raw"))
    assert "-f raw" in caught.value.hint
    assert disk.info(str(tmp_path / "disk.raw"), "raw").virtual_size == 512


def test_a_format_that_contradicts_the_signature_is_refused_unless_trusted(tmp_path: Path) -> None:
    image = tmp_path / "disk.img"
    run("qemu-img", "create", "-q", "-f", "qcow2", image, "1M")
    with pytest.raises(ImageError) as caught:
        disk.info(str(image), "raw")
    assert "-f qcow2" in caught.value.hint
    trusted = disk.info(str(image), "raw", disk.Access(trust_format=True))
    assert trusted.virtual_size == round_up(image.stat().st_size, 512)


def test_an_unknown_format_is_answered_with_the_known_ones(tmp_path: Path) -> None:
    (tmp_path / "disk").write_bytes(bytes(512))
    with pytest.raises(UsageError, match="qcow2"):
        disk.info(str(tmp_path / "disk"), "qcow3")


def test_a_missing_file_and_a_directory_and_a_pipe_are_told_apart(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(NotFoundError):
        disk.info(str(tmp_path / "absent"))
    with pytest.raises(NotSupportedError, match="directory"):
        disk.info(str(tmp_path))
    with pytest.raises(NotSupportedError, match="pipe"):
        disk.info(str(tmp_path / "pipe"))
