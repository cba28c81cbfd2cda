"""A host that its administrator may have lost comes back by itself, whoever dies, and stays as it is if he confirms."""

from __future__ import annotations

import json
import os
import pty
import shlex
import signal
import subprocess
import sys
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

import pytest

from netns import picture
from netns.lab import GATEWAY4, HOST4, settle
from support.dying import PROGRAM
from support.guarded import until
from virtkit.core.boot import boot_id
from virtkit.core.deadman.switch import Switch
from virtkit.core.journal import Journal

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from netns.lab import Lab
    from virtkit.core.change import Change

pytestmark = pytest.mark.netns

VIRTKIT = (sys.executable, "-m", "virtkit")
CREATE = ("net", "bridge", "create", "br0", "--port", "eth0", "-y")
INTERFACES = f"""# The primary network interface
auto eth0
iface eth0 inet static
\taddress {HOST4}/24
\tgateway {GATEWAY4}
"""
LINES = (2, 3, 5)  # of the guardian's: everything is being put back, a step is undone, a step is being undone
UNIT = "etc/systemd/system/virtkit-recover.service"


def change(lab: Lab) -> Change:
    """The newest."""
    return Journal(lab.state / "journal").changes()[-1]


def switch(lab: Lab) -> Switch:
    return Switch(lab.state / "journal", change(lab).number)


def waits(lab: Lab) -> bool:
    return bool(list(lab.state.glob("journal/*.switch"))) and change(lab).waiting is not None


def bridged(lab: Lab) -> bool:
    return bool(lab.json("link", "show", "eth0")[0].get("master") == "br0")


@contextmanager
def begun(lab: Lab, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """Up to where it waits."""
    running = lab.start(*VIRTKIT, *CREATE, *arguments)
    try:
        until(lambda: waits(lab))
        yield running
    finally:
        running.kill()
        running.communicate()


def test_what_nobody_confirms_is_gone_at_its_deadline(furnished: Lab) -> None:
    before = picture.everything(furnished)
    with begun(furnished, "--confirm", "3") as running:
        assert bridged(furnished)
        _, said = running.communicate(timeout=20)
    told = {line["event"]: line["time"] for line in _lines(furnished)}
    assert (running.returncode, 3 <= told["undone"] - told["holding"] < 4) == (4, True), told
    assert picture.everything(furnished) == before
    for line in (
        "bridge br0 over eth0: done, and put back in 3 s unless you confirm it",
        "to keep it, from a new connection: virtkit confirm 1\n",
        "virtkit: bridge br0 over eth0: was not confirmed within 3 s; everything was put back",
    ):
        assert line in said


def test_who_takes_it_back_from_a_new_connection_has_it_back_at_once_and_may_try_again(lab: Lab) -> None:
    settle(lab)
    before = picture.everything(lab)
    with begun(lab) as running:
        back = lab.virtkit("rollback", "1")
        running.communicate(timeout=20)
    assert back.stdout == "✓ bridge br0 over eth0: everything was put back (change 1)\n"
    assert running.returncode == 4
    assert picture.everything(lab) == before
    late = lab.virtkit("confirm", "1", check=False)
    assert (late.returncode, "change 1: taken back by virtkit, pid " in late.stderr) == (4, True)
    _keeps_what_he_confirms_although_his_session_is_gone(lab)


def _keeps_what_he_confirms_although_his_session_is_gone(lab: Lab) -> None:
    with begun(lab, "--confirm", "60") as running:
        assert "waiting for confirmation, " in lab.virtkit("history").stdout
        refused = lab.virtkit("net", "bridge", "create", "br1", "--port", "eth0", "-y", "--confirm", "9", check=False)
        assert refused.returncode == 1
        running.send_signal(signal.SIGHUP)
        running.communicate(timeout=20)
        session = f"SSH_CONNECTION={GATEWAY4} 50000 {HOST4} 22"
        confirmed = lab.run("env", session, *VIRTKIT, "confirm")
    done = "✓ bridge br0 over eth0: confirmed and done (change 2; to take it back: virtkit undo 2)\n"
    assert (confirmed.returncode, confirmed.stdout) == (0, done)
    assert (bridged(lab), change(lab).state) == (True, "done")
    assert change(lab).confirmed.endswith(f", SSH from {GATEWAY4}")
    again = lab.virtkit("confirm", check=False)
    assert (again.returncode, "no change waits for a confirmation" in again.stderr) == (1, True)


def test_a_terminal_that_is_lost_costs_nothing_and_where_it_is_not_it_takes_the_answer(lab: Lab) -> None:
    settle(lab)
    before = picture.everything(lab)
    running, terminal = _at_a_terminal(lab)
    os.write(terminal, b"n\n")
    assert "or type y here" in _shown(terminal)
    assert (running.wait(timeout=20), change(lab).reason) == (4, "taken back by the terminal")
    assert picture.everything(lab) == before
    running, terminal = _at_a_terminal(lab)
    os.close(terminal)  # as sshd does it: what belongs to it gets SIGHUP
    assert running.wait(timeout=20) != 0
    until(lambda: change(lab).pid != running.pid and switch(lab).guarded)
    assert bridged(lab)
    lab.virtkit("confirm")
    assert (bridged(lab), change(lab).state) == (True, "done")


def _at_a_terminal(lab: Lab) -> tuple[subprocess.Popen[bytes], int]:
    """A change that waits there, and the terminal's other side."""
    leader, terminal = pty.openpty()
    command = ["setsid", "--ctty", "--wait", *lab.command(*VIRTKIT, *CREATE)]
    running = subprocess.Popen(command, stdin=terminal, stdout=terminal, stderr=terminal, env=lab.environment)
    os.close(terminal)
    until(lambda: waits(lab))
    return running, leader


def _shown(terminal: int) -> str:
    shown = b""
    while chunk := _read(terminal):
        shown += chunk
    os.close(terminal)
    return shown.decode()


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 4096)
    except OSError:  # nobody has it open any more
        return b""


