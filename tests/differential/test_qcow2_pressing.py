"""Compressed clusters that are written into an existing image: QEMU finds it sound and reads the same."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from support.depth import deep
from support.images import read_by_qemu, run
from support.powercut import Diary
from virtkit import disk
from virtkit.core.errors import NotSupportedError
from virtkit.disk.access import Access
from virtkit.disk.chain import Layer
from virtkit.disk.format import PackingImage
from virtkit.disk.formats.qcow2 import FORMAT
from virtkit.disk.live import LiveChain

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.qemu
SIZE = (3 << 20) + 7 * 512  # bytes
SEVERAL = settings(max_examples=deep(5), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
OPTIONS = (
    "cluster_size=64k",
    "cluster_size=512",
    "cluster_size=2M",
    "compression_type=zstd,cluster_size=16k",
    "extended_l2=on",
    "compat=0.10,cluster_size=4k",
)


class Deed(NamedTuple):
    what: str
    start: int  # cluster
    many: int
    seed: int


DEEDS = st.lists(
    st.builds(
        Deed,
        st.sampled_from(["press", "press", "write", "zero", "snapshot", "flush"]),
        st.integers(0, 6000),
        st.integers(1, 200),
        st.integers(0, 1 << 16),
    ),
    min_size=1,
    max_size=8,
)


def content(deed: Deed, length: int) -> bytes:
    """Some of it cannot be compressed."""
    if deed.seed % 4 == 0:
        return random.Random(deed.seed).randbytes(length)
    line = b"line %d of a text that a guest wrote\n" % deed.seed
    return (line * (length // len(line) + 1))[:length]


def live_over(live: LiveChain, cluster: int, script: list[Deed], guest: bytearray) -> None:
    clusters = -(-SIZE // cluster)
    for deed in script:
        at = deed.start % clusters * cluster
        length = min(deed.many * cluster, SIZE - at, 1 << 20)
        length -= length % cluster if at + length < SIZE else 0
        if deed.what == "press" and length:
            assert isinstance(live.top, PackingImage)
            guest[at : at + length] = content(deed, length)
            live.top.write_compressed(at, bytes(guest[at : at + length]))
        elif deed.what == "write":
            length = min(length + 512, SIZE - at)
            guest[at : at + length] = content(deed, length)
            live.write(at, bytes(guest[at : at + length]))
        elif deed.what == "zero":
            live.zero(at, length)
            guest[at : at + length] = bytes(length)
        elif deed.what == "flush":
            live.flush()
        assert live.read(0, SIZE) == guest


def made(folder: Path, options: str) -> tuple[Path, int]:
    path = folder / "image.qcow2"
    path.unlink(missing_ok=True)
    run("qemu-img", "create", "-q", "-f", "qcow2", "-o", options, path, str(SIZE))
    return path, disk.info(str(path)).facts.cluster_size or 0


@pytest.mark.parametrize("options", OPTIONS)
@SEVERAL
@given(script=DEEDS)
def test_qemu_finds_it_sound(options: str, script: list[Deed], tmp_path: Path) -> None:
    path, cluster = made(tmp_path, options)
    guest = bytearray(SIZE)
    with disk.open(str(path), "r+") as live:
        live_over(live, cluster, script, guest)
    run("qemu-img", "check", "-f", "qcow2", path)
    assert read_by_qemu(path, "qcow2") == guest


@SEVERAL
@given(script=DEEDS, seed=st.integers(0, 1 << 32))
def test_a_power_cut_leaves_it_sound(script: list[Deed], seed: int, tmp_path: Path) -> None:
    path, cluster = made(tmp_path, "cluster_size=4k")
    diary = Diary.open(path, writable=True)
    live = LiveChain([Layer(FORMAT.open(diary, Access(writable=True)), "qcow2")])
    live_over(live, cluster, script, bytearray(SIZE))
    live.flush()
    chance, left = random.Random(seed), tmp_path / "left.qcow2"
    for _ in range(4):
        diary.after_a_power_cut(left, chance.randrange(len(diary.changes) + 1), chance)
        assert disk.check(str(left)).findings.corruptions == 0
    live.close()


@pytest.mark.parametrize("options", ["refcount_bits=1", "data_file=image.data"])
def test_an_image_that_holds_no_compressed_data_says_why(options: str, tmp_path: Path) -> None:
    path = tmp_path / "image.qcow2"
    options = options.replace("image.data", str(tmp_path / "image.data"))
    run("qemu-img", "create", "-q", "-f", "qcow2", "-o", options, path, "1M")
    with disk.open(str(path), "r+") as live:
        assert isinstance(live.top, PackingImage)
        with pytest.raises(NotSupportedError, match="holds no compressed data"):
            live.top.write_compressed(0, bytes(65536))
