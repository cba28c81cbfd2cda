"""What a person sees: lines, tables, plans, progress, errors; and the same as JSON.

Results go to standard output, everything about the way there to standard error. Colour never carries meaning alone.
"""

from __future__ import annotations

import codecs
import io
import os
import sys
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from virtkit.core.errors import SystemCallError, VirtkitError
from virtkit.core.progress import Advanced, Event, Finished, Note, Sink, Started, Waiting, silent

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from types import FrameType

    from virtkit.cli.progress import Teller
    from virtkit.core.plan import Json, Plan

_TOGETHER = 512  # lines in one write
_STAND_INS = {
    "✓": "ok",
    "✗": "x",
    "…": "...",
    "█": "#",
    "▓": "+",
    "▒": "-",
    "░": ".",
    "├": "|",
    "└": "`",
    "│": "|",
    "─": "-",
}


def _stand_in(error: UnicodeError) -> tuple[str, int]:
    """For what a stream's encoding does not have: our signs in ASCII, all else (names of files) by its number."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    sign = error.object[error.start]
    text = _STAND_INS.get(sign) or sign.encode("ascii", "backslashreplace").decode()
    return text, error.start + 1


class Console:
    def __init__(self) -> None:
        codecs.register_error("virtkit", _stand_in)
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, io.TextIOWrapper):
                stream.reconfigure(errors="virtkit")
        self.json = False
        self.quiet = False
        self.verbose = False
        self._teller: Teller | None = None
        self._streams = False  # JSON: an object per line

    def configure(self, args: object) -> None:
        self.json = getattr(args, "output", "human") == "json"
        self.quiet = getattr(args, "quiet", False)
        self.verbose = getattr(args, "verbose", False)

    def line(self, text: str = "") -> None:
        self.write(text + "\n")

    def lines(self, texts: Iterable[str]) -> None:
        """Thousands of lines in few writes; where ``texts`` breaks off, what came before is told."""
        waiting: list[str] = []
        try:
            for text in texts:
                waiting.append(text)
                if len(waiting) == _TOGETHER:
                    told, waiting = waiting, []
                    self.line("\n".join(told))
        finally:
            if waiting:
                self.line("\n".join(waiting))

    def write(self, text: str) -> None:
        """Part of a line."""
        try:
            sys.stdout.write(text)
        except OSError as error:
            raise _refused(error) from error

    def flush(self) -> None:
        """BrokenPipeError where the reader has gone, SystemCallError where the disk is full."""
        try:
            sys.stdout.flush()
        except OSError as error:
            raise _refused(error) from error

    def abandon(self) -> None:
        """Nobody reads our output any more; what is still buffered must not fail once more at the end."""
        nowhere = os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)
        for stream in (sys.stdout, sys.stderr):
            try:
                stream.flush()
            except OSError:
                os.dup2(nowhere, stream.fileno())
        os.close(nowhere)

    def note(self, text: str) -> None:
        """Something about the way there; -q leaves it out."""
        if not self.quiet:
            sys.stderr.write(text + "\n")

    def data(self, value: Json) -> None:
        import json  # 1 ms

        indent = None if self._streams else 4
        text = json.dumps(value, indent=indent, ensure_ascii=False)
        try:
            text.encode(sys.stdout.encoding or "ascii")
        except UnicodeEncodeError:  # a stand-in would be another value
            text = json.dumps(value, indent=indent)
        self.line(text)

    def table(self, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """Columns aligned by display width; plain text where standard output is no terminal."""
        from rich import box  # 74 ms
        from rich.console import Console as Rich
        from rich.table import Table

        table = Table(
            *columns, box=box.SIMPLE_HEAD if sys.stdout.isatty() else None, header_style="bold", pad_edge=False
        )
        for row in rows:
            table.add_row(*row)
        rich = Rich(file=sys.stdout, markup=False, highlight=False, width=None if sys.stdout.isatty() else 240)
        with rich.capture() as drawn:  # left to itself, rich ends the program where the reader has gone
            rich.print(table)
        self.line(drawn.get().removesuffix("\n"))

    def plan(self, plan: Plan) -> None:
        if self.json:
            self.data(plan.data())
            return
        self.line(f"{plan.title}:" if plan else f"{plan.title}: nothing to change")
        for action in plan.actions:
            self.line(f"  {action.sign} {action.describe()}")
            for detail in action.details():
                self.line(f"      {detail}")
        for note in plan.notes:
            self.line(f"  note: {note}")

    def can_ask(self) -> bool:
        return sys.stdin.isatty()

    def ask(self, question: str) -> bool:
        sys.stderr.write(f"{question} [y/N] ")
        sys.stderr.flush()
        return sys.stdin.readline().strip().lower() in {"y", "yes", "是"}

    def error(self, error: VirtkitError) -> None:
        if self.json:
            told: dict[str, Json] = {"error": error.message, "hint": error.hint, "status": error.exit_status}
            self.data({"event": "error", **told} if self._streams else told)
            return
        with suppress(OSError):  # it may be this very fault that is told
            sys.stdout.flush()
        sys.stderr.write(f"virtkit: {error.message}\n" + (f"  try: {error.hint}\n" if error.hint else ""))

    def crash(self, error: BaseException) -> None:
        """A fault of virtkit itself: the whole traceback to standard error, and one line."""
        import traceback

        sys.stderr.write("".join(traceback.format_exception(error)))
        said = "".join(traceback.format_exception_only(error)).strip()
        self.error(VirtkitError(f"internal error: {said} (the traceback is on standard error)"))

    @contextmanager
    def progress(self, *, waits: bool = False) -> Iterator[Sink]:
        """The sink of a change, step by step: bars on a terminal, few lines elsewhere.

        One that ``waits`` for its confirmation has to be heard: with ``--output json`` each event, and then the answer,
        is an object on a line of its own.
        """
        if waits and self.json:
            from virtkit.cli.progress import Events, Teller

            self._streams = True
            yield Teller(Events(self._now))
        elif self.quiet and not waits:
            yield silent
        elif sys.stderr.isatty():
            with _bars() as sink:
                yield sink
        else:
            from virtkit.cli.progress import Lines, Teller

            yield Teller(Lines())

    @contextmanager
    def transfer(self, *, asked: bool = False) -> Iterator[Sink]:
        """The sink of a verb that moves bytes.

        With ``--output json`` each event, and then the answer, is an object on a line of its own; on a terminal one
        line lives; elsewhere there are lines if ``asked`` (-p). SIGUSR1 makes it tell, whatever was asked.
        """
        from virtkit.cli import progress

        self._streams = self.json and not self.quiet
        if self._streams:
            view: progress.View = progress.Events(self._now)
        elif self.quiet:
            view = progress.mute
        elif sys.stderr.isatty():
            view = progress.Live()
        else:
            view = progress.Lines() if asked else progress.notes
        self._teller = progress.Teller(view)
        try:
            yield self._teller
        finally:
            self._teller = None
            with suppress(OSError):
                if isinstance(view, progress.Live):
                    view.clear()

    def _now(self, line: str) -> None:
        sys.stdout.write(line + "\n")
        sys.stdout.flush()

    def tell(self, _number: int = 0, _frame: FrameType | None = None) -> None:
        """What a signal does: where the work is, past all buffers, which may be in use at this moment."""
        told = (self._teller.told() if self._teller else []) or ["virtkit: nothing to tell yet"]
        with suppress(OSError, ValueError):  # nobody listens
            begin, end = ("\r", "\x1b[K\n") if sys.stderr.isatty() else ("", "\n")
            shown = "".join(f"{begin}{line}{end}" for line in told)
            os.write(sys.stderr.fileno(), shown.encode("utf-8", "backslashreplace"))


def _refused(error: OSError) -> OSError | SystemCallError:
    return error if isinstance(error, BrokenPipeError) else SystemCallError("write standard output", error)


@contextmanager
def _bars() -> Iterator[Sink]:
    from rich.console import Console as Rich  # 118 ms
    from rich.progress import (
        BarColumn,
        Progress,
        SpinnerColumn,
        TaskID,
        TaskProgressColumn,
        TextColumn,
        TimeRemainingColumn,
    )

    from virtkit.cli.waiting import Appeal, countdown

    appeal = Appeal()
    screen = Rich(stderr=True)
    columns = (
        SpinnerColumn("dots" if screen.encoding.startswith("utf") else "line"),
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TaskProgressColumn(),
        TimeRemainingColumn(),
    )
    tasks: dict[str, TaskID] = {}
    with Progress(*columns, console=screen, transient=True) as bars:

        def sink(event: Event) -> None:
            if isinstance(event, Started):
                tasks[event.step] = bars.add_task(event.step, total=event.total)
            elif isinstance(event, Advanced) and event.step in tasks:
                bars.update(tasks[event.step], completed=event.done)
            elif isinstance(event, Waiting):
                for line in appeal(event):
                    bars.console.print(line, markup=False, highlight=False)
                for waiting in tasks.values():
                    bars.update(waiting, description=countdown(event), total=appeal.seconds, completed=event.left)
            elif isinstance(event, Note):
                bars.console.print(f"{event.step}: {event.text}", markup=False, highlight=False)
            elif isinstance(event, Finished) and (task := tasks.pop(event.step, None)) is not None:
                bars.remove_task(task)
                bars.console.print(f"✓ {event.step}", markup=False, highlight=False)

        yield sink
