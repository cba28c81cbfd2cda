"""The truth about cache modes, asked from a running guest, its kernel and its QEMU, against what we tell of them."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from bench import cachemodes
from bench.cachemodes import FLUSHES, WRITES
from virtkit.core.errors import NotSupportedError
from virtkit.host.cachemodes import MODES

if TYPE_CHECKING:
    from pathlib import Path

    from bench.cachemodes import Seen

pytestmark = pytest.mark.netns


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> list[Seen]:
    for program in ("strace", "qemu-system-x86_64"):
        if shutil.which(program) is None:
            pytest.skip(f"needs {program}")
    place: Path = tmp_path_factory.mktemp("modes")
    try:
        return cachemodes.look(place)
    except NotSupportedError as error:
        pytest.skip(error.message)


def test_every_mode_does_what_is_told_of_it(seen: list[Seen]) -> None:
    """No mode opens with O_DSYNC any more: writethrough is a flush after each write."""
    assert [found._replace(pwrites=0) for found in seen] == [
        cachemodes.Seen(
            mode.name,
            mode.direct,
            synchronous=False,
            told=mode.told,
            pwrites=0,
            flushes=mode.host_flushes(WRITES, FLUSHES),
        )
        for mode in MODES
    ]


def test_every_write_of_the_guest_reaches_the_host_in_every_mode(seen: list[Seen]) -> None:
    assert [found.pwrites for found in seen] == [WRITES] * len(MODES)


def test_only_unsafe_throws_a_flush_away(seen: list[Seen]) -> None:
    assert [found.mode for found in seen if found.flushes < FLUSHES] == ["unsafe"]
