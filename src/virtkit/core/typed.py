"""What virtkit needs of ``typing`` and ``enum`` while it runs; to a type checker it is these.

They import ``re``, ``contextlib`` and more, and compile every annotation of a NamedTuple: a quarter of what a small
command may take. So whatever such a command imports takes these names from here.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from enum import Enum as Enum
    from typing import Annotated as Annotated
    from typing import Generic as Generic
    from typing import NamedTuple as NamedTuple
    from typing import Protocol as Protocol
    from typing import TypeVar as TypeVar
    from typing import dataclass_transform as dataclass_transform
    from typing import overload as overload
    from typing import runtime_checkable as runtime_checkable
else:
    from _collections import _tuplegetter  # what a field of a namedtuple is

    class _Record(tuple):
        """What namedtuple writes anew for every class; there it is most of the cost of one."""

        __slots__ = ()

        @classmethod
        def _make(cls, values: Iterable[object]) -> _Record:
            return cls(*values)

        def _asdict(self) -> dict[str, object]:
            return dict(zip(self._fields, self, strict=True))

        def _replace(self, /, **changed: object) -> _Record:
            record = tuple.__new__(type(self), map(changed.pop, self._fields, self))
            if changed:
                raise ValueError(f"{type(self).__name__} has no fields {list(changed)}")
            return record

        def __repr__(self) -> str:
            return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in self._asdict().items())})"

        def __getnewargs__(self) -> tuple[object, ...]:
            return tuple(self)

    class _Recorder(type):
        """Makes a named tuple of a class with annotations."""

        def __new__(cls, name: str, bases: tuple[type, ...], members: dict[str, object]) -> type:
            if not bases:
                return super().__new__(cls, name, bases, members)
            fields = tuple(members.get("__annotations__", ()))
            defaults = {field: members[field] for field in fields if field in members}
            names = "".join(f"{field}, " for field in fields)
            create = eval(f"lambda _cls, {names}: _new(_cls, ({names}))", {"_new": tuple.__new__})  # noqa: S307  our own
            create.__defaults__ = tuple(defaults.values())
            getters = {field: _tuplegetter(number, "") for number, field in enumerate(fields)}
            own = {"_fields": fields, "_field_defaults": defaults, "__match_args__": fields, "__new__": create}
            return type(name, (_Record,), {**members, **own, **getters, "__slots__": ()})

    class NamedTuple(metaclass=_Recorder):
        pass

    class _Choices(type):
        """Makes a member of each value of a class; unlike in enum, ``Kind.DATA`` costs no call."""

        def __init__(cls, name: str, bases: tuple[type, ...], members: dict[str, object]) -> None:
            super().__init__(name, bases, members)
            cls._members = [cls._member(name, value) for name, value in members.items() if name[0] != "_" and bases]

        def _member(cls, name: str, value: object) -> Enum:
            member = cls.__new__(cls)
            member.name, member.value = name, value
            setattr(cls, name, member)
            return member

        def __iter__(cls) -> Iterator[Enum]:
            return iter(cls._members)

        def __call__(cls, value: object) -> Enum:
            for member in cls:
                if member.value == value:
                    return member
            raise ValueError(f"{value!r} is not a valid {cls.__name__}")

    class Enum(metaclass=_Choices):
        def __repr__(self) -> str:
            return f"<{type(self).__name__}.{self.name}: {self.value!r}>"

        def __str__(self) -> str:
            return f"{type(self).__name__}.{self.name}"

        def __reduce__(self) -> tuple[type, tuple[object]]:
            return type(self), (self.value,)

    class _Promise(type):
        """A protocol: whatever has all of its members is an instance. Classes that inherit from one are ordinary."""

        def __init__(cls, name: str, bases: tuple[type, ...], members: dict[str, object]) -> None:
            super().__init__(name, bases, members)
            own = {*members, *members.get("__annotations__", ())} - _EVERY
            cls._promised = own.union(*(base._promised for base in bases if isinstance(base, _Promise)))

        def __getitem__(cls, _variables: object) -> type:
            return cls

        def __instancecheck__(cls, thing: object) -> bool:
            if Protocol not in cls.__bases__:
                return super().__instancecheck__(thing)
            kind = type(thing)
            return all(hasattr(kind, member) or hasattr(thing, member) for member in cls._promised)

    _EVERY = {"__annotations__", "__doc__", "__module__", "__qualname__"}  # has each class

    class Protocol(metaclass=_Promise):
        pass

    class Generic:
        def __class_getitem__(cls, _variables: object) -> type:
            return cls

    class TypeVar:
        def __init__(self, name: str, **_bounds: object) -> None:
            self.__name__ = name

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
