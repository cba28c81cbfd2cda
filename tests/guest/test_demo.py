"""The whole road: ``virtkit demo`` takes a foreign image to a running, bridged, pinned machine, and back."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from guest.machines import BOOT_SECONDS, eventually
from virtkit import vm
from virtkit.core.journal import Journal

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.guest, pytest.mark.timeout(400)]

HOME = Path("/var/lib/virtkit/demo")
FILE = str(HOME / "demo.yaml")
DRIFTS = {"valid_life_time", "preferred_life_time", "ifindex", "link_index", "expires", "used"}


@pytest.fixture
def state(tmp_path: Path) -> Iterator[Path]:
    assert not HOME.exists(), "a demo is up on this host: virtkit demo --down"
    yield tmp_path
    down = virtkit("demo", "--down", state=tmp_path)
    assert down.returncode == 0, down.stderr


def virtkit(*arguments: str, state: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(*arguments), capture_output=True, text=True, check=False, timeout=300, env=environment(state)
    )


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "virtkit", *arguments]


def environment(state: Path) -> dict[str, str]:
    source = Path(__file__).parents[2] / "src"
    return {**os.environ, "PYTHONPATH": str(source), "VIRTKIT_STATE_DIR": str(state)}


def host() -> dict[str, object]:
    """What must be the same before and after: as other programs than ours see it."""
    return {
        "links": said("ip", "-j", "-d", "link"),
        "addresses": said("ip", "-j", "address"),
        "routes": said("ip", "-j", "route", "show", "table", "all"),
        "routes v6": said("ip", "-j", "-6", "route", "show", "table", "all"),
        "rules": said("ip", "-j", "rule"),
        "machines": output("virsh", "list", "--all", "--name"),
        "networks": output("virsh", "net-list", "--all", "--name"),
        "pools": output("virsh", "pool-list", "--all", "--name"),
        "files": sorted(str(path) for place in PLACES for path in place.rglob("*")),
        "namespaces": [
            name for name in os.listdir("/run/netns") if not name.startswith("vk")
        ],  # those are other tests'
        "dnsmasq": output("pgrep", "-a", "-f", "virtkit-lan"),
    }


PLACES = [HOME.parent, Path("/var/lib/libvirt/images"), Path("/etc/libvirt/qemu")]


def said(*words: str) -> object:
    return steady(json.loads(output(*words) or "[]"))


def output(*words: str) -> str:
    return subprocess.run(words, capture_output=True, text=True, check=False, timeout=60).stdout


def steady(value: object) -> object:
    """Without what changes by itself: lifetimes, bridges' timers, and the numbers that the kernel gives to links."""
    if isinstance(value, dict):
        lasting = {key: inner for key, inner in value.items() if key not in DRIFTS and not key.endswith("_timer")}
        return {key: steady(inner) for key, inner in lasting.items()}
    if isinstance(value, list):
        return sorted((steady(inner) for inner in value), key=str)
    return value


@pytest.mark.parametrize("moment", ["create bridge", "qcow2 made from", ": define", ": start"])
def test_killed_at_a_step_it_is_taken_back_by_the_next_process(state: Path, moment: str) -> None:
    virtkit("vm", "list", state=state)
    before = host()
    running = subprocess.Popen(command("demo"), stderr=subprocess.PIPE, text=True, env=environment(state))
    assert running.stderr
    seen = next(line for line in running.stderr if moment in line)
    running.send_signal(signal.SIGKILL)
    running.wait()
    running.stderr.close()
    journal = Journal(state / "journal")
    left = {"interrupted", "rolled back"}  # its guardian may have been faster, or be at it
    assert eventually(lambda: journal.changes()[1].state in left), seen
    down = virtkit("demo", "--down", state=state)
    assert down.returncode == 0, down.stderr
    deadline = time.monotonic() + 10  # libvirt finishes what the killed process had asked of it
    while (after := host()) != before and time.monotonic() < deadline:
        virtkit("demo", "--down", state=state)
    assert after == before


