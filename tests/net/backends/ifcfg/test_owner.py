"""Of a link that network-scripts and NetworkManager both know, one is the owner."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from virtkit.core.system import System
from virtkit.net.backends.ifcfg import BACKEND
from virtkit.net.backends.ifcfg.folder import SCRIPTS

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def system(tmp_path: Path) -> System:
    for folder in (SCRIPTS, "/etc/init.d", "/etc/rc3.d", "/proc/thread-self/ns"):
        (tmp_path / folder.lstrip("/")).mkdir(parents=True)
    (tmp_path / "etc/init.d/network").write_text("#!/bin/bash\n")
    (tmp_path / "etc/rc3.d/S10network").symlink_to("../init.d/network")
    (tmp_path / "proc/thread-self/ns/net").symlink_to("net:[1]")
    return System(tmp_path)


def _networkmanager(system: System, namespace: str) -> None:
    (system.root / "proc/40/ns").mkdir(parents=True)
    (system.root / "proc/40/ns/net").symlink_to(namespace)
    (system.root / "proc/40/comm").write_text("NetworkManager\n")


def _file(system: System, text: str, name: str = "ifcfg-eth0") -> None:
    system.path(f"{SCRIPTS}/{name}").write_text(text)


def test_scripts_own_what_networkmanager_is_kept_from(system: System) -> None:
    _networkmanager(system, "net:[1]")
    _file(system, "DEVICE=eth0\nNM_CONTROLLED=no\n")
    _file(system, "DEVICE=eth1\n", "ifcfg-eth1")
    owner = BACKEND.owner(system, "eth0")
    assert owner is not None
    assert (owner.files, "NM_CONTROLLED=no" in owner.because) == ((f"{SCRIPTS}/ifcfg-eth0",), True)
    assert BACKEND.owner(system, "eth1") is None


def test_networkmanager_of_a_container_is_not_this_hosts(system: System) -> None:
    _networkmanager(system, "net:[2]")
    _file(system, "DEVICE=eth0\n")
    assert BACKEND.owner(system, "eth0") is not None


@pytest.mark.parametrize("text", ["DEVICE=eth0\nONBOOT=no\n", "DEVICE=eth1\n"])
def test_link_that_no_file_brings_up_is_nobodys(system: System, text: str) -> None:
    _file(system, text)
    assert BACKEND.owner(system, "eth0") is None


def test_service_that_does_not_start_owns_nothing(system: System) -> None:
    _file(system, "DEVICE=eth0\n")
    system.path("/etc/rc3.d/S10network").unlink()
    assert BACKEND.owner(system, "eth0") is None


def test_link_is_known_by_its_mac_where_the_file_says_no_name(system: System) -> None:
    (system.root / "sys/class/net/eth0").mkdir(parents=True)
    (system.root / "sys/class/net/eth0/address").write_text("52:54:00:aa:00:11\n")
    _file(system, "HWADDR=52:54:00:AA:00:11\n", "ifcfg-Wired")
    owner = BACKEND.owner(system, "eth0")
    assert owner is not None
    assert owner.files == (f"{SCRIPTS}/ifcfg-Wired",)


def test_cloud_init_is_named_unless_it_is_told_to_leave_the_network_alone(system: System) -> None:
    _file(system, "# Created by cloud-init automatically, do not edit.\n#\nDEVICE=eth0\n")
    owner = BACKEND.owner(system, "eth0")
    assert owner is not None
    assert owner.writer.startswith("cloud-init")
    (system.root / "etc/cloud/cloud.cfg.d").mkdir(parents=True)
    system.path("/etc/cloud/cloud.cfg.d/99-disable-network-config.cfg").write_text("network: {config: disabled}\n")
    again = BACKEND.owner(system, "eth0")
    assert again is not None
    assert again.writer == ""
