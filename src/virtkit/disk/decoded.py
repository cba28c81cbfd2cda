"""Units decoded a moment ago: small reads of a compressed disk do not decode the same cluster again and again."""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import TYPE_CHECKING, NamedTuple

from virtkit.core.units import MIB

if TYPE_CHECKING:
    from virtkit.disk.format import Buffer, Decode, Extent

LIMIT = 32 * MIB  # bytes, coded and decoded


class _Key(NamedTuple):
    """What a decoded unit depends on besides its stored bytes."""

    fd: int
    at: int
    unit: int  # where it starts in the guest's disk
    decode: Decode


class Decoded:
    """The units used last. Any thread may call any method.

    A unit is used again only where the bytes that are stored now are those that it was decoded from: whoever writes
    to the image, in whatever way, need not know of this.
    """

    def __init__(self, limit: int = LIMIT) -> None:
        self._limit = limit
        self._size = 0
        self._lock = threading.Lock()
        self._units: OrderedDict[_Key, tuple[Buffer, Buffer]] = OrderedDict()

    def unit(self, extent: Extent, coded: Buffer, decode: Decode) -> Buffer:
        """``decode(extent, coded)``, whole; kept where ``extent`` is a part of it, for who wants the other parts."""
        key = _Key(extent.file.fd if extent.file else -1, extent.at, extent.start - extent.skip, decode)
        with self._lock:
            known, unit = self._units.get(key, (b"", b""))
            if unit and known == coded:
                self._units.move_to_end(key)
                return unit
        unit = decode(extent, coded)
        if len(unit) > extent.length:
            self._keep(key, coded, unit)
        return unit

    def _keep(self, key: _Key, coded: Buffer, unit: Buffer) -> None:
        with self._lock:
            self._size += len(coded) + len(unit) - self._drop(key)
            self._units[key] = coded, unit
            while self._size > self._limit:
                self._size -= self._drop(next(iter(self._units)))

    def _drop(self, key: _Key) -> int:
        """How many bytes that frees."""
        coded, unit = self._units.pop(key, (b"", b""))
        return len(coded) + len(unit)
