"""Fixtures for tests that need a libvirtd: mark them ``netns``, put them into this folder.

``kvm``: a host. ``kvm.virtkit("vm", "list")`` runs on it; ``kvm.virsh(...)`` asks libvirt's own program; in this very
process verbs speak to it with ``speaking`` (``vm.list()``; all but what reads the host's own /proc and /sys).
``guest``: the name of a machine on ``kvm`` whose agent answers; shared, so leave it as it was (a test that ends it
costs the next one a boot). ``idle``: a machine that is off and has nothing to boot, the test's own.
``kvms``: two hosts that see each other; ``lan.host(3)``: one more.
"""

from __future__ import annotations

import os
from itertools import count
from typing import TYPE_CHECKING

import pytest

from virtkit.core.errors import NotSupportedError
from virtkit.vm.blueprint import machine_xml
from vmhost import hosts
from vmhost.hosts import Host, Lan

if TYPE_CHECKING:
    from collections.abc import Iterator

GUEST = "guest"
_numbers = count(1)


@pytest.fixture(scope="session")
def lan() -> Iterator[Lan]:
    if os.geteuid() != 0:
        pytest.skip("needs root")
    made = Lan()
    try:
        yield made
    finally:
        made.close()


@pytest.fixture
def kvm(lan: Lan) -> Host:
    return lan.host(1)


@pytest.fixture
def kvms(lan: Lan) -> tuple[Host, Host]:
    return lan.host(1), lan.host(2)


@pytest.fixture
def speaking(kvm: Host, monkeypatch: pytest.MonkeyPatch) -> Host:
    """``kvm``, and the verbs of this process speak to it."""
    monkeypatch.setenv("LIBVIRT_DEFAULT_URI", kvm.uri)
    return kvm


@pytest.fixture
def name(kvm: Host) -> Iterator[str]:
    """Free, and whatever has it goes in the end."""
    chosen = f"machine{next(_numbers)}"
    try:
        yield chosen
    finally:
        kvm.remove(chosen)


@pytest.fixture
def idle(kvm: Host, name: str) -> str:
    kvm.define(machine_xml(hosts.idle(name)))
    return name


@pytest.fixture
def guest(kvm: Host) -> str:
    """Two vCPUs, 128 MiB, a disk vda of 16 MiB (qcow2, cache none) with nothing on it, no network card."""
    if not kvm.answers(GUEST):
        kvm.remove(GUEST)
        try:
            kvm.boot(hosts.blueprint(GUEST, kvm.disk(f"{GUEST}.qcow2")))
        except NotSupportedError as error:
            pytest.skip(error.message)
    return GUEST
