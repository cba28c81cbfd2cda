"""What machines are and what they say; nothing is changed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtkit.core.errors import NotFoundError
from virtkit.core.system import System

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from virtkit.core.plan import Json
    from virtkit.vm.addresses import Address
    from virtkit.vm.agent import Ran
    from virtkit.vm.backing import HugeClaim
    from virtkit.vm.blocks import BlockCache
    from virtkit.vm.logbook import Log
    from virtkit.vm.process import Thread
    from virtkit.vm.screen import Address as ScreenAddress
    from virtkit.vm.summary import Details, Summary


def list(*, start_daemon: bool = True) -> tuple[Summary, ...]:  # noqa: A001  virsh's word, used as vm.list
    """All machines, running or not, by name; ``start_daemon``: start root's libvirt if it does not run."""
    from virtkit.vm import connection
    from virtkit.vm.summary import summarise

    with connection.open(start_daemon=start_daemon) as libvirt:
        found = []
        for machine in libvirt.machines():
            try:
                found.append(summarise(machine))
            except NotFoundError:  # it was undefined, or ended and was transient, since the list was made
                continue
        return tuple(found)


def show(name: str, system: System | None = None) -> Details:
    from virtkit.vm import connection
    from virtkit.vm.summary import describe

    with connection.open() as libvirt:
        return describe(libvirt.machine(name), libvirt, system or System())


def threads(name: str, system: System | None = None) -> tuple[Thread, ...]:
    """Every thread of a running machine's QEMU, and the CPUs where the kernel lets it run."""
    from virtkit.vm import connection, process

    system = system or System()
    with connection.open() as libvirt:
        return tuple(process.threads(system, process.process_id(system, libvirt.machine(name).name)))


def ip(name: str, system: System | None = None) -> tuple[Address, ...]:
    """A running machine's addresses: by its agent, else by libvirt's leases, else by the host's neighbour table."""
    from virtkit.vm import connection
    from virtkit.vm.addresses import addresses

    with connection.open() as libvirt:
        return tuple(addresses(libvirt.machine(name), system or System()))


def huge_claims() -> tuple[HugeClaim, ...]:
    """Every machine, running or not, that wants its memory in huge pages; root's libvirt is not started for it."""
    from virtkit.vm import backing, connection

    with connection.open(start_daemon=False) as libvirt:
        return tuple(backing.claims(libvirt))


def log(name: str, system: System | None = None) -> Log:
    """What libvirt logged of the machine's QEMU, and where its last start begins in it."""
    from virtkit.vm import connection, logbook

    with connection.open() as libvirt:
        return logbook.read(system or System(), libvirt.uri, libvirt.machine(name).name)


def block_cache(name: str) -> tuple[BlockCache, ...]:
    """How QEMU itself says that it caches a running machine's disks."""
    from virtkit.vm import connection
    from virtkit.vm.blocks import block_caches

    with connection.open() as libvirt:
        return tuple(block_caches(libvirt.machine(name)))


def qmp(name: str, command: str, arguments: Mapping[str, Json] | None = None) -> Json:
    """What QEMU's monitor answers; for reading: libvirt does not notice what is changed behind its back."""
    from virtkit.vm import connection

    with connection.open() as libvirt:
        return libvirt.machine(name).monitor({"execute": command, "arguments": dict(arguments or {})})


def wait_for_agent(name: str, seconds: float) -> float:
    """Seconds until the guest's agent answered; MachineError if it does not within ``seconds``."""
    from virtkit.vm import connection
    from virtkit.vm.agent import Agent

    with connection.open() as libvirt:
        return Agent(libvirt.machine(name)).wait(seconds)


def execute(name: str, command: Sequence[str], *, seconds: float = 60) -> Ran:
    """Run a program in the guest, by its agent, to its end."""
    from virtkit.vm import connection
    from virtkit.vm.agent import Agent

    with connection.open() as libvirt:
        return Agent(libvirt.machine(name)).execute(command, seconds=seconds)


def os_info(name: str) -> dict[str, str]:
    """What the guest's agent says of its system: id, pretty-name, kernel-release ..."""
    from virtkit.vm import connection
    from virtkit.vm.agent import Agent

    with connection.open() as libvirt:
        return Agent(libvirt.machine(name)).os_info()


def screenshot(name: str, screen: int = 0) -> bytes:
    """A PNG of what a running machine's ``screen`` shows."""
    from virtkit.vm import connection
    from virtkit.vm import screen as seen

    with connection.open() as libvirt:
        return seen.screenshot(libvirt, libvirt.machine(name), screen)


def view(name: str) -> tuple[ScreenAddress, ...]:
    """Where viewers reach a running machine's screen."""
    from virtkit.vm import connection, screen

    with connection.open() as libvirt:
        return tuple(screen.addresses(libvirt.machine(name)))
