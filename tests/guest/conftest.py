from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from guest import machines
from guest.machines import Lan
from virtkit import vm
from virtkit.core.errors import NotSupportedError
from virtkit.core.journal import Journal
from virtkit.core.system import System
from virtkit.vm.blueprint import machine_xml
from virtkit.vm.daemon import ensure_running

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator

IMAGES = Path("/var/lib/libvirt/images")  # where QEMU's own user may read


@pytest.fixture(scope="session")
def libvirtd() -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root")
    for program in ("virsh", "qemu-system-x86_64", "qemu-img", "dnsmasq"):
        if shutil.which(program) is None:
            pytest.skip(f"needs {program}")
    ensure_running(System())


@pytest.fixture
def journal(tmp_path: Path, libvirtd: None) -> Journal:
    return Journal(tmp_path / "journal")


@pytest.fixture
def idle(journal: Journal) -> Iterator[str]:
    """The name of a machine that is defined and off."""
    name = machines.unique("idle")
    try:
        machines.carry_out(vm.define(machines.idle_xml(name)), journal)
        yield name
    finally:
        machines.remove(name)


@pytest.fixture(scope="session")
def lans(tmp_path_factory: pytest.TempPathFactory, libvirtd: None) -> Iterator[tuple[Lan, Lan]]:
    """Two networks with DHCP servers of their own."""
    number = os.getpid() % 100000
    pair = Lan(f"vkt{number}a", "10.213.77"), Lan(f"vkt{number}b", "10.213.78")
    folder = tmp_path_factory.mktemp("lan")
    servers: list[subprocess.Popen[bytes]] = []
    try:
        servers.extend(machines.make_lan(lan, folder) for lan in pair)
        yield pair
    finally:
        for server in servers:
            server.terminate()
            server.wait()
        for lan in pair:
            machines.quietly("ip", "link", "delete", lan.bridge)


@pytest.fixture(scope="session")
def guest(lans: tuple[Lan, Lan], tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The name of a machine whose guest runs and whose agent answers; on the first network, unpinned."""
    name, disk = machines.unique("guest"), IMAGES / f"{machines.unique('guest')}.qcow2"
    journal = Journal(tmp_path_factory.mktemp("guest") / "journal")
    IMAGES.mkdir(parents=True, exist_ok=True)
    try:
        machines.run("qemu-img", "create", "-q", "-f", "qcow2", str(disk), "16M")
        machines.carry_out(vm.define(machine_xml(machines.blueprint(name, lans[0], disk))), journal)
        machines.carry_out(vm.start(name), journal)
        vm.wait_for_agent(name, machines.BOOT_SECONDS)
        yield name
    except NotSupportedError as error:
        pytest.skip(error.message)
    finally:
        machines.remove(name)
        disk.unlink(missing_ok=True)
