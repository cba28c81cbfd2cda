"""How a verb that moves bytes tells how far it is: a line that lives on a terminal, lines in a log, JSON events.

Nothing here ends the work: who listened may go.
"""

from __future__ import annotations

import os
import sys
import time
from typing import TYPE_CHECKING, Protocol

from virtkit.cli.waiting import Appeal
from virtkit.core.progress import Advanced, Course, Event, Finished, Note, Started, Waiting
from virtkit.core.units import format_size

if TYPE_CHECKING:
    from collections.abc import Callable

    from virtkit.core.plan import Json

PATIENCE = 0.3  # seconds before a line appears: what is over sooner needs none
EVERY = 0.2  # seconds between two pictures, or two events
QUIET_SECONDS = 30  # in a log: a line at least this often, and at every tenth
_WIDEST_BAR = 30  # columns


class View(Protocol):
    def __call__(self, event: Event, course: Course | None, /) -> None:
        """``course`` is that of the step, with ``event`` in it; None for a step that was never started."""
        ...


class Teller:
    """The sink of one verb. ``told`` says at any moment how far it is."""

    def __init__(self, view: View) -> None:
        self._view = view
        self._courses: dict[str, Course] = {}

    def __call__(self, event: Event) -> None:
        if isinstance(event, Started):
            self._courses[event.step] = Course(event)
        course = self._courses.get(event.step)
        if course and isinstance(event, Advanced):
            course.advance(event.done)
        try:
            self._view(event, course)
        except OSError:  # nobody listens any more
            self._view = mute
        if isinstance(event, Finished):
            self._courses.pop(event.step, None)

    def told(self) -> list[str]:
        """How far it is, a line for each step that is under way."""
        return [text(course) for course in self._courses.values()]


def mute(_event: Event, _course: Course | None) -> None:
    """For -q, and where nobody listens any more."""


def notes(event: Event, _course: Course | None) -> None:
    """For who did not ask for progress: what is worth a line of its own all the same."""
    if isinstance(event, Note):
        _say(f"{event.step}: {event.text}")


def text(course: Course) -> str:
    """``convert a.raw: 45 % (4.5 GiB of 10 GiB), 812 MiB/s, 7 s left``."""
    return f"{course.step}: {', '.join(figures(course))}"


def figures(course: Course) -> list[str]:
    """What is done, how fast, how long it takes still: as far as it is known."""
    sizes = course.unit == "bytes"
    done = format_size(course.done) if sizes else str(course.done)
    if course.total is None or course.fraction is None:
        found = [done] if course.done else ["under way"]
    else:
        total = format_size(course.total) if sizes else f"{course.total} {course.unit}"
        found = [f"{int(course.fraction * 100)} % ({done} of {total})"]
    if sizes and course.rate > 0:
        found.append(f"{format_size(int(course.rate))}/s")
    if course.eta is not None:
        found.append(f"{duration(course.eta)} left")
    return found


def duration(seconds: float) -> str:
    """``7 s``, ``3 min 20 s``, ``2 h 5 min``."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


class Lines:
    """For logs: a line per step, per tenth of a step, and per QUIET_SECONDS."""

    def __init__(self) -> None:
        self._tenth: dict[str, int] = {}
        self._spoke = 0.0
        self._appeal = Appeal()

    def __call__(self, event: Event, course: Course | None) -> None:
        if isinstance(event, Waiting):
            for line in self._appeal(event):
                self._say(line)
        elif isinstance(event, Note):
            self._say(f"{event.step}: {event.text}")
        elif isinstance(event, Started):
            self._tenth[event.step] = 0
            self._say(event.step)
        elif isinstance(event, Advanced) and course and course.fraction is not None:
            tenth = int(course.fraction * 10)
            if tenth > self._tenth[event.step] or time.monotonic() - self._spoke > QUIET_SECONDS:
                self._tenth[event.step] = tenth
                self._say(text(course))

    def _say(self, line: str) -> None:
        self._spoke = time.monotonic()
        _say(line)


class Live:
    """One line of a terminal, drawn again and again, and gone when its step is over."""

    def __init__(self) -> None:
        self._drawn = 0.0
        self._shown = False

    def __call__(self, event: Event, course: Course | None) -> None:
        if isinstance(event, Note):
            self.clear()
            _say(f"{event.step}: {event.text}")
        elif isinstance(event, Finished):
            self.clear()
        elif course and course.seconds >= PATIENCE and time.monotonic() - self._drawn >= EVERY:
            self._draw(course)

    def clear(self) -> None:
        if self._shown:
            _write("\r\x1b[K")
            self._shown = False

    def _draw(self, course: Course) -> None:
        self._drawn, self._shown = time.monotonic(), True
        columns = os.get_terminal_size(sys.stderr.fileno()).columns or 80
        _write("\r" + picture(course, columns - 1) + "\x1b[K")


def picture(course: Course, columns: int) -> str:
    """``text`` with a bar in the room that is left; cut where there is too little."""
    line = text(course)
    room = min(columns - len(line) - 1, _WIDEST_BAR)
    if course.fraction is None or room < 8:  # noqa: PLR2004  fewer columns show nothing
        return line[:columns]
    filled = int(course.fraction * room)
    return f"{'█' * filled}{'░' * (room - filled)} {line}"


class Events:
    """A JSON object per line: sizes in bytes, times in seconds. ``line`` writes one, at once."""

    def __init__(self, line: Callable[[str], None]) -> None:
        self._line = line
        self._told = 0.0

    def __call__(self, event: Event, course: Course | None) -> None:
        if isinstance(event, Advanced):
            if not course or time.monotonic() - self._told < EVERY:
                return
            self._told = time.monotonic()
        self._tell(fields(event, course))

    def _tell(self, told: dict[str, Json]) -> None:
        import json  # only where it is asked for

        self._line(json.dumps(told))


def fields(event: Event, course: Course | None) -> dict[str, Json]:
    """Documented in docs/en/qemu-img.md: names stay, new ones may come."""
    told: dict[str, Json] = {"event": type(event).__name__.lower(), "step": event.step}
    if isinstance(event, Note):
        return {**told, "text": event.text}
    if isinstance(event, Waiting):
        waits: dict[str, Json] = {
            "change": event.change,
            "left": round(event.left, 1),
            "confirm": f"virtkit confirm {event.change}",
        }
        return {**told, **waits, "watched": list(event.watched), "lost": list(event.lost)}
    if course is None:
        return told
    told |= {"done": course.done, "total": course.total}
    if isinstance(event, Advanced):
        eta = None if course.eta is None else round(course.eta, 1)
        return {**told, "rate": int(course.rate), "eta": eta}
    return {**told, "seconds": round(course.seconds, 3)} if isinstance(event, Finished) else told


def _say(line: str) -> None:
    _write(line + "\n")


def _write(shown: str) -> None:
    if sys.stderr:
        sys.stderr.write(shown)
        sys.stderr.flush()
