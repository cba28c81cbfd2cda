"""The lab's LAN: up and down, cut short everywhere, and a guest on it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING, NamedTuple

import pytest

from virtkit.core import engine
from virtkit.core.errors import BusyError, NotFoundError
from virtkit.core.journal import Journal
from virtkit.core.system import System
from virtkit.recipes.lab import Lab, leases, ping_from_lan, plan_lab, router

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [pytest.mark.netns, pytest.mark.skipif(os.geteuid() != 0, reason="namespaces need root")]

SYSTEM = System()


class Host(NamedTuple):
    """What a LAN could leave behind."""

    links: str
    addresses: str
    routes: str
    namespaces: list[str]
    runtime: list[str]
    servers: list[str]


def look(lab: Lab) -> Host:
    return Host(
        only(lab, run("ip", "-br", "link")),
        only(lab, run("ip", "-br", "address")),
        only(lab, run("ip", "route", "show", "table", "all")),
        [name for name in SYSTEM.names("/run/netns") if name.startswith(lab.namespace)],
        [name for name in SYSTEM.names("/run") if name.startswith(lab.namespace)],
        servers(lab),
    )


def only(lab: Lab, text: str) -> str:
    """Other tests work on this host at the same time: their links come and go."""
    return "\n".join(line for line in text.splitlines() if lab.uplink in line or "eth0" in line)


def servers(lab: Lab) -> list[str]:
    mark = f"--pid-file={lab.directory}/pid"
    processes = [name for name in SYSTEM.names("/proc") if name.isdecimal()]
    return [number for number in processes if mark in SYSTEM.read_or(f"/proc/{number}/cmdline", "").split("\0")]


def run(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, (command, done.stdout, done.stderr)
    return done.stdout


def sweep(lab: Lab) -> None:
    """Whatever a failed test left."""
    for number in servers(lab):
        subprocess.run(["kill", "-9", number], check=False)
    for command in (["ip", "link", "del", lab.uplink], ["ip", "netns", "del", lab.namespace]):
        subprocess.run(command, check=False, capture_output=True)
    subprocess.run(["rm", "-rf", lab.directory], check=True)


@pytest.fixture
def lab() -> Iterator[Lab]:
    """Names that no other test process has; nothing is left of them afterwards, whatever happened."""
    mine = Lab(f"vkt{os.getpid()}", f"vkt{os.getpid()}u")
    before = look(mine)
    yield mine
    after = look(mine)
    sweep(mine)
    assert after == before


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return Journal(tmp_path / "journal")


@pytest.fixture
def up(lab: Lab, journal: Journal) -> Iterator[Lab]:
    number = engine.run(plan_lab(SYSTEM, lab), SYSTEM, journal)
    yield lab
    engine.undo(journal, number, SYSTEM)


@pytest.fixture
def host(lab: Lab) -> Iterator[str]:
    """A network namespace that plays the host."""
    name = f"{lab.namespace}host"
    run("ip", "netns", "add", name)
    run("ip", "-n", name, "link", "set", "lo", "up")
    yield name
    run("ip", "netns", "del", name)


def plug(lab: Lab, host: str, bridge: str) -> None:
    """The LAN's cable into a bridge of the playing host."""
    run("ip", "link", "set", lab.uplink, "netns", host)
    run("ip", "-n", host, "link", "add", bridge, "type", "bridge", "forward_delay", "0")
    run("ip", "-n", host, "link", "set", lab.uplink, "master", bridge, "up")
    run("ip", "-n", host, "link", "set", bridge, "up")


def unplug(lab: Lab, host: str) -> None:
    run("ip", "-n", host, "link", "set", lab.uplink, "nomaster", "netns", "1")


def test_a_lan_that_is_up_needs_nothing(up: Lab) -> None:
    assert not plan_lab(SYSTEM, up)
    assert router(SYSTEM, up).endswith(".1/24")


def test_the_hosts_end_of_the_cable_is_up_without_any_address(up: Lab) -> None:
    name, *state = run("ip", "-br", "address", "show", up.uplink).split()
    assert (name.partition("@")[0], state) == (up.uplink, ["UP"])


