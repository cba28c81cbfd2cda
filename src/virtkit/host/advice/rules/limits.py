"""Bounds that machines run into when they start."""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtkit.host.advice.case import Profile
from virtkit.host.advice.stances import Numbers, Stance, weigh

if TYPE_CHECKING:
    from collections.abc import Iterator

    from virtkit.host.advice.case import Case
    from virtkit.host.advice.finding import Finding, Rule

_MOST = (1 << 31) - 1
_REQUESTS = Stance(
    "1048576",
    "every disk with io=native takes some of them; when they run out the next machine does not start (EAGAIN)",
    fine=Numbers(1048576, _MOST),
)
_MAPPINGS = Stance(
    "262144",
    "QEMU with many devices, virtiofs or plugged memory needs more pieces of address space than the old default",
    fine=Numbers(262144, _MOST),
)


def requests(case: Case) -> Iterator[Finding]:
    if case.suits(Profile.REALTIME, Profile.DATABASE):
        yield from weigh(case, "fs.aio-max-nr", dict.fromkeys((Profile.REALTIME, Profile.DATABASE), _REQUESTS))


def mappings(case: Case) -> Iterator[Finding]:
    yield from weigh(case, "vm.max_map_count", dict.fromkeys(Profile, _MAPPINGS))


RULES: tuple[Rule, ...] = (requests, mappings)
