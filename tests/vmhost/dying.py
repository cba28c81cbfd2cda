"""A virtkit that is killed at an exact moment: SIGKILL of its own process, as the kernel sends it."""

from __future__ import annotations

import signal
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vmhost.hosts import Host

SCRIPT = """
import os, runpy, signal, sys
from importlib import import_module
module, _, place = sys.argv[1].partition(":")
holder, _, name = place.rpartition(".")
owner = import_module(module)
setattr(getattr(owner, holder) if holder else owner, name, lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL))
sys.argv[:] = ["virtkit", *sys.argv[2:]]
runpy.run_module("virtkit", run_name="__main__")
"""


def die_at(host: Host, moment: str, *arguments: str) -> None:
    """``moment``: ``module:function`` or ``module:Class.method``; it has to be reached."""
    done = host.run(sys.executable, "-c", SCRIPT, moment, *arguments, check=False)
    assert done.returncode == -signal.SIGKILL, done