def test_a_client_gets_a_lease_and_answers(up: Lab, host: str, tmp_path: Path) -> None:
    script = tmp_path / "take"
    script.write_text('#!/bin/sh\n[ "$1" = bound ] && ip address add "$ip/24" dev "$interface"\nexit 0\n')
    script.chmod(0o755)
    plug(up, host, "brlan")
    client = ["busybox", "udhcpc", "-f", "-q", "-n", "-i", "brlan", "-s", str(script), "-x", "hostname:client"]
    run("ip", "netns", "exec", host, *client)
    (lease,) = leases(SYSTEM, up)
    assert lease.mac == mac_of(host, "brlan")
    assert lease.hostname == "client"
    assert 0 < lease.expires - time.time() <= 3600
    assert lease.address in run("ip", "-n", host, "-br", "address", "show", "brlan")
    pinged = ping_from_lan(SYSTEM, lease.address, 3, up)
    assert (pinged.sent, pinged.received) == (3, 3)
    assert pinged.rtt is not None
    assert 0 < pinged.rtt < 1000
    unplug(up, host)


def mac_of(host: str, link: str) -> str:
    return run("ip", "-n", host, "-br", "link", "show", link).split()[2]


def test_nobody_at_an_address_is_an_answer(up: Lab) -> None:
    silent = router(SYSTEM, up).replace(".1/24", ".9")
    assert ping_from_lan(SYSTEM, silent, 1, up) == (1, 0, None)


def test_a_lan_that_is_not_up_has_no_router(lab: Lab) -> None:
    with pytest.raises(NotFoundError, match="no LAN is up"):
        router(SYSTEM, lab)
    assert leases(SYSTEM, lab) == []


CUT = """
import os, signal, sys
from pathlib import Path
from virtkit.core import engine
from virtkit.core.journal import Journal
from virtkit.core.progress import {event}
from virtkit.core.system import System
from virtkit.recipes.lab import Lab, plan_lab

seen = 0
def sink(event):
    global seen
    seen += isinstance(event, {event})
    if seen == {count}:
        os.kill(os.getpid(), signal.SIGKILL)

engine.run(plan_lab(System(), Lab({namespace!r}, {uplink!r})), System(), Journal(Path({journal!r})), sink)
"""


def start_and_cut(lab: Lab, journal: Journal, event: str, count: int) -> subprocess.Popen[bytes]:
    """Another process makes the LAN, and kills itself at an event."""
    program = CUT.format(event=event, count=count, journal=str(journal.directory), **lab._asdict())
    return subprocess.Popen([sys.executable, "-c", program])


@pytest.mark.parametrize("count", [1, 2, 3, 4])
@pytest.mark.parametrize("event", ["Started", "Finished"])
def test_undoes_what_a_killed_process_left(lab: Lab, journal: Journal, event: str, count: int) -> None:
    process = start_and_cut(lab, journal, event, count)
    assert process.wait() == -signal.SIGKILL
    engine.undo(journal, 1, SYSTEM)
    engine.undo(journal, 1, SYSTEM)


@pytest.mark.parametrize("milliseconds", [5, 15, 25, 35, 45, 60])
def test_undoes_what_a_process_left_that_was_killed_anywhere(lab: Lab, journal: Journal, milliseconds: int) -> None:
    """The clock starts with the first line of the journal; the programs that were running then go on for a moment."""
    process = start_and_cut(lab, journal, "Finished", 99)
    while process.poll() is None and not (journal.directory / "1.jsonl").exists():
        time.sleep(0.001)
    time.sleep(milliseconds / 1000)
    process.kill()
    process.wait()
    time.sleep(0.1)
    engine.undo(journal, 1, SYSTEM)


