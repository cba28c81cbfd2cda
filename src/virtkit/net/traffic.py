"""The queues of links, as tc(8) shows them (include/uapi/linux/rtnetlink.h)."""

from __future__ import annotations

from virtkit.core.structs import Struct, layout, u8, u16, u32
from virtkit.net.model import Queue
from virtkit.net.wire import HOST, Attributes, head, i32

GETQDISC = 38  # RTM_GETQDISC
KIND = 1  # TCA_KIND


@layout(HOST)
class TrafficHeader(Struct):
    """tcmsg."""

    family: u8 = 0
    pad1: u8 = 0
    pad2: u16 = 0
    index: i32 = 0
    handle: u32 = 0
    parent: u32 = 0
    info: u32 = 0


def queue(body: bytes) -> Queue:
    """A message of the kernel -> the model."""
    start, attributes = head(TrafficHeader, body), Attributes.parse(body, TrafficHeader.SIZE)
    return Queue(start.index, attributes.text(KIND), start.handle, start.parent)
