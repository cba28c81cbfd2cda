from __future__ import annotations

import contextlib
import socket
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from virtkit.core.errors import NetworkError
from virtkit.net import diag
from virtkit.net.diag import Endpoint
from virtkit.net.kernel import Connections


def _find(near: tuple[str, int], far: tuple[str, int]) -> diag.Connection | None:
    with Connections() as connections:
        return connections.find(Endpoint(*near[:2]), Endpoint(*far[:2]))


@pytest.mark.parametrize(("family", "address"), [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")])
def test_kernel_tells_of_a_connection_of_its_own(family: socket.AddressFamily, address: str) -> None:
    with socket.create_server((address, 0), family=family) as server:
        near = socket.create_connection(server.getsockname()[:2])
        far, _ = server.accept()
        with near, far:
            near.sendall(b"x")
            assert far.recv(1) == b"x"
            found = _find(near.getsockname(), near.getpeername())
            assert found is not None
            assert (found.unacknowledged, found.timeouts, found.heard < 1000) == (0, 0, True)
            ends = near.getsockname(), near.getpeername()
            near.shutdown(socket.SHUT_WR)
            assert _find(*ends) is None  # it can no longer send
    assert _find(*ends) is None


def test_connection_that_nobody_has_is_none() -> None:
    assert _find(("127.0.0.1", 1), ("127.0.0.1", 2)) is None


@given(st.binary(max_size=300))
def test_any_reply_is_decoded_or_refused(body: bytes) -> None:
    with contextlib.suppress(NetworkError):
        diag.connection(body)


@given(st.binary(min_size=8, max_size=120), st.sampled_from([1, 8]))
def test_any_account_is_decoded_or_refused(info: bytes, state: int) -> None:
    reply = struct.pack("=BBBB48sIIIII", 2, state, 0, 0, bytes(48), 0, 0, 0, 0, 0)
    attribute = struct.pack("=HH", 4 + len(info), diag.INFO) + info + bytes(-len(info) % 4)
    try:
        found = diag.connection(reply + attribute)
    except NetworkError:
        assert len(info) < diag.Info.SIZE
    else:
        assert found is not None
        assert found.timeouts == info[2]
