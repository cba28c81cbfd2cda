"""Declare on-disk records as typed classes.

A record is written once, in the order of its specification; the type checker and the parser read that one
declaration::

    @layout(">")
    class Header(Struct):
        magic: Annotated[bytes, array(4)]
        version: u32

To the type checker it is a frozen dataclass. At run time it is none: ``dataclasses`` imports ``inspect``, and with the
records of one format that would be a quarter of the time that ``virtkit disk info`` takes.
"""

from __future__ import annotations

import struct
import sys
from typing import TYPE_CHECKING, Annotated, dataclass_transform

from virtkit.core.errors import CorruptImageError

if TYPE_CHECKING:
    from collections.abc import Callable
    from dataclasses import Field
    from typing import ClassVar, Literal, Self, TypeVar

    S = TypeVar("S", bound="Struct")

u8 = Annotated[int, "B"]
u16 = Annotated[int, "H"]
u32 = Annotated[int, "I"]
u64 = Annotated[int, "Q"]
_CODES = {"u8": "B", "u16": "H", "u32": "I", "u64": "Q"}


def array(length: int) -> str:
    """The code of a run of bytes: ``Annotated[bytes, array(16)]``."""
    return f"{length}s"


class _Fields:
    """What ``dataclasses.replace`` looks for, made when it looks: its caller has paid for the import."""

    def __get__(self, _record: Struct | None, cls: type[Struct]) -> dict[str, Field[object]]:
        from dataclasses import fields, make_dataclass

        return {field.name: field for field in fields(make_dataclass(cls.__name__, cls._offsets))}


class Struct:
    """A fixed-size record that knows its bytes. Its fields cannot be assigned to; equal fields make equal records."""

    SIZE: ClassVar[int]  # bytes
    _codec: ClassVar[struct.Struct]
    _offsets: ClassVar[dict[str, int]]  # by field, in their order
    __dataclass_fields__ = _Fields()

    def __init__(self, *values: object, **named: object) -> None:
        """In the order of the fields or by their names; the class holds the defaults."""
        cls = type(self)
        given = {**dict(zip(cls._offsets, values, strict=False)), **named}
        if len(given) != len(values) + len(named) or not given.keys() <= cls._offsets.keys():
            raise TypeError(f"{cls.__name__}: too many fields, or one that it does not have or that is given twice")
        fields = {name: given[name] if name in given else cls._default(name) for name in cls._offsets}
        self.__dict__.update(fields)

    @classmethod
    def _default(cls, name: str) -> object:
        try:
            return getattr(cls, name)
        except AttributeError:
            raise TypeError(f"{cls.__name__}: field {name} is missing") from None

    @classmethod
    def parse(cls, data: bytes | bytearray | memoryview, offset: int = 0, *, source: str = "record") -> Self:
        """Read the record at ``offset`` of ``data``; CorruptImageError names ``source`` if it is cut short."""
        if len(data) - offset < cls.SIZE:
            found = f"{max(len(data) - offset, 0)} bytes long"
            raise CorruptImageError(source, cls.__name__, found=found, expected=f"{cls.SIZE} bytes", offset=offset)
        record = cls.__new__(cls)
        record.__dict__.update(zip(cls._offsets, cls._codec.unpack_from(data, offset), strict=True))
        return record

    def pack(self) -> bytes:
        return self._codec.pack(*self.__dict__.values())

    @classmethod
    def offset_of(cls, name: str) -> int:
        """Where a field starts, for error messages and in-place updates."""
        return cls._offsets[name]

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"{type(self).__name__}.{name} cannot be assigned to")

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"{type(self).__name__}.{name} cannot be deleted")

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and other.__dict__ == self.__dict__

    def __hash__(self) -> int:
        return hash((type(self), *self.__dict__.values()))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in self.__dict__.items())})"


@dataclass_transform(frozen_default=True)
def layout(endian: Literal["<", ">"]) -> Callable[[type[S]], type[S]]:
    """Class decorator: little (``<``) or big (``>``) endian, fields packed without padding."""

    def declare(cls: type[S]) -> type[S]:
        codes = {name: code for name, hint in cls.__annotations__.items() if (code := _code(cls, hint))}
        cls._codec = struct.Struct(endian + "".join(codes.values()))
        cls.SIZE = cls._codec.size
        cls._offsets = {}
        seen: str = endian
        for name, code in codes.items():
            cls._offsets[name] = struct.calcsize(seen)
            seen += code
        return cls

    return declare


def _code(cls: type[Struct], hint: str) -> str:
    """Of struct, for an annotation as it is written; "" for what is no field: ClassVar.

    typing.get_type_hints would do, at twice the time that all else of a declaration takes.
    """
    if hint in _CODES:
        return _CODES[hint]
    if hint.startswith("ClassVar["):
        return ""
    meant = eval(hint, vars(sys.modules[cls.__module__]))  # noqa: S307  our own source
    return str(meant.__metadata__[0])
