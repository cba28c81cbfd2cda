from __future__ import annotations

import os
import socket
import stat
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from virtkit.core.errors import BusyError, SystemCallError, UsageError
from virtkit.disk.nbd.address import TcpAddress, UnixAddress, tcp

if TYPE_CHECKING:
    from pathlib import Path


def test_a_socket_is_for_its_owner_alone_and_goes_with_the_server(tmp_path: Path) -> None:
    address = UnixAddress(str(tmp_path / "nbd.sock"))
    mask = os.umask(0)
    try:
        with closing(address.listen()):
            assert stat.S_IMODE(os.stat(address.path).st_mode) == 0o600
            assert os.umask(0) == 0
    finally:
        os.umask(mask)
    address.leave()
    address.leave()
    assert os.listdir(tmp_path) == []


def test_the_socket_of_a_killed_server_is_replaced(tmp_path: Path) -> None:
    address = UnixAddress(str(tmp_path / "nbd.sock"))
    address.listen().close()
    address.listen().close()


def test_the_socket_of_a_living_server_is_not(tmp_path: Path) -> None:
    address = UnixAddress(str(tmp_path / "nbd.sock"))
    with closing(address.listen()), pytest.raises(BusyError, match="another server listens there"):
        address.listen()


def test_other_files_are_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "mine"
    path.write_text("text")
    with pytest.raises(UsageError, match="is no socket"):
        UnixAddress(str(path)).listen()
    assert path.read_text() == "text"


def test_a_path_that_no_socket_can_have_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="expected at most 107"):
        UnixAddress(str(tmp_path / ("x" * 108))).listen()
    with pytest.raises(SystemCallError, match="listen on .*: no such file"):
        UnixAddress(str(tmp_path / "absent" / "x")).listen()


def test_a_port_in_use_is_told() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        address = tcp("localhost", other.getsockname()[1], insecure=False)
        with pytest.raises(BusyError, match="another server listens there"):
            address.listen()


@pytest.mark.parametrize("host", ["0.0.0.0", "192.0.2.1", "::", "2001:db8::1"])
def test_addresses_that_others_reach_are_refused_unless_asked_for(host: str) -> None:
    with pytest.raises(UsageError) as refused:
        tcp(host, 10809, insecure=False)
    assert refused.value.hint.startswith("ssh -L 10809:127.0.0.1:10809")
    assert tcp(host, 10809, insecure=True) == TcpAddress(host, 10809)


def test_names_are_not_looked_up() -> None:
    with pytest.raises(UsageError, match="expected the number of one"):
        tcp("example.com", 10809, insecure=True)


@pytest.mark.parametrize(
    ("address", "export", "uri"),
    [
        (UnixAddress("/run/a b.sock"), "", "nbd+unix:///?socket=/run/a%20b.sock"),
        (UnixAddress("/run/x"), "a/b ü", "nbd+unix:///a%2Fb%20%C3%BC?socket=/run/x"),
        (TcpAddress("127.0.0.1"), "", "nbd://127.0.0.1/"),
        (TcpAddress("::1", 1234), "disk", "nbd://[::1]:1234/disk"),
    ],
)
def test_the_uri_is_what_others_type(address: UnixAddress | TcpAddress, export: str, uri: str) -> None:
    assert address.uri(export) == uri
