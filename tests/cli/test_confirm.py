"""``virtkit confirm``, ``rollback`` and ``recover`` where nothing waits, and how an administrator is asked."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from support.guarded import LATE, Place, end, until
from virtkit.cli.waiting import Appeal, countdown, state
from virtkit.core.deadman.switch import Verdict
from virtkit.core.progress import Waiting

if TYPE_CHECKING:
    from pathlib import Path

ASKED = Waiting("bridge br0", 7, 60.0, ("gateway 10.9.0.1", "your SSH session from 10.9.0.7"), ())


def virtkit(*arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "VIRTKIT_STATE_DIR": str(folder)}
    command = [sys.executable, "-m", "virtkit", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment)


@pytest.mark.parametrize("verb", ["confirm", "rollback"])
def test_where_nothing_waits_there_is_nothing_to_say(verb: str, tmp_path: Path) -> None:
    said = virtkit(verb, folder=tmp_path)
    assert said.returncode == 1
    assert said.stderr == "virtkit: no change waits for a confirmation\n  try: virtkit history\n"
    assert virtkit(verb, "9", folder=tmp_path).stderr.startswith("virtkit: change 9: not in the journal\n")


def test_recover_has_nothing_to_do(tmp_path: Path) -> None:
    assert virtkit("recover", folder=tmp_path).stdout == "✓ nothing to recover\n"
    assert virtkit("recover", "--output", "json", folder=tmp_path).stdout == "[]\n"


def test_a_change_of_another_kind_needs_no_confirmation(tmp_path: Path) -> None:
    made = "from support.guarded import *; Place({!r}).harmless()"
    place = Place(str(tmp_path))
    place.furnish()
    assert place.python(made.format(str(tmp_path))).returncode == 0
    said = virtkit("confirm", "1", folder=tmp_path)
    assert (said.returncode, "change 1 (harmless): needs no confirmation, it is done" in said.stderr) == (1, True)


def test_a_change_that_waits_is_not_undone_but_taken_back(tmp_path: Path) -> None:
    place = Place(str(tmp_path))
    place.furnish()
    running = place.begin()
    refused = virtkit("undo", "1", "-y", folder=tmp_path)
    assert (refused.returncode, "change 1 (guarded): is waiting for confirmation, " in refused.stderr) == (1, True)
    assert "  try: virtkit rollback 1\n" in refused.stderr
    assert virtkit("rollback", folder=tmp_path).returncode == 0
    assert end(running)[0] == 4


def test_who_confirms_while_the_next_move_is_made_means_that_one(tmp_path: Path) -> None:
    place = Place(str(tmp_path))
    place.furnish()
    running = place.start(confirm=LATE, second="applied:stop")
    until(place.waiting)
    place.switch.say(Verdict.CONFIRM, "a test")
    until(lambda: "c.twin" in place.files)
    environment = {**os.environ, "VIRTKIT_STATE_DIR": str(tmp_path)}
    with subprocess.Popen([sys.executable, "-m", "virtkit", "confirm"], env=environment) as confirming:
        time.sleep(1)
        running.send_signal(signal.SIGCONT)
        assert end(running) == (0, "")
    assert (confirming.returncode, place.files["d"]) == (0, "new")


@pytest.mark.parametrize("seconds", ["0", "86401"])
def test_the_time_to_confirm_has_bounds(seconds: str, tmp_path: Path) -> None:
    refused = virtkit("net", "bridge", "create", "vkplanned0", "--confirm", seconds, "--plan", folder=tmp_path)
    assert refused.returncode == 2
    assert f"--confirm: is {seconds}, expected 1 to 86400 seconds" in refused.stderr


def test_who_is_asked_is_told_all_once_and_then_what_is_new() -> None:
    appeal = Appeal()
    assert appeal(ASKED) == [
        "bridge br0: done, and put back in 60 s unless you confirm it",
        "  to keep it, from a new connection: virtkit confirm 7",
        "  to have it back at once: virtkit rollback 7",
        "  in scripts: --auto-confirm keeps it as soon as all that worked before works",
        "  alive: gateway 10.9.0.1, your SSH session from 10.9.0.7",
    ]
    assert appeal(ASKED._replace(left=59.5)) == []
    lost = ASKED._replace(left=59.0, lost=("gateway 10.9.0.1 on br0: no answer to 3 ARP requests",))
    told = "LOST: gateway 10.9.0.1 on br0: no answer to 3 ARP requests; alive: your SSH session from 10.9.0.7"
    assert appeal(lost) == [f"bridge br0: {told}"]
    assert appeal(lost._replace(left=58.5)) == []
    assert appeal(ASKED._replace(left=29.9)) == [f"bridge br0: {countdown(ASKED._replace(left=29.9))}"]


def test_where_the_watches_decide_that_is_said() -> None:
    first, *_, last = Appeal()(ASKED._replace(auto=True))
    assert first == "bridge br0: done, kept as soon as all that worked before works, else put back in 60 s"
    assert last == f"  {state(ASKED)}"


def test_without_watches_that_is_said() -> None:
    assert state(ASKED._replace(watched=())) == "nothing is watched"
