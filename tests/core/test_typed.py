"""What ``core.typed`` stands in for behaves as ``typing`` has it: each case is one source, run on both."""

from __future__ import annotations

import copy
import enum
import pickle
import typing
from typing import TYPE_CHECKING

import pytest

from virtkit.core import typed
from virtkit.disk.format import Extent, Kind

if TYPE_CHECKING:
    from types import ModuleType

SOURCE = '''
from __future__ import annotations

class Pair(NamedTuple):
    """Two of a kind."""

    left: int
    right: str = "r"

    @property
    def both(self) -> str:
        return f"{self.left}{self.right}"

    def __str__(self) -> str:
        return self.both

class Names(NamedTuple):
    """That the code which makes a record could have for itself."""

    new: int
    cls: int
    tuple: int
    self: int = 4

@runtime_checkable
class Reader(Protocol):
    size: int

    def read(self) -> bytes: ...

@runtime_checkable
class Writer(Reader, Protocol):
    def write(self) -> None: ...

class Plain:
    size = 1
    def read(self): ...

class Owner:
    def __init__(self):
        self.size = 1
    def read(self): ...
    def write(self): ...

class Sized:
    size = 1

class Child(Reader):
    size = 1

class Colour(Enum):
    RED = "red"
    BLUE = "blue"

u8 = Annotated[int, "B"]

T = TypeVar("T")

class Source(Protocol[T]):
    def take(self) -> T: ...

class Shelf(Generic[T]):
    def __init__(self, thing: T) -> None:
        self.thing = thing
'''
PAIRS = [
    "Pair(1)",
    "Pair(1, 'x')",
    "Pair(right='x', left=2)",
    "Pair(1)._replace(right='y')",
    "Pair(1)._asdict()",
    "Pair._make((3, 's'))",
    "[field for field in Pair.__match_args__]",
    "{Pair(1): 2}[(1, 'r')]",
    "Pair._fields",
    "Pair._field_defaults",
    "Pair(1).both",
    "str(Pair(1))",
    "Pair(1) == (1, 'r')",
    "hash(Pair(1))",
    "Pair.__doc__",
    "Names(1, 2, 3), Names(cls=1, tuple=2, new=3)._replace(self=5)._asdict()",
    "Pair.__name__, Pair.__qualname__, Pair.__module__",
    "list(Pair.__annotations__)",
    "u8.__metadata__",
    "Colour.RED, str(Colour.RED), Colour.RED.name, Colour.RED.value",
    "list(Colour), Colour.BLUE in Colour",
    "Colour('blue') is Colour.BLUE, Colour.RED is Colour.RED, Colour.RED == Colour.BLUE",
    "{Colour.RED: 1}[Colour.RED], isinstance(Colour.RED, Colour)",
    "copy.copy(Colour.RED) is Colour.RED",
    "T.__name__",
    "Shelf(1).thing",
    "Source.__name__",
    *(
        f"isinstance({made}, {kind})"
        for made in ("Plain()", "Owner()", "Sized()", "Child()", "1")
        for kind in ("Reader", "Writer", "Child")
    ),
]


def world(source: ModuleType) -> dict[str, object]:
    wanted = ("Annotated", "Generic", "NamedTuple", "Protocol", "TypeVar", "runtime_checkable")
    names = {name: getattr(source, name) for name in wanted}
    names |= {"__name__": "world", "copy": copy, "Enum": typed.Enum if source is typed else enum.Enum}
    exec(SOURCE, names)
    return names


@pytest.mark.parametrize("case", PAIRS)
def test_it_is_as_typing_has_it(case: str) -> None:
    ours, theirs = eval(case, world(typed)), eval(case, world(typing))
    assert repr(ours) == repr(theirs)


@pytest.mark.parametrize(
    "wrong", ["Pair()", "Pair(1, 2, 3)", "Pair(1, middle=2)", "Pair(1)._replace(middle=2)", "Pair._make([])"]
)
def test_a_wrong_field_is_an_error_of_both(wrong: str) -> None:
    for source in (typed, typing):
        with pytest.raises((TypeError, ValueError)):
            eval(wrong, world(source))


def test_a_field_cannot_be_assigned_to() -> None:
    pair = eval("Pair(1)", world(typed))
    with pytest.raises(AttributeError):
        pair.left = 2
    with pytest.raises(AttributeError):
        pair.middle = 2


def test_a_record_survives_pickling() -> None:
    extent = Extent(0, 512, Kind.ZERO)
    assert pickle.loads(pickle.dumps(extent)) == extent


def test_looking_whether_an_object_keeps_a_promise_does_not_run_its_properties() -> None:
    names = world(typed)
    exec("class Costly:\n    read = 1\n    @property\n    def size(self): raise RuntimeError", names)
    assert eval("isinstance(Costly(), Reader)", names)
