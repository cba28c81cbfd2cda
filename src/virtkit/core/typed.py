"""What virtkit needs of ``typing`` while it runs; to a type checker it is ``typing``.

That module imports ``re``, ``enum`` and ``contextlib``, and compiles every annotation of a NamedTuple: a fifth of what
a small command may take. So whatever such a command imports takes these names from here.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Annotated as Annotated
    from typing import NamedTuple as NamedTuple
    from typing import Protocol as Protocol
    from typing import dataclass_transform as dataclass_transform
    from typing import overload as overload
    from typing import runtime_checkable as runtime_checkable
else:
    from collections import namedtuple

    class _Recorder(type):
        """Makes a namedtuple of a class with annotations."""

        def __new__(cls, name: str, bases: tuple[type, ...], members: dict[str, object]) -> type:
            if not bases:
                return super().__new__(cls, name, bases, members)
            fields = members.get("__annotations__", {})
            defaults = [members[field] for field in fields if field in members]
            record = namedtuple(name, fields, defaults=defaults, module=members["__module__"])
            for member, value in members.items():
                if member not in fields:
                    setattr(record, member, value)
            return record

    class NamedTuple(metaclass=_Recorder):
        pass

    class _Promise(type):
        """A protocol: whatever has all of its members is an instance. Classes that inherit from one are ordinary."""

        def __init__(cls, name: str, bases: tuple[type, ...], members: dict[str, object]) -> None:
            super().__init__(name, bases, members)
            own = {*members, *members.get("__annotations__", ())} - _EVERY
            cls._promised = own.union(*(base._promised for base in bases if isinstance(base, _Promise)))

        def __instancecheck__(cls, thing: object) -> bool:
            if Protocol not in cls.__bases__:
                return super().__instancecheck__(thing)
            kind = type(thing)
            return all(hasattr(kind, member) or hasattr(thing, member) for member in cls._promised)

    _EVERY = {"__annotations__", "__doc__", "__module__", "__qualname__"}  # has each class

    class Protocol(metaclass=_Promise):
        pass

    class Annotated:
        def __init__(self, *metadata: object) -> None:
            self.__metadata__ = metadata

        def __class_getitem__(cls, arguments: tuple[object, ...]) -> Annotated:
            return cls(*arguments[1:])

    def runtime_checkable(protocol: type) -> type:
        return protocol

    def overload(function: object) -> object:
        return function

    def dataclass_transform(**_promises: bool) -> object:
        return overload