def test_tool_and_guardian_both_die_and_recover_brings_the_host_back(lab: Lab) -> None:
    settle(lab)
    before = picture.everything(lab)
    for place in (
        "Kernel.transaction return 1",
        "Kernel.transaction return 2",
        *(f"Log.write call {n}" for n in LINES),
    ):
        _both_die(lab, place)
        assert "(bridge br0 over eth0): rolled back" in lab.virtkit("recover").stdout, place
        assert picture.everything(lab) == before, place
        assert lab.virtkit("recover").stdout == "✓ nothing to recover\n"
        assert picture.everything(lab) == before, place
    _both_die(lab, "Log.write call 1")
    again = lab.virtkit(*CREATE)
    assert "(bridge br0 over eth0): rolled back" in again.stderr
    assert bridged(lab)


def _lines(lab: Lab) -> list[dict[str, Any]]:
    """Of the newest change's journal."""
    path = lab.state / f"journal/{change(lab).number}.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()]


def _both_die(lab: Lab, place: str) -> None:
    deaths = ("VIRTKIT_DIES=JoinBridge.verify call 1", f"VIRTKIT_GUARDIAN_DIES={place}")
    killed = lab.run("env", *deaths, sys.executable, "-c", PROGRAM, *CREATE, check=False)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    until(lambda: not switch(lab).guarded)
    assert (switch(lab).exists, change(lab).state) == (True, "interrupted")


def test_the_next_boot_puts_back_files_before_the_network_and_the_unit_for_that_is_gone_with_the_change(
    lab: Lab,
) -> None:
    (lab.root / "run/systemd/system").mkdir(parents=True)  # systemd started this host, sd_booted(3)
    unit, wanted = lab.root / UNIT, lab.root / "etc/systemd/system/sysinit.target.wants/virtkit-recover.service"
    settle(lab)
    before = picture.everything(lab)
    _both_die(lab, "Log.write call 1")
    assert wanted.is_symlink()
    checked = lab.run("systemd-analyze", "verify", "--recursive-errors=no", f"/{UNIT}", check=False)
    assert (checked.returncode, checked.stderr) == (0, "")
    (command,) = [line.removeprefix("ExecStart=") for line in unit.read_text().splitlines() if "ExecStart=" in line]
    said = lab.run(*shlex.split(command)).stdout
    assert said.startswith("change 1 (bridge br0 over eth0): rolled back: ")
    assert picture.everything(lab) == before
    assert (unit.exists(), wanted.is_symlink()) == (False, False)


def _ifupdown(lab: Lab) -> Path:
    """A Debian host whose link is in /etc/network/interfaces, as a boot leaves it."""
    for phase in ("pre-up", "up", "down", "post-down"):
        (lab.root / f"etc/network/if-{phase}.d").mkdir()
    for phase in ("pre-up", "post-down"):
        (lab.root / f"etc/network/if-{phase}.d/bridge").symlink_to("/lib/bridge-utils/ifupdown.sh")
    file = lab.root / "etc/network/interfaces"
    file.write_text(INTERFACES)
    lab.ip("addr flush dev eth0\nlink set eth0 down")
    lab.run("ifup", "-a")
    settle(lab)
    return file


