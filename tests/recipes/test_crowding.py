from __future__ import annotations

import pytest

from virtkit.core.system import System
from virtkit.core.units import GIB, MIB
from virtkit.host.advice.case import Guest
from virtkit.host.hugepages import HugePages
from virtkit.recipes.crowding import GENERAL, LIMITS, Size, crowded, read_size

HOST = Size(8, 32 * GIB, (HugePages(2 * MIB, 1024, 100, 0),))


def _guest(name: str, vcpus: int, memory: int, profile: str | None = None, *, active: bool = False) -> Guest:
    return Guest(name, profile, active, vcpus, memory)  # type: ignore[arg-type]  # any word that a test wants


def test_what_fits_is_not_spoken_of() -> None:
    assert crowded([_guest("a", 8, 8 * GIB)], [_guest("b", 8, 8 * GIB, active=True)], HOST) == ()
    assert crowded([], [_guest("b", 800, 800 * GIB, active=True)], HOST) == ()


def test_vcpus_beyond_the_limit_of_what_a_machine_is_for_are_told() -> None:
    others = [_guest("b", 6, GIB, active=True), _guest("off", 99, GIB)]
    assert crowded([_guest("a", 4, GIB)], others, HOST) == ()
    (said,) = crowded([_guest("a", 4, GIB, "database")], others, HOST)
    assert said.startswith("with a: 10 vCPUs on 8 CPUs (1.25x), more than 1.00x for database: a vCPU that waits")


def test_memory_beyond_the_limit_is_told_and_huge_pages_count_apart() -> None:
    loose = _guest("b", 1, 24 * GIB, active=True)
    (said,) = crowded([_guest("a", 1, 10 * GIB)], [loose], HOST)
    assert said.startswith("with a: machines ask for 34 GiB of 32 GiB (1.06x), more than 0.95x: ")
    assert crowded([_guest("a", 1, 10 * GIB)], [loose._replace(page_size=2 * MIB)], HOST) == ()


def test_a_machine_whose_huge_pages_are_not_there_will_not_start() -> None:
    (said,) = crowded([_guest("a", 1, GIB)._replace(page_size=2 * MIB)], [], HOST)
    assert said == "a needs 512 huge pages of 2 MiB, 100 are free: it will not start (virtkit host hugepages)"


@pytest.mark.parametrize("profile", LIMITS)
def test_every_purpose_has_a_limit_with_a_reason(profile: str) -> None:
    limit = next(limit for name, limit in LIMITS.items() if name == profile)
    assert 1 <= limit.vcpus <= GENERAL.vcpus
    assert limit.why


def test_the_size_of_this_host_is_read() -> None:
    size = read_size(System())
    assert size.cpus > 0
    assert size.memory > GIB
