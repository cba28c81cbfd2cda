from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from virtkit.core.plan import load_action
from virtkit.net.actions import CreateBridge, DeleteBridge, JoinBridge, LeaveBridge
from virtkit.net.bridge import stable_mac


@given(st.text(), st.text())
def test_mac_of_a_bridge_is_one_stations_and_given_by_software(machine: str, name: str) -> None:
    mac = stable_mac(machine, name)
    assert re.fullmatch(r"[0-9a-f]{2}(:[0-9a-f]{2}){5}", mac)
    assert int(mac[:2], 16) & 0b11 == 0b10
    assert mac == stable_mac(machine, name)


def test_macs_differ_between_names_and_between_hosts() -> None:
    assert len({stable_mac(machine, name) for machine in "ab" for name in ("br0", "br1")}) == 4


def test_actions_come_back_from_the_journal_as_they_were() -> None:
    moving = (["10.9.0.11/24"], ["default via 10.9.0.1 proto boot"])
    for action in (
        CreateBridge("br0", "02:00:00:00:00:01", 9000),
        DeleteBridge("br0"),
        JoinBridge("eth0", "br0", *moving),
        LeaveBridge("eth0", "br0", *moving),
    ):
        written = action.data()
        fields = written["fields"]
        assert isinstance(fields, dict)
        assert load_action(str(written["kind"]), fields) == action
