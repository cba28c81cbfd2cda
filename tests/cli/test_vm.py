"""``virtkit vm`` as a user types it, on libvirt's own test driver: one machine, ``test``, anew in every process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

TEST = "test:///default"


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "state"


def virtkit(*arguments: str, state: Path | None = None, uri: str = TEST) -> subprocess.CompletedProcess[str]:
    environment = {
        "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
        "LIBVIRT_DEFAULT_URI": uri,
        "VIRTKIT_STATE_DIR": str(state),
    }
    command = [sys.executable, "-m", "virtkit", "vm", *arguments]
    return subprocess.run(
        command, capture_output=True, text=True, check=False, env=os.environ | environment, stdin=subprocess.DEVNULL
    )


def test_list_has_a_line_for_each_machine_and_the_same_as_json() -> None:
    shown = virtkit("list")
    (machine,) = json.loads(virtkit("list", "--output", "json").stdout)
    head, line = shown.stdout.splitlines()
    assert head.split() == ["ID", "NAME", "STATE", "TYPE", "VCPUS", "MEMORY", "AUTOSTART"]
    assert line.split()[:3] == [str(machine["id"]), machine["name"], machine["state"]] == ["1", "test", "running"]


def test_show_says_first_what_state_the_machine_is_in() -> None:
    shown = virtkit("show", "test")
    assert shown.stdout.splitlines()[0].split(":")[0] == "test"
    assert "running" in shown.stdout.splitlines()[0]
    for wanted in (
        "cache writeback (default)",
        "network default",
        "according to libvirt's DHCP lease",
        "vm console test",
    ):
        assert wanted in shown.stdout


def test_show_as_json_holds_sizes_in_bytes_and_all_of_the_page() -> None:
    page = json.loads(virtkit("show", "test", "--output", "json").stdout)
    assert page["memory_maximum"] == 8 << 30
    assert [disk["cache"] for disk in page["disks"]] == ["writeback"]
    assert [address["source"] for address in page["addresses"]] == ["lease"]
    assert set(page["vcpu_pins"]) == {"0", "1"}


def test_ip_names_its_source() -> None:
    assert virtkit("ip", "test").stdout == "192.168.122.3/24 (according to libvirt's DHCP lease)\n"


def test_a_machine_that_is_not_there_is_an_error_with_the_next_command() -> None:
    done = virtkit("show", "nobody")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "virtkit: nobody: no such machine at test:///default\n  try: virtkit vm list\n"


@pytest.mark.parametrize(("typed", "meant"), [("set cpu web1 4", "set web1 cpu 4"), ("hotplug nic a", "hotplug a nic")])
def test_words_in_another_order_are_told_in_the_right_one(typed: str, meant: str) -> None:
    done = virtkit(*typed.split())
    assert (done.returncode, done.stderr.splitlines()[-1]) == (2, f"  try: virtkit vm {meant}")


def test_an_error_is_json_too() -> None:
    done = virtkit("ip", "nobody", "--output", "json")
    assert json.loads(done.stdout)["hint"] == "virtkit vm list"


@pytest.mark.parametrize("verb", ["stop", "kill"])
def test_a_plan_shows_what_would_change_and_exits_with_3(verb: str, state: Path) -> None:
    done = virtkit(verb, "test", "--plan", state=state)
    assert done.returncode == 3
    assert "~ machine test: " in done.stdout
    assert not state.exists()


def test_what_is_so_already_is_nothing_to_change(state: Path) -> None:
    done = virtkit("start", "test", state=state)
    assert (done.returncode, done.stdout) == (0, "✓ start machine test: nothing to change\n")


def test_nothing_is_forced_off_without_a_yes(state: Path) -> None:
    done = virtkit("kill", "test", state=state)
    assert done.returncode == 2
    assert "nothing was changed" in done.stderr


def test_a_machine_that_is_not_off_after_all_is_reported(state: Path) -> None:
    """Every connection to the test driver begins anew: a machine that was turned off runs again at the look back."""
    done = virtkit("kill", "test", "-y", state=state)
    assert done.returncode == 4
    assert "is running, expected shut off; everything was put back" in done.stderr


def test_pins_are_refused_where_the_hosts_cpus_are_not_seen() -> None:
    done = virtkit("pin", "test", "auto", "--plan")
    assert done.returncode == 1
    assert "is another host" in done.stderr


def test_nobody_who_answers_is_one_clear_line() -> None:
    done = virtkit("list", uri="qemu+unix:///system?socket=/nonexistent")
    assert done.returncode == 1
    assert "/nonexistent" in done.stderr
    assert "try: virsh --connect" in done.stderr


def test_set_edit_and_unplug_say_what_is_missing() -> None:
    nothing = virtkit("set", "test", "cpu")
    assert (nothing.returncode, nothing.stderr.splitlines()[0]) == (
        2,
        "virtkit: test: nothing to set, expected one of --count, --most",
    )
    assert "no terminal for an editor" in virtkit("edit", "test").stderr
    assert "/nowhere: no such file" in virtkit("edit", "test", "--xml", "/nowhere").stderr
    absent = virtkit("unplug", "test", "disk", "vdz")
    assert (absent.returncode, absent.stderr.splitlines()[0]) == (1, "virtkit: test: has no disk vdz")


def test_diff_of_a_machine_that_runs_as_it_is_defined_is_empty() -> None:
    done = virtkit("diff", "test", "--output", "json")
    assert (done.returncode, json.loads(done.stdout)) == (0, [])
