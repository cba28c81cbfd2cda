"""Which requests a load is made of, and what is kept of their times."""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.depth import deep
from virtkit import disk
from virtkit.disk.benchmark import Latencies, Load

if TYPE_CHECKING:
    from pathlib import Path


@settings(max_examples=deep(200))
@given(st.integers(1, 500), st.integers(1, 100), st.booleans())
def test_every_request_is_in_one_batch(requests: int, interval: int, drain: bool) -> None:  # noqa: FBT001  hypothesis
    batches = list(Load(requests, flush_interval=interval, drain=drain).batches())
    assert [number for batch in batches for number in batch] == list(range(requests))
    if drain:  # qemu-img flushes when a multiple of the interval is left
        assert all((requests - batch.stop) % interval == 0 for batch in batches)


@settings(max_examples=deep(200))
@given(st.integers(1, 1 << 40), st.data())
def test_no_request_reaches_past_the_end(length: int, data: st.DataObject) -> None:
    size = data.draw(st.integers(1, length))
    step, offset = data.draw(st.integers(0, 1 << 41)), data.draw(st.integers(0, length - size))
    for seed in (None, 5):
        place = Load(size=size, step=step, offset=offset, seed=seed).places(length)
        assert all(0 <= place(number) <= length - size for number in range(50))


def test_random_places_are_the_same_for_a_seed_and_all_over_the_disk() -> None:
    one, again, other = (Load(seed=seed).places(64 * 4096) for seed in (1, 1, 2))
    places = [one(number) for number in range(1000)]
    assert places == [again(number) for number in range(1000)]
    assert places != [other(number) for number in range(1000)]
    assert set(places) == set(range(0, 64 * 4096, 4096))


@settings(max_examples=deep(200))
@given(st.lists(st.integers(0, 10**12), min_size=1), st.lists(st.integers(0, 10**12)))
def test_percentiles_are_right_to_a_64th(some: list[int], others: list[int]) -> None:
    kept, more = Latencies(), Latencies()
    for value in some:
        kept.add(value)
    for value in others:
        more.add(value)
    kept.join(more)
    values = sorted(some + others)
    assert kept.mean == statistics.fmean(values)
    assert kept.percentile(1) == kept.longest == values[-1]
    median = values[(len(values) - 1) // 2]
    assert median <= kept.percentile(0.5) <= median * 65 / 64


def test_reads_where_qemu_img_reads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The places are those that strace shows of qemu-img 7.2 and 10.0 on a disk of 1 MiB."""
    (tmp_path / "a.raw").write_bytes(bytes(1 << 20))
    asked = []
    monkeypatch.setattr("virtkit.disk.chain.Chain.read", lambda _chain, at, length: asked.append((at, length)))
    disk.bench(str(tmp_path / "a.raw"), Load(9, size=65536, step=400000), "raw")
    assert asked == [(at, 65536) for at in (0, 400000, 800000, 151424, 551424, 951424, 302848, 702848, 54272)]


@pytest.mark.parametrize("depth", [1, 7])
def test_a_fault_in_any_thread_is_raised(depth: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.raw"
    path.write_bytes(bytes(1 << 20))
    asked = []

    def broken(_chain: object, at: int, _length: int) -> bytes:
        asked.append(at)
        if len(asked) == 100:
            raise OSError("the disk is broken")
        return b""

    monkeypatch.setattr("virtkit.disk.chain.Chain.read", broken)
    with pytest.raises(OSError, match="the disk is broken"):
        disk.bench(str(path), Load(depth=depth), "raw")
    assert len(asked) < 100 + 2 * depth * 100
