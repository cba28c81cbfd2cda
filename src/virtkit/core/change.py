"""A change as its journal tells it, line by line."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, TypeAlias

from virtkit.core.boot import boot_id, boottime
from virtkit.core.plan import Action, load_action

if TYPE_CHECKING:
    from virtkit.core.plan import Json

Line: TypeAlias = "dict[str, Json]"


class Status(Enum):
    PLANNED = "planned"
    BEGUN = "begun"  # may be half done
    DONE = "done"
    UNDOING = "undoing"  # may be half undone
    UNDONE = "undone"
    KEPT = "kept"


_GUARDING = ("armed", "holding", "confirmed", "taken", "back")
STILL_THERE = (Status.BEGUN, Status.DONE, Status.UNDOING)


@dataclass
class Step:
    kind: str
    fields: dict[str, Json]
    text: str
    status: Status = Status.PLANNED
    before: Json = None
    after: Json = None

    def action(self) -> Action:
        return load_action(self.kind, self.fields)


@dataclass
class Change:
    number: int
    title: str = ""
    origin: str = ""  # what asked for it: a file's path, or empty
    started: float = 0.0  # seconds since the epoch
    boot: str = ""  # boot_id of the host's start in which it was begun
    pid: int = 0  # of the process that works on it, or did last
    born: int = 0  # as core/boot has it
    guarded: bool = False  # may cut the administrator off: a guardian stands by
    deadline: float = 0.0  # boottime by which it has to hold (armed), or to be confirmed (holding)
    holding: int | None = None  # the step that waits for the confirmation
    confirmed: str = ""  # by whom
    reason: str = ""  # why everything is, or was, put back
    committed: bool = False
    running: bool = False  # a living process works on it
    steps: list[Step] = field(default_factory=list)

    @property
    def name(self) -> str:
        return f"change {self.number} ({self.title})"

    @property
    def begun(self) -> bool:
        """Whether anything was ever touched."""
        return any(step.status is not Status.PLANNED for step in self.steps)

    @property
    def remaining(self) -> list[Step]:
        return [step for step in self.steps if step.status in STILL_THERE]

    @property
    def waiting(self) -> float | None:
        """Seconds that are left to confirm it; None: it does not wait for that."""
        if self.holding is None or self.confirmed or self.reason or self.other_boot:
            return None
        return max(self.deadline - boottime(), 0.0)

    @property
    def other_boot(self) -> bool:
        """The kernel's part of it has gone with the boot that it was begun in."""
        return bool(self.boot) and self.boot != boot_id()

    @property
    def open(self) -> bool:
        """Neither whole nor put back."""
        return not self.committed and bool(self.remaining or not (self.begun or self.reason))

    @property
    def state(self) -> str:
        if self.running:
            return "running" if self.waiting is None else f"waiting for confirmation, {self.waiting:.0f} s left"
        if not self.remaining:
            kept = any(step.status is Status.KEPT for step in self.steps)
            return "undone, data kept" if kept else "undone" if self.committed else "rolled back"
        if not self.committed:
            return "interrupted"
        touched = any(step.status in (Status.UNDONE, Status.UNDOING, Status.KEPT) for step in self.steps)
        return "partly undone" if touched else "done"

    @property
    def outcome(self) -> str:
        """A line for who finds it so."""
        return f"{self.name}: {self.state}: {self.reason}"

    def follow(self, line: Line) -> None:
        event = line["event"]
        if event == "begin":
            self._begin(line)
        elif event == "commit":
            self.committed = True
        elif event in _GUARDING:
            self._guard(str(event), line)
        else:
            self._step(str(event), self.steps[int(str(line["step"]))], line)

    def _guard(self, event: str, line: Line) -> None:
        if event == "taken":
            self.pid, self.born = int(str(line["pid"])), int(str(line["born"]))
        elif event == "confirmed":
            self.confirmed = str(line["by"])
        elif event == "back":
            self.reason = str(line["why"])
        else:
            self.deadline = float(str(line["deadline"]))
            if event == "holding":
                self.holding, self.confirmed = int(str(line["step"])), ""

    def _begin(self, line: Line) -> None:
        self.title, self.origin, self.started = str(line["title"]), str(line["origin"]), float(str(line["time"]))
        self.guarded, self.boot = line.get("guarded") is True, str(line.get("boot", ""))
        self.pid, self.born = int(str(line.get("pid", 0))), int(str(line.get("born", 0)))
        plan: list[dict[str, Json]] = line["plan"]  # type: ignore[assignment]  # _read() reports what is not so
        self.steps = [Step(str(entry["kind"]), dict(entry["fields"]), str(entry["text"])) for entry in plan]  # type: ignore[arg-type]  # the same

    def _step(self, event: str, step: Step, line: Line) -> None:
        if event == "before":
            step.status, step.before = Status.BEGUN, line["state"]
        elif event == "done":
            step.status, step.after = Status.DONE, line["state"]
        else:
            step.status = Status(event)
