"""KVM hosts of the tests' own: each a libvirtd with its own /run, /etc/libvirt, /var/lib/libvirt and /var/log.

They live in mount, network, PID, IPC and UTS namespaces, on a LAN that is in a namespace, too. This machine's libvirtd
is never met, and nothing outlives the process that made it: what is killed takes its namespaces with it.

A host costs half a second and lives as long as the LAN that made it. ``conftest.py`` has the fixtures.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
import uuid
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from tempfile import mkdtemp
from typing import TYPE_CHECKING, Any

import pytest

from virtkit.core import engine
from virtkit.core.journal import Journal
from virtkit.core.system import System
from virtkit.core.units import MIB
from virtkit.recipes import guest
from virtkit.vm import connection
from virtkit.vm.agent import Agent
from virtkit.vm.blueprint import Blueprint, Disk, machine_xml
from virtkit.vm.daemon import ENVIRONMENT

if TYPE_CHECKING:
    from virtkit.core.plan import Plan
    from virtkit.vm.agent import Ran
    from virtkit.vm.connection import Connection

PROGRAMS = ("libvirtd", "virtlogd", "virsh", "qemu-system-x86_64", "qemu-img", "setpriv", "unshare", "nsenter", "ip")
NETWORK = "10.99.0"  # the first three bytes of the LAN's /24
IMAGES = "/var/lib/libvirt/images"  # as the host names it
SHARED = "/mnt"  # one directory for all hosts of a LAN
BOOT_SECONDS = 60  # of a busy machine, under TCG
MORTAL = ("setpriv", "--pdeathsig", "KILL")  # ends with who started it, whatever ends that
OWN = ("etc/libvirt", "run", "var/lib/libvirt", "var/cache/libvirt", "var/log")

LIBVIRTD = """\
host_uuid = "{uuid}"
listen_tls = 0
listen_tcp = 1
auth_tcp = "none"
auth_unix_rw = "none"
"""
QEMU = """\
cgroup_controllers = []
security_driver = "none"
remember_owner = 0
"""
SWITCH = """\
set -e
ip link add lan type bridge
ip link set lan up
echo ready
exec sleep infinity
"""
START = """\
set -eu
place=$0 name=$1
hostname "$name"
if [ -e /dev/kvm ]; then # as udev leaves it: libvirt asks for ever about one that it may not open
    mknod "$place/kvm" c 10 232
    chown root:kvm "$place/kvm"
    chmod 660 "$place/kvm"
    mount --bind "$place/kvm" /dev/kvm
fi
umount --recursive --lazy /sys
mount -t sysfs sysfs /sys
mount --bind "$place/../shared" /mnt
mount --bind "$place/../hosts" /etc/hosts
for own in etc/libvirt var/lib/libvirt var/cache/libvirt var/log run; do mount --bind "$place/$own" "/$own"; done
ip link set lo up
virtlogd -d
libvirtd -d -l
echo ready
while :; do # the children of those who end are reaped
    sleep 3600 &
    wait $!
