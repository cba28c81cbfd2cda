"""bridge_ports gains and loses a name, and nothing else in the files changes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from virtkit.core.errors import NotSupportedError
from virtkit.net.backends.ifupdown import porting
from virtkit.net.backends.ifupdown.syntax import Document, read
from virtkit.net.backends.ifupdown.tree import MAIN, Tree

BRIDGE = (
    "# why\nauto br0\niface br0 inet dhcp\n\tbridge_stp off\n\tbridge{sign}ports{gap}{ports}\n\tx-unknown  keep   me\n"
)
ports = st.lists(st.sampled_from(["eth0", "eth2", "eth0.7", "bond0"]), min_size=1, unique=True)


def tree(text: str) -> Tree:
    return Tree({MAIN: Document(MAIN, read(text))}, text)


@given(
    ports,
    st.sampled_from("_-"),
    st.sampled_from([" ", "\t", " \\\n  "]),
    st.sampled_from(["", "iface eth1 inet manual\n"]),
)
def test_port_that_leaves_again_leaves_the_file_as_it_was(there: list[str], sign: str, gap: str, own: str) -> None:
    text = own + BRIDGE.format(sign=sign, gap=gap, ports=gap.join(there))
    more = porting.joined(tree(text), "br0", "eth1")[MAIN]
    (stanza,) = tree(more).named("br0")
    assert stanza.values("bridge_ports")[0].replace("\\\n", "").split() == [*there, "eth1"]
    assert porting.joined(tree(more), "br0", "eth1") == {}
    assert porting.parted(tree(more), "br0", "eth1")[MAIN] == text
    assert porting.parted(tree(text), "br0", "eth1") == {}


def test_last_port_leaves_a_bridge_without_ports_and_the_first_one_takes_its_place() -> None:
    one, none = (BRIDGE.format(sign="_", gap=" ", ports=ports) for ports in ("eth1", "none"))
    assert porting.parted(tree(one), "br0", "eth1") == {MAIN: none}
    assert porting.joined(tree(none), "br0", "eth1") == {MAIN: one}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (BRIDGE.format(sign="_", gap=" ", ports="regex eth.*"), f"{MAIN}:5: bridge_ports has regex"),
        (BRIDGE.format(sign="_", gap=" ", ports="eth0") + "iface eth1 inet dhcp\n", "eth1 is dhcp, expected manual"),
        ("iface br0 inet dhcp\n", f"{MAIN}:1: br0 has no bridge_ports"),
    ],
)
def test_what_the_file_cannot_say_is_refused_with_its_place(text: str, said: str) -> None:
    with pytest.raises(NotSupportedError, match=said.replace("*", ".")):
        porting.joined(tree(text), "br0", "eth1")
