"""What is asked, found in files and in arguments."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from virtkit.core.errors import NotFoundError, UsageError
from virtkit.core.system import System
from virtkit.net import probes
from virtkit.net.probes import dns, tcp

if TYPE_CHECKING:
    from pathlib import Path

RESOLVED = "nameserver 127.0.0.53\noptions edns0 trust-ad\nsearch .\n"


def _host(root: Path, resolv: str, resolved: str | None = None) -> System:
    (root / "etc").mkdir()
    (root / "etc/resolv.conf").write_text(resolv)
    if resolved is not None:
        (root / "run/systemd/resolve").mkdir(parents=True)
        (root / "run/systemd/resolve/resolv.conf").write_text(resolved)
    return System(root)


@pytest.mark.parametrize(
    ("resolv", "resolved", "servers"),
    [
        ("nameserver 10.9.0.1\nnameserver 2001:db8::53\n", None, ["10.9.0.1", "2001:db8::53"]),
        ("# nameserver 10.9.0.9\n;nameserver 10.9.0.8\nnameserver\t10.9.0.1 trailing\n", None, ["10.9.0.1"]),
        ("nameserver fe80::1%eth0\n", None, ["fe80::1%eth0"]),
        ("nameserver 10.0.0.1\nnameserver 10.0.0.1\n", None, ["10.0.0.1"]),
        ("".join(f"nameserver 10.0.0.{n}\n" for n in range(1, 6)), None, ["10.0.0.1", "10.0.0.2", "10.0.0.3"]),
        ("nameserver 127.0.0.1\nnameserver ::1\n", None, []),  # who answers from memory proves nothing
        (RESOLVED, "nameserver 10.9.0.1\n", ["10.9.0.1"]),
        (RESOLVED, None, []),
        ("nameserver name\nnameserver\nnameserver 10.9.0.256\n", None, []),
        ("", None, []),
    ],
)
def test_servers_are_those_that_the_resolver_asks_beyond_this_host(
    tmp_path: Path, resolv: str, resolved: str | None, servers: list[str]
) -> None:
    assert dns.servers(_host(tmp_path, resolv, resolved)) == servers


def test_host_without_resolv_conf_has_no_servers(tmp_path: Path) -> None:
    assert dns.servers(System(tmp_path)) == []


@given(st.text(alphabet=st.characters(exclude_characters="\0", exclude_categories=["Cs"])))
def test_any_resolv_conf_is_read(text: str) -> None:
    for content in (text, f"nameserver {text}", f"nameserver fe80::1%{text}"):
        servers = dns._named(content)
        assert len(servers) <= 3
        assert all(probes.load(probes.Dns(server, "eth0", "br0").line()) for server in servers)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("192.0.2.1:443", "tcp 192.0.2.1:443 192.0.2.1 443"),
        ("[2001:db8::1]:22", "tcp [2001:db8::1]:22 2001:db8::1 22"),
        ("localhost:80", "tcp localhost:80 "),
    ],
)
def test_check_is_resolved_when_the_plan_is_made(text: str, line: str) -> None:
    probe = tcp.parse(text)
    assert probe.line().startswith(line)
    assert probes.load(probe.line()) == probe
    assert probe.describe().startswith(text)


@pytest.mark.parametrize(
    "text", ["", "host", "host:", ":22", "host:0", "host:65536", "2001:db8::1:22", "a b:1", "h:1x"]
)
def test_check_of_another_form_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match=r"--check: target is .*, expected HOST:PORT"):
        tcp.parse(text)


def test_check_of_a_name_without_an_address_is_refused() -> None:
    with pytest.raises(NotFoundError, match=r"--check nobody.invalid:22: nobody.invalid has no address"):
        tcp.parse("nobody.invalid:22")


@pytest.mark.parametrize(
    "probe",
    [
        probes.Arp("10.9.0.1", "eth0", "br0"),
        probes.Ndp("fe80::1", "eth0", "br0"),
        probes.Dns("fe80::1%eth0", "eth0", "br0"),
        probes.SshSession("10.9.0.7", "50000", "10.9.0.11", "22"),
        probes.Unique("10.9.0.11", "eth0", "br0"),
    ],
)
def test_probe_comes_back_from_its_line(probe: probes.Probe) -> None:
    assert probes.load(probe.line()) == probe