done
"""


@dataclass(frozen=True)
class Host:
    name: str
    folder: Path  # what is its own, by the host's own names: folder/var/lib/libvirt ...
    shared: Path  # SHARED, as this process names it
    process: subprocess.Popen[str] = field(repr=False)

    @cached_property
    def pid(self) -> int:
        """Of the host's first process."""
        return int(Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text())

    @property
    def uri(self) -> str:
        """For this process: the host's own socket. Not ``local``: its /proc and /sys are not ours."""
        return f"qemu+unix:///system?socket={self.folder}/run/libvirt/libvirt-sock"

    @property
    def tcp(self) -> str:
        """For the other hosts of its LAN."""
        return f"qemu+tcp://{self.name}/system"

    @property
    def images(self) -> Path:
        """IMAGES, as this process names it."""
        return self.folder / IMAGES.lstrip("/")

    @property
    def journal(self) -> Journal:
        """The one that ``virtkit`` in the host writes."""
        return Journal(self.folder / "state/journal")

    def open(self) -> Connection:
        return connection.open(self.uri)

    def command(self, *command: str) -> list[str]:
        inside = ["nsenter", "-t", str(self.pid), "-m", "-u", "-i", "-n", "-p"]
        return [*inside, "env", f"VIRTKIT_STATE_DIR={self.folder}/state", *command]

    def run(self, *command: str, check: bool = True, text: str = "") -> subprocess.CompletedProcess[str]:
        """A program on the host, to its end; ``text`` is what it reads."""
        there, environment = self.command(*command), _environment()
        done = subprocess.run(there, capture_output=True, text=True, check=False, env=environment, input=text)
        if check and done.returncode:
            raise AssertionError(f"{command}: {done.returncode}\n{done.stdout}\n{done.stderr}")
        return done

    def start(self, *command: str) -> subprocess.Popen[str]:
        """A program on the host, beside the test; killing it is the test's business."""
        pipe = subprocess.PIPE
        there, environment = self.command(*command), _environment()
        return subprocess.Popen(there, stdin=pipe, stdout=pipe, stderr=pipe, text=True, env=environment)

    def virtkit(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        return self.run(sys.executable, "-m", "virtkit", *arguments, check=check)

    def json(self, *arguments: str, check: bool = True) -> Any:
        return json.loads(self.virtkit(*arguments, "--output", "json", check=check).stdout)

    def virsh(self, *arguments: str, check: bool = True) -> str:
        return self.run("virsh", "-q", "-c", "qemu:///system", *arguments, check=check).stdout.strip()

    def machines(self) -> list[str]:
        """All of them, running or not, as libvirt's own program names them."""
        return self.virsh("list", "--all", "--name").split()

    def define(self, xml: str) -> None:
        """By libvirt's own program."""
        self.run("virsh", "-q", "define", "--validate", "/dev/stdin", text=xml)

    def carry_out(self, plan: Plan) -> int:
        """For a plan that was made in this process, with ``LIBVIRT_DEFAULT_URI`` set to ``uri``."""
        return engine.run(plan, System(), self.journal)

    def boot(self, blueprint: Blueprint, xml: str = "") -> str:
        """Define (``xml`` instead of the blueprint's own), start, and wait for the guest's agent; its name."""
        self.define(xml or machine_xml(blueprint))
        self.virsh("start", blueprint.name)
        self.wait(blueprint.name)
        return blueprint.name

    def wait(self, name: str, seconds: float = BOOT_SECONDS) -> None:
        """Until the guest's agent answers."""
        with self.open() as libvirt:
            Agent(libvirt.machine(name)).wait(seconds)

    def answers(self, name: str) -> bool:
        """Whether the machine is there, runs, and its agent answers at once."""
        with self.open() as libvirt:
            machine = libvirt.find(name)
            return machine is not None and machine.state == "running" and Agent(machine).ping(2)

    def execute(self, name: str, *command: str) -> Ran:
        """A program in the guest, by its agent."""
        with self.open() as libvirt:
            return Agent(libvirt.machine(name)).execute(command)

    def shell(self, name: str, script: str) -> str:
        """What a script says in the guest; it has to succeed."""
        ran = self.execute(name, "/bin/sh", "-c", script)
        assert ran.status == 0, ran
        return ran.stdout

    def remove(self, name: str) -> None:
        """A machine of any state, by libvirt's own program."""
        self.virsh("destroy", name, check=False)
        self.virsh("undefine", name, "--nvram", "--managed-save", "--snapshots-metadata", check=False)

    def disk(self, file: str, size: str = "16M", format: str = "qcow2") -> Disk:  # noqa: A002  qemu-img's word
        """A new disk in the host's own IMAGES, or where ``file`` is absolute; its path is the host's."""
        path = os.path.join(IMAGES, file)
        self.run("qemu-img", "create", "-q", "-f", format, path, size)
        return Disk(path, format, "none", "native")


class Lan:
    """Hosts that see each other, by the names kvm1, kvm2 ... and at NETWORK.1, NETWORK.2 ..."""

    def __init__(self) -> None:
        for program in PROGRAMS:
            if shutil.which(program, path=ENVIRONMENT["PATH"]) is None:
                pytest.skip(f"needs {program}")
        self._folder = Path(mkdtemp(prefix="vkhosts-", dir="/tmp"))  # short: the paths of sockets end after 107 bytes
        self._folder.chmod(0o711)  # QEMU's own user passes
        (self._folder / "shared").mkdir()
        (self._folder / "shared").chmod(0o1777)
        known = "".join(f"{NETWORK}.{number} kvm{number}\n" for number in range(1, 10))
        (self._folder / "hosts").write_text(f"127.0.0.1 localhost\n{known}")
        self._switch = _started("unshare", "--net", "sh", "-c", SWITCH)
        self._hosts: dict[int, Host] = {}

    def host(self, number: int) -> Host:
        """The one of this number, from 1; made when it is first asked for, or was lost since."""
        if number not in self._hosts or self._hosts[number].process.poll() is not None:
            self._hosts[number] = self._host(f"kvm{number}", number)
        return self._hosts[number]

    def lose(self, host: Host) -> None:
        """As if its power went: everything on it ends at once, its files stay until the host is made again."""
        _end(host.process)
        port = f"port{host.name.removeprefix('kvm')}"  # the kernel takes it away, too, but in its own time
        self._batch(self._switch.pid, f"link del {port}\n", check=False)

    def close(self) -> None:
        for process in (*(host.process for host in self._hosts.values()), self._switch):
            _end(process)
        for _ in range(100):  # the kernel takes the namespaces down after the last process
            with suppress(OSError):
                shutil.rmtree(self._folder)
                return
            time.sleep(0.05)
        shutil.rmtree(self._folder)

    def _host(self, name: str, number: int) -> Host:
        place = self._folder / name
        shutil.rmtree(place, ignore_errors=True)
        _furnish(place)
        namespaces = ("--mount", "--pid", "--net", "--ipc", "--uts", "--fork", "--kill-child", "--mount-proc")
        process = _started("unshare", *namespaces, "sh", "-c", START, str(place), name)
        host = Host(name, place, self._folder / "shared", process)
        self._plug_in(host, number)
        return host

    def _plug_in(self, host: Host, number: int) -> None:
        port = f"port{number}"
        mac = f"52:54:00:99:00:{number:02x}"  # the same again for a host that comes back: the others remember it
        lines = f"link add {port} type veth peer name eth0 address {mac} netns {host.pid}\n"
        lines += f"link set {port} master lan up\n"
        inside = f"link set eth0 up\naddr add {NETWORK}.{number}/24 dev eth0\n"
        self._batch(self._switch.pid, lines)
        self._batch(host.pid, inside)

    def _batch(self, pid: int, lines: str, *, check: bool = True) -> None:
        """For ``ip``, in the network namespace of a process."""
        command = ["nsenter", "-t", str(pid), "-n", "ip", "-batch", "-"]
        subprocess.run(command, input=lines, text=True, check=check, capture_output=True)


def blueprint(name: str, *disks: Disk) -> Blueprint:
    """The demo's guest, in memory alone: it boots in 3 to 10 s, whatever its disks hold."""
    kernel, initramfs = guest.kernel_and_initramfs(System())
    plain = idle(name, *disks)
    arguments = "console=ttyS0 net.ifnames=0"
    return replace(plain, memory=128 * MIB, kernel=str(kernel), initramfs=str(initramfs), kernel_arguments=arguments)


def idle(name: str, *disks: Disk) -> Blueprint:
    """A machine without anything to boot: it starts at once, and nobody in it listens."""
    return Blueprint(name, 64 * MIB, 2, disks, kvm=False)


def _started(*command: str) -> subprocess.Popen[str]:
    """A process that lives no longer than this one, once it is ready."""
    pipe = subprocess.PIPE
    process = subprocess.Popen([*MORTAL, *command], stdout=pipe, stderr=pipe, text=True, env=_environment())
    assert process.stdout
    assert process.stderr
    if process.stdout.readline() != "ready\n":
        process.kill()
        raise AssertionError(f"{command[0]}: {process.stderr.read()}")
    return process


def _environment() -> dict[str, str]:
    """Without the URI that a test may have chosen: libvirtd itself would take it for its own."""
    kept = {key: value for key, value in os.environ.items() if key != "LIBVIRT_DEFAULT_URI"}
    return {**kept, **ENVIRONMENT, "LC_ALL": "C.UTF-8"}


def _end(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.communicate()


def _furnish(place: Path) -> None:
    for own in OWN:
        (place / own).mkdir(parents=True)
    (place / "var/log/libvirt/qemu").mkdir(parents=True)
    (place / "run/lock").mkdir()
    (place / "run/lock").chmod(0o1777)
    (place / IMAGES.lstrip("/")).mkdir()
    (place / IMAGES.lstrip("/")).chmod(0o711)
    configuration = place / "etc/libvirt"
    (configuration / "libvirtd.conf").write_text(LIBVIRTD.format(uuid=uuid.uuid4()))
    (configuration / "qemu.conf").write_text(QEMU)
    with suppress(FileNotFoundError):  # what QEMU can do: libvirt looks itself whether it still holds
        shutil.copytree("/var/cache/libvirt", place / "var/cache/libvirt", dirs_exist_ok=True)
    with suppress(FileNotFoundError):  # the NAT network "default", not started
        shutil.copytree("/usr/share/libvirt/networks", configuration / "qemu/networks")