def test_actions_are_undone_by_hand_after_half_an_apply(lab: Lab) -> None:
    actions = plan_lab(SYSTEM, lab).actions
    before = [action.capture(SYSTEM) for action in actions]
    for action in actions[:2]:
        action.apply(SYSTEM, print)
    run("ip", "link", "add", lab.uplink, "type", "veth", "peer", "name", "lan0", "netns", lab.namespace)
    for action, state in reversed(list(zip(actions, before, strict=True))):
        action.undo(SYSTEM, state)
        action.undo(SYSTEM, state)
    assert [action.capture(SYSTEM) for action in actions] == before


def test_a_dead_server_is_nothing_to_stop(lab: Lab, journal: Journal) -> None:
    number = engine.run(plan_lab(SYSTEM, lab), SYSTEM, journal)
    (server,) = servers(lab)
    run("kill", "-9", server)
    while servers(lab):
        time.sleep(0.01)
    engine.undo(journal, number, SYSTEM)


def test_a_dead_server_is_all_that_a_new_plan_makes(up: Lab, journal: Journal) -> None:
    (server,) = servers(up)
    run("kill", "-9", server)
    while servers(up):
        time.sleep(0.01)
    plan = plan_lab(SYSTEM, up)
    assert [action.kind for action in plan.actions] == ["recipes.dhcp_server"]
    engine.undo(journal, engine.run(plan, SYSTEM, journal), SYSTEM)
    assert servers(up) == []


def test_a_vanished_namespace_does_not_hide_the_server(lab: Lab, journal: Journal) -> None:
    number = engine.run(plan_lab(SYSTEM, lab), SYSTEM, journal)
    run("ip", "netns", "del", lab.namespace)
    engine.undo(journal, number, SYSTEM)


def test_a_process_that_only_carries_the_same_path_is_left_alone(lab: Lab, journal: Journal) -> None:
    """As the same lab in a container, seen from the host."""
    program = [sys.executable, "-c", "import time; time.sleep(60)", f"--pid-file={lab.directory}/pid"]
    number = engine.run(plan_lab(SYSTEM, lab), SYSTEM, journal)
    with subprocess.Popen(program) as other:
        while len(servers(lab)) < 2:
            time.sleep(0.01)
        engine.undo(journal, number, SYSTEM)
        assert servers(lab) == [str(other.pid)]
        other.kill()


def test_refuses_a_namespace_that_somebody_else_made(lab: Lab) -> None:
    run("ip", "netns", "add", lab.namespace)
    try:
        with pytest.raises(BusyError, match="virtkit did not make it"):
            plan_lab(SYSTEM, lab)
    finally:
        run("ip", "netns", "del", lab.namespace)


def test_refuses_a_link_that_somebody_else_made(lab: Lab) -> None:
    run("ip", "link", "add", lab.uplink, "type", "bridge")
    try:
        with pytest.raises(BusyError, match="a link of this name is there"):
            plan_lab(SYSTEM, lab)
    finally:
        run("ip", "link", "del", lab.uplink)


@pytest.mark.parametrize(
    ("routes", "wanted"),
    [
        ([], "10.77.0.0/24"),
        (["10.77.0.0/24"], "10.78.0.0/24"),
        (["10.77.0.128/25", "10.78.0.5/32"], "172.29.77.0/24"),
        (["10.0.0.0/8"], "172.29.77.0/24"),
        (["0.0.0.0/1", "128.0.0.0/1"], "10.77.0.0/24"),
        (["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"], "all routed"),
    ],
)
def test_takes_a_network_that_the_host_does_not_know(lab: Lab, host: str, routes: list[str], wanted: str) -> None:
    run("ip", "-n", host, "link", "add", "known", "type", "bridge")
    run("ip", "-n", host, "link", "set", "known", "up")
    for route in routes:
        run("ip", "-n", host, "route", "add", route, "dev", "known")
    program = (
        "from virtkit.core.system import System; from virtkit.recipes.lab import Lab, plan_lab\n"
        f"try: print(plan_lab(System(), Lab({lab.namespace!r}, {lab.uplink!r})).title)\n"
        "except Exception as error: print(error)"
    )
    assert wanted in run("ip", "netns", "exec", host, sys.executable, "-c", program)
