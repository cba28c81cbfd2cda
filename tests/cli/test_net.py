"""``virtkit net`` as a user types it, on this machine and without changing it."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from typing import Any

import pytest


def _virtkit(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "virtkit", *arguments], capture_output=True, text=True, check=False)


@pytest.mark.skipif(not shutil.which("ip"), reason="iproute2 is the oracle")
def test_show_and_ip_agree_on_the_links() -> None:
    def own(entries: list[dict[str, Any]]) -> dict[str, object]:
        return {entry["ifname"]: (entry["ifindex"], entry["mtu"], entry["address"]) for entry in entries}

    shown = _virtkit("net", "show", "--output", "json")
    oracle = subprocess.run(["ip", "-j", "link"], capture_output=True, text=True, check=True).stdout
    assert own(json.loads(shown.stdout))["lo"] == own(json.loads(oracle))["lo"]


def test_show_of_one_link_lists_its_addresses() -> None:
    shown = _virtkit("net", "show", "lo")
    assert shown.returncode == 0
    assert "127.0.0.1/8" in shown.stdout
    assert "loopback" in shown.stdout


def test_show_of_no_link_fails_and_names_those_that_there_are() -> None:
    refused = _virtkit("net", "show", "nolink0")
    assert (refused.returncode, refused.stdout) == (1, "")
    assert "nolink0: no such link (there are lo" in refused.stderr


def test_bridge_show_of_what_is_no_bridge_fails() -> None:
    refused = _virtkit("net", "bridge", "show", "lo")
    assert (refused.returncode, "lo: is not a bridge" in refused.stderr) == (1, True)


def test_plan_of_a_lone_bridge_has_status_three_and_changes_nothing() -> None:
    planned = _virtkit("net", "bridge", "create", "vkplanned0", "--plan", "--output", "json")
    assert planned.returncode == 3
    plan = json.loads(planned.stdout)
    assert [action["kind"] for action in plan["actions"]] == ["net.create_bridge"]
    assert _virtkit("net", "show", "vkplanned0").returncode == 1


@pytest.mark.parametrize("name", ["name-of-17-letter", "a/b"])
def test_name_that_cannot_be_is_wrong_usage(name: str) -> None:
    assert _virtkit("net", "bridge", "create", name, "--plan").returncode == 2


def test_delete_of_no_bridge_says_where_to_look() -> None:
    refused = _virtkit("net", "bridge", "delete", "nolink0", "--plan")
    assert (refused.returncode, "try: virtkit net bridge show" in refused.stderr) == (1, True)
