"""Declare on-disk records as typed classes.

A record is written once, in the order of its specification; the type checker and the parser read that one
declaration::

    @layout(">")
    class Header(Struct):
        magic: Annotated[bytes, array(4)]
        version: u32
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal, Self, TypeVar, dataclass_transform, get_type_hints

from virtkit.core.errors import CorruptImageError

if TYPE_CHECKING:
    from collections.abc import Callable

u8 = Annotated[int, "B"]
u16 = Annotated[int, "H"]
u32 = Annotated[int, "I"]
u64 = Annotated[int, "Q"]


def array(length: int) -> str:
    """The code of a run of bytes: ``Annotated[bytes, array(16)]``."""
    return f"{length}s"


class Struct:
    """A fixed-size record that knows its bytes."""

    SIZE: ClassVar[int]  # bytes
    _codec: ClassVar[struct.Struct]
    _offsets: ClassVar[dict[str, int]]

    @classmethod
    def parse(cls, data: bytes | bytearray | memoryview, offset: int = 0, *, source: str = "record") -> Self:
        """Read the record at ``offset`` of ``data``; CorruptImageError names ``source`` if it is cut short."""
        if len(data) - offset < cls.SIZE:
            found = f"{max(len(data) - offset, 0)} bytes long"
            raise CorruptImageError(source, cls.__name__, found=found, expected=f"{cls.SIZE} bytes", offset=offset)
        return cls(*cls._codec.unpack_from(data, offset))

    def pack(self) -> bytes:
        return self._codec.pack(*(getattr(self, f.name) for f in fields(self)))  # type: ignore[arg-type]  # layout() made it a dataclass

    @classmethod
    def offset_of(cls, name: str) -> int:
        """Where a field starts, for error messages and in-place updates."""
        return cls._offsets[name]


S = TypeVar("S", bound=Struct)


@dataclass_transform(frozen_default=True)
def layout(endian: Literal["<", ">"]) -> Callable[[type[S]], type[S]]:
    """Class decorator: little (``<``) or big (``>``) endian, fields packed without padding."""

    def declare(cls: type[S]) -> type[S]:
        hints = get_type_hints(cls, include_extras=True)
        codes = {name: str(hint.__metadata__[0]) for name, hint in hints.items() if hasattr(hint, "__metadata__")}
        declared = dataclass(frozen=True)(cls)
        declared._codec = struct.Struct(endian + "".join(codes.values()))
        declared.SIZE = declared._codec.size
        seen: str = endian
        declared._offsets = {}
        for name, code in codes.items():
            declared._offsets[name] = struct.calcsize(seen)
            seen += code
        return declared

    return declare
