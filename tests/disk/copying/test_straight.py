from __future__ import annotations

import os
from typing import TYPE_CHECKING

from support.images import run
from virtkit import disk
from virtkit.core.units import KIB, MIB
from virtkit.disk.copying import crew

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    import pytest

    from virtkit.disk.copying.hands import Hand
    from virtkit.disk.pieces import Job


def test_more_threads_wait_for_the_drive_than_there_are_processors(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, target = tmp_path / "source.raw", tmp_path / "target.qcow2"
    source.write_bytes(os.urandom(8 * MIB))
    counts: list[int] = []
    work = crew.run

    def counted(jobs: Iterable[Job], hands: Sequence[Hand[Job]], after_job: Callable[[], None]) -> None:
        counts.append(len(hands))
        work(jobs, hands, after_job)

    monkeypatch.setattr(crew, "run", counted)
    monkeypatch.setattr(crew, "size", lambda: 1)
    for durable, threads in ((True, None), (False, None), (True, 2)):
        disk.convert(
            str(source),
            str(target),
            source_format="raw",
            durable=durable,
            threads=threads,
            sparse=64 * KIB,  # blocks are not shared then
            overwrite=True,
        )
        run("qemu-img", "compare", "-f", "raw", source, target)
    assert counts == [crew.MOST, 1, 2]
