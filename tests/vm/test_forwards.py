from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from virtkit.core.errors import UsageError
from virtkit.vm import edits, forwards
from virtkit.vm.blueprint import Blueprint, Nic, machine_xml
from virtkit.vm.domain import Domain
from virtkit.vm.forwards import Forward, parse

PORTS = st.integers(1, 65535)


@given(st.sampled_from(["", "0.0.0.0", "[::1]"]), PORTS, PORTS, st.sampled_from(["", "tcp", "udp"]))
def test_what_is_said_is_what_libvirt_is_told_and_shown(address: str, port: int, inside: int, protocol: str) -> None:
    said = f"{address}:" * bool(address) + f"{port}:{inside}" + f"/{protocol}" * bool(protocol)
    wanted = parse(said)
    assert wanted == Forward(address.strip("[]") or "127.0.0.1", port, inside, protocol or "tcp")
    nic = Nic(user=True, forwards=(wanted, wanted._replace(port=1)))
    domain = Domain.parse(machine_xml(Blueprint("web1", 64 << 20, 1, nics=(nic,), kvm=False)))
    assert forwards.of(domain.nics[0]) == list(nic.forwards)
    edits.set_nic(domain, domain.nics[0].mac, edits.NicSettings(forwards=()))
    assert forwards.of(domain.nics[0]) == []
    assert domain.nics[0].node.find("backend") is None


@pytest.mark.parametrize("text", ["22", "0:22", "22:65536", "22:22/sctp", "host:22:22", "22:22:22"])
def test_what_is_no_pair_of_ports_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="expected"):
        parse(text)


def test_a_card_on_a_bridge_has_no_ports_of_the_host() -> None:
    domain = Domain.parse(machine_xml(Blueprint("web1", 64 << 20, 1, nics=(Nic(bridge="br0"),), kvm=False)))
    mac = domain.nics[0].mac
    with pytest.raises(UsageError, match="expected user"):
        edits.set_nic(domain, mac, edits.NicSettings(forwards=(parse("2222:22"),)))
    edits.set_nic(domain, mac, edits.NicSettings(user=True, forwards=(parse("2222:22"),)))
    assert (domain.nics[0].type, domain.nics[0].node.find("source")) == ("user", None)
    edits.set_nic(domain, mac, edits.NicSettings(network="default"))
    assert forwards.of(domain.nics[0]) == []
