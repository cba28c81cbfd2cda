"""``python -m virtkit``, and what an installed ``virtkit`` runs."""

from __future__ import annotations

import atexit
import gc
import os
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import NoReturn

GARBAGE = 20_000  # new objects between two searches; the usual 700 would search all modules while they are imported


def fill_streams() -> None:
    """A standard stream that is closed (``>&-``) leads to /dev/null: else the next file opened would get its number."""
    for number, (name, mode) in enumerate((("stdin", "r"), ("stdout", "w"), ("stderr", "w"))):
        if getattr(sys, name) is None:
            opened = os.open(os.devnull, os.O_RDWR)
            if opened == number:
                os.set_inheritable(number, True)  # noqa: FBT003  it takes no keyword
            else:
                os.dup2(opened, number)
                os.close(opened)
            setattr(sys, name, os.fdopen(number, mode))


def leave(status: int) -> NoReturn:
    """End the process without taking the interpreter apart first: that costs 4 ms and frees what the kernel frees."""
    atexit._run_exitfuncs()  # noqa: SLF001  nothing public runs them; multiprocessing leaves its children so too
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:  # the reader has gone; main() has told what can be told
            continue
    os._exit(status)


def run() -> NoReturn:
    gc.set_threshold(GARBAGE)
    from virtkit.cli.main import main

    fill_streams()
    leave(main())


if __name__ == "__main__":
    run()
