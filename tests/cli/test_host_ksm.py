from __future__ import annotations

import json
import os
import subprocess
import sys

from virtkit.cli.host.ksm import _lines, _row
from virtkit.core.units import MIB
from virtkit.host.kernel import Choice
from virtkit.host.memory import Ksm
from virtkit.host.merged import Taken
from virtkit.host.merging import Gain, Merging

ADVISED = Choice("scan-time", ("none", "scan-time"))
RUNNING = Ksm(1, "running", ADVISED, 10, 900, -4096, merge_across_nodes=True)


def test_who_gains_is_told_with_what_it_lost() -> None:
    gain = Gain("web1", 7, Taken(145 * MIB, 94 * MIB), Taken(206 * MIB, 218 * MIB), 80 * MIB, 79 * MIB)
    assert _row(gain) == ("web1", "145 MiB (206 MiB before)", "94 MiB (218 MiB before)", "80 MiB", "79 MiB")
    assert _row(gain._replace(before=None, saved=None)) == ("web1", "145 MiB", "94 MiB", "80 MiB", "not available")


def test_the_first_line_says_whether_it_is_worth_it_and_who_else_sets_it() -> None:
    assert list(_lines(Merging(RUNNING, (), "ksmtuned"))) == [
        "KSM: running, at the pace of its advisor (scan-time); saves -4 KiB in all, less its own records",
        "  ksmtuned runs and sets it, too: systemctl disable --now ksmtuned",
        "  no machine runs",
    ]
    assert "pace" not in next(_lines(Merging(RUNNING._replace(run=0, state="stopped"), (), "")))
    assert list(_lines(Merging(None, (), ""))) == ["KSM: not available: this kernel has none"]


def test_this_host_answers() -> None:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    command = [sys.executable, "-m", "virtkit", "host", "ksm", "--output", "json"]
    found = json.loads(subprocess.run(command, capture_output=True, check=True, env=environment).stdout)
    assert list(found) == ["ksm", "gains", "tuner"]
