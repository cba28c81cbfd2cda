"""A call of libvirt's that takes long: it runs beside, and its job is watched, told about, and called off."""

from __future__ import annotations

from contextlib import suppress
from threading import Event, Thread
from typing import TYPE_CHECKING

from virtkit.core.errors import VirtkitError
from virtkit.core.progress import Advanced, Finished, Started

if TYPE_CHECKING:
    from collections.abc import Callable

    from virtkit.core.progress import Sink
    from virtkit.vm.machine import Machine

PAUSE = 0.2  # seconds between two looks


class Teller:
    """Tells a sink how many bytes of a machine's job are done."""

    def __init__(self, step: str, report: Sink) -> None:
        self._step, self._report = step, report
        self._total = 0

    def look(self, machine: Machine) -> bool:
        """Whether a job runs."""
        try:
            seen = machine.ask(dict, "jobStats", 0)
        except VirtkitError:  # it just ended, or does not tell while it holds the machine
            return False
        total = int(seen.get("data_total", 0) or seen.get("disk_total", 0))
        if total and not self._total:
            self._total = total
            self._report(Started(self._step, total))
        if self._total:
            done = int(seen.get("data_processed", 0) or seen.get("disk_processed", 0))
            self._report(Advanced(self._step, min(done, self._total)))
        return bool(seen.get("type"))

    def end(self) -> None:
        if self._total:
            self._report(Finished(self._step))


def watched(machine: Machine, step: str, report: Sink, call: Callable[[], None]) -> None:
    """``call`` to its end. Whatever ``report`` or Ctrl-C raises calls the job off first, and is raised again."""
    over, failures, teller = Event(), list[BaseException](), Teller(step, report)
    broken: BaseException | None = None

    def run() -> None:
        try:
            call()
        except BaseException as error:  # noqa: BLE001  it is raised by who waits for this thread
            failures.append(error)
        finally:
            over.set()

    Thread(target=run, daemon=True).start()
    while not over.is_set():  # an interrupted join() takes a thread for ended that is not (CPython 3.11)
        try:
            teller.look(machine)
            over.wait(PAUSE)
        except BaseException as error:  # noqa: BLE001  likewise: the job is called off before it goes on
            broken = broken or error
            with suppress(VirtkitError):
                machine.tell("abortJob")
    if failed := [*filter(None, [broken]), *failures]:
        raise failed[0]
    teller.end()
