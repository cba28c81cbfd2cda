"""What is going to change, as data. Making a plan changes nothing."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, fields
from importlib import import_module
from typing import TYPE_CHECKING, ClassVar, TypeAlias

from virtkit.core.errors import NotSupportedError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from virtkit.core.progress import Sink
    from virtkit.core.system import System

Json: TypeAlias = "bool | int | float | str | Sequence[Json] | dict[str, Json] | None"

_KINDS: dict[str, type[Action]] = {}


class Action(ABC):
    """One change to the machine: a frozen dataclass whose fields are JSON.

    The journal writes the fields down, so that another process can undo the action after SIGKILL or a reboot;
    it finds the class by ``kind`` = ``<area>.<name>`` in the module ``virtkit.<area>.actions``.
    """

    kind: ClassVar[str]
    sign: ClassVar[str] = "~"  # in front of the plan's line: + makes, ~ changes, - removes
    stands_alone: ClassVar[bool] = False  # earlier steps may be undone although this one could not be
    holds_data: ClassVar[bool] = False  # undo would delete what a guest may have written: only when asked
    volatile: ClassVar[bool] = False  # state of the running kernel alone, which a reboot takes away
    cuts_off: ClassVar[bool] = False  # may cut the administrator off: a guardian stands by (core/deadman)
    unseen: ClassVar[bool] = False  # leaves nothing that can be read back: undo runs without comparing
    final: ClassVar[bool] = False  # nothing brings back what it takes away: undo says so
    needs_root: ClassVar[bool] = False  # it changes what is the host's: others are refused before anything is touched
    changes: ClassVar[bool] = True  # False: it watches or waits, there is nothing to put back

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        if "kind" in cls.__dict__:
            _KINDS[cls.kind] = cls

    @abstractmethod
    def describe(self) -> str:
        """One line in the words of the person who asked: ``br0: bridge over eth0``."""

    def details(self) -> list[str]:
        """Further lines for who wants to know exactly: the difference of a file."""
        return []

    @abstractmethod
    def capture(self, system: System) -> Json:
        """The present state, as ``undo`` needs it. Called before ``apply``, after ``verify`` and before ``undo``.

        None: the thing that would be changed is not there.
        """

    @abstractmethod
    def apply(self, system: System, report: Sink) -> None:
        """Make the change. Long work reports."""

    @abstractmethod
    def verify(self, system: System) -> None:
        """Read the machine, not what was sent; raise VerifyError if it is not as asked."""

    @abstractmethod
    def undo(self, system: System, before: Json) -> None:
        """Bring back ``before``. Must be safe to run twice, and after a half-done ``apply``."""

    def fingerprint(self, state: Json) -> Json:
        """The part of a captured state that only a person or another program changes.

        Undo compares it: equal to ``before``: nothing to do; different from the state after ``apply``: somebody
        else changed it since. Drop here what drifts by itself (lifetimes, counters).
        """
        return state

    def difference(self, left: Json, now: Json, system: System) -> str:
        """What somebody else did since, in words; both are fingerprints: as this step left it, and now.

        Empty: the bare state is shown instead.
        """
        return ""

    def data(self) -> dict[str, Json]:
        return {"kind": self.kind, "fields": {f.name: getattr(self, f.name) for f in fields(self)}}  # type: ignore[arg-type]  # subclasses are dataclasses


def load_action(kind: str, values: dict[str, Json]) -> Action:
    """The action that ``Action.data`` wrote down, in this or in another process."""
    if kind not in _KINDS:
        area = kind.partition(".")[0]
        if area.isidentifier():
            try:
                import_module(f"virtkit.{area}.actions")
            except ModuleNotFoundError as error:
                raise NotSupportedError(f"action {kind}: this version of virtkit has no area {area}") from error
    if kind not in _KINDS:
        raise NotSupportedError(f"action {kind}: this version of virtkit does not know it")
    return _KINDS[kind](**values)


@dataclass(frozen=True)
class Plan:
    """Actions in the order in which they will run. An empty plan: the machine is as wanted already."""

    title: str
    actions: tuple[Action, ...] = ()
    notes: tuple[str, ...] = ()  # what the reader should know before saying yes

    def __add__(self, other: Plan) -> Plan:
        return Plan(self.title, self.actions + other.actions, self.notes + other.notes)

    def __bool__(self) -> bool:
        return bool(self.actions)

    @property
    def cuts_off(self) -> bool:
        """Whether it may cut the administrator off."""
        return any(action.cuts_off for action in self.actions)

    @property
    def reserved(self) -> str:
        """The first step that is root's alone; empty if there is none."""
        return next((action.describe() for action in self.actions if action.needs_root), "")

    @property
    def final(self) -> bool:
        """Whether nobody can take it back once it is done."""
        return any(action.final for action in self.actions)

    def lines(self) -> list[str]:
        return [f"{action.sign} {action.describe()}" for action in self.actions]

    def data(self) -> dict[str, Json]:
        steps = [{**action.data(), "sign": action.sign, "text": action.describe()} for action in self.actions]
        return {"title": self.title, "notes": list(self.notes), "actions": steps}