def test_who_dies_before_the_files_leaves_them_to_the_guardian(lab: Lab) -> None:
    file = _ifupdown(lab)
    with begun(lab) as running:
        running.kill()
        running.communicate()
        assert file.read_text() == INTERFACES
        lab.virtkit("confirm")
    assert (bridged(lab), change(lab).state) == (True, "done")
    assert change(lab).pid != running.pid
    assert "iface br0 inet static" in file.read_text()
    assert "br0=br0" in lab.run("ifquery", "--state").stdout.split()


def test_a_power_cut_among_the_files_boots_the_old_ones(lab: Lab) -> None:
    """Tool and guardian die between two of them; the next boot finds another kernel, and its unit the journal."""
    file = _ifupdown(lab)
    file.chmod(0o640)
    before = file.stat()
    deaths = ("VIRTKIT_DIES=ChangeFile.verify call 1", "VIRTKIT_GUARDIAN_DIES=Log.write call 1")
    lab.run("env", *deaths, sys.executable, "-c", PROGRAM, *CREATE, "--auto-confirm", check=False)
    until(lambda: not switch(lab).guarded)
    assert "iface br0 inet static" in file.read_text()
    journal = lab.state / "journal/1.jsonl"
    journal.write_text(journal.read_text().replace(boot_id(), "00000000-0000-4000-8000-000000000000"))
    assert "(bridge br0 over eth0): rolled back" in lab.virtkit("recover").stdout
    after = file.stat()
    assert file.read_text() == INTERFACES
    assert (after.st_mode, after.st_uid) == (before.st_mode, before.st_uid)
    assert bridged(lab)  # no matter whose bridge: in another boot the journal says nothing of the kernel


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """A file system of 300 KiB for the journal; it is there before the lab's root is built."""
    state = tmp_path / "state"
    state.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=300k", "virtkit-lab", state], check=True)
    yield state
    subprocess.run(["umount", "--lazy", state], check=True)


def test_a_full_disk_is_met_before_anything_is_touched_or_not_at_all(small: Path, lab: Lab) -> None:
    settle(lab)
    before = picture.everything(lab)
    filler = small / "filler"
    filler.write_bytes(bytes(250_000))
    refused = lab.virtkit(*CREATE, "--confirm", "4", check=False)
    assert "1.jsonl: no space left on device" in refused.stderr
    assert (refused.returncode, picture.everything(lab)) == (1, before)
    filler.unlink()
    with begun(lab, "--confirm", "4") as running:
        _fill(filler)
        running.send_signal(signal.SIGKILL)
        lab.closed()
    assert change(lab).reason == "was not confirmed within 4 s"
    assert picture.everything(lab) == before


def _fill(path: Path) -> None:
    with path.open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(bytes(4096))


def test_a_shifted_clock_of_the_boot_shifts_nothing(lab: Lab) -> None:
    """A time namespace whose CLOCK_BOOTTIME is a day ahead; tool and guardian live in it."""
    settle(lab)
    before = picture.everything(lab)
    began = time.monotonic()
    shifted = ("unshare", "--time", "--fork", "--boottime", "86400", *VIRTKIT, *CREATE, "--confirm", "3")
    done = lab.run(*shifted, check=False)
    assert (done.returncode, 3 <= time.monotonic() - began < 20) == (4, True), done.stderr
    assert picture.everything(lab) == before


def test_scripts_read_an_object_a_line(lab: Lab) -> None:
    running = lab.start(*VIRTKIT, *CREATE, "--confirm", "20", "--output", "json")
    assert running.stdout is not None
    asked = next(told for line in running.stdout if (told := json.loads(line))["event"] == "waiting")
    assert (asked["change"], asked["confirm"], 19 < asked["left"] <= 20) == (1, "virtkit confirm 1", True)
    answer = json.loads(lab.virtkit("confirm", "1", "--output", "json").stdout)
    assert (answer["state"], answer["waiting"]) == ("done", None)
    *_, last = (json.loads(line) for line in running.communicate(timeout=20)[0].splitlines())
    assert (last["change"], last["changed"]) == (1, True)
