"""The bytes of nftables, as far as a detour of frames needs them.

include/uapi/linux/netfilter/{nfnetlink,nf_tables}.h; numbers in attributes are in the network's byte order.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, NamedTuple

from virtkit.core.structs import Struct, layout, u8, u16
from virtkit.net.wire import HOST, Attribute, Attributes, nest, text_attribute

if TYPE_CHECKING:
    from collections.abc import Iterable

    from virtkit.net.model import Link

CREATE, APPEND = 0x400, 0x800  # NLM_F_*
BATCH_BEGIN, BATCH_END = 0x10, 0x11  # NFNL_MSG_*
SUBSYSTEM = 10  # NFNL_SUBSYS_NFTABLES
NEW_TABLE, NEW_CHAIN, NEW_RULE = (SUBSYSTEM << 8 | message for message in (0, 3, 6))  # NFT_MSG_*
NETDEV = 5  # NFPROTO_NETDEV
OWNED = 2  # NFT_TABLE_F_OWNER: the table goes with the socket that made it; since Linux 5.12
TABLE_NAME, TABLE_FLAGS = 1, 2  # NFTA_TABLE_*
CHAIN_TABLE, CHAIN_NAME, CHAIN_HOOK, CHAIN_TYPE = 1, 3, 4, 7  # NFTA_CHAIN_*
HOOK_NUMBER, HOOK_PRIORITY, HOOK_DEVICE = 1, 2, 3  # NFTA_HOOK_*
INGRESS = 0  # NF_NETDEV_INGRESS
RULE_TABLE, RULE_CHAIN, RULE_EXPRESSIONS = 1, 2, 4  # NFTA_RULE_*
ELEMENT, NAME, DATA, VALUE = 1, 1, 2, 1  # NFTA_LIST_ELEM, NFTA_EXPR_NAME, NFTA_EXPR_DATA, NFTA_DATA_VALUE
REGISTER = 1  # NFT_REG_1
LINK_LAYER, MAC_SIZE = 0, 6  # NFT_PAYLOAD_LL_HEADER; bytes of the destination, which stands first


class Part(NamedTuple):
    """One message of a batch."""

    type: int
    flags: int
    body: bytes


@layout(HOST)
class Header(Struct):
    """nfgenmsg."""

    family: u8 = NETDEV
    version: u8 = 0
    resource: u16 = 0  # in the network's byte order


def batch(parts: Iterable[Part]) -> list[Part]:
    """All or nothing."""
    resource = int.from_bytes(SUBSYSTEM.to_bytes(2, "big"), sys.byteorder)
    edge = Header(family=0, resource=resource).pack()
    return [Part(BATCH_BEGIN, 0, edge), *parts, Part(BATCH_END, 0, edge)]


def table(name: str) -> Part:
    return _part(NEW_TABLE, text_attribute(TABLE_NAME, name), _number(TABLE_FLAGS, OWNED))


def chain(table: str, link: Link) -> Part:
    """For what comes in over ``link``, before any bridge sees it; named after the link."""
    hook = [_number(HOOK_NUMBER, INGRESS), _number(HOOK_PRIORITY, 0), text_attribute(HOOK_DEVICE, link.name)]
    return _part(
        NEW_CHAIN,
        text_attribute(CHAIN_TABLE, table),
        text_attribute(CHAIN_NAME, link.name),
        nest(CHAIN_HOOK, hook),
        text_attribute(CHAIN_TYPE, "filter"),
    )


def forward(table: str, link: Link, out: Link, mac: str = "") -> Part:
    """What comes in over ``link`` (for ``mac``, if given) goes out over ``out``, and nowhere else."""
    matching = [_loaded_destination(), _compared(bytes.fromhex(mac.replace(":", "")))] if mac else []
    index = out.index.to_bytes(4, sys.byteorder)
    expressions = [
        *matching,
        _expression("immediate", _number(1, REGISTER), nest(2, [Attribute(VALUE, index)])),
        _expression("fwd", _number(1, REGISTER)),
    ]
    where = (text_attribute(RULE_TABLE, table), text_attribute(RULE_CHAIN, link.name))
    return _part(NEW_RULE, *where, nest(RULE_EXPRESSIONS, expressions), flags=CREATE | APPEND)


def _loaded_destination() -> Attribute:
    where = (_number(2, LINK_LAYER), _number(3, 0), _number(4, MAC_SIZE))
    return _expression("payload", _number(1, REGISTER), *where)


def _compared(value: bytes) -> Attribute:
    equal = 0
    return _expression("cmp", _number(1, REGISTER), _number(2, equal), nest(3, [Attribute(VALUE, value)]))


def _expression(name: str, *data: Attribute) -> Attribute:
    return nest(ELEMENT, [text_attribute(NAME, name), nest(DATA, data)])


def _part(kind: int, *attributes: Attribute, flags: int = CREATE) -> Part:
    return Part(kind, flags, Header().pack() + Attributes(attributes).pack())


def _number(kind: int, value: int) -> Attribute:
    return Attribute(kind, value.to_bytes(4, "big"))
