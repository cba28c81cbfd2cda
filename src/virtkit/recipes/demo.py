"""The whole road on this host alone: a guest and a LAN of our own, a declarative file, ``up``, and the evidence.

Nothing of the host's own network is touched: the bridge goes over a cable to a network namespace.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from virtkit.core import engine
from virtkit.core.errors import NotSupportedError
from virtkit.core.progress import Finished, Note, Started
from virtkit.recipes import evidence, guest, lab, machine, runner, spec
from virtkit.recipes.wanted import work_out
from virtkit.vm import connection
from virtkit.vm.agent import Agent

if TYPE_CHECKING:
    from virtkit.core.change import Change
    from virtkit.core.journal import Journal
    from virtkit.core.progress import Sink
    from virtkit.core.system import System

NAME = "virtkit-demo"  # of the machine
BRIDGE = "vkdemo0"
HOME = Path("/var/lib/virtkit/demo")
FILE = HOME / "demo.yaml"
AGENT_SECONDS = 150

_TEXT = f"""\
# What virtkit demo takes to a running machine. Try: virtkit status {FILE}
version: 1
networks:
  {BRIDGE}: {{bridge: {{port: {lab.Lab().uplink}}}}}
machines:
  {NAME}:
    image: {{source: guest.vmdk, format: qcow2, path: {NAME}.qcow2}}
    cpus: 2
    memory: 256M
    nics: [{{network: {BRIDGE}}}]
    workload: database
    pin: auto
    serial_log: serial.log
"""


class Demo(NamedTuple):
    changed: bool  # False: everything was up already
    claims: list[evidence.Claim]


def up(system: System, journal: Journal, report: Sink) -> Demo:
    """Raises as ``engine.run``: what was begun is put back, what was finished before stays for ``down``."""
    _make_files(system, report)
    changed = False
    if lan := lab.plan_lab(system):
        engine.run(lan, system, journal, report, origin=str(HOME))
        changed = True
    if plan := machine.plan_up(spec.load(FILE), system):
        engine.run(plan, system, journal, report, origin=runner.origin(FILE))
        changed = True
    _wait_for_guest(report)
    step = "look for the evidence"
    report(Started(step))
    claims = evidence.gather(NAME, work_out(spec.load(FILE), NAME, system), system)
    report(Finished(step))
    return Demo(changed, claims)


def changes(journal: Journal) -> list[Change]:
    """All that a demo made and that is still there, newest first."""
    lan = [change for change in reversed(journal.changes()) if change.origin == str(HOME) and change.remaining]
    return [*runner.made_by(journal, FILE), *lan]


def down(system: System, journal: Journal, report: Sink) -> list[engine.Undone]:
    """Everything back as it was, whatever was tried on it since; only downloaded packages stay in the cache."""
    done = runner.take_down(journal, changes(journal), system, report, force=True, delete_data=True)
    shutil.rmtree(HOME, ignore_errors=True)
    return done


def _make_files(system: System, report: Sink) -> None:
    """The foreign image and the file; both appear when they are whole."""
    if system.root != Path("/"):
        raise NotSupportedError("demo: needs a host that runs, not a directory")
    HOME.mkdir(parents=True, exist_ok=True)
    image = HOME / "guest.vmdk"
    if not image.exists():
        raw, beside = HOME / "guest.raw", HOME / "guest.vmdk.new"
        for path in (raw, beside):
            path.unlink(missing_ok=True)
        guest.build(raw, system, report)
        guest.foreign(raw, beside, system, report)
        raw.unlink()
        beside.rename(image)
    system.replace(str(FILE), _TEXT.encode())


def _wait_for_guest(report: Sink) -> None:
    step = "wait for the guest to boot from its disk"
    report(Started(step))
    with connection.open() as libvirt:
        found = libvirt.machine(NAME)
        report(Note(step, f"its agent answers when it is up (watch it: virtkit vm console {NAME})"))
        seconds = Agent(found).wait(AGENT_SECONDS)
    report(Note(step, f"the agent answered after {seconds:.0f} s"))
    report(Finished(step))
