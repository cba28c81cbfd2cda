from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from virtkit.core.system import System
from virtkit.net import overseers, persistence

if TYPE_CHECKING:
    from pathlib import Path

STATE = "interfaces:\n- name: {}\n  type: ethernet\n"


def _host(root: Path, path: str, text: str) -> System:
    place = root / path.lstrip("/")
    place.parent.mkdir(parents=True)
    place.write_text(text)
    return System(root)


@pytest.mark.parametrize(
    ("path", "text", "named"),
    [
        ("/etc/nmstate/50-lan.yml", STATE.format("eth0"), "nmstate.service at the host's next start"),
        ("/var/k8s_nmstate/handler_lock", "", "kubernetes-nmstate when the node starts"),
        ("/var/lib/vdsm/persistence/netconf/nets", "", "oVirt's vdsm"),
    ],
)
def test_who_decides_from_above_is_named(tmp_path: Path, path: str, text: str, named: str) -> None:
    (said,) = overseers.of(_host(tmp_path, path, text), "eth0")
    assert said.startswith(named)


@pytest.mark.parametrize(
    ("path", "text"),
    [("/etc/nmstate/50-lan.yml", STATE.format("eth0.100")), ("/etc/nmstate/50-lan.applied", STATE.format("eth0"))],
)
def test_state_of_another_link_or_of_the_past_is_not(tmp_path: Path, path: str, text: str) -> None:
    assert list(overseers.of(_host(tmp_path, path, text), "eth0")) == []


def test_wicked_is_named_where_nobody_else_configures_the_link(tmp_path: Path) -> None:
    system = _host(tmp_path, "/etc/sysconfig/network/ifcfg-eth0", "BOOTPROTO='dhcp'\n")
    (said,) = persistence.about(system, None, "eth0")
    assert "wicked (/etc/sysconfig/network/ifcfg-eth0), which configures eth0" in said
    (said,) = persistence.about(system, None, "eth1")
    assert said.startswith("lasts until the next reboot: nobody configures eth1")
