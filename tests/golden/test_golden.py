"""Every image that another tool made is read byte for byte as that tool reads it, at any offset and length."""

from __future__ import annotations

import json
import lzma
import os
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from virtkit import disk

if TYPE_CHECKING:
    from collections.abc import Iterator

    from virtkit.disk.chain import Chain

GOLDEN = Path(__file__).parent.parent / "data" / "golden"
INDEX: dict[str, dict[str, object]] = json.loads((GOLDEN / "index.json").read_text())
SEVERAL = settings(max_examples=40, deadline=None)


class Golden(NamedTuple):
    name: str
    chain: Chain
    guest: bytes


def unpack(name: str, folder: Path) -> Path:
    """The image and what it stands on, with the modification times that they had; the path of what is opened."""
    entry = INDEX[name]
    files, times = entry["files"], entry["times"]
    assert isinstance(files, list)
    assert isinstance(times, dict)
    for file in files:
        path = folder / file
        path.write_bytes(lzma.decompress((GOLDEN / name / f"{file}.xz").read_bytes()))
        os.utime(path, (times[file], times[file]))
    return folder / str(files[0])


def access(name: str, path: Path) -> disk.Access:
    """With the passphrase, where the image has one. User-Mode Linux names its backing file with all directories."""
    secret = INDEX[name]["secret"]
    parent = str(path.with_name("below.raw")) if name.startswith("uml") else None
    return disk.Access(secret=str(secret).encode() if secret else None, parent=parent)


@lru_cache
def guest(name: str) -> bytes:
    return lzma.decompress((GOLDEN / "content" / f"{INDEX[name]['content']}.xz").read_bytes())


@pytest.fixture(scope="module", params=list(INDEX))
def golden(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Golden]:
    name = str(request.param)
    path = unpack(name, tmp_path_factory.mktemp("golden"))
    with disk.open(str(path), "r", str(INDEX[name]["format"]), access(name, path)) as chain:
        yield Golden(name, chain, guest(name))


def test_reads_what_the_other_tool_reads(golden: Golden) -> None:
    assert golden.chain.size == len(golden.guest)
    assert golden.chain.read(0, golden.chain.size) == golden.guest


@SEVERAL
@given(data=st.data())
def test_reads_any_range(golden: Golden, data: st.DataObject) -> None:
    at = data.draw(st.integers(0, golden.chain.size))
    length = data.draw(st.integers(0, 256 << 10))
    assert golden.chain.read(at, length) == golden.guest[at : at + length]
