from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from virtkit.core.errors import NotSupportedError
from virtkit.core.system import System
from virtkit.net import dhcpclient
from virtkit.net.dhcpclient import Client, Custom
from virtkit.net.dhcpclient.dhclient import Dhclient
from virtkit.net.dhcpclient.dhcpcd import Dhcpcd

if TYPE_CHECKING:
    from pathlib import Path

IFUPDOWN = "dhclient -4 -v -i -pf /run/dhclient.eth0.pid -lf /var/lib/dhcp/dhclient.eth0.leases -I eth0 -e IF_METRIC=7"
REDHAT = "/sbin/dhclient -1 -q -lf /var/lib/dhclient/dhclient-5f-eth0.lease -pf /run/dhclient-eth0.pid eth0"


def _client(command: str, program: str = "dhclient") -> Client:
    return Client(7, program, tuple(command.split()))


def _process(root: Path, pid: str, name: str, command: str, namespace: str = "net:[1]", state: str = "S") -> None:
    folder = root / "proc" / pid
    (folder / "ns").mkdir(parents=True)
    (folder / "ns/net").symlink_to(namespace)
    (folder / "comm").write_text(f"{name}\n")
    (folder / "cmdline").write_bytes(b"\0".join(word.encode() for word in command.split()) + b"\0")
    (folder / "status").write_text(f"Name:\t{name}\nState:\t{state} (x)\n")


def test_clients_of_the_link_in_this_namespace_are_found(tmp_path: Path) -> None:
    """A container's eth0 has one, too."""
    _process(tmp_path, "thread-self", "python3", "python3")
    _process(tmp_path, "10", "dhclient", IFUPDOWN)
    _process(tmp_path, "11", "dhclient", IFUPDOWN, namespace="net:[2]")
    _process(tmp_path, "12", "dhclient", IFUPDOWN.replace("eth0", "eth1"))
    _process(tmp_path, "13", "dhclient", "dhclient -6 eth0", state="T")
    _process(tmp_path, "14", "bash", "bash eth0")
    found = dhcpclient.running(System(tmp_path), "eth0")
    assert [(client.pid, client.family, client.stopped) for client in found] == [(10, "4", False), (13, "6", True)]


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        (IFUPDOWN, IFUPDOWN.replace("eth0", "br0")),
        (REDHAT, REDHAT.replace("eth0", "br0")),
        ("dhclient eth0", "dhclient -pf /run/dhclient.br0.pid -lf /var/lib/dhcp/dhclient.br0.leases br0"),
        ("dhclient -lf /v/eth0.100 -pf /v/xeth0 eth0", "dhclient -lf /v/eth0.100 -pf /v/xeth0 br0"),
    ],
)
def test_command_line_is_another_links(command: str, expected: str) -> None:
    successor = Dhclient().successor(_client(command), "eth0", "br0", Custom())
    assert " ".join(successor.command) == expected


def test_scripts_may_look_for_the_lease_elsewhere() -> None:
    custom = Custom({"4": "/var/lib/dhclient/dhclient-br0.leases"})
    successor = Dhclient().successor(_client(REDHAT), "eth0", "br0", custom)
    assert successor.leases == (("/var/lib/dhclient/dhclient-5f-eth0.lease", custom.leases["4"]),)
    assert custom.leases["4"] in successor.command


def test_lease_file_is_the_other_links_with_the_same_identity() -> None:
    record = b'default-duid "\\000\xff";\nlease {\n  interface "eth0";\n  fixed-address 10.9.0.2;\n}\n'
    assert Dhclient().copied(record, "eth0", "br0") == record.replace(b"eth0", b"br0")


@pytest.mark.parametrize(
    ("title", "serves"),
    [
        ("dhcpcd: eth0 [ip4] [ip6]", True),
        ("dhcpcd: eth0.5 [ip4]", False),
        ("dhcpcd: [privileged proxy] eth0 [ip4]", False),
        ("dhcpcd: [manager] [ip4] [ip6]", False),
    ],
)
def test_dhcpcd_of_a_link_is_known_by_its_title(title: str, *, serves: bool) -> None:
    assert Dhcpcd().serves((title,), "eth0") is serves


def test_client_that_empties_its_link_first_is_refused(tmp_path: Path) -> None:
    _process(tmp_path, "thread-self", "python3", "python3")
    _process(tmp_path, "7", "udhcpc", "udhcpc -n -p /run/udhcpc.eth0.pid -i eth0")
    with pytest.raises(
        NotSupportedError, match=r"DHCP client is udhcpc \(pid 7\), expected dhclient or dhcpcd"
    ) as refused:
        dhcpclient.check(System(tmp_path), "eth0", ["4"], "ifup eth0")
    assert "apt install isc-dhcp-client" in refused.value.hint


def test_family_whose_client_does_not_run_is_named_with_what_starts_it(tmp_path: Path) -> None:
    _process(tmp_path, "thread-self", "python3", "python3")
    _process(tmp_path, "10", "dhclient", IFUPDOWN)
    system = System(tmp_path)
    dhcpclient.check(system, "eth0", ["4"], "ifup eth0")
    with pytest.raises(NotSupportedError, match="eth0: is set up by DHCPv6, but no client runs on it") as refused:
        dhcpclient.check(system, "eth0", ["4", "6"], "ifup eth0")
    assert refused.value.hint == "ifup eth0"
    assert dhcpclient.missing(system, "br0", "eth0", ["4", "6"]) == "no DHCPv6 client on eth0"
    assert dhcpclient.missing(system, "eth0", "br0", ["4"]) == "a DHCP client of eth0 still runs (pid 10)"