class Demo(NamedTuple):
    state: Path
    before: dict[str, object]
    told: dict[str, Any]


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    """One for the tests below, which work on it in their order."""
    state = tmp_path_factory.mktemp("demo")
    virtkit("vm", "list", state=state)  # so that libvirt runs before and after
    before = host()
    done = virtkit("demo", "--output", "json", state=state)
    assert done.returncode == 0, done.stderr
    yield Demo(state, before, json.loads(done.stdout))
    virtkit("demo", "--down", state=state)


def test_takes_an_image_to_a_machine_and_proves_it(demo: Demo) -> None:
    claims = {claim["what"]: claim for claim in demo.told["claims"]}
    assert all(claim["holds"] for claim in claims.values()), claims
    assert set(claims) == {
        "guest runs", "runs under", "disk equals source", "disk cache (QEMU)", "virtio (guest)",
        "address from the LAN", "LAN -> guest", "guest -> gateway", "vCPU 0 pinned", "vCPU 1 pinned",
    }  # fmt: skip
    assert demo.told["seconds"] < 180
    again = virtkit("up", FILE, state=demo.state)
    assert "nothing to change" in again.stdout, again
    assert virtkit("status", FILE, state=demo.state).returncode == 0
    assert output("qemu-img", "check", "-U", str(HOME / "virtkit-demo.qcow2")).startswith("No errors")


def test_a_value_drifts_and_status_plan_and_up_tell_and_mend_it(demo: Demo) -> None:
    subprocess.run(["virsh", "vcpupin", "virtkit-demo", "0", "0-1"], check=True, capture_output=True)
    status = virtkit("status", FILE, state=demo.state)
    assert status.returncode == 3
    assert "1 of 11 values differ" in status.stdout
    plan = virtkit("plan", FILE, state=demo.state)
    assert (plan.returncode, "pin vCPU 0 on CPU" in plan.stdout) == (3, True)
    assert virtkit("up", "-y", FILE, state=demo.state).returncode == 0
    assert virtkit("status", FILE, state=demo.state).returncode == 0


def test_a_changed_file_is_followed_and_several_changes_come_down_in_one(demo: Demo) -> None:
    state, file = demo.state, Path(FILE)
    file.write_text(file.read_text().replace("256M", "320M").replace("database", "web").replace("cpus: 2", "cpus: 1"))
    plan = virtkit("plan", str(file), state=state)
    assert "the new definition counts from its next start" in plan.stdout
    assert virtkit("up", "-y", str(file), state=state).returncode == 0
    assert virtkit("status", str(file), state=state).returncode == 3  # it still runs as it was started
    assert virtkit("vm", "stop", "virtkit-demo", state=state).returncode == 0
    assert virtkit("up", "-y", str(file), state=state).returncode == 0
    status = virtkit("status", str(file), state=state)
    assert status.returncode == 0, status.stdout
    vm.wait_for_agent("virtkit-demo", BOOT_SECONDS)  # a guest that boots still hears nobody asking it to stop
    down = virtkit("down", "-y", str(file), state=state)
    assert down.returncode == 0, down.stderr
    assert "kept, since it holds data" in down.stdout
    assert (HOME / "virtkit-demo.qcow2").exists()
    assert "virtkit-demo" not in output("virsh", "list", "--all", "--name").split()
    assert virtkit("down", "-y", "--disks", str(file), state=state).returncode == 0
    assert not (HOME / "virtkit-demo.qcow2").exists()


def test_takes_everything_back(demo: Demo) -> None:
    """Also what the tests above tried on it."""
    down = virtkit("demo", "--down", state=demo.state)
    assert down.returncode == 0, down.stderr
    assert host() == demo.before
    changes = Journal(demo.state / "journal").changes()
    assert {change.state for change in changes if change.origin} == {"undone"}  # all but the stop of the machine
    assert virtkit("demo", "--down", state=demo.state).returncode == 0
