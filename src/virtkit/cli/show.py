"""What a person sees: lines, tables, plans, progress, errors; and the same as JSON.

Results go to standard output, everything about the way there to standard error. Colour never carries meaning alone.
"""

from __future__ import annotations

import codecs
import io
import os
import sys
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from virtkit.core.errors import SystemCallError, VirtkitError
from virtkit.core.progress import Advanced, Event, Finished, Note, Sink, Started, silent

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Sequence

    from virtkit.core.plan import Json, Plan

_STAND_INS = {"✓": "ok", "✗": "x", "…": "...", "█": "#", "▓": "+", "▒": "-", "░": "."}
QUIET_SECONDS = 30  # without a terminal: a line at least this often, and at every tenth


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

    def configure(self, args: argparse.Namespace) -> None:
        self.json = getattr(args, "output", "human") == "json"
        self.quiet = getattr(args, "quiet", False)
        self.verbose = getattr(args, "verbose", False)

    def line(self, text: str = "") -> None:
        try:
            sys.stdout.write(text + "\n")
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

        text = json.dumps(value, indent=4, ensure_ascii=False)
        try:
            text.encode(sys.stdout.encoding or "ascii")
        except UnicodeEncodeError:  # a stand-in would be another value
            text = json.dumps(value, indent=4)
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
        for line in plan.lines():
            self.line(f"  {line}")
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
            self.data({"error": error.message, "hint": error.hint, "status": error.exit_status})
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
    def progress(self) -> Iterator[Sink]:
        """A sink that draws bars on a terminal and prints few lines elsewhere."""
        if self.quiet:
            yield silent
        elif sys.stderr.isatty():
            with _bars() as sink:
                yield sink
        else:
            yield _Lines()


def _refused(error: OSError) -> OSError | SystemCallError:
    return error if isinstance(error, BrokenPipeError) else SystemCallError("write standard output", error)


class _Lines:
    """Progress for logs: a line per step, per tenth of a step, and per QUIET_SECONDS."""

    def __init__(self) -> None:
        self._total: dict[str, int | None] = {}
        self._tenth: dict[str, int] = {}
        self._spoke = 0.0

    def __call__(self, event: Event) -> None:
        if isinstance(event, Started):
            self._total[event.step] = event.total
            self._tenth[event.step] = 0
            self._say(event.step)
        elif isinstance(event, Note):
            self._say(f"{event.step}: {event.text}")
        elif isinstance(event, Advanced) and (total := self._total.get(event.step)):
            tenth = event.done * 10 // total
            if tenth > self._tenth[event.step] or time.monotonic() - self._spoke > QUIET_SECONDS:
                self._tenth[event.step] = tenth
                self._say(f"{event.step}: {event.done * 100 // total} %")

    def _say(self, text: str) -> None:
        self._spoke = time.monotonic()
        sys.stderr.write(text + "\n")


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
            elif isinstance(event, Note):
                bars.console.print(f"{event.step}: {event.text}", markup=False, highlight=False)
            elif isinstance(event, Finished) and (task := tasks.pop(event.step, None)) is not None:
                bars.remove_task(task)
                bars.console.print(f"✓ {event.step}", markup=False, highlight=False)

        yield sink
