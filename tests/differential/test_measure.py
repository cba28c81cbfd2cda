"""``measure`` and ``qemu-img measure`` come to the same numbers."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from support.images import run
from support.typed import qemu_img
from virtkit import disk
from virtkit.core.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path

    from virtkit.disk.format import Measured

pytestmark = pytest.mark.qemu

OPTIONS = (
    "raw",
    "qcow2",
    "qcow2 cluster_size=512",
    "qcow2 cluster_size=4k",
    "qcow2 cluster_size=2M",
    "qcow2 compat=0.10",
    "qcow2 preallocation=metadata",
    "qcow2 preallocation=full",
    "qcow2 refcount_bits=64",
    "qcow2 refcount_bits=1,cluster_size=8k",
    "qcow2 extended_l2=on",
    "qcow2 backing_file=x,backing_fmt=raw",
)


def theirs(folder: Path, options: str, *words: str) -> dict[str, int] | None:
    format_, _, given = options.partition(" ")
    said = qemu_img(folder, "measure", "--output", "json", "-O", format_, *(("-o", given) if given else ()), *words)
    if said.status:
        return None
    numbers: dict[str, int] = json.loads(said.out)
    return numbers


def told(found: Measured) -> dict[str, int]:
    numbers = {"required": found.required, "fully-allocated": found.fully_allocated}
    return numbers if found.bitmaps is None else {**numbers, "bitmaps": found.bitmaps}


def parsed(options: str) -> tuple[str, dict[str, str]]:
    format_, _, given = options.partition(" ")
    return format_, dict(pair.partition("=")[::2] for pair in given.split(",") if pair)


@pytest.mark.parametrize("size", [0, 1, 1_000_000, 1 << 40])
@pytest.mark.parametrize("options", OPTIONS)
def test_an_empty_disk(size: int, options: str, tmp_path: Path) -> None:
    format_, given = parsed(options)
    wanted = theirs(tmp_path, options, "--size", str(size))
    if wanted is None:
        with pytest.raises(UsageError, match="too big"):
            disk.measure(size=size, target_format=format_, options=given)
    else:
        assert told(disk.measure(size=size, target_format=format_, options=given)) == wanted


@pytest.mark.parametrize("source_format", ["raw", "qcow2"])
@pytest.mark.parametrize("options", OPTIONS)
def test_an_image(options: str, source_format: str, tmp_path: Path) -> None:
    source = tmp_path / "source.qcow2"
    run("qemu-img", "create", "-q", "-f", "qcow2", source, "8M")
    for command in ("write -P 7 4M 3M", "write -P 1 100k 1k", "write -z 5M 100k"):
        run("qemu-io", "-f", "qcow2", "-c", command, source)
    image = tmp_path / f"image.{source_format}"
    run("qemu-img", "convert", "-O", source_format, source, image)
    format_, given = parsed(options)
    found = disk.measure(str(image), source_format=source_format, target_format=format_, options=given)
    assert told(found) == theirs(tmp_path, options, "-f", source_format, image.name)
